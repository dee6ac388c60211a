// Sizes, places in the table and buffers of the three kernels of a channel mixer; `program/channels.rs` computes the
// same numbers. A unit is what all channels have at a patch, or at two patches where those fit side by side
// into a tile: its rows are channels, its columns features.

// Tiles: rows and columns of a unit, of the hidden layer.
constexpr uint32_t ROWS = get_compile_time_arg_val(0);
constexpr uint32_t COLUMNS = get_compile_time_arg_val(1);
constexpr uint32_t HIDDEN_TILES = get_compile_time_arg_val(2);
constexpr bool HAS_GATE = get_compile_time_arg_val(3) != 0;
// Layer norm; otherwise batch norm.
constexpr bool NORMALISE = get_compile_time_arg_val(4) != 0;
constexpr uint32_t EPSILON = get_compile_time_arg_val(5);
constexpr uint32_t TABLE_TILES = get_compile_time_arg_val(6);
constexpr uint32_t CHANNELS = get_compile_time_arg_val(7);
constexpr uint32_t PATCHES = get_compile_time_arg_val(8);
// Patches of a unit.
constexpr uint32_t SIDE_BY_SIDE = get_compile_time_arg_val(9);
constexpr uint32_t GATES = ROWS;
constexpr bool LEFT = true, AFFINE = true;

constexpr uint32_t TILE = 32, FACE = 16;
constexpr uint32_t PATCH_TILES = (PATCHES + TILE - 1) / TILE;
constexpr uint32_t UNITS_OF_SAMPLE = (PATCHES + SIDE_BY_SIDE - 1) / SIDE_BY_SIDE;
// Bytes of a face, and of one of its rows.
constexpr uint32_t FACE_BYTES = FACE * FACE * sizeof(uint16_t), ROW_BYTES = FACE * sizeof(uint16_t);

// Where row `i` of a tile begins, in bytes.
constexpr uint32_t row_of_tile(uint32_t i) { return i / FACE * 2 * FACE_BYTES + i % FACE * ROW_BYTES; }

// Places in the table of constants.
constexpr uint32_t IDENTITY = 0, ONES = 1, SCALER = 2, CENTRE = 3;
constexpr uint32_t MEAN = CENTRE + (NORMALISE ? COLUMNS * COLUMNS : 0);
constexpr uint32_t SLOPE = MEAN + (NORMALISE ? COLUMNS * COLUMNS : 0);
constexpr uint32_t OFFSET = SLOPE + COLUMNS;
constexpr uint32_t GATE_WEIGHT = OFFSET + COLUMNS;
constexpr uint32_t GATE_BIAS = GATE_WEIGHT + (HAS_GATE ? ROWS * ROWS : 0);
constexpr uint32_t FIRST = GATE_BIAS + (HAS_GATE ? ROWS : 0);
constexpr uint32_t FIRST_BIAS = FIRST + ROWS * HIDDEN_TILES;
constexpr uint32_t SECOND = FIRST_BIAS + HIDDEN_TILES;
constexpr uint32_t SECOND_BIAS = SECOND + ROWS * HIDDEN_TILES;
static_assert(SECOND_BIAS + ROWS == TABLE_TILES);

// Circular buffers.
constexpr uint32_t STATE = 0, TABLE = 1, CENTRED = 2, SQUARES = 3, INVERSE = 4, NORMED = 5, SCALED = 6, Z = 7, LOGITS = 8,
                   LARGEST = 9, POWERS = 10, SUM = 11, GATE = 12, GATED = 13, HIDDEN = 14, OUT = 15;

// Where the compile-time arguments of tensors begin.
constexpr uint32_t TENSORS = 10;
