// Sizes, places in the table and buffers of the three mixer kernels. `program/mixer.rs` computes the
// same numbers; the length of the table, which it passes, is compared below.

// Tiles: rows and columns of a unit of the state, of the hidden layer, of the softmax.
constexpr uint32_t ROWS = get_compile_time_arg_val(0);
constexpr uint32_t COLUMNS = get_compile_time_arg_val(1);
constexpr uint32_t HIDDEN_TILES = get_compile_time_arg_val(2);
constexpr bool LEFT = get_compile_time_arg_val(3) != 0;
constexpr bool RESIDUAL = get_compile_time_arg_val(4) != 0;
constexpr bool HAS_GATE = get_compile_time_arg_val(5) != 0;
// Layer norm; otherwise batch norm.
constexpr bool NORMALISE = get_compile_time_arg_val(6) != 0;
constexpr uint32_t EPSILON = get_compile_time_arg_val(7);
constexpr uint32_t TABLE_TILES = get_compile_time_arg_val(8);
constexpr uint32_t GATES = LEFT ? ROWS : COLUMNS;
constexpr bool AFFINE = LEFT;
// Outputs of the second layer, in tiles: those of the gate are after those of the block.
constexpr uint32_t OUTPUTS = HAS_GATE ? 2 * GATES : GATES;

// Places in the table of constants.
constexpr uint32_t IDENTITY = 0, ONES = 1, SCALER = 2, CENTRE = 3;
constexpr uint32_t MEAN = CENTRE + (NORMALISE ? COLUMNS * COLUMNS : 0);
constexpr uint32_t SLOPE = MEAN + (NORMALISE ? COLUMNS * COLUMNS : 0);
constexpr uint32_t OFFSET = SLOPE + (AFFINE ? COLUMNS : 0);
constexpr uint32_t FIRST = OFFSET + (AFFINE ? COLUMNS : 0);
constexpr uint32_t INPUTS = LEFT ? ROWS : COLUMNS;
constexpr uint32_t FIRST_BIAS = FIRST + INPUTS * HIDDEN_TILES;
constexpr uint32_t SECOND = FIRST_BIAS + HIDDEN_TILES;
constexpr uint32_t SECOND_BIAS = SECOND + OUTPUTS * HIDDEN_TILES;
static_assert(SECOND_BIAS + OUTPUTS == TABLE_TILES);

// Circular buffers.
constexpr uint32_t STATE = 0, TABLE = 1, CENTRED = 2, SQUARES = 3, INVERSE = 4, NORMED = 5, SCALED = 6,
                   Z = 7, HIDDEN = 8, MIXED = 9, LOGITS = 10, LARGEST = 11, POWERS = 12, SUM = 13,
                   GATE = 14, GATED = 15, OUT = 16;

// Where the compile-time arguments of tensors begin.
constexpr uint32_t TENSORS = 9;
