"""Replaces ttnn where there is none: the calls that the worker makes, on plain lists.

It is strict about what ttnn is strict about: tensors are on the device, alive, and captured steps
are replayed, not run again. `TTNN_STUB_FAULT` names a file with "ACTION OPERATION"; the operation
then aborts, hangs or raises once, and the file is gone.
"""

import ctypes
import math
import os
import struct
import time

__version__ = "stub"
bfloat16, bfloat8_b, float32 = "bfloat16", "bfloat8_b", "float32"
TILE_LAYOUT, ROW_MAJOR_LAYOUT = "tile", "row_major"
L1_MEMORY_CONFIG, DRAM_MEMORY_CONFIG = "l1", "dram"
print("ttnn talks to stdout when it is imported")


class MathFidelity:
    LoFi, HiFi2, HiFi4 = "LoFi", "HiFi2", "HiFi4"


class CoreGrid:
    def __init__(self, y, x):
        self.y, self.x = y, x


def CoreCoord(x, y):
    return x, y


def MinimalMatmulConfig(**blocks):
    assert blocks["M_block_size"] % blocks["subblock_h"] == 0
    return blocks


def WormholeComputeKernelConfig(math_fidelity, math_approx_mode, fp32_dest_acc_en, packer_l1_acc):
    return math_fidelity


class Device:
    def __init__(self):
        self.recording, self.traces, self.events = None, {}, 0


class Tensor:
    def __init__(self, values, dtype, device=None, layout=ROW_MAJOR_LAYOUT):
        self.shape, self.dtype, self.device, self.layout = tuple(values.shape), dtype, device, layout
        self.values, self.alive = [rounded(x, dtype) for x in values.values], True

    def buffer_address(self):
        return id(self)

    def host_buffer(self):
        return HostBuffer(self)


class Managed(ctypes.Structure):
    """`DLManagedTensor` of DLPack, as far as it is read."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device", ctypes.c_int32 * 2),
        ("ndim", ctypes.c_int32),
        ("kind", ctypes.c_uint8 * 4),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.c_void_p),
        ("byte_offset", ctypes.c_uint64),
    ]


class HostBuffer:
    """The bytes of a host tensor, as an array of DLPack."""

    def __init__(self, tensor):
        self.tensor = tensor

    def get_shard(self, coordinate):
        return self

    def __dlpack__(self):
        memory = self.tensor.memory
        shape = (ctypes.c_int64 * 1)(len(memory))
        self.array = Managed(ctypes.addressof(memory), (1, 0), 1, (1, 8, 1, 0), shape, None, 0)
        self.kept = memory, shape
        capsule = ctypes.pythonapi.PyCapsule_New
        capsule.restype, capsule.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
        self.tensor.buffers.append(self)
        return capsule(ctypes.addressof(self.array), b"dltensor", None)


def MeshCoordinate(*place):
    return place


def places(tensor):
    """Where each number of a host tensor is, counted in numbers."""
    a, b, rows, columns = tensor.shape
    if tensor.layout == ROW_MAJOR_LAYOUT:
        yield from range(a * b * rows * columns)
        return
    down, across = -(-rows // 32), -(-columns // 32)
    for matrix in range(a * b):
        for i in range(rows):
            for j in range(columns):
                tile = (matrix * down + i // 32) * across + j // 32
                yield tile * 1024 + i % 32 // 16 * 512 + j % 32 // 16 * 256 + i % 16 * 16 + j % 16


def allocate_tensor_on_host(shape, dtype, layout, device, memory_config):
    assert dtype == bfloat16 and memory_config in ("l1", "dram")
    tensor = make([0.0] * math.prod(shape), shape, dtype, None, layout)
    rows, columns = shape[2:]
    if layout == TILE_LAYOUT:
        rows, columns = -(-rows // 32) * 32, -(-columns // 32) * 32
    tensor.memory = (ctypes.c_ubyte * (2 * shape[0] * shape[1] * rows * columns))()
    tensor.buffers = []
    return tensor


def copy_device_to_host_tensor(tensor, host, blocking=True, cq_id=0):
    assert tensor.alive and tensor.shape == host.shape and tensor.layout == host.layout
    for place, value in zip(places(host), tensor.values):
        host.memory[2 * place : 2 * place + 2] = struct.pack("<f", value)[2:]


def event_synchronize(event):
    assert event > 0


def rounded(x, dtype):
    if dtype == float32 or not math.isfinite(x):
        return x
    bits = struct.unpack("<I", struct.pack("<f", x))[0]
    bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
    return struct.unpack("<f", struct.pack("<I", bits))[0]


def make(values, shape, dtype, device, layout=TILE_LAYOUT):
    tensor = Tensor.__new__(Tensor)
    tensor.shape, tensor.dtype, tensor.device, tensor.layout = tuple(shape), dtype, device, layout
    tensor.values, tensor.alive = [rounded(x, dtype) for x in values], True
    return tensor


def open_device(device_id, trace_region_size, num_command_queues):
    assert device_id == 0 and num_command_queues == 2 and trace_region_size > 0
    return Device()


def close_device(device):
    assert not device.traces, "a trace was not released"


def to_device(host, device, memory_config):
    assert host.device is None and memory_config in ("l1", "dram")
    assert not device.traces, "an allocation that stays, beside a captured trace"
    return make(host.values, host.shape, host.dtype, device, host.layout)


def deallocate(tensor):
    assert tensor.alive, "a tensor is freed twice"
    tensor.alive = False


def copy_host_to_device_tensor(host, tensor, cq_id=0):
    assert host.device is None and host.shape == tensor.shape and cq_id in (0, 1)
    assert tensor.layout == host.layout
    read = lambda place: struct.unpack("<f", b"\0\0" + bytes(host.memory[2 * place : 2 * place + 2]))[0]
    tensor.values = [read(place) for place in places(host)]


def record_event(device, cq_id):
    device.events += 1
    return device.events


def wait_for_event(cq_id, event):
    assert event > 0


def synchronize_device(device):
    pass


def begin_trace_capture(device, cq_id):
    device.recording = []
    return len(device.traces)


def end_trace_capture(device, trace, cq_id):
    device.traces[trace], device.recording = device.recording, None


def execute_trace(device, trace, cq_id, blocking):
    for step in device.traces[trace]:
        step()


def release_trace(device, trace):
    del device.traces[trace]


def fault(name):
    path = os.environ.get("TTNN_STUB_FAULT", "")
    if not os.path.exists(path):
        return
    with open(path) as file:
        action, operation = file.read().split()
    if operation != name:
        return
    os.remove(path)
    if action == "abort":
        os.write(2, b"TT_FATAL: the device gave up\n")
        os.abort()
    if action == "hang":
        time.sleep(3600)
    raise RuntimeError("TT_THROW: out of memory")


def operation(name):
    """Runs a function of lists on tensors, and again whenever its trace is replayed."""

    def wrap(function):
        def run(*inputs, memory_config=None, dtype=None, optional_output_tensor=None, **options):
            fault(name)
            tensors = [x for x in inputs if isinstance(x, Tensor)]
            tensors += [x for x in options.values() if isinstance(x, Tensor)]
            assert all(t.alive and t.device is not None and t.layout == TILE_LAYOUT for t in tensors)
            device = tensors[0].device
            values, shape = function(*inputs, **options)
            out = optional_output_tensor or make(values, shape, dtype or bfloat16, device)
            assert out.shape == tuple(shape)
            out.values = [rounded(x, out.dtype) for x in values]

            def again():
                out.values = [rounded(x, out.dtype) for x in function(*inputs, **options)[0]]

            if device.recording is not None:
                device.recording.append(again)
            return out

        return run

    return wrap


def matrices(tensor):
    rows, columns = tensor.shape[2:]
    size, v = rows * columns, tensor.values
    for start in range(0, len(v), size):
        yield [v[start + r * columns : start + (r + 1) * columns] for r in range(rows)]


def turned(matrix):
    return [list(column) for column in zip(*matrix)]


def flat(all_matrices):
    return [x for matrix in all_matrices for row in matrix for x in row]


def dot(x, y):
    return sum(a * b for a, b in zip(x, y))


def product(a, b_turned):
    return [[dot(row, column) for column in b_turned] for row in a]


def gelu_of(x):
    return 0.5 * x * (1.0 + math.erf(x / math.sqrt(2.0)))


@operation("linear")
def linear(a, w, bias, transpose_a, activation=None, core_grid=None, compute_kernel_config=None):
    weight = turned(next(matrices(w)))
    row = bias.values if bias is not None else [0.0] * len(weight)
    read = [turned(m) if transpose_a else m for m in matrices(a)]
    out = [[[x + b for x, b in zip(r, row)] for r in product(m, weight)] for m in read]
    shape = a.shape[:2] + (len(read[0]), len(weight))
    values = flat(out)
    return ([gelu_of(x) for x in values] if activation == "gelu_approx" else values), shape


@operation("matmul")
def matmul(a, b, compute_kernel_config=None):
    left, right = list(matrices(a)), list(matrices(b))
    left = left * len(right) if len(left) == 1 else left
    out = [product(x, turned(y)) for x, y in zip(left, right)]
    return flat(out), b.shape[:2] + (a.shape[2], b.shape[3])


@operation("layer_norm")
def layer_norm(x, weight, bias, epsilon, compute_kernel_config=None):
    out = []
    for row in (row for matrix in matrices(x) for row in matrix):
        mean = sum(row) / len(row)
        scale = 1.0 / math.sqrt(sum((v - mean) ** 2 for v in row) / len(row) + epsilon)
        out += [(v - mean) * scale * w + b for v, w, b in zip(row, weight.values, bias.values)]
    return out, x.shape


@operation("softmax")
def softmax(x, dim, compute_kernel_config=None):
    out = []
    for matrix in matrices(x):
        rows = matrix if dim == -1 else turned(matrix)
        powers = [[math.exp(v - max(row)) for v in row] for row in rows]
        rows = [[p / sum(row) for p in row] for row in powers]
        out.append(rows if dim == -1 else turned(rows))
    return flat(out), x.shape


@operation("transpose")
def transpose(x, first, second):
    assert (first, second) == (-2, -1)
    a, b, c, d = x.shape
    return flat([turned(matrix) for matrix in matrices(x)]), (a, b, d, c)


@operation("permute")
def permute(x, dims):
    shape = tuple(x.shape[axis] for axis in dims)
    strides = [math.prod(x.shape[axis + 1 :]) for axis in range(4)]
    steps = [strides[axis] for axis in dims]
    places = [0]
    for length, step in zip(shape, steps):
        places = [place + i * step for place in places for i in range(length)]
    return [x.values[place] for place in places], shape


def fill_implicit_tile_padding(x, value, memory_config):
    """Returns its input itself, as ttnn does where it can."""
    assert x.alive and value == 0.0
    return x


@operation("reshape")
def reshape(x, shape):
    return list(x.values), shape


@operation("addcmul")
def addcmul(a, b, c):
    return [x + y * z for x, y, z in zip(a.values, b.values, c.values)], a.shape


@operation("multiply")
def multiply(a, b):
    return [x * y for x, y in zip(a.values, b.values)], a.shape


@operation("add")
def add(a, b):
    repeats = len(a.values) // len(b.values)
    assert b.shape == a.shape or b.shape[:2] == (1, 1) and b.shape[3] == a.shape[3]
    return [x + y for x, y in zip(a.values, b.values * repeats)], a.shape


class experimental:
    @staticmethod
    @operation("dit_minimal_matmul_addcmul_fused")
    def dit_minimal_matmul_addcmul_fused(x, w, scalar, r, gate, bias, config=None, **_):
        weight = turned(next(matrices(w)))
        rows = [r for matrix in matrices(x) for r in product(matrix, weight)]
        made = [v + b for row in rows for v, b in zip(row, bias.values)]
        return [a + scalar * m * g for a, m, g in zip(r.values, made, gate.values)], r.shape


def allocate_tensor_on_device(shape, dtype, layout, device, memory_config):
    assert memory_config in ("l1", "dram")
    return make([0.0] * math.prod(shape), shape, dtype, device, layout)


def Shape(lengths):
    return tuple(lengths)


def num_cores_to_corerangeset(count, grid, row_wise):
    assert row_wise and 0 < count <= grid[0] * grid[1]
    return [(core % grid[0], core // grid[0]) for core in range(count)]


class Description:
    """A descriptor that keeps what it was given."""

    def __init__(self, **given):
        self.__dict__.update(given)


class CBFormatDescriptor(Description):
    pass


class CBDescriptor(Description):
    pass


class ComputeConfigDescriptor(Description):
    pass


class ReaderConfigDescriptor(Description):
    pass


class WriterConfigDescriptor(Description):
    pass


class ProgramDescriptor(Description):
    pass


class KernelDescriptor(Description):
    class SourceType:
        SOURCE_CODE = "source"


class RuntimeArgs(dict):
    def __missing__(self, column):
        self[column] = {}
        return self[column]


class TensorAccessorArgs:
    def __init__(self, tensor):
        assert tensor.alive

    def get_compile_time_args(self):
        return [2]


def covered(kernel, addresses):
    """The units that the cores of a data kernel take; checks that none is taken twice."""
    units = []
    for column, row in kernel.core_ranges:
        *given, first, count = kernel.runtime_args[column][row]
        assert given == addresses
        units += range(first, first + count)
    assert units == list(range(len(units)))
    return len(units)


def normed(sizes, place):
    """The sizes with their epsilon, which comes as the bits of a number."""
    epsilon = struct.unpack("<f", struct.pack("<I", sizes[place]))[0]
    return [*sizes[:place], epsilon, *sizes[place + 1 :]]


def mixer(tensors, sizes):
    """What computes it, its units, and its circular buffers."""
    from kernels import Mixer

    state, table, out = tensors
    assert out.shape == state.shape and sizes[8] * 32 == table.shape[2]
    batch, channels, height, width = state.shape
    units = batch * channels * (1 if sizes[3] else -(-height // 32))
    numbers = Mixer(table.values, normed(sizes, 7))
    return lambda: flat(numbers.block(matrix) for matrix in matrices(state)), units, 17


def channels(tensors, sizes):
    from kernels import Channels

    state, table, out = tensors
    assert out.shape == state.shape and sizes[6] * 32 == table.shape[2]
    batch, count, patches, width = state.shape
    assert sizes[7:] == [count, patches, 2 if width <= 16 else 1]
    numbers = Channels(table.values, normed(sizes, 5))

    def run():
        all_matrices = list(matrices(state))
        samples = [all_matrices[i : i + count] for i in range(0, batch * count, count)]
        return flat(matrix for sample in samples for matrix in numbers.sample(sample))

    return run, batch * numbers.units, 16


def attention(tensors, sizes):
    from kernels import Attention

    state, table, mixed, out = tensors
    assert out.shape == state.shape == mixed.shape and sizes[6] * 32 == table.shape[2]
    numbers = Attention(table.values, normed(sizes, 5))
    pairs = lambda: zip(matrices(state), matrices(mixed))
    return lambda: flat(numbers.block(x, m) for x, m in pairs()), state.shape[0] * state.shape[1], 20


def embed(tensors, sizes):
    from kernels import embedded

    windows, table, out = tensors
    batch, channels, patches, width = out.shape
    assert windows.layout == ROW_MAJOR_LAYOUT and windows.shape[:3] == (batch, channels, 1)
    units = batch * channels * -(-patches // 32)
    return lambda: embedded(windows.values, table.values, sizes, width), units, 4


# The kernels by the number of their sizes.
OURS = {5: embed, 7: attention, 9: mixer, 10: channels}


def generic_op(tensors, program):
    """Runs the kinds of program that the worker sends."""
    *given, out = tensors
    assert all(t.alive and t.device is not None for t in tensors)
    read, write, compute = program.kernels
    for kernel in program.kernels:
        assert "kernel_main" in kernel.kernel_source
        # Headers of ours are pasted in.
        lines = kernel.kernel_source.splitlines()
        assert all("/" in line or "<" in line for line in lines if line.startswith("#include"))
    sizes = compute.compile_time_args
    kind = OURS[len(sizes)]
    fault(kind.__name__)
    made, units, buffers = kind(tensors, sizes)
    indices = [buffer.format_descriptors[0].buffer_index for buffer in program.cbs]
    assert indices == list(range(buffers))
    assert covered(read, [tensor.buffer_address() for tensor in given]) == units
    assert covered(write, [out.buffer_address()]) == units

    def run():
        out.values = [rounded(x, out.dtype) for x in made()]

    run()
    if out.device.recording is not None:
        out.device.recording.append(run)
    return out
