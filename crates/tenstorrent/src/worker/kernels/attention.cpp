// Self-attention of a block: residual + last_norm(mixed + sum of softmax(query(z) z^T) value(z) over heads), where z = norm(h).

#include "attention_sizes.h"

#include "compute.h"

#include "api/compute/transpose.h"

// One layer of a head for a row of tiles of Z, which begins at tile `first`.
ALWI void project(uint32_t weight, uint32_t first, uint32_t made) {
    make(made, COLUMNS, [&](uint32_t j, uint32_t to) {
        for (uint32_t k = 0; k < COLUMNS; ++k) {
            matmul_tiles(Z, TABLE, first + k, weight + k * COLUMNS + j, to);
        }
        add_bias(weight + COLUMNS * COLUMNS + j, to);
    });
}

// The attention weights of a row of tiles in one head, appended to GATE.
ALWI void weights(uint32_t row, uint32_t head) {
    matmul_init(Z, TABLE);
    project(QUERY + head * (COLUMNS + 1) * COLUMNS, row * COLUMNS, QUERIES);
    cb_wait_front(QUERIES, COLUMNS);
    matmul_init(QUERIES, KEYS);
    make(LOGITS, ROWS, [&](uint32_t key, uint32_t to) {
        for (uint32_t k = 0; k < COLUMNS; ++k) {
            matmul_tiles(QUERIES, KEYS, k, key * COLUMNS + k, to);
        }
        if (MASKED && key == ROWS - 1) {
            add_bias(MASK, to);
        }
    });
    cb_pop_front(QUERIES, COLUMNS);
    softmax();
}

// The sum over heads and what the layers made; then its norm and the residual.
ALWI void attend(uint32_t row) {
    cb_wait_front(GATE, HEADS * ROWS);
    matmul_init(GATE, VALUES);
    make(ATTENDED, COLUMNS, [&](uint32_t j, uint32_t to) {
        for (uint32_t k = 0; k < HEADS * ROWS; ++k) {
            matmul_tiles(GATE, VALUES, k, k * COLUMNS + j, to);
        }
        matmul_tiles(TABLE, MIXED, IDENTITY, row * COLUMNS + j, to);
    });
    cb_pop_front(GATE, HEADS * ROWS);
    cb_wait_front(ATTENDED, COLUMNS);
    norm(ATTENDED, 0, {LAST_SLOPE, LAST_OFFSET}, LAST);
    cb_pop_front(ATTENDED, COLUMNS);
    cb_wait_front(LAST, COLUMNS);
    add_init(STATE, LAST);
    make(OUT, COLUMNS, [&](uint32_t j, uint32_t to) { add_tiles(STATE, LAST, row * COLUMNS + j, j, to); });
    cb_pop_front(LAST, COLUMNS);
}

void kernel_main() {
    const uint32_t units = get_arg_val<uint32_t>(0);
    compute_kernel_hw_startup<SrcOrder::Reverse>(STATE, TABLE, OUT);
    for (uint32_t unit = 0; unit < units; ++unit) {
        // The table arrives in three pieces and is kept for later units.
        cb_wait_front(STATE, ROWS * COLUMNS);
        cb_wait_front(TABLE, VALUE);
        for (uint32_t row = 0; row < ROWS; ++row) {
            norm(STATE, row * COLUMNS, {SLOPE, OFFSET}, Z);
        }
        cb_wait_front(Z, ROWS * COLUMNS);
        transpose_init(Z);
        make(KEYS, ROWS * COLUMNS, [&](uint32_t i, uint32_t to) { transpose_tile(Z, i, to); });
        cb_wait_front(TABLE, QUERY);
        matmul_init(Z, TABLE);
        for (uint32_t head = 0; head < HEADS; ++head) {
            for (uint32_t row = 0; row < ROWS; ++row) {
                project(VALUE + head * (COLUMNS + 1) * COLUMNS, row * COLUMNS, VALUES);
            }
        }
        cb_wait_front(KEYS, ROWS * COLUMNS);
        cb_wait_front(VALUES, HEADS * ROWS * COLUMNS);
        cb_wait_front(TABLE, TABLE_TILES);
        cb_wait_front(MIXED, ROWS * COLUMNS);
        for (uint32_t row = 0; row < ROWS; ++row) {
            for (uint32_t head = 0; head < HEADS; ++head) {
                weights(row, head);
            }
            attend(row);
        }
        cb_pop_front(VALUES, HEADS * ROWS * COLUMNS);
        cb_pop_front(KEYS, ROWS * COLUMNS);
        cb_pop_front(Z, ROWS * COLUMNS);
        cb_pop_front(STATE, ROWS * COLUMNS);
        cb_pop_front(MIXED, ROWS * COLUMNS);
    }
    cb_pop_front(TABLE, TABLE_TILES);
}
