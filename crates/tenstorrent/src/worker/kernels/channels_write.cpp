// Scatters units: the row of each channel goes to the row of its patch in that channel's tile. Rows that pad the
// patches to whole tiles get copies of others, as do 16 columns that pad up to 16 features. Columns that pad other
// widths get what the unit's own have there. So all of a tile is written, and no number of before is left.

#include <cstdint>

#include "api/dataflow/dataflow_api.h"

#include "channels_sizes.h"

// Writes row `from` of one channel to its patch and to the padding that repeats it.
template <typename Out>
void scatter(const Out& out, uint32_t matrix, uint32_t column, uint32_t patch, uint32_t from) {
    constexpr uint32_t EVERY = UNITS_OF_SAMPLE * SIDE_BY_SIDE;
    for (uint32_t row = patch; row < PATCH_TILES * TILE; row += EVERY) {
        const uint32_t page = (matrix * PATCH_TILES + row / TILE) * COLUMNS + column;
        const uint64_t to = out.get_noc_addr(page, row_of_tile(row % TILE));
        noc_async_write(from, to, ROW_BYTES);
        noc_async_write(from + (SIDE_BY_SIDE == 2 ? 0 : FACE_BYTES), to + FACE_BYTES, ROW_BYTES);
    }
}

void kernel_main() {
    const uint32_t address = get_arg_val<uint32_t>(0);
    const uint32_t first = get_arg_val<uint32_t>(1);
    const uint32_t units = get_arg_val<uint32_t>(2);
    constexpr auto arguments = TensorAccessorArgs<TENSORS>();
    const auto out = TensorAccessor(arguments, address, get_tile_size(OUT));
    for (uint32_t unit = first; unit < first + units; ++unit) {
        const uint32_t matrix = unit / UNITS_OF_SAMPLE * CHANNELS, patch = unit % UNITS_OF_SAMPLE * SIDE_BY_SIDE;
        for (uint32_t column = 0; column < COLUMNS; ++column) {
            cb_wait_front(OUT, ROWS);
            for (uint32_t channel = 0; channel < CHANNELS; ++channel) {
                const uint32_t tile = get_read_ptr(OUT) + channel / TILE * get_tile_size(OUT);
                const uint32_t from = tile + row_of_tile(channel % TILE);
                for (uint32_t side = 0; side < SIDE_BY_SIDE; ++side) {
                    scatter(out, matrix + channel, column, patch + side, from + side * FACE_BYTES);
                }
            }
            noc_async_writes_flushed();
            cb_pop_front(OUT, ROWS);
        }
    }
    noc_async_write_barrier();
}
