"""The rivals. Each function makes an engine ready in this process and returns `load`; `load(batch)`
returns the call that is timed, a function without arguments that forecasts one batch.

Heavy imports stand inside the functions: a process holds one engine and one thread pool.
"""

import os
import pathlib
from collections.abc import Callable
from typing import Any

import numpy

Call = Callable[[], Any]
Load = Callable[[int], Call]


def inputs(folder: pathlib.Path, batch: int) -> numpy.ndarray:
    """The first windows of the shape."""
    return numpy.load(folder / "past.npy", mmap_mode="r")[:batch].copy()


def torch_model(folder: pathlib.Path, threads: int) -> Any:
    """The Hugging Face model in eval mode; every weight of the file must have found its place."""
    import torch
    from transformers import PatchTSMixerForPrediction

    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    model, info = PatchTSMixerForPrediction.from_pretrained(
        folder / "model", output_loading_info=True
    )
    if any(info.values()):
        raise RuntimeError(f"weights do not fit: {info}")
    return model.eval()


def eager(folder: pathlib.Path, threads: int) -> Load:
    """The Hugging Face implementation as it comes."""
    import torch

    model = torch_model(folder, threads)

    def load(batch: int) -> Call:
        past = torch.from_numpy(inputs(folder, batch))

        @torch.inference_mode()
        def call() -> numpy.ndarray:
            return model(past_values=past).prediction_outputs.numpy()

        return call

    return load


def compiled(folder: pathlib.Path, threads: int) -> Load:
    """`torch.compile` with inductor, fixed shapes, and frozen (prepacked) weights."""
    import torch
    import torch._inductor.config

    torch._inductor.config.freezing = True
    model = torch_model(folder, threads)

    def load(batch: int) -> Call:
        past = torch.from_numpy(inputs(folder, batch))
        torch._dynamo.reset()
        forward = torch.compile(
            lambda x: model(past_values=x, return_loss=False).prediction_outputs, dynamic=False
        )

        @torch.no_grad()
        def call() -> numpy.ndarray:
            return forward(past).numpy()

        return call

    return load


def onnxruntime(folder: pathlib.Path, threads: int) -> Load:
    """ONNX Runtime's CPU provider, all graph optimisations."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL

    def load(batch: int) -> Call:
        path = str(folder / f"batch-{batch}.onnx")
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        feed = {"past_values": inputs(folder, batch)}
        return lambda: session.run(None, feed)[0]

    return load


def openvino_model(folder: pathlib.Path, batch: int, threads: int, streams: int) -> Any:
    """Compiled for the CPU in float32: the default may be bfloat16 where the machine has it."""
    import openvino

    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": streams,
        "PERFORMANCE_HINT": "LATENCY" if streams == 1 else "THROUGHPUT",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    return openvino.Core().compile_model(folder / f"batch-{batch}.onnx", "CPU", settings)


def openvino(folder: pathlib.Path, threads: int) -> Load:
    """One request at a time on all threads."""

    def load(batch: int) -> Call:
        request = openvino_model(folder, batch, threads, 1).create_infer_request()
        past = inputs(folder, batch)
        return lambda: request.infer({0: past}, share_inputs=True, share_outputs=True)[0]

    return load


def openvino_streams(folder: pathlib.Path, threads: int) -> Load:
    """A batch cut into one request a thread, side by side, one stream each: OpenVINO's way to more
    sequences a second."""

    def load(batch: int) -> Call:
        part = batch // threads
        model = openvino_model(folder, part, threads, threads)
        requests = [model.create_infer_request() for _ in range(threads)]
        past = inputs(folder, batch)
        parts = [past[i * part : (i + 1) * part] for i in range(threads)]

        def call() -> numpy.ndarray:
            for request, values in zip(requests, parts):
                request.start_async({0: values}, share_inputs=True)
            for request in requests:
                request.wait()
            return numpy.concatenate([r.get_output_tensor(0).data for r in requests])

        return call

    return load


def training(folder: pathlib.Path, threads: int, compile_it: bool) -> tuple[Load, Any]:
    """A step of training, and the model for the check: forward with dropout, backward, AdamW."""
    import torch

    model = torch_model(folder, threads)
    loss_of = lambda past, future: model(past_values=past, future_values=future).loss
    run = torch.compile(loss_of, dynamic=False) if compile_it else loss_of
    future_values = numpy.load(folder / "future.npy")

    def load(batch: int) -> Call:
        model.train()
        optimiser = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
        past = torch.from_numpy(inputs(folder, batch))
        future = torch.from_numpy(future_values[:batch])

        def call() -> None:
            optimiser.zero_grad()
            run(past, future).backward()
            optimiser.step()

        return call

    return load, model


def loss_without_dropout(folder: pathlib.Path, model: Any, count: int) -> float:
    """Of the first windows, in eval mode, to be laid beside `ptsm trace`."""
    import torch

    model.eval()
    past = torch.from_numpy(inputs(folder, count))
    future = torch.from_numpy(numpy.load(folder / "future.npy")[:count])
    with torch.no_grad():
        return float(model(past_values=past, future_values=future).loss)


ENGINES: dict[str, Callable[[pathlib.Path, int], Load]] = {
    "eager": eager,
    "compile": compiled,
    "onnxruntime": onnxruntime,
    "openvino": openvino,
    "openvino-streams": openvino_streams,
}
TRAINERS = {"eager": False, "compile": True}


def keep_to_threads(threads: int) -> None:
    """Sets what thread pools read when they start; call it before any engine is imported."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)
