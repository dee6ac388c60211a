// What several kernels compute alike; a kernel's header of sizes defines the names in capitals.
//
// As much as possible is computed as products of tiles: centred rows and their variance are products
// with a matrix (centred rows are multiplied by D, so that the matrix is exact, and epsilon by D
// squared), and biases are added as their product with the identity. So little has to be broadcast,
// and padding is multiplied by zero. With `LEFT` weights multiply the state from the left and mix its
// rows; otherwise they multiply it from the right and mix its columns.

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

// 1 as the bits of an f32.
constexpr uint32_t ONE = 0x3F800000;
constexpr ReduceDim ALONG = LEFT ? ReduceDim::REDUCE_COL : ReduceDim::REDUCE_ROW;

// Tiles that are computed before they are packed: as many as the registers hold in f32.
constexpr uint32_t AT_ONCE = 4;

// Computes tiles and appends them to a buffer: `compute(i, to)` makes tile `i` in register `to`.
template <typename Compute>
ALWI void make(uint32_t buffer, uint32_t tiles, Compute compute) {
    for (uint32_t first = 0; first < tiles; first += AT_ONCE) {
        const uint32_t count = tiles - first < AT_ONCE ? tiles - first : AT_ONCE;
        cb_reserve_back(buffer, count);
        tile_regs_acquire();
        for (uint32_t to = 0; to < count; ++to) {
            compute(first + to, to);
        }
        tile_regs_commit();
        tile_regs_wait();
        for (uint32_t to = 0; to < count; ++to) {
            pack_tile(to, buffer);
        }
        tile_regs_release();
        cb_push_back(buffer, count);
    }
}

// The product of a weight of the table and a tile of a buffer, in the order that `LEFT` says.
ALWI void weigh(uint32_t weight, uint32_t buffer, uint32_t tile, uint32_t to) {
    if constexpr (LEFT) {
        matmul_tiles(TABLE, buffer, weight, tile, to);
    } else {
        matmul_tiles(buffer, TABLE, tile, weight, to);
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
ALWI void add_bias(uint32_t bias, uint32_t to) { matmul_tiles(TABLE, TABLE, bias, IDENTITY, to); }

// Weight and bias of a norm in the table; with `AFFINE` they are applied, otherwise the next layer has them.
struct Affine {
    uint32_t slope, offset;
};

// Rows of a row of tiles, which begins at tile `first` of `from`, less their mean and divided by their spread.
ALWI void standardise(uint32_t from, uint32_t first, uint32_t made) {
    matmul_init(from, TABLE);
    make(CENTRED, COLUMNS, [&](uint32_t j, uint32_t to) {
        for (uint32_t k = 0; k < COLUMNS; ++k) {
            matmul_tiles(from, TABLE, first + k, CENTRE + k * COLUMNS + j, to);
        }
    });
    cb_wait_front(CENTRED, COLUMNS);
    mul_init(CENTRED, CENTRED);
    make(SQUARES, COLUMNS, [&](uint32_t j, uint32_t to) { mul_tiles(CENTRED, CENTRED, j, j, to); });
    cb_wait_front(SQUARES, COLUMNS);
    matmul_init(SQUARES, TABLE);
    make(INVERSE, COLUMNS, [&](uint32_t j, uint32_t to) {
        for (uint32_t k = 0; k < COLUMNS; ++k) {
            matmul_tiles(SQUARES, TABLE, k, MEAN + k * COLUMNS + j, to);
        }
        binop_with_scalar_tile_init();
        add_unary_tile(to, EPSILON);
        rsqrt_tile_init();
        rsqrt_tile<RsqrtMode::Fast, false>(to);
    });
    cb_wait_front(INVERSE, COLUMNS);
    mul_init(CENTRED, INVERSE);
    make(made, COLUMNS, [&](uint32_t j, uint32_t to) { mul_tiles(CENTRED, INVERSE, j, j, to); });
    cb_pop_front(CENTRED, COLUMNS);
    cb_pop_front(SQUARES, COLUMNS);
    cb_pop_front(INVERSE, COLUMNS);
}

// The norm of a row of tiles, which begins at tile `first` of `from`. Batch norm is only weight (a diagonal matrix) and bias.
ALWI void norm(uint32_t from, uint32_t first, Affine affine, uint32_t made) {
    if constexpr (!NORMALISE) {
        matmul_init(from, TABLE);
        make(made, COLUMNS, [&](uint32_t j, uint32_t to) {
            matmul_tiles(from, TABLE, first + j, AFFINE ? affine.slope + j : IDENTITY, to);
            if constexpr (AFFINE) {
                add_bias(affine.offset + j, to);
            }
        });
    } else if constexpr (!AFFINE) {
        standardise(from, first, made);
    } else {
        standardise(from, first, NORMED);
        cb_wait_front(NORMED, COLUMNS);
        mul_init(NORMED, TABLE);
        make(SCALED, COLUMNS, [&](uint32_t j, uint32_t to) { mul_tiles(NORMED, TABLE, j, affine.slope + j, to); });
        cb_wait_front(SCALED, COLUMNS);
        add_init(SCALED, TABLE);
        make(made, COLUMNS, [&](uint32_t j, uint32_t to) { add_tiles(SCALED, TABLE, j, affine.offset + j, to); });
        cb_pop_front(NORMED, COLUMNS);
        cb_pop_front(SCALED, COLUMNS);
    }
}

// The exponentials (POWERS) of the logits less their largest, and the reciprocal of their sum.
ALWI void exponentials() {
    cb_wait_front(LOGITS, GATES);
    reduce_init<PoolType::MAX, ALONG>(LOGITS, TABLE, LARGEST);
    make(LARGEST, 1, [&](uint32_t, uint32_t to) {
        for (uint32_t s = 0; s < GATES; ++s) {
            reduce_tile<PoolType::MAX, ALONG>(LOGITS, TABLE, s, SCALER, to);
        }
    });
    reduce_uninit();
    cb_wait_front(LARGEST, 1);
    if constexpr (LEFT) {
        sub_bcast_rows_init(LOGITS, LARGEST);
    } else {
        sub_bcast_cols_init(LOGITS, LARGEST);
    }
    exp_tile_init<false, ONE, InputClamping::ClampToNegative, false>();
    make(POWERS, GATES, [&](uint32_t s, uint32_t to) {
        if constexpr (LEFT) {
            sub_tiles_bcast_rows(LOGITS, LARGEST, s, 0, to);
        } else {
            sub_tiles_bcast_cols(LOGITS, LARGEST, s, 0, to);
        }
        exp_tile<false, false, InputClamping::ClampToNegative, 8, false>(to);
    });
    cb_pop_front(LOGITS, GATES);
    cb_pop_front(LARGEST, 1);
    cb_wait_front(POWERS, GATES);
    weigh_init(POWERS);
    recip_tile_init<ReciprocalDestAcc::BF16>();
    make(SUM, 1, [&](uint32_t, uint32_t to) {
        for (uint32_t s = 0; s < GATES; ++s) {
            weigh(ONES, POWERS, s, to);
        }
        recip_tile<ReciprocalDestAcc::BF16>(to, LEFT ? VectorMode::R : VectorMode::C);
    });
}

// The softmax of GATES tiles of LOGITS, as GATES tiles of GATE.
ALWI void softmax() {
    exponentials();
    cb_wait_front(SUM, 1);
    if constexpr (LEFT) {
        mul_bcast_rows_init(POWERS, SUM);
    } else {
        mul_bcast_cols_init(POWERS, SUM);
    }
    make(GATE, GATES, [&](uint32_t s, uint32_t to) {
        if constexpr (LEFT) {
            mul_tiles_bcast_rows(POWERS, SUM, s, 0, to);
        } else {
            mul_tiles_bcast_cols(POWERS, SUM, s, 0, to);
        }
    });
    cb_pop_front(POWERS, GATES);
    cb_pop_front(SUM, 1);
}
