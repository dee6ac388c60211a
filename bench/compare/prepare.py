"""Makes one shape's weights and inputs, and its ONNX files, for every engine alike.

    python prepare.py SHAPE FOLDER BATCH,...

The folder gets `model/` (a Hugging Face folder that `ptsm` reads too), `past.npy` and `future.npy`,
`windows.csv` (the first windows, for `ptsm predict`), `loss.safetensors` (the same, for `ptsm trace`)
and `batch-N.onnx` for each batch size. Seeds are fixed: a second run makes the same numbers.
"""

import csv
import json
import pathlib
import sys

import numpy
import torch
from safetensors.numpy import save_file
from transformers import PatchTSMixerConfig, PatchTSMixerForPrediction

from shapes import CHECKED_WINDOWS, SHAPES, Shape, num_windows


def make_model(shape: Shape) -> PatchTSMixerForPrediction:
    """A model with seeded weights, large enough that every block matters to the forecast."""
    torch.manual_seed(0)
    model = PatchTSMixerForPrediction(PatchTSMixerConfig(**shape.config())).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            draw = torch.randn(tensor.shape, generator=generator)
            if tensor.dim() > 1:
                tensor.copy_(draw / tensor.shape[1] ** 0.5)
            else:
                is_gain = "norm" in name and name.endswith("weight")
                tensor.copy_(0.1 * draw + (1.0 if is_gain else 0.0))
    return model


def make_series(count: int, shape: Shape) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Past `[count, L, C]` and future `[count, H, C]` in float32: waves with noise on them."""
    config = shape.config()
    length = config["context_length"] + config["prediction_length"]
    size = (count, 1, config["num_input_channels"])
    generator = numpy.random.default_rng(2)
    time = numpy.arange(length)[None, :, None]
    wave = numpy.sin(time * generator.uniform(0.02, 0.5, size) + generator.uniform(0, 6, size))
    noise = generator.standard_normal((count, length, size[2]))
    values = (generator.standard_normal(size) + wave + 0.3 * noise).astype(numpy.float32)
    context = config["context_length"]
    return values[:, :context].copy(), values[:, context:].copy()


def write_preprocessor(folder: pathlib.Path, num_channels: int) -> None:
    """What `ptsm predict` needs beside the weights: channels, and a standardisation by 0 and 1."""
    channels = [f"c{i}" for i in range(num_channels)]
    content = {
        "dataset": "compare",
        "channels": channels,
        "roles": {"timestamp": "none", "id": "window", "targets": channels},
        "frequency": None,
        "grid": "regular",
        "seasonal_period": 1,
        "split": "7:1:2",
        "standardiser": {"mean": [0.0] * num_channels, "scale": [1.0] * num_channels},
    }
    (folder / "preprocessor.json").write_text(json.dumps(content))


def write_windows(path: pathlib.Path, past: numpy.ndarray) -> None:
    """A long table: a window is a series. Every float32 is written so that it reads back exactly."""
    with open(path, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["window", *(f"c{i}" for i in range(past.shape[2]))])
        for number, window in enumerate(past.astype(numpy.float64)):
            rows.writerows([f"w{number}", *row] for row in window.tolist())


class Forecast(torch.nn.Module):
    """The model with one input and one output, as exporters want it."""

    def __init__(self, model: PatchTSMixerForPrediction):
        super().__init__()
        self.model = model

    def forward(self, past_values: torch.Tensor) -> torch.Tensor:
        return self.model(past_values=past_values, return_loss=False).prediction_outputs


def write_onnx(path: pathlib.Path, model: PatchTSMixerForPrediction, past: numpy.ndarray) -> None:
    """One file for one batch size: fixed shapes let the engines fold what they can."""
    with torch.no_grad():
        torch.onnx.export(
            Forecast(model).eval(),
            (torch.from_numpy(past),),
            str(path),
            input_names=["past_values"],
            output_names=["prediction"],
            # The older exporter writes a graph of wrong sizes for this model's `unfold`.
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def prepare(shape: Shape, folder: pathlib.Path, batches: list[int]) -> None:
    """Writes everything."""
    folder.mkdir(parents=True, exist_ok=True)
    model = make_model(shape)
    model.save_pretrained(folder / "model")
    past, future = make_series(num_windows(shape), shape)
    numpy.save(folder / "past.npy", past)
    numpy.save(folder / "future.npy", future)
    checked = slice(0, CHECKED_WINDOWS)
    write_preprocessor(folder / "model", past.shape[2])
    write_windows(folder / "windows.csv", past[checked])
    tensors = {"in.past_values": past[checked].copy(), "in.future_values": future[checked].copy()}
    save_file(tensors, folder / "loss.safetensors")
    for batch in batches:
        write_onnx(folder / f"batch-{batch}.onnx", model, past[:batch])


if __name__ == "__main__":
    chosen, into, sizes = sys.argv[1:]
    prepare(SHAPES[chosen], pathlib.Path(into), [int(size) for size in sizes.split(",")])
