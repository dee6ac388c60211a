"""Our kernels for the stub, computed in plain Python from the tables of tiles."""

import math

TILE = 32


def turned(matrix):
    return [list(column) for column in zip(*matrix)]


def gelu(x):
    return 0.5 * x * (1.0 + math.erf(x / math.sqrt(2.0)))


def sum_of(weights, values):
    return sum(w * v for w, v in zip(weights, values))


def softmax(logits):
    powers = [math.exp(x - max(logits)) for x in logits]
    return [power / sum(powers) for power in powers]


class Table:
    """Numbers of a kernel, in the order of its table; weights are outputs by inputs, whether they multiply
    from the left or the right."""

    def __init__(self, values, columns, left, norm):
        self.values, self.columns, self.left, self.place = values, columns, left, 3
        self.layer_norm, self.epsilon = norm

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

    def centre_parts(self):
        if self.layer_norm:
            self.centre = self.part(self.columns, self.columns)
            self.mean = self.part(self.columns, self.columns)

    def affine(self):
        """Weight and bias of a norm; the weights of batch norm are on diagonals."""
        slope, offset = self.part(1, self.columns), self.part(1, self.columns)[0]
        if self.layer_norm:
            return slope[0], offset
        return [slope[j % TILE][j] for j in range(self.columns * TILE)], offset

    def layer(self, outputs, inputs):
        read = lambda o, i: self.part(o, i) if self.left else turned(self.part(i, o))
        return read(outputs, inputs), [row[0] for row in read(outputs, 1)]

    def end(self):
        assert self.place * TILE * TILE == len(self.values), "the table has another length"

    def norm(self, row, affine=None):
        if self.layer_norm:
            width = len(row)
            centred = [sum_of(column, row) for column in turned(self.centre[:width])][:width]
            spread = sum(self.mean[i][0] * x * x for i, x in enumerate(centred))
            row = [x / math.sqrt(spread + self.epsilon) for x in centred]
        if affine is None:
            return row
        return [x * s + o for x, s, o in zip(row, *affine)]


def applied(layer, line):
    return [sum_of(w, line) + b for w, b in zip(*layer)]


def added(state, made):
    return [[x + y for x, y in zip(*rows)] for rows in zip(state, made)]


class Mixer:
    def __init__(self, values, sizes):
        rows, columns, hidden, left, self.residual, self.gate, layer_norm, epsilon, _ = sizes
        self.table = table = Table(values, columns, left, (layer_norm, epsilon))
        mixed = rows if left else columns
        table.centre_parts()
        self.affine = table.affine() if left else None
        self.first = table.layer(hidden, mixed)
        self.second = table.layer(2 * mixed if self.gate else mixed, hidden)
        self.size = mixed * TILE
        table.end()

    def line(self, line):
        hidden = [gelu(x) for x in applied(self.first, line)]
        both = applied(self.second, hidden)
        if not self.gate:
            return both[: len(line)]
        return [z * p for z, p in zip(both, softmax(both[self.size :]))][: len(line)]

    def block(self, matrix):
        normed = [self.table.norm(row, self.affine) for row in matrix]
        made = [self.line(line) for line in (turned(normed) if self.table.left else normed)]
        made = turned(made) if self.table.left else made
        return added(matrix, made) if self.residual else made


class Channels:
    def __init__(self, values, sizes):
        rows, columns, hidden, gate, layer_norm, epsilon, _, self.channels, self.patches, side = sizes
        self.table = table = Table(values, columns, True, (layer_norm, epsilon))
        table.centre_parts()
        self.affine = table.affine()
        self.gate = table.layer(rows, rows) if gate else None
        self.first, self.second = table.layer(hidden, rows), table.layer(rows, hidden)
        self.units = -(-self.patches // side)
        table.end()

    def line(self, line):
        if self.gate is not None:
            line = [x * p for x, p in zip(line, softmax(applied(self.gate, line)))]
        hidden = [gelu(x) for x in applied(self.first, line)]
        return applied(self.second, hidden)[: self.channels]

    def sample(self, matrices):
        """The matrices of all channels."""
        made = [[None] * self.patches for _ in matrices]
        for n in range(self.patches):
            normed = [self.table.norm(matrix[n], self.affine) for matrix in matrices]
            rows = added([m[n] for m in matrices], turned([self.line(x) for x in turned(normed)]))
            for channel, row in enumerate(rows):
                made[channel][n] = row
        return made


class Attention:
    def __init__(self, values, sizes):
        rows, columns, heads, masked, layer_norm, epsilon, _ = sizes
        self.table = table = Table(values, columns, False, (layer_norm, epsilon))
        hidden = [x != 0.0 for x in table.part(1, 1)[0]]
        assert any(hidden) == bool(masked), "patches that are padding are hidden"
        table.centre_parts()
        self.affine, self.last = table.affine(), table.affine()
        self.values = [table.layer(columns, columns) for _ in range(heads)]
        self.queries = [table.layer(columns, columns) for _ in range(heads)]
        table.end()

    def block(self, matrix, mixed):
        z = [self.table.norm(row, self.affine) for row in matrix]
        total = mixed
        for query, value in zip(self.queries, self.values):
            values = [applied(value, row) for row in z]
            weights = [softmax([sum_of(q, key) for key in z]) for q in (applied(query, row) for row in z)]
            total = added(total, [[sum_of(w, v) for v in turned(values)] for w in weights])
        return added(matrix, [self.table.norm(row, self.last) for row in total])


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
