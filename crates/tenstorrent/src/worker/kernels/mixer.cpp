// One mixer block: residual + z * softmax(logits), where [z | logits] = second(gelu(first(norm(h)))).
//
// As much as possible is computed as products of tiles: centred rows and their variance are products
// with a matrix (centred rows are multiplied by D, so that the matrix is exact, and epsilon by D
// squared), and biases are added as their product with the identity. So little has to be broadcast,
// and padding is multiplied by zero. With `LEFT` weights multiply the state from the left and mix its
// rows (patches); otherwise they multiply it from the right and mix its columns (features).

#include <cstdint>

#include "api/compute/bcast.h"
#include "api/compute/cb_api.h"
#include "api/compute/compute_kernel_hw_startup.h"
#include "api/compute/eltwise_binary.h"
#include "api/compute/eltwise_unary/binop_with_scalar.h"
#include "api/compute/eltwise_unary/exp.h"
#include "api/compute/eltwise_unary/gelu.h"
#include "api/compute/eltwise_unary/recip.h"
#include "api/compute/eltwise_unary/rsqrt.h"
#include "api/compute/matmul.h"
#include "api/compute/pack.h"
#include "api/compute/reduce.h"
#include "api/compute/reg_api.h"

#include "mixer_sizes.h"

constexpr ReduceDim ALONG = LEFT ? ReduceDim::REDUCE_COL : ReduceDim::REDUCE_ROW;

// Computes one tile in register 0 and appends it to a buffer.
template <typename Compute>
ALWI void make(uint32_t buffer, Compute compute) {
    cb_reserve_back(buffer, 1);
    tile_regs_acquire();
    compute();
    tile_regs_commit();
    tile_regs_wait();
    pack_tile(0, buffer);
    tile_regs_release();
    cb_push_back(buffer, 1);
}

// The product of a weight of the table and a tile of a buffer, in the order that `LEFT` says.
ALWI void weigh(uint32_t weight, uint32_t buffer, uint32_t tile) {
    if constexpr (LEFT) {
        matmul_tiles(TABLE, buffer, weight, tile, 0);
    } else {
        matmul_tiles(buffer, TABLE, tile, weight, 0);
    }
}

ALWI void weigh_init(uint32_t buffer) {
    if constexpr (LEFT) {
        matmul_init(TABLE, buffer);
    } else {
        matmul_init(buffer, TABLE);
    }
}

// A bias is a whole tile, and is added as its product with the identity.
ALWI void add_bias(uint32_t bias) { matmul_tiles(TABLE, TABLE, bias, IDENTITY, 0); }

ALWI void norm(uint32_t row) {
    matmul_init(STATE, TABLE);
    for (uint32_t j = 0; j < COLUMNS; ++j) {
        make(CENTRED, [&] {
            for (uint32_t k = 0; k < COLUMNS; ++k) {
                matmul_tiles(STATE, TABLE, row * COLUMNS + k, CENTRE + k * COLUMNS + j, 0);
            }
        });
    }
    cb_wait_front(CENTRED, COLUMNS);
    mul_init(CENTRED, CENTRED);
    for (uint32_t j = 0; j < COLUMNS; ++j) {
        make(SQUARES, [&] { mul_tiles(CENTRED, CENTRED, j, j, 0); });
    }
    cb_wait_front(SQUARES, COLUMNS);
    matmul_init(SQUARES, TABLE);
    for (uint32_t j = 0; j < COLUMNS; ++j) {
        make(INVERSE, [&] {
            for (uint32_t k = 0; k < COLUMNS; ++k) {
                matmul_tiles(SQUARES, TABLE, k, MEAN + k * COLUMNS + j, 0);
            }
            binop_with_scalar_tile_init();
            add_unary_tile(0, EPSILON);
            rsqrt_tile_init();
            rsqrt_tile(0);
        });
    }
    cb_wait_front(INVERSE, COLUMNS);
    mul_init(CENTRED, INVERSE);
    for (uint32_t j = 0; j < COLUMNS; ++j) {
        make(LEFT ? NORMED : Z, [&] { mul_tiles(CENTRED, INVERSE, j, j, 0); });
    }
    cb_pop_front(CENTRED, COLUMNS);
    cb_pop_front(SQUARES, COLUMNS);
    cb_pop_front(INVERSE, COLUMNS);
    if constexpr (LEFT) {
        cb_wait_front(NORMED, COLUMNS);
        mul_init(NORMED, TABLE);
        for (uint32_t j = 0; j < COLUMNS; ++j) {
            make(SCALED, [&] { mul_tiles(NORMED, TABLE, j, SLOPE + j, 0); });
        }
        cb_wait_front(SCALED, COLUMNS);
        add_init(SCALED, TABLE);
        for (uint32_t j = 0; j < COLUMNS; ++j) {
            make(Z, [&] { add_tiles(SCALED, TABLE, j, OFFSET + j, 0); });
        }
        cb_pop_front(NORMED, COLUMNS);
        cb_pop_front(SCALED, COLUMNS);
    }
}

// Both layers for one column of tiles of the state (LEFT), or for its row.
ALWI void layers(uint32_t column) {
    cb_wait_front(TABLE, SECOND);
    weigh_init(Z);
    gelu_tile_init<false>();
    for (uint32_t e = 0; e < HIDDEN_TILES; ++e) {
        make(HIDDEN, [&] {
            for (uint32_t k = 0; k < INPUTS; ++k) {
                const uint32_t weight = LEFT ? e * INPUTS + k : k * HIDDEN_TILES + e;
                weigh(FIRST + weight, Z, LEFT ? k * COLUMNS + column : k);
            }
            add_bias(FIRST_BIAS + e);
            gelu_tile<false>(0);
        });
    }
    cb_wait_front(HIDDEN, HIDDEN_TILES);
    cb_wait_front(TABLE, TABLE_TILES);
    weigh_init(HIDDEN);
    for (uint32_t s = 0; s < 2 * GATES; ++s) {
        make(s < GATES ? MIXED : LOGITS, [&] {
            for (uint32_t e = 0; e < HIDDEN_TILES; ++e) {
                const uint32_t weight = LEFT ? s * HIDDEN_TILES + e : e * 2 * GATES + s;
                weigh(SECOND + weight, HIDDEN, e);
            }
            add_bias(SECOND_BIAS + s);
        });
    }
    cb_pop_front(HIDDEN, HIDDEN_TILES);
}

// The softmax of the logits, as exponentials (POWERS) and the reciprocal of their sum.
ALWI void softmax() {
    cb_wait_front(LOGITS, GATES);
    reduce_init<PoolType::MAX, ALONG>(LOGITS, TABLE, LARGEST);
    make(LARGEST, [&] {
        for (uint32_t s = 0; s < GATES; ++s) {
            reduce_tile<PoolType::MAX, ALONG>(LOGITS, TABLE, s, SCALER, 0);
        }
    });
    reduce_uninit();
    cb_wait_front(LARGEST, 1);
    if constexpr (LEFT) {
        sub_bcast_rows_init(LOGITS, LARGEST);
    } else {
        sub_bcast_cols_init(LOGITS, LARGEST);
    }
    exp_tile_init();
    for (uint32_t s = 0; s < GATES; ++s) {
        make(POWERS, [&] {
            if constexpr (LEFT) {
                sub_tiles_bcast_rows(LOGITS, LARGEST, s, 0, 0);
            } else {
                sub_tiles_bcast_cols(LOGITS, LARGEST, s, 0, 0);
            }
            exp_tile(0);
        });
    }
    cb_pop_front(LOGITS, GATES);
    cb_pop_front(LARGEST, 1);
    cb_wait_front(POWERS, GATES);
    weigh_init(POWERS);
    recip_tile_init();
    make(SUM, [&] {
        for (uint32_t s = 0; s < GATES; ++s) {
            weigh(ONES, POWERS, s);
        }
        recip_tile(0);
    });
}

ALWI void gate_and_add(uint32_t column) {
    cb_wait_front(SUM, 1);
    mul_init(POWERS, SUM);
    for (uint32_t s = 0; s < GATES; ++s) {
        make(GATE, [&] { mul_tiles(POWERS, SUM, s, 0, 0); });
    }
    cb_pop_front(POWERS, GATES);
    cb_pop_front(SUM, 1);
    cb_wait_front(GATE, GATES);
    cb_wait_front(MIXED, GATES);
    mul_init(MIXED, GATE);
    for (uint32_t s = 0; s < GATES; ++s) {
        make(GATED, [&] { mul_tiles(MIXED, GATE, s, s, 0); });
    }
    cb_pop_front(MIXED, GATES);
    cb_pop_front(GATE, GATES);
    cb_wait_front(GATED, GATES);
    add_init(STATE, GATED);
    for (uint32_t s = 0; s < GATES; ++s) {
        make(OUT, [&] { add_tiles(STATE, GATED, LEFT ? s * COLUMNS + column : s, s, 0); });
    }
    cb_pop_front(GATED, GATES);
}

void kernel_main() {
    const uint32_t units = get_arg_val<uint32_t>(0);
    compute_kernel_hw_startup<SrcOrder::Reverse>(STATE, TABLE, OUT);
    for (uint32_t unit = 0; unit < units; ++unit) {
        // The table arrives in three pieces and is kept for later units.
        cb_wait_front(STATE, ROWS * COLUMNS);
        cb_wait_front(TABLE, FIRST);
        for (uint32_t row = 0; row < ROWS; ++row) {
            norm(row);
        }
        cb_wait_front(Z, ROWS * COLUMNS);
        for (uint32_t column = 0; column < (LEFT ? COLUMNS : 1); ++column) {
            layers(column);
            softmax();
            gate_and_add(column);
        }
        cb_pop_front(Z, ROWS * COLUMNS);
        cb_pop_front(STATE, ROWS * COLUMNS);
    }
    cb_pop_front(TABLE, TABLE_TILES);
}
