// Sizes, places in the table and buffers of the embedding kernels. A unit is a tile of patches of one channel's window.

// Numbers of a patch, and between the starts of two; patches of a window; columns of tiles of the state.
constexpr uint32_t PATCH_LENGTH = get_compile_time_arg_val(0);
constexpr uint32_t PATCH_STRIDE = get_compile_time_arg_val(1);
constexpr uint32_t WINDOW_PATCHES = get_compile_time_arg_val(2);
constexpr uint32_t COLUMNS = get_compile_time_arg_val(3);
constexpr uint32_t TABLE_TILES = get_compile_time_arg_val(4);

constexpr uint32_t TILE = 32;
constexpr uint32_t PATCH_TILES = (PATCH_LENGTH + TILE - 1) / TILE;
constexpr uint32_t UNITS_OF_WINDOW = (WINDOW_PATCHES + TILE - 1) / TILE;

// Places in the table of constants.
constexpr uint32_t IDENTITY = 0, WEIGHT = 1, BIAS = WEIGHT + PATCH_TILES * COLUMNS;
static_assert(BIAS + COLUMNS == TABLE_TILES);

// Circular buffers; ROW holds a piece of a window as it was uploaded.
constexpr uint32_t PATCHES = 0, TABLE = 1, OUT = 2, ROW = 3;

// Where the compile-time arguments of tensors begin.
constexpr uint32_t TENSORS = 5;
