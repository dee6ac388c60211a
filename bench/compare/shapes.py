"""The shapes that are compared: those of `ptsm bench --shape`, field for field."""

from dataclasses import dataclass, field
from typing import Any

SEED: dict[str, Any] = {
    "context_length": 512,
    "prediction_length": 96,
    "patch_length": 8,
    "patch_stride": 8,
    "num_input_channels": 7,
    "d_model": 16,
    "num_layers": 4,
    "expansion_factor": 2,
    "mode": "common_channel",
    "gated_attn": True,
    "dropout": 0.2,
    "head_dropout": 0.2,
    "scaling": "std",
    "loss": "mse",
}


@dataclass(frozen=True)
class Shape:
    """A configuration, and the batch sizes that fit it."""

    title: str
    changes: dict[str, Any] = field(default_factory=dict)
    batches: tuple[int, ...] = (1, 8, 32, 128)
    train_batch: int = 32
    # Compiling a step of training takes minutes, so one shape must do.
    compile_training: bool = False

    def config(self) -> dict[str, Any]:
        """The fields for `PatchTSMixerConfig`."""
        return SEED | self.changes


def wider(stride: int, layers: int, expansion: int) -> dict[str, Any]:
    """Patches of 16 and d_model 48, as in IBM's notebooks."""
    return {
        "patch_length": 16,
        "patch_stride": stride,
        "d_model": 48,
        "num_layers": layers,
        "expansion_factor": expansion,
    }


SHAPES: dict[str, Shape] = {
    "seed": Shape(
        "512 -> 96, 64 patches of 8, d_model 16, 4 layers, 7 channels", compile_training=True
    ),
    "notebook": Shape("32 patches of 16, d_model 48, 3 layers, expansion 3", wider(16, 3, 3)),
    "large": Shape(
        "63 overlapping patches of 16, d_model 48, 8 layers, expansion 5",
        wider(8, 8, 5),
        batches=(1, 8, 32),
    ),
    "long": Shape(
        "16,384 -> 96, 2,048 patches of 8, 2 layers",
        {"context_length": 16384, "num_layers": 2},
        batches=(1, 4),
        train_batch=4,
    ),
    "wide": Shape(
        "130 channels, mixed (mix_channel)",
        {"num_input_channels": 130, "mode": "mix_channel"},
        batches=(1, 8, 32),
    ),
}

# Windows whose forecasts are compared between the engines.
CHECKED_WINDOWS = 4


def num_windows(shape: Shape) -> int:
    """Windows that are made: as many as the largest batch has."""
    return max(*shape.batches, shape.train_batch, CHECKED_WINDOWS)
