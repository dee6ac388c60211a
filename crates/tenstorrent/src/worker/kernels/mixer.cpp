// One mixer block: residual + z * softmax(logits), where [z | logits] = second(gelu(first(norm(h)))), or residual + z.
// With `LEFT` it mixes rows (patches), otherwise columns (features); without `RESIDUAL` the state is not added.

#include "mixer_sizes.h"

#include "compute.h"

// The first layer for one column of tiles of the state (LEFT), or for its row. GELU is looked up: its error is
// less than the rounding of the hidden layer, and the exact function takes fourteen times as long.
ALWI void first(uint32_t column) {
    cb_wait_front(TABLE, SECOND);
    weigh_init(Z);
    gelu_tile_init<true>();
    make(HIDDEN, HIDDEN_TILES, [&](uint32_t e, uint32_t to) {
        for (uint32_t k = 0; k < INPUTS; ++k) {
            const uint32_t weight = LEFT ? e * INPUTS + k : k * HIDDEN_TILES + e;
            weigh(FIRST + weight, Z, LEFT ? k * COLUMNS + column : k, to);
        }
        add_bias(FIRST_BIAS + e, to);
        gelu_tile<true>(to);
    });
    cb_wait_front(HIDDEN, HIDDEN_TILES);
    cb_wait_front(TABLE, TABLE_TILES);
}

// Tile `s` of the second layer.
ALWI void second_tile(uint32_t s, uint32_t to) {
    for (uint32_t e = 0; e < HIDDEN_TILES; ++e) {
        const uint32_t weight = LEFT ? s * HIDDEN_TILES + e : e * OUTPUTS + s;
        weigh(SECOND + weight, HIDDEN, e, to);
    }
    add_bias(SECOND_BIAS + s, to);
}

// Block and gate.
ALWI void second_and_logits() {
    weigh_init(HIDDEN);
    make(MIXED, GATES, second_tile);
    make(LOGITS, GATES, [&](uint32_t s, uint32_t to) { second_tile(GATES + s, to); });
    cb_pop_front(HIDDEN, HIDDEN_TILES);
}

// Without a gate the residual is added as its product with the identity.
ALWI void second_and_add(uint32_t column) {
    weigh_init(HIDDEN);
    make(OUT, GATES, [&](uint32_t s, uint32_t to) {
        second_tile(s, to);
        if constexpr (RESIDUAL) {
            matmul_tiles(TABLE, STATE, IDENTITY, LEFT ? s * COLUMNS + column : s, to);
        }
    });
    cb_pop_front(HIDDEN, HIDDEN_TILES);
}

ALWI void gate_and_add(uint32_t column) {
    cb_wait_front(GATE, GATES);
    cb_wait_front(MIXED, GATES);
    mul_init(MIXED, GATE);
    make(RESIDUAL ? GATED : OUT, GATES, [&](uint32_t s, uint32_t to) { mul_tiles(MIXED, GATE, s, s, to); });
    cb_pop_front(MIXED, GATES);
    cb_pop_front(GATE, GATES);
    if constexpr (RESIDUAL) {
        cb_wait_front(GATED, GATES);
        add_init(STATE, GATED);
        make(OUT, GATES, [&](uint32_t s, uint32_t to) {
            add_tiles(STATE, GATED, LEFT ? s * COLUMNS + column : s, s, to);
        });
        cb_pop_front(GATED, GATES);
    }
}

void kernel_main() {
    const uint32_t units = get_arg_val<uint32_t>(0);
    compute_kernel_hw_startup<SrcOrder::Reverse>(STATE, TABLE, OUT);
    for (uint32_t unit = 0; unit < units; ++unit) {
        // The table arrives in three pieces and is kept for later units.
        cb_wait_front(STATE, ROWS * COLUMNS);
        cb_wait_front(TABLE, FIRST);
        for (uint32_t row = 0; row < ROWS; ++row) {
            norm(STATE, row * COLUMNS, {SLOPE, OFFSET}, Z);
        }
        cb_wait_front(Z, ROWS * COLUMNS);
        for (uint32_t column = 0; column < (LEFT ? COLUMNS : 1); ++column) {
            first(column);
            if constexpr (HAS_GATE) {
                second_and_logits();
                softmax();
                gate_and_add(column);
            } else {
                second_and_add(column);
            }
        }
        cb_pop_front(Z, ROWS * COLUMNS);
        cb_pop_front(STATE, ROWS * COLUMNS);
    }
    cb_pop_front(TABLE, TABLE_TILES);
}
