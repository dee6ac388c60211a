// Gathers units: of every channel's tile the row of one patch, which becomes the row of that channel.

#include "bring.h"

#include "channels_sizes.h"

// Columns of the half row that begins at `to`, where a last patch has none beside it: they are multiplied by 0.
void clear_half(uint32_t to) {
    auto words = reinterpret_cast<volatile tt_l1_ptr uint32_t*>(to);
    for (uint32_t i = 0; i < ROW_BYTES / sizeof(uint32_t); ++i) {
        words[i] = 0;
    }
}

// Rows that pad the channels to whole tiles are multiplied by 0, and must be numbers.
void clear_padding() {
    if constexpr (CHANNELS % TILE != 0) {
        constexpr uint32_t UNIT_TILES = ROWS * COLUMNS;
        const uint32_t bytes = get_tile_size(STATE), row = (ROWS - 1) * COLUMNS;
        for (uint32_t unit = 0; unit < 2; ++unit) {
            const uint32_t start = get_write_ptr(STATE) + (unit * UNIT_TILES + row) * bytes;
            auto to = reinterpret_cast<volatile tt_l1_ptr uint32_t*>(start);
            for (uint32_t i = 0; i < COLUMNS * bytes / sizeof(uint32_t); ++i) {
                to[i] = 0;
            }
        }
    }
}

template <typename Source>
void gather(const Source& state, uint32_t unit) {
    cb_reserve_back(STATE, ROWS * COLUMNS);
    const uint32_t base = get_write_ptr(STATE), bytes = get_tile_size(STATE);
    const uint32_t sample = unit / UNITS_OF_SAMPLE, patch = unit % UNITS_OF_SAMPLE * SIDE_BY_SIDE;
    const bool alone = SIDE_BY_SIDE == 2 && patch + 1 == PATCHES;
    for (uint32_t channel = 0; channel < CHANNELS; ++channel) {
        const uint32_t page = ((sample * CHANNELS + channel) * PATCH_TILES + patch / TILE) * COLUMNS;
        const uint32_t to = base + channel / TILE * COLUMNS * bytes + row_of_tile(channel % TILE);
        for (uint32_t j = 0; j < COLUMNS; ++j) {
            const uint64_t from = state.get_noc_addr(page + j, row_of_tile(patch % TILE));
            noc_async_read(from, to + j * bytes, ROW_BYTES);
            if (alone) {
                clear_half(to + j * bytes + FACE_BYTES);
                continue;
            }
            // The other half of the features, or the next patch, which is in the same tile: units begin at even ones.
            noc_async_read(from + (SIDE_BY_SIDE == 2 ? ROW_BYTES : FACE_BYTES), to + j * bytes + FACE_BYTES, ROW_BYTES);
        }
    }
    noc_async_read_barrier();
    cb_push_back(STATE, ROWS * COLUMNS);
}

void kernel_main() {
    const uint32_t state_address = get_arg_val<uint32_t>(0);
    const uint32_t table_address = get_arg_val<uint32_t>(1);
    const uint32_t first = get_arg_val<uint32_t>(2);
    const uint32_t units = get_arg_val<uint32_t>(3);
    constexpr auto state_arguments = TensorAccessorArgs<TENSORS>();
    constexpr auto table_arguments = TensorAccessorArgs<state_arguments.next_compile_time_args_offset()>();
    const auto state = TensorAccessor(state_arguments, state_address, get_tile_size(STATE));
    const auto table = TensorAccessor(table_arguments, table_address, get_tile_size(TABLE));
    clear_padding();
    gather(state, first);
    bring(table, 0, GATE_WEIGHT, TABLE);
    bring(table, GATE_WEIGHT, SECOND - GATE_WEIGHT, TABLE);
    bring(table, SECOND, TABLE_TILES - SECOND, TABLE);
    for (uint32_t unit = first + 1; unit < first + units; ++unit) {
        gather(state, unit);
    }
}
