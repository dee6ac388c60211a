"""Models as ONNX files, run by ONNX Runtime where it is installed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy
import pytest
from conftest import rows
from pandas import DataFrame

import ptsm
from ptsm import _onnx


@pytest.fixture(scope="module")
def frame() -> DataFrame:
    """One series without gaps."""
    columns = rows(days=150, series=1)
    known = [value if value is not None else 10.0 for value in columns["y"]]
    return DataFrame({"ds": columns["ds"], "y": known})


@pytest.fixture(scope="module")
def forecaster(frame: DataFrame) -> ptsm.Forecaster:
    """A small network."""
    return ptsm.Forecaster(h=7, context_length=28, epochs=1, d_model=8).fit(frame)


def test_a_file_says_what_it_takes_and_gives(forecaster: ptsm.Forecaster, tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    told = forecaster.to_onnx(file, missing="mask")
    assert file.stat().st_size == told["bytes"]
    assert [(given["name"], given["shape"]) for given in told["inputs"]] == [
        ("past_values", ["batch", 28, 1]),
        ("observed_mask", ["batch", 28, 1]),
    ]
    assert told["outputs"][0]["shape"] == ["batch", 7, 1]
    with pytest.raises(ptsm.InvalidConfig, match="quantiles"):
        forecaster.to_onnx(file, quantiles=[0.5])
    with pytest.raises(ptsm.InvalidConfig, match="member"):
        forecaster.to_onnx(file, member="a")
    with pytest.raises(ptsm.InvalidConfig, match="nan, mask, none"):
        forecaster.to_onnx(file, missing="gone")
    with pytest.raises(OSError, match="folder"):
        forecaster.to_onnx(tmp_path)


class Told:
    """A trained model whose file leaves something out."""

    def to_onnx(self, path: str | os.PathLike[str], asked: str) -> str:
        return json.dumps({"path": os.fspath(path), "asked": json.loads(asked), "notes": ["no intervals"]})


def test_what_the_file_leaves_out_is_a_warning() -> None:
    with pytest.warns(UserWarning, match="no intervals"):
        told = _onnx.write(Told(), "model.onnx", missing="nan", standardise=None, member=None)
    assert told["notes"] == ["no intervals"]


def test_onnx_runtime_gives_the_forecast(forecaster: ptsm.Forecaster, frame: DataFrame, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    file = tmp_path / "model.onnx"
    forecaster.to_onnx(file)
    session = onnxruntime.InferenceSession(str(file))
    past = frame["y"].to_numpy(numpy.float32)[None, -28:, None]
    (found,) = session.run(["prediction_outputs"], {"past_values": past})
    wanted = forecaster.predict(frame)["ptsm"].to_numpy()
    assert numpy.abs(found[0, :, 0] - wanted).max() <= 2e-6 * numpy.abs(wanted).max()
