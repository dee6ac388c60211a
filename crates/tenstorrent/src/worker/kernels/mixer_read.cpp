// Reads a unit of the state, then the table of constants in three pieces, then the other units.

#include "bring.h"

#include "mixer_sizes.h"

void kernel_main() {
    constexpr uint32_t UNIT_TILES = ROWS * COLUMNS;
    const uint32_t state_address = get_arg_val<uint32_t>(0);
    const uint32_t table_address = get_arg_val<uint32_t>(1);
    const uint32_t first = get_arg_val<uint32_t>(2);
    const uint32_t units = get_arg_val<uint32_t>(3);
    constexpr auto state_arguments = TensorAccessorArgs<TENSORS>();
    constexpr auto table_arguments = TensorAccessorArgs<state_arguments.next_compile_time_args_offset()>();
    const auto state = TensorAccessor(state_arguments, state_address, get_tile_size(STATE));
    const auto table = TensorAccessor(table_arguments, table_address, get_tile_size(TABLE));
    bring(state, first * UNIT_TILES, UNIT_TILES, STATE);
    bring(table, 0, FIRST, TABLE);
    bring(table, FIRST, SECOND - FIRST, TABLE);
    bring(table, SECOND, TABLE_TILES - SECOND, TABLE);
    for (uint32_t unit = first + 1; unit < first + units; ++unit) {
        bring(state, unit * UNIT_TILES, UNIT_TILES, STATE);
    }
}
