"""Our kernels for the stub, computed in plain Python from the tables of tiles."""

import math

TILE = 32


def turned(matrix):
    return [list(column) for column in zip(*matrix)]


def gelu(x):
    return 0.5 * x * (1.0 + math.erf(x / math.sqrt(2.0)))


def sum_of(weights, values):
    return sum(w * v for w, v in zip(weights, values))


class Table:
    """Weights and biases as outputs by inputs, whether they multiply from the left or the right."""

    def __init__(self, values, rows, columns, hidden, left):
        self.values, self.left = values, left
        mixed = rows if left else columns
        self.place = 3
        self.centre = self.part(columns, columns)
        self.mean = self.part(columns, columns)
        if left:
            self.slope, self.offset = self.part(1, columns)[0], self.part(1, columns)[0]
        self.first, self.first_bias = self.layer(hidden, mixed)
        self.second, self.second_bias = self.layer(2 * mixed, hidden)
        self.size = mixed * TILE
        assert self.place * TILE * TILE == len(values), "the table has another length"

    def part(self, rows, columns):
        matrix = [[0.0] * (columns * TILE) for _ in range(rows * TILE)]
        for tile in range(rows * columns):
            top, left = tile // columns * TILE, tile % columns * TILE
            start = (self.place + tile) * TILE * TILE
            for i in range(TILE):
                row = self.values[start + i * TILE : start + (i + 1) * TILE]
                matrix[top + i][left : left + TILE] = row
        self.place += rows * columns
        return matrix

    def layer(self, outputs, inputs):
        read = lambda o, i: self.part(o, i) if self.left else turned(self.part(i, o))
        return read(outputs, inputs), [row[0] for row in read(outputs, 1)]

    def norm(self, row, epsilon):
        width = len(row)
        centred = [sum_of(column, row) for column in turned(self.centre[:width])][:width]
        spread = sum(self.mean[i][0] * x * x for i, x in enumerate(centred))
        normed = [x / math.sqrt(spread + epsilon) for x in centred]
        if not self.left:
            return normed
        return [x * s + o for x, s, o in zip(normed, self.slope, self.offset)]

    def gated(self, line):
        hidden = [gelu(sum_of(w, line) + b) for w, b in zip(self.first, self.first_bias)]
        both = [sum_of(w, hidden) + b for w, b in zip(self.second, self.second_bias)]
        logits = both[self.size :]
        powers = [math.exp(x - max(logits)) for x in logits]
        return [z * power / sum(powers) for z, power in zip(both, powers)][: len(line)]

    def block(self, matrix, epsilon):
        normed = [self.norm(row, epsilon) for row in matrix]
        lines = turned(normed) if self.left else normed
        gated = [self.gated(line) for line in lines]
        gated = turned(gated) if self.left else gated
        return [[x + y for x, y in zip(*rows)] for rows in zip(matrix, gated)]


def embedded(windows, table, sizes, width):
    """Patches of rows of numbers through the layer of a table, one after the other."""
    length, stride, patches, columns, tiles = sizes
    inner = -(-length // TILE)
    assert tiles == 1 + (inner + 1) * columns and tiles * TILE * TILE == len(table)
    at = lambda tile, i, j: table[((tile + j // TILE) * TILE + i % TILE) * TILE + j % TILE]
    weight = [[at(1 + i // TILE * columns, i, o) for i in range(length)] for o in range(width)]
    bias = [at(1 + inner * columns, 0, o) for o in range(width)]
    size = (patches - 1) * stride + length
    assert len(windows) % size == 0
    made = []
    for start in range(0, len(windows), size):
        for n in range(patches):
            patch = windows[start + n * stride : start + n * stride + length]
            made += [sum_of(w, patch) + b for w, b in zip(weight, bias)]
    return made
