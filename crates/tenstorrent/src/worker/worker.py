"""Runs TTNN programs that arrive as data; calls ttnn, and knows nothing about models.

Frames, both ways: magic b"PTTW", version (u32), kind (u32), length (u64), all little-endian, then
so many bytes. A body is a JSON header (length as u32 in front) and then, in LOAD, the raw little-endian
f32 constants in the order that the header says. Requests: HELLO, LOAD, RUN, STOP; answers: OK, ERROR.
Inputs and outputs of runs are in a file that both sides have open (`exchange.rs`), as bfloat16 in the
order of the device: all inputs, then all outputs.
"""

import ctypes
import importlib
import json
import mmap
import os
import select
import signal
import struct
import sys
import threading
import time
import traceback

VERSION = 2
MAGIC = b"PTTW"
HELLO, LOAD, RUN, STOP, OK, ERROR = 1, 2, 3, 4, 16, 17
FRAME = struct.Struct("<4sIIQ")
MAX_BYTES = 1 << 32
GRACE = 10  # seconds to close the device
TILE = 32
TILE_BYTES = 2 * TILE * TILE  # bfloat16


class Failure(Exception):
    """An error that names the place where it happened."""


def take_stdout():
    """Returns the pipe of answers; from here on other output to stdout goes to stderr."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return out


def mark(step):
    """Reports the present step on stderr, for error messages if the process dies in it."""
    os.write(2, f"@step {step}\n".encode())


def read_exactly(stream, count):
    parts = []
    while count:
        part = stream.read(min(count, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def read_frame(stream):
    magic, version, kind, length = FRAME.unpack(read_exactly(stream, FRAME.size))
    if magic != MAGIC:
        raise Failure(f"a frame begins with {magic!r}, wanted {MAGIC!r}")
    if version != VERSION:
        raise Failure(f"a frame has version {version}, this worker speaks {VERSION}")
    if length > MAX_BYTES:
        raise Failure(f"a frame has {length} bytes, at most {MAX_BYTES} are read")
    body = read_exactly(stream, length)
    if length < 4:
        raise Failure("a frame is too short for its header")
    size = struct.unpack_from("<I", body)[0]
    return kind, json.loads(body[4 : 4 + size].decode()), memoryview(body)[4 + size :]


def write_frame(stream, kind, header):
    text = json.dumps(header).encode()
    stream.write(FRAME.pack(MAGIC, VERSION, kind, 4 + len(text)))
    stream.write(struct.pack("<I", len(text)) + text)
    stream.flush()


def end_with_the_pipe():
    """Kills this process and its group some seconds after the pipe of requests was closed: if the program at its
    other end is interrupted while a device does not answer, nobody else does."""
    pipe = select.poll()
    pipe.register(0, 0)
    pipe.poll()
    time.sleep(GRACE)
    os.killpg(os.getpgrp(), signal.SIGKILL)


class DlTensor(ctypes.Structure):
    """`DLTensor` of DLPack, the public protocol by which libraries hand each other their arrays."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


def bytes_of(capsule, count):
    """The memory of an array of `count` bytes, which lives as long as its capsule."""
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    array = DlTensor.from_address(pointer(capsule, b"dltensor"))
    found = array.bits * array.lanes // 8
    for axis in range(array.ndim):
        found *= array.shape[axis]
    if found != count or array.device_type != 1:
        raise Failure(f"a host tensor has {found} bytes, wanted {count}")
    memory = (ctypes.c_ubyte * count).from_address(array.data + array.byte_offset)
    return memoryview(memory).cast("B")


class HostTensor:
    """A tensor in the host's memory, in the layout of the device, and its bytes: ttnn's own conversion
    of numbers to tiles takes longer than a chip needs to compute with them."""

    def __init__(self, device, spec):
        self.tensor = device.ttnn.allocate_tensor_on_host(*device.place(spec))
        shard = self.tensor.host_buffer().get_shard(device.ttnn.MeshCoordinate(0, 0))
        self.capsule = shard.__dlpack__()
        self.bytes = bytes_of(self.capsule, host_bytes(spec))


class Exchange:
    """The file that is shared with the process that started us."""

    def __init__(self, path):
        self.file, self.mapped = open(path, "r+b"), None

    def bytes(self, size):
        if self.mapped is None or len(self.mapped) < size:
            self.mapped = mmap.mmap(self.file.fileno(), size)
        return memoryview(self.mapped)


class Device:
    """One chip and its loaded programs."""

    def __init__(self, ttnn, numpy, settings):
        self.ttnn, self.numpy = ttnn, numpy
        self.device = ttnn.open_device(
            device_id=settings["device_id"],
            trace_region_size=settings["trace_region_bytes"],
            num_command_queues=2,
        )
        if hasattr(self.device, "enable_program_cache"):
            self.device.enable_program_cache()
        self.programs, self.kernels = {}, settings["kernels"]
        self.exchange = Exchange(settings["exchange"])

    def close(self):
        self.release_traces()
        self.programs = {}
        self.ttnn.close_device(self.device)

    def memory_config(self, memory):
        ttnn = self.ttnn
        if memory["spread"] == "interleaved":
            l1 = memory["buffer"] == "l1"
            return ttnn.L1_MEMORY_CONFIG if l1 else ttnn.DRAM_MEMORY_CONFIG
        grid, shape = memory["shard"]["grid"], memory["shard"]["shape"]
        strategy = memory["spread"].split("_")[0].upper()
        return ttnn.create_sharded_memory_config(
            shape=tuple(shape),
            core_grid=ttnn.CoreGrid(y=grid["y"], x=grid["x"]),
            strategy=getattr(ttnn.ShardStrategy, strategy),
            orientation=ttnn.ShardOrientation.ROW_MAJOR,
            use_height_and_width_as_shard_shape=True,
        )

    def host_tensor(self, spec, data):
        values = self.numpy.frombuffer(data, dtype="<f4").reshape(spec["shape"])
        # A tensor may keep using the array that it was made of, so the array is a copy of ours.
        values = self.numpy.array(values)
        return self.ttnn.Tensor(values, getattr(self.ttnn, spec["dtype"]), None, self.layout(spec))

    def upload(self, spec, data):
        config = self.memory_config(spec["memory"])
        host = self.host_tensor(spec, data)
        return self.ttnn.to_device(host, self.device, memory_config=config)

    def release_traces(self):
        """A trace writes to the addresses of its capture, even if other tensors are there by now: no
        tensor that is kept may be made while there is a trace."""
        for program in self.programs.values():
            program.release()

    def layout(self, spec):
        return self.ttnn.TILE_LAYOUT if spec["layout"] == "tile" else self.ttnn.ROW_MAJOR_LAYOUT

    def place(self, spec):
        """The arguments of an allocation."""
        shape, dtype = self.ttnn.Shape(spec["shape"]), getattr(self.ttnn, spec["dtype"])
        return shape, dtype, self.layout(spec), self.device, self.memory_config(spec["memory"])

    def allocate(self, spec):
        return self.ttnn.allocate_tensor_on_device(*self.place(spec))


class Lane:
    """Tensors of one run. With two lanes the next input arrives, and the output before is read, while
    a run computes."""

    def __init__(self, device, given, made):
        self.input, self.output, self.fixed_output = device.allocate(given), None, False
        self.host_input, self.host_output = HostTensor(device, given), HostTensor(device, made)
        # A trace, and the event at which the output is made.
        self.trace, self.computed = None, None


class Program:
    """A program with its constants on the device, warmed up and, if asked for, captured."""

    def __init__(self, device, header, data):
        self.device = device
        self.tensors = header["tensors"]
        self.steps = header["steps"]
        self.execution = header["execution"]
        self.constants = {}
        self.step = "upload"
        mark("upload of the constants")
        start = 0
        for index in header["constants"]:
            spec = self.tensors[index]
            end = start + 4 * volume(spec)
            self.constants[index] = device.upload(spec, data[start:end])
            start = end
        roles = [spec["role"] for spec in self.tensors]
        self.input, self.output = roles.index("input"), roles.index("output")
        given, made = self.tensors[self.input], self.tensors[self.output]
        # A trace may write anywhere but into tensors that were there before it was captured, so the outputs of
        # two lanes must be, which a linear layer can write into.
        fixed = header["lanes"] == 2
        self.lanes = [Lane(device, given, made) for _ in range(header["lanes"])]
        for lane in self.lanes:
            if fixed:
                lane.output, lane.fixed_output = device.allocate(made), True
            lane.host_input.bytes[:] = bytes(len(lane.host_input.bytes))
            device.ttnn.copy_host_to_device_tensor(lane.host_input.tensor, lane.input)
        # All of this must be finished before the other queue begins to write.
        device.ttnn.synchronize_device(device.device)

    def warm_up(self):
        """Compiles every step, so that a capture finds all programs in the cache."""
        self.run_steps(self.lanes[0])
        self.device.ttnn.synchronize_device(self.device.device)
        self.free_output(self.lanes[0])

    def capture(self):
        ttnn, dev = self.device.ttnn, self.device.device
        for lane in self.lanes:
            self.free_output(lane)
            lane.trace = ttnn.begin_trace_capture(dev, cq_id=0)
            self.run_steps(lane)
            ttnn.end_trace_capture(dev, lane.trace, cq_id=0)
        ttnn.synchronize_device(dev)

    def release(self):
        for lane in self.lanes:
            if lane.trace is not None:
                self.device.ttnn.release_trace(self.device.device, lane.trace)
                lane.trace = None
            self.free_output(lane)

    def free_output(self, lane):
        if lane.output is not None and not lane.fixed_output:
            self.device.ttnn.deallocate(lane.output)
            lane.output = None

    def run_steps(self, lane):
        values = {**self.constants, self.input: lane.input}
        for number, step in enumerate(self.steps):
            self.step = f"step {number} ({step['op']})"
            mark(self.step)
            inputs = [values[index] for index in step["inputs"]]
            fixed = lane.output if lane.fixed_output and step is self.steps[-1] else None
            made = run_op(self.device, step, inputs, self.tensors[step["output"]], fixed)
            values[step["output"]] = made
            for index in step["frees"]:
                freed = values.pop(index)
                # The output of some operations has the memory of their input.
                if freed.buffer_address() != made.buffer_address():
                    self.device.ttnn.deallocate(freed)
        if not lane.fixed_output:
            lane.output = values[self.output]

    def compute(self, lane):
        if lane.trace is not None:
            self.step = "trace"
            self.device.ttnn.execute_trace(self.device.device, lane.trace, cq_id=0, blocking=False)
        else:
            self.free_output(lane)
            self.run_steps(lane)

    def run(self, count, shared):
        """Computes the outputs of `count` inputs, which are in `shared` one after the other; the outputs
        are put after them. Returns the seconds of the first input's way to the device and to the start."""
        if self.execution["trace"] and self.lanes[0].trace is None:
            self.capture()
        mark("run")
        size, started, pending = len(self.lanes[0].host_input.bytes), None, None
        for number in range(count):
            lane = self.lanes[number % len(self.lanes)]
            if pending is not None and len(self.lanes) == 1:
                self.read_back(*pending, shared)
            self.send(lane, shared[number * size : (number + 1) * size])
            self.compute(lane)
            started = started or time.perf_counter()
            lane.computed = self.device.ttnn.record_event(self.device.device, 0)
            if pending is not None and len(self.lanes) > 1:
                self.read_back(*pending, shared)
            pending = (lane, count * size + number * len(lane.host_output.bytes))
        if pending is not None:
            self.read_back(*pending, shared)
        return started

    def send(self, lane, data):
        self.step = "upload"
        ttnn, dev = self.device.ttnn, self.device.device
        queue = 1 if self.execution["two_queues"] else 0
        # The output of the lane's run before has been read, so its input is free, here and on the device.
        lane.host_input.bytes[:] = data
        ttnn.copy_host_to_device_tensor(lane.host_input.tensor, lane.input, cq_id=queue)
        if queue == 1:
            ttnn.wait_for_event(0, ttnn.record_event(dev, 1))

    def read_back(self, lane, place, shared):
        self.step = "read back"
        ttnn, dev = self.device.ttnn, self.device.device
        queue = 1 if self.execution["two_queues"] else 0
        host = lane.host_output
        if queue == 1:
            ttnn.wait_for_event(1, lane.computed)
        ttnn.copy_device_to_host_tensor(lane.output, host.tensor, blocking=False, cq_id=queue)
        ttnn.event_synchronize(ttnn.record_event(dev, queue))
        shared[place : place + len(host.bytes)] = host.bytes


def host_bytes(spec):
    """Bytes of a bfloat16 tensor in the host's memory."""
    rows, columns = spec["shape"][2:]
    if spec["layout"] == "tile":
        rows, columns = (-(-length // TILE) * TILE for length in (rows, columns))
    return 2 * spec["shape"][0] * spec["shape"][1] * rows * columns


def volume(spec):
    count = 1
    for length in spec["shape"]:
        count *= length
    return count


def kernel_config(ttnn, step):
    return ttnn.WormholeComputeKernelConfig(
        math_fidelity=getattr(ttnn.MathFidelity, step.get("math_fidelity", "HiFi4")),
        math_approx_mode=False,
        fp32_dest_acc_en=True,
        packer_l1_acc=True,
    )


def block_config(ttnn, blocks):
    grid, rows, columns = blocks["core_grid"], blocks["rows"], blocks["columns"]
    return ttnn.MinimalMatmulConfig(
        M_block_size=rows,
        K_block_size=blocks["inner"],
        N_block_size=columns,
        subblock_h=2 if rows % 2 == 0 else 1,
        subblock_w=2 if columns % 2 == 0 else 1,
        compute_with_storage_grid_size=ttnn.CoreCoord(grid["x"], grid["y"]),
    )


def bits(number):
    return struct.unpack("<I", struct.pack("<f", number))[0]


def shares(units, grid):
    """Core, first unit and number of units, for every core that gets any."""
    cores = min(units, grid["x"] * grid["y"])
    first = 0
    for core in range(cores):
        count = units // cores + (core < units % cores)
        yield core % grid["x"], core // grid["x"], first, count
        first += count


def own_kernel(device, step, x, out):
    """A kernel of ours; `program/attention.rs`, `channels.rs`, `embed.rs` and `mixer.rs` explain its sizes."""
    batch, channels, rows, columns = x[0].shape
    matrices, op = batch * channels, step["op"]
    if op == "embed":
        units = matrices * -(-step["patches"] // TILE)
        sizes = [step[name] for name in ("patch_length", "patch_stride", "patches", "columns")]
    else:
        # Kernels compute with centred rows that are multiplied by their length.
        norm = [int(step["layer_norm"]), bits(step["epsilon"] * columns * columns)]
    if op == "mixer":
        units = matrices if step["left"] else matrices * -(-rows // TILE)
        sizes = [step[name] for name in ("rows", "columns", "hidden")]
        sizes += [int(step[name]) for name in ("left", "residual", "gate")] + norm
    if op == "attention":
        units = matrices
        sizes = [step["rows"], step["columns"], step["heads"], int(rows % TILE != 0), *norm]
    if op == "channels":
        units = batch * -(-rows // step["side_by_side"])
        sizes = [step["rows"], step["columns"], step["hidden"], int(step["gate"]), *norm]
    sizes.append(x[1].shape[2] // TILE)
    if op == "channels":
        sizes += [channels, rows, step["side_by_side"]]
    return run_kernel(device, step, (x, out), (units, sizes))


def run_kernel(device, step, tensors, work):
    (x, out), (units, sizes) = tensors, work
    ttnn, grid, name = device.ttnn, step["core_grid"], step["op"]
    work = list(shares(units, grid))
    size = ttnn.CoreCoord(grid["x"], grid["y"])
    cores = ttnn.num_cores_to_corerangeset(len(work), size, True)

    def buffer(index, tiles):
        form = ttnn.CBFormatDescriptor(
            buffer_index=index, data_format=ttnn.bfloat16, page_size=TILE_BYTES
        )
        return ttnn.CBDescriptor(
            total_size=tiles * TILE_BYTES, core_ranges=cores, format_descriptors=[form]
        )

    def kernel(part, config, tensors, arguments):
        runtime, places = ttnn.RuntimeArgs(), []
        for column, row, first, count in work:
            runtime[column][row] = arguments(first, count)
        for tensor in tensors:
            places += ttnn.TensorAccessorArgs(tensor).get_compile_time_args()
        return ttnn.KernelDescriptor(
            kernel_source=device.kernels[name + part],
            source_type=ttnn.KernelDescriptor.SourceType.SOURCE_CODE,
            core_ranges=cores,
            compile_time_args=sizes + places,
            runtime_args=runtime,
            config=config,
        )

    given, made = [tensor.buffer_address() for tensor in x], out.buffer_address()
    fidelity = getattr(ttnn.MathFidelity, step["math_fidelity"])
    compute = ttnn.ComputeConfigDescriptor(math_fidelity=fidelity, fp32_dest_acc_en=True)
    kernels = [
        kernel("_read", ttnn.ReaderConfigDescriptor(), x, lambda *unit: [*given, *unit]),
        kernel("_write", ttnn.WriterConfigDescriptor(), [out], lambda *unit: [made, *unit]),
        kernel("", compute, [], lambda _, count: [count]),
    ]
    buffers = [buffer(index, tiles) for index, tiles in enumerate(step["buffers"])]
    program = ttnn.ProgramDescriptor(kernels=kernels, semaphores=[], cbs=buffers)
    return ttnn.generic_op([*x, out], program)


def run_op(device, step, x, spec, fixed=None):
    """One step, which makes a tensor or writes into a `fixed` one; the arguments are those of ttnn 0.81."""
    ttnn, op = device.ttnn, step["op"]
    memory = {"memory_config": device.memory_config(spec["memory"])}
    if op == "linear":
        options = {"transpose_a": step["transpose_a"], "dtype": getattr(ttnn, spec["dtype"])}
        if "activation" in step:
            options["activation"] = step["activation"]
        if "core_grid" in step:
            options["core_grid"] = ttnn.CoreGrid(y=step["core_grid"]["y"], x=step["core_grid"]["x"])
        if fixed is not None:
            options["optional_output_tensor"] = fixed
        bias = x[2] if len(x) > 2 else None
        config = kernel_config(ttnn, step)
        return ttnn.linear(x[0], x[1], bias=bias, compute_kernel_config=config, **options, **memory)
    if op == "matmul":
        return ttnn.matmul(x[0], x[1], compute_kernel_config=kernel_config(ttnn, step), **memory)
    if op == "matmul_addcmul":
        fused = ttnn.experimental.dit_minimal_matmul_addcmul_fused
        options = {"config": block_config(ttnn, step["config"]), **memory}
        config = kernel_config(ttnn, step)
        return fused(x[0], x[1], 1.0, x[2], x[3], x[4], compute_kernel_config=config, **options)
    if op in ("attention", "channels", "embed", "mixer"):
        return own_kernel(device, step, x, device.allocate(spec))
    if op == "layer_norm":
        residual = {"residual_input_tensor": x[3]} if len(x) > 3 else {}
        config = kernel_config(ttnn, step)
        options = {"epsilon": step["epsilon"], "compute_kernel_config": config, **residual, **memory}
        return ttnn.layer_norm(x[0], weight=x[1], bias=x[2], **options)
    if op == "softmax":
        config = kernel_config(ttnn, step)
        return ttnn.softmax(x[0], dim=step["dim"], compute_kernel_config=config, **memory)
    if op == "transpose":
        return ttnn.transpose(x[0], -2, -1, **memory)
    if op == "permute":
        return ttnn.permute(x[0], tuple(step["dims"]), **memory)
    if op == "reshape":
        return ttnn.reshape(x[0], tuple(step["shape"]), **memory)
    if op == "max":
        return ttnn.max(x[0], dim=-2, keepdim=True, **memory)
    if op == "fill_implicit_tile_padding":
        return ttnn.fill_implicit_tile_padding(x[0], step["value"], **memory)
    if op == "to_memory_config":
        return ttnn.to_memory_config(x[0], **memory)
    if op in ("gelu", "add", "multiply", "addcmul"):
        return getattr(ttnn, op)(*x, **memory)
    raise Failure(f"knows no operation {op!r}")


def imported(name):
    try:
        return importlib.import_module(name)
    except ImportError as error:
        version = ".".join(str(part) for part in sys.version_info[:2])
        raise Failure(
            f"{sys.executable} (Python {version}) cannot import {name}: {error}; get it with "
            f"{sys.executable} -m pip install 'ttnn==0.81.*' 'numpy<2' (Python 3.10 or 3.12)"
        ) from error


def answer(state, kind, header, data):
    if kind == HELLO:
        ttnn, numpy = imported("ttnn"), imported("numpy")
        state["device"] = Device(ttnn, numpy, header)
        return {"version": VERSION, "ttnn": getattr(ttnn, "__version__", "unknown")}
    device = state.get("device")
    if device is None:
        raise Failure("the first request must be a greeting")
    if kind == LOAD:
        device.release_traces()
        program = state["program"] = Program(device, header, data)
        program.warm_up()
        device.programs[header["key"]] = program
        return {}
    if kind == RUN:
        program = state["program"] = device.programs[header["key"]]
        began = time.perf_counter()
        started = program.run(header["count"], device.exchange.bytes(header["bytes"]))
        return {"start_s": started - began, "run_s": time.perf_counter() - began}
    raise Failure(f"knows no request {kind}")


def main():
    out, requests = take_stdout(), sys.stdin.buffer
    threading.Thread(target=end_with_the_pipe, daemon=True).start()
    state = {}
    while True:
        try:
            kind, header, data = read_frame(requests)
        except EOFError:
            break
        except (Failure, ValueError) as error:
            write_frame(out, ERROR, {"message": str(error), "step": "protocol"})
            break
        if kind == STOP:
            break
        state.pop("program", None)
        try:
            write_frame(out, OK, answer(state, kind, header, data))
        except BrokenPipeError:
            break
        except BaseException as error:  # the device stack raises exceptions of any kind
            traceback.print_exc()
            step = state["program"].step if "program" in state else "start"
            text = f"{type(error).__name__}: {error}".strip()
            try:
                write_frame(out, ERROR, {"message": text[:2000], "step": step})
            except BrokenPipeError:
                break
    if "device" in state:
        state["device"].close()


if __name__ == "__main__":
    main()
