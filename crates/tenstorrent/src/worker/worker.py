"""Runs TTNN programs that arrive as data; calls ttnn, and knows nothing about models.

Frames, both ways: magic b"PTTW", version (u32), kind (u32), length (u64), all little-endian, then
so many bytes. A body is a JSON header (length as u32 in front) and then raw little-endian f32
tensors in the order that the header says. Requests: HELLO, LOAD, RUN, STOP; answers: OK, ERROR.
"""

import json
import os
import struct
import sys
import traceback

VERSION = 1
MAGIC = b"PTTW"
HELLO, LOAD, RUN, STOP, OK, ERROR = 1, 2, 3, 4, 16, 17
FRAME = struct.Struct("<4sIIQ")
MAX_BYTES = 1 << 32
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


def write_frame(stream, kind, header, tensors=()):
    text = json.dumps(header).encode()
    length = 4 + len(text) + sum(len(tensor) for tensor in tensors)
    stream.write(FRAME.pack(MAGIC, VERSION, kind, length))
    stream.write(struct.pack("<I", len(text)) + text)
    for tensor in tensors:
        stream.write(tensor)
    stream.flush()


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
        dtype = getattr(self.ttnn, spec["dtype"])
        tiles = spec["layout"] == "tile"
        layout = self.ttnn.TILE_LAYOUT if tiles else self.ttnn.ROW_MAJOR_LAYOUT
        return self.ttnn.Tensor(values, dtype, None, layout)

    def upload(self, spec, data):
        config = self.memory_config(spec["memory"])
        host = self.host_tensor(spec, data)
        return self.ttnn.to_device(host, self.device, memory_config=config)

    def release_traces(self):
        """A trace writes to the addresses of its capture, even if other tensors are there by now: no
        tensor that is kept may be made while there is a trace."""
        for program in self.programs.values():
            program.release()

    def read(self, tensor):
        ttnn = self.ttnn
        host = tensor if tensor.storage_type() == ttnn.StorageType.HOST else ttnn.from_device(tensor)
        wide = ttnn.to_dtype(host, ttnn.float32).to(ttnn.ROW_MAJOR_LAYOUT)
        return self.numpy.ascontiguousarray(wide.to_numpy(), dtype="<f4").tobytes()


class Program:
    """A program with its constants on the device, warmed up and, if asked for, captured."""

    def __init__(self, device, header, data):
        self.device = device
        self.tensors = header["tensors"]
        self.steps = header["steps"]
        self.execution = header["execution"]
        self.trace = None
        self.values = {}
        self.step = "upload"
        mark("upload of the constants")
        start = 0
        for index in header["constants"]:
            spec = self.tensors[index]
            end = start + 4 * volume(spec)
            self.values[index] = device.upload(spec, data[start:end])
            start = end
        roles = [spec["role"] for spec in self.tensors]
        self.input = roles.index("input")
        self.output = roles.index("output")
        spec = self.tensors[self.input]
        zeros = bytes(4 * volume(spec))
        self.values[self.input] = device.upload(spec, zeros)
        # With two queues the next upload goes to another tensor than the one that steps are reading.
        two = self.execution["two_queues"]
        self.staging = device.upload(spec, zeros) if two else None
        # All of this must be finished before the other queue begins to write.
        device.ttnn.synchronize_device(device.device)

    def warm_up(self):
        """Compiles every step, so that a capture finds all programs in the cache."""
        self.run_steps()
        self.device.ttnn.synchronize_device(self.device.device)

    def capture(self):
        ttnn, dev = self.device.ttnn, self.device.device
        self.free_output()
        self.trace = ttnn.begin_trace_capture(dev, cq_id=0)
        self.run_steps()
        ttnn.end_trace_capture(dev, self.trace, cq_id=0)
        ttnn.synchronize_device(dev)

    def release(self):
        if self.trace is not None:
            self.device.ttnn.release_trace(self.device.device, self.trace)
            self.trace = None
        self.free_output()

    def free_output(self):
        previous = self.values.pop(self.output, None)
        if previous is not None:
            self.device.ttnn.deallocate(previous)

    def run_steps(self):
        for number, step in enumerate(self.steps):
            self.step = f"step {number} ({step['op']})"
            mark(self.step)
            inputs = [self.values[index] for index in step["inputs"]]
            made = run_op(self.device, step, inputs, self.tensors[step["output"]])
            self.values[step["output"]] = made
            for index in step["frees"]:
                freed = self.values.pop(index)
                # The output of some operations has the memory of their input.
                if freed.buffer_address() != made.buffer_address():
                    self.device.ttnn.deallocate(freed)

    def compute(self):
        if self.trace is not None:
            self.step = "trace"
            self.device.ttnn.execute_trace(self.device.device, self.trace, cq_id=0, blocking=False)
        else:
            self.free_output()
            self.run_steps()

    def run(self, inputs):
        """One output for every input."""
        if self.execution["trace"] and self.trace is None:
            self.capture()
        mark("run")
        return self.run_overlapped(inputs) if self.staging is not None else self.run_plain(inputs)

    def run_plain(self, inputs):
        ttnn = self.device.ttnn
        outputs = []
        for data in inputs:
            host = self.device.host_tensor(self.tensors[self.input], data)
            ttnn.copy_host_to_device_tensor(host, self.values[self.input])
            self.compute()
            self.step = "read back"
            outputs.append(self.device.read(self.values[self.output]))
        return outputs

    def run_overlapped(self, inputs):
        ttnn, dev = self.device.ttnn, self.device.device
        outputs, pending, copied = [], None, None
        for data in inputs:
            self.step = "upload"
            host = self.device.host_tensor(self.tensors[self.input], data)
            if copied is not None:
                ttnn.wait_for_event(1, copied)
            ttnn.copy_host_to_device_tensor(host, self.staging, cq_id=1)
            written = ttnn.record_event(dev, 1)
            if pending is not None:
                self.step = "read back"
                outputs.append(self.device.read(pending))
            ttnn.wait_for_event(0, written)
            ttnn.copy(self.staging, self.values[self.input])
            copied = ttnn.record_event(dev, 0)
            self.compute()
            pending = self.values[self.output]
        self.step = "read back"
        outputs.append(self.device.read(pending))
        return outputs


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
    """A kernel of ours; `program/embed.rs` and `program/mixer.rs` explain its sizes."""
    batch, channels, rows, columns = x[0].shape
    if step["op"] == "mixer":
        units = 1 if step["left"] else -(-rows // TILE)
        epsilon = bits(step["epsilon"] * columns * columns)
        sizes = [step["rows"], step["columns"], step["hidden"], int(step["left"]), epsilon]
    else:
        units = -(-step["patches"] // TILE)
        sizes = [step[name] for name in ("patch_length", "patch_stride", "patches", "columns")]
    sizes.append(x[1].shape[2] // TILE)
    return run_kernel(device, step, (x, out), (batch * channels * units, sizes))


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

    read, table, made = (tensor.buffer_address() for tensor in (x[0], x[1], out))
    fidelity = getattr(ttnn.MathFidelity, step["math_fidelity"])
    compute = ttnn.ComputeConfigDescriptor(math_fidelity=fidelity, fp32_dest_acc_en=True)
    kernels = [
        kernel("_read", ttnn.ReaderConfigDescriptor(), x, lambda *unit: [read, table, *unit]),
        kernel("_write", ttnn.WriterConfigDescriptor(), [out], lambda *unit: [made, *unit]),
        kernel("", compute, [], lambda _, count: [count]),
    ]
    buffers = [buffer(index, tiles) for index, tiles in enumerate(step["buffers"])]
    program = ttnn.ProgramDescriptor(kernels=kernels, semaphores=[], cbs=buffers)
    return ttnn.generic_op([x[0], x[1], out], program)


def run_op(device, step, x, spec):
    """One step; the arguments are those of ttnn 0.81."""
    ttnn, op = device.ttnn, step["op"]
    memory = {"memory_config": device.memory_config(spec["memory"])}
    if op == "linear":
        options = {"transpose_a": step["transpose_a"], "dtype": getattr(ttnn, spec["dtype"])}
        if "activation" in step:
            options["activation"] = step["activation"]
        if "core_grid" in step:
            options["core_grid"] = ttnn.CoreGrid(y=step["core_grid"]["y"], x=step["core_grid"]["x"])
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
    if op in ("embed", "mixer"):
        shape, dtype = ttnn.Shape(spec["shape"]), getattr(ttnn, spec["dtype"])
        place = (ttnn.TILE_LAYOUT, device.device, memory["memory_config"])
        return own_kernel(device, step, x, ttnn.allocate_tensor_on_device(shape, dtype, *place))
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


def answer(state, kind, header, data):
    if kind == HELLO:
        import numpy
        import ttnn

        state["device"] = Device(ttnn, numpy, header)
        return {"version": VERSION, "ttnn": getattr(ttnn, "__version__", "unknown")}, []
    device = state.get("device")
    if device is None:
        raise Failure("the first request must be a greeting")
    if kind == LOAD:
        device.release_traces()
        program = state["program"] = Program(device, header, data)
        program.warm_up()
        program.free_output()
        device.programs[header["key"]] = program
        return {}, []
    if kind == RUN:
        program = state["program"] = device.programs[header["key"]]
        size = 4 * volume(program.tensors[program.input])
        if len(data) != size * header["count"]:
            raise Failure(f"{len(data)} bytes for {header['count']} inputs of {size}")
        inputs = [data[i * size : (i + 1) * size] for i in range(header["count"])]
        return {}, program.run(inputs)
    raise Failure(f"knows no request {kind}")


def main():
    out, requests = take_stdout(), sys.stdin.buffer
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
            header, tensors = answer(state, kind, header, data)
            write_frame(out, OK, header, tensors)
        except BaseException as error:  # the device stack raises exceptions of any kind
            traceback.print_exc()
            step = state["program"].step if "program" in state else "start"
            text = f"{type(error).__name__}: {error}".strip()
            write_frame(out, ERROR, {"message": text[:2000], "step": step})
    if "device" in state:
        state["device"].close()


if __name__ == "__main__":
    main()
