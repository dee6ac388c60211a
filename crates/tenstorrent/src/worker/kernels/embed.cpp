// Embeds the patches of a window: patches times weight, plus bias, one tile after the other.

#include <cstdint>

#include "api/compute/cb_api.h"
#include "api/compute/compute_kernel_hw_startup.h"
#include "api/compute/matmul.h"
#include "api/compute/pack.h"
#include "api/compute/reg_api.h"

#include "embed_sizes.h"

void kernel_main() {
    const uint32_t units = get_arg_val<uint32_t>(0);
    compute_kernel_hw_startup<SrcOrder::Reverse>(PATCHES, TABLE, OUT);
    cb_wait_front(TABLE, TABLE_TILES);
    matmul_init(PATCHES, TABLE);
    for (uint32_t unit = 0; unit < units; ++unit) {
        cb_wait_front(PATCHES, PATCH_TILES);
        for (uint32_t j = 0; j < COLUMNS; ++j) {
            cb_reserve_back(OUT, 1);
            tile_regs_acquire();
            for (uint32_t k = 0; k < PATCH_TILES; ++k) {
                matmul_tiles(PATCHES, TABLE, k, WEIGHT + k * COLUMNS + j, 0);
            }
            // The bias is a whole tile, and is added as its product with the identity.
            matmul_tiles(TABLE, TABLE, BIAS + j, IDENTITY, 0);
            tile_regs_commit();
            tile_regs_wait();
            pack_tile(0, OUT);
            tile_regs_release();
            cb_push_back(OUT, 1);
        }
        cb_pop_front(PATCHES, PATCH_TILES);
    }
    cb_pop_front(TABLE, TABLE_TILES);
}
