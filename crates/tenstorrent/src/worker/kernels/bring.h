// Reads `count` tiles from tile `first` on into a buffer.

#include <cstdint>

#include "api/dataflow/dataflow_api.h"

template <typename Source>
void bring(const Source& source, uint32_t first, uint32_t count, uint32_t buffer) {
    cb_reserve_back(buffer, count);
    uint32_t to = get_write_ptr(buffer);
    const uint32_t bytes = get_tile_size(buffer);
    for (uint32_t tile = first; tile < first + count; ++tile) {
        noc_async_read_page(tile, source, to);
        to += bytes;
    }
    noc_async_read_barrier();
    cb_push_back(buffer, count);
}
