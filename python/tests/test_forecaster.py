"""A forecaster: trained, asked, saved, pickled, cloned."""

from __future__ import annotations

import inspect
import io
import json
import pickle
import pickletools
from pathlib import Path

import polars
import pytest
from conftest import as_columns, as_kind, command, rows

import ptsm


@pytest.fixture(scope="module")
def trained(frame: polars.DataFrame) -> ptsm.Forecaster:
    """A small network, calibrated."""
    return ptsm.Forecaster(h=7, context_length=28, epochs=2, seed=3).fit(frame).calibrate(frame)


def test_the_default_has_the_bits_of_the_command(kind: str, tmp_path: Path) -> None:
    columns = rows(120, 2)
    polars.DataFrame(columns).write_parquet(tmp_path / "in.parquet")
    command("train", "--data", "in.parquet", "--out", "m", "--horizon", "7", folder=tmp_path)
    command("predict", "--model", "m", "--data", "in.parquet", "--out", "out.parquet", folder=tmp_path)
    forecaster = ptsm.Forecaster(h=7).fit(as_kind(columns, kind))
    wanted = polars.read_parquet(tmp_path / "out.parquet")
    found = as_columns(forecaster.predict(quantiles=[0.025, 0.1, 0.9, 0.975]))
    assert found["ds"] == wanted["ds"].to_list()
    for name in wanted.columns[2:]:
        assert found[name.replace("y", "ptsm", 1)] == wanted[name].to_list(), name
    choice = json.loads((tmp_path / "m" / "choice.json").read_text())
    assert forecaster.choice_ is not None
    assert forecaster.choice_["candidates"] == choice["candidates"]


def test_forecasts_have_the_levels_and_steps_that_are_asked_for(
    trained: ptsm.Forecaster, frame: polars.DataFrame
) -> None:
    whole = trained.predict(frame)
    assert whole.columns[2:] == ["ptsm", "ptsm-lo-95", "ptsm-lo-80", "ptsm-hi-80", "ptsm-hi-95"]
    assert (whole["ptsm-lo-95"] <= whole["ptsm-lo-80"]).all()
    assert trained.predict(frame, level=80).columns[2:] == ["ptsm", "ptsm-lo-80", "ptsm-hi-80"]
    assert trained.predict(frame, 3).equals(whole.filter(polars.int_range(polars.len()) % 7 < 3))
    assert trained.predict(frame, 10).columns[2:] == ["ptsm"]
    with pytest.raises(ptsm.InvalidConfig, match=r"no interval of 70 %: the forecasts have intervals of 80, 95 %"):
        trained.predict(frame, level=70)
    with pytest.raises(ptsm.InvalidConfig, match=r"no quantile 0.3"):
        trained.predict(frame, quantiles=[0.3])


def test_an_earlier_start_sees_only_what_came_before(trained: ptsm.Forecaster, frame: polars.DataFrame) -> None:
    cut = frame.filter(polars.int_range(polars.len()).over("unique_id") < 195)
    assert trained.predict(frame, rows_before_end=5).equals(trained.predict(cut))


def test_scores_are_those_of_the_command(trained: ptsm.Forecaster, frame: polars.DataFrame) -> None:
    scores = trained.evaluate(frame, by=["step", "series"])
    assert str(scores).startswith("frame, test: every one of")
    assert {one["name"] for one in scores["baselines"]} >= {"repeat_last", "theta", "ridge"}
    assert trained.score(frame) == -scores["mase"]
    assert len(scores["per_step"]) == 7
    with pytest.raises(ptsm.InvalidConfig, match="'day' is not one of"):
        trained.evaluate(frame, by=["day"])
    with pytest.raises(ptsm.InvalidConfig, match="\"tset\" is not one of train, validation, test"):
        trained.evaluate(frame, split="tset")


def test_a_model_is_the_same_when_it_comes_back(
    trained: ptsm.Forecaster, frame: polars.DataFrame, tmp_path: Path
) -> None:
    wanted = trained.predict(frame)
    trained.save_pretrained(tmp_path / "m")
    command("verify", "m", folder=tmp_path)
    loaded = ptsm.Forecaster.from_pretrained(tmp_path / "m")
    assert loaded.predict(frame).equals(wanted)
    with pytest.raises(ptsm.InvalidConfig, match="holds a model already"):
        trained.save_pretrained(tmp_path / "m", overwrite=False)
    with pytest.raises(ptsm.IoError) as caught:
        ptsm.Forecaster.from_pretrained(tmp_path / "none")
    assert isinstance(caught.value, OSError)
    assert caught.value.kind == "Io"
    assert caught.value.code == 3


def test_a_pickle_holds_the_model_and_names_nothing_to_run(
    trained: ptsm.Forecaster, frame: polars.DataFrame
) -> None:
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        text = pickle.dumps(trained, protocol)
        back = pickle.loads(text)
        assert back.predict(frame).equals(trained.predict(frame))
        assert back.get_params() == trained.get_params()

    class Only(pickle.Unpickler):
        """Finds nothing but the class itself."""

        def find_class(self, module: str, name: str) -> type:
            assert (module, name) == ("ptsm.forecaster", "Forecaster")
            return ptsm.Forecaster

    text = pickle.dumps(trained)
    assert Only(io.BytesIO(text)).load().notes_ == trained.notes_
    assert not [code.name for code, *_ in pickletools.genops(text) if code.name == "REDUCE"]
    state = trained.__getstate__()
    state["files"]["../outside"] = b"x"
    with pytest.raises(ptsm.InvalidInput, match="no file of a model directory"):
        ptsm.Forecaster().__setstate__(state)


def test_parameters_are_those_of_scikit_learn() -> None:
    forecaster = ptsm.Forecaster(24, seed=1, d_model=16)
    assert repr(forecaster) == "Forecaster(h=24, seed=1, d_model=16)"
    assert forecaster.get_params()["d_model"] == 16
    assert forecaster.d_model == 16
    assert type(forecaster)(**forecaster.get_params()).get_params() == forecaster.get_params()
    assert repr(forecaster.set_params(h=12, epochs=3)) == "Forecaster(h=12, seed=1, d_model=16, epochs=3)"
    with pytest.raises(ptsm.InvalidConfig, match=r"d_modl: is no option .* \(did you mean d_model\?\)"):
        ptsm.Forecaster(d_modl=16)
    with pytest.raises(ValueError, match="epochs: invalid type"):
        ptsm.Forecaster(epochs="many")
    with pytest.raises(ptsm.InvalidConfig, match="is not trained"):
        forecaster.predict(None)


def test_clones_are_equal_and_untrained() -> None:
    base = pytest.importorskip("sklearn.base")
    clone = base.clone(ptsm.Forecaster(h=3, epochs=2))
    assert clone.get_params() == ptsm.Forecaster(h=3, epochs=2).get_params()


def test_the_metric_is_for_the_default(frame: polars.DataFrame) -> None:
    with pytest.raises(ptsm.InvalidConfig, match="metric: is for the default forecaster"):
        ptsm.Forecaster(metric="smape", d_model=8).fit(frame)


def test_errors_survive_a_pickle_and_have_their_way_out() -> None:
    with pytest.raises(ptsm.InvalidConfig) as caught:
        ptsm.forecast(polars.DataFrame(rows(20, 1)), 0)
    error = caught.value
    assert isinstance(error, ValueError)
    back = pickle.loads(pickle.dumps(error))
    assert (str(back), back.kind, back.place, back.code) == (str(error), "InvalidConfig", error.place, 2)
    assert ptsm.Error("x: is wrong (leave it (or not) out)").hint == "leave it (or not) out"
    assert ptsm.Error("x is wrong").hint is None


def test_every_public_name_is_documented() -> None:
    for name in ptsm.__all__:
        thing = getattr(ptsm, name)
        assert isinstance(thing, str) or inspect.getdoc(thing), name
