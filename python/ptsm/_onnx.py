"""Models as ONNX files."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Sequence
from typing import Any, Protocol

from ptsm._params import as_json


class Core(Protocol):
    """A trained model of the extension."""

    def to_onnx(self, path: str | os.PathLike[str], asked: str) -> str: ...


def write(
    core: Core,
    path: str | os.PathLike[str],
    *,
    missing: str,
    standardise: str | None,
    member: str | None,
    quantiles: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Writes the file and gives its inputs and outputs; warns of what the model has and the file has not."""
    asked = {
        "missing": missing,
        "quantiles": [float(level) for level in quantiles or []],
        "standardise": standardise,
        "member": member,
        "heads": None,
    }
    answer: dict[str, Any] = json.loads(core.to_onnx(os.fspath(path), as_json(asked)))
    for note in answer["notes"]:
        warnings.warn(note, UserWarning, stacklevel=3)
    return answer
