// Writes finished tiles, which arrive in the order of the state.

#include <cstdint>

#include "api/dataflow/dataflow_api.h"

#include "attention_sizes.h"

void kernel_main() {
    const uint32_t address = get_arg_val<uint32_t>(0);
    const uint32_t first = get_arg_val<uint32_t>(1);
    const uint32_t units = get_arg_val<uint32_t>(2);
    constexpr auto arguments = TensorAccessorArgs<TENSORS>();
    const auto out = TensorAccessor(arguments, address, get_tile_size(OUT));
    for (uint32_t tile = first * ROWS * COLUMNS; tile < (first + units) * ROWS * COLUMNS; ++tile) {
        cb_wait_front(OUT, 1);
        noc_async_write_page(tile, out, get_read_ptr(OUT));
        noc_async_writes_flushed();
        cb_pop_front(OUT, 1);
    }
    noc_async_write_barrier();
}
