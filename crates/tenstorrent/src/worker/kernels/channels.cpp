// A channel mixer: residual + second(gelu(first(z * softmax(gate(z))))) along the rows of a unit, where z = norm(h).

#include "channels_sizes.h"

#include "compute.h"

// z * softmax(gate(z)) for one column of tiles.
ALWI void gate(uint32_t column) {
    cb_wait_front(TABLE, FIRST);
    weigh_init(Z);
    make(LOGITS, ROWS, [&](uint32_t s, uint32_t to) {
        for (uint32_t k = 0; k < ROWS; ++k) {
            weigh(GATE_WEIGHT + s * ROWS + k, Z, k * COLUMNS + column, to);
        }
        add_bias(GATE_BIAS + s, to);
    });
    softmax();
    cb_wait_front(GATE, ROWS);
    mul_init(Z, GATE);
    make(GATED, ROWS, [&](uint32_t s, uint32_t to) { mul_tiles(Z, GATE, s * COLUMNS + column, s, to); });
    cb_pop_front(GATE, ROWS);
    cb_wait_front(GATED, ROWS);
}

// Both layers and the residual for one column of tiles; the residual is added as its product with the identity.
ALWI void layers(uint32_t column) {
    constexpr uint32_t GIVEN = HAS_GATE ? GATED : Z;
    cb_wait_front(TABLE, SECOND);
    weigh_init(GIVEN);
    gelu_tile_init<true>();
    make(HIDDEN, HIDDEN_TILES, [&](uint32_t e, uint32_t to) {
        for (uint32_t k = 0; k < ROWS; ++k) {
            weigh(FIRST + e * ROWS + k, GIVEN, HAS_GATE ? k : k * COLUMNS + column, to);
        }
        add_bias(FIRST_BIAS + e, to);
        gelu_tile<true>(to);
    });
    if constexpr (HAS_GATE) {
        cb_pop_front(GATED, ROWS);
    }
    cb_wait_front(HIDDEN, HIDDEN_TILES);
    cb_wait_front(TABLE, TABLE_TILES);
    weigh_init(HIDDEN);
    make(OUT, ROWS, [&](uint32_t s, uint32_t to) {
        for (uint32_t e = 0; e < HIDDEN_TILES; ++e) {
            weigh(SECOND + s * HIDDEN_TILES + e, HIDDEN, e, to);
        }
        add_bias(SECOND_BIAS + s, to);
        weigh(IDENTITY, STATE, s * COLUMNS + column, to);
    });
    cb_pop_front(HIDDEN, HIDDEN_TILES);
}

void kernel_main() {
    const uint32_t units = get_arg_val<uint32_t>(0);
    compute_kernel_hw_startup<SrcOrder::Reverse>(STATE, TABLE, OUT);
    for (uint32_t unit = 0; unit < units; ++unit) {
        // The table arrives in three pieces and is kept for later units.
        cb_wait_front(STATE, ROWS * COLUMNS);
        cb_wait_front(TABLE, GATE_WEIGHT);
        for (uint32_t row = 0; row < ROWS; ++row) {
            norm(STATE, row * COLUMNS, {SLOPE, OFFSET}, Z);
        }
        cb_wait_front(Z, ROWS * COLUMNS);
        for (uint32_t column = 0; column < COLUMNS; ++column) {
            if constexpr (HAS_GATE) {
                gate(column);
            }
            layers(column);
        }
        cb_pop_front(Z, ROWS * COLUMNS);
        cb_pop_front(STATE, ROWS * COLUMNS);
    }
    cb_pop_front(TABLE, TABLE_TILES);
}
