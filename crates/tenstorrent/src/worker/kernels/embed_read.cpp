// Cuts windows into patches: a unit's piece of a window is read once, and its numbers are copied to
// their places in tiles. A tile is four faces of 16 x 16; columns and rows without a patch are 0.

#include <cstdint>
#include <type_traits>

#include "api/dataflow/dataflow_api.h"

#include "embed_sizes.h"

constexpr uint32_t FACE = 16;

void fill_with_zeros(uint32_t buffer, uint32_t tiles) {
    volatile tt_l1_ptr uint32_t* to = reinterpret_cast<volatile tt_l1_ptr uint32_t*>(get_write_ptr(buffer));
    for (uint32_t i = 0; i < tiles * get_tile_size(buffer) / sizeof(uint32_t); ++i) {
        to[i] = 0;
    }
}

// Numbers are moved in pairs where no pair is torn apart.
using Piece = std::conditional_t<PATCH_LENGTH % 2 == 0 && PATCH_STRIDE % 2 == 0, uint32_t, uint16_t>;
constexpr uint32_t HOLDS = sizeof(Piece) / sizeof(uint16_t);

// Writes row `i` of all tiles, from `from`, or zeros.
void lay(volatile tt_l1_ptr Piece* tiles, uint32_t i, const volatile tt_l1_ptr Piece* from) {
    const uint32_t row = i / FACE * 2 * FACE * FACE + i % FACE * FACE;
    for (uint32_t j = 0; j < PATCH_LENGTH; j += HOLDS) {
        const uint32_t place = j / TILE * TILE * TILE + j % TILE / FACE * FACE * FACE + j % FACE;
        tiles[(row + place) / HOLDS] = from == nullptr ? 0 : from[j / HOLDS];
    }
}

void kernel_main() {
    const uint32_t windows_address = get_arg_val<uint32_t>(0);
    const uint32_t table_address = get_arg_val<uint32_t>(1);
    const uint32_t first = get_arg_val<uint32_t>(2);
    const uint32_t units = get_arg_val<uint32_t>(3);
    constexpr uint32_t ROW_BYTES = ((WINDOW_PATCHES - 1) * PATCH_STRIDE + PATCH_LENGTH) * sizeof(uint16_t);
    constexpr auto window_arguments = TensorAccessorArgs<TENSORS>();
    constexpr auto table_arguments = TensorAccessorArgs<window_arguments.next_compile_time_args_offset()>();
    const auto windows = TensorAccessor(window_arguments, windows_address);
    const auto table = TensorAccessor(table_arguments, table_address, get_tile_size(TABLE));

    cb_reserve_back(TABLE, TABLE_TILES);
    uint32_t to = get_write_ptr(TABLE);
    for (uint32_t tile = 0; tile < TABLE_TILES; ++tile) {
        noc_async_read_page(tile, table, to);
        to += get_tile_size(TABLE);
    }
    fill_with_zeros(PATCHES, 2 * PATCH_TILES);
    noc_async_read_barrier();
    cb_push_back(TABLE, TABLE_TILES);

    const uint32_t piece = get_write_ptr(ROW);
    const auto numbers = reinterpret_cast<const volatile tt_l1_ptr Piece*>(piece);
    for (uint32_t unit = first; unit < first + units; ++unit) {
        // A piece begins 32 strides of two bytes after the one before, a multiple of 64 bytes.
        const uint32_t top = unit % UNITS_OF_WINDOW * TILE;
        const uint32_t rows = WINDOW_PATCHES - top < TILE ? WINDOW_PATCHES - top : TILE;
        const uint32_t offset = top * PATCH_STRIDE * sizeof(uint16_t);
        const uint32_t wanted = ((rows - 1) * PATCH_STRIDE + PATCH_LENGTH) * sizeof(uint16_t);
        const uint32_t bytes = offset + wanted < ROW_BYTES ? wanted : ROW_BYTES - offset;
        noc_async_read(windows.get_noc_addr(unit / UNITS_OF_WINDOW, offset), piece, bytes);
        noc_async_read_barrier();
        cb_reserve_back(PATCHES, PATCH_TILES);
        const auto tiles = reinterpret_cast<volatile tt_l1_ptr Piece*>(get_write_ptr(PATCHES));
        for (uint32_t i = 0; i < TILE; ++i) {
            lay(tiles, i, i < rows ? numbers + i * PATCH_STRIDE / HOLDS : nullptr);
        }
        cb_push_back(PATCHES, PATCH_TILES);
    }
}
