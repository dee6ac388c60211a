// Sizes, places in the table and buffers of the three kernels of self-attention; `program/attention.rs` computes the
// same numbers. A unit is the matrix of one channel: its rows are patches, its columns features.

// Tiles: rows and columns of a unit.
constexpr uint32_t ROWS = get_compile_time_arg_val(0);
constexpr uint32_t COLUMNS = get_compile_time_arg_val(1);
constexpr uint32_t HEADS = get_compile_time_arg_val(2);
// Whether rows pad the patches to whole tiles: these are no keys.
constexpr bool MASKED = get_compile_time_arg_val(3) != 0;
// Layer norm; otherwise batch norm.
constexpr bool NORMALISE = get_compile_time_arg_val(4) != 0;
constexpr uint32_t EPSILON = get_compile_time_arg_val(5);
constexpr uint32_t TABLE_TILES = get_compile_time_arg_val(6);
constexpr uint32_t GATES = ROWS;
constexpr bool LEFT = false, AFFINE = true;

// Places in the table of constants; a head has its query (with its key), value (with its output) and their biases.
constexpr uint32_t IDENTITY = 0, ONES = 1, SCALER = 2, MASK = 3, CENTRE = 4;
constexpr uint32_t MEAN = CENTRE + (NORMALISE ? COLUMNS * COLUMNS : 0);
constexpr uint32_t SLOPE = MEAN + (NORMALISE ? COLUMNS * COLUMNS : 0);
constexpr uint32_t OFFSET = SLOPE + COLUMNS;
constexpr uint32_t LAST_SLOPE = OFFSET + COLUMNS;
constexpr uint32_t LAST_OFFSET = LAST_SLOPE + COLUMNS;
constexpr uint32_t VALUE = LAST_OFFSET + COLUMNS;
constexpr uint32_t QUERY = VALUE + HEADS * (COLUMNS + 1) * COLUMNS;
static_assert(QUERY + HEADS * (COLUMNS + 1) * COLUMNS == TABLE_TILES);

// Circular buffers; MIXED is what the block's layers made, KEYS has the tiles of Z transposed.
constexpr uint32_t STATE = 0, TABLE = 1, MIXED = 2, CENTRED = 3, SQUARES = 4, INVERSE = 5, NORMED = 6, SCALED = 7, Z = 8,
                   KEYS = 9, VALUES = 10, QUERIES = 11, LOGITS = 12, LARGEST = 13, POWERS = 14, SUM = 15, GATE = 16,
                   ATTENDED = 17, LAST = 18, OUT = 19;

// Where the compile-time arguments of tensors begin.
constexpr uint32_t TENSORS = 7;
