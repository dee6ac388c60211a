"""Estimators of scikit-learn, sktime and aeon, by the conformance checks of each."""

from __future__ import annotations

import importlib
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy
import pandas
import pytest
from conftest import rows

import ptsm

#: A network that is trained in a moment, and learns what the checks have to be learnt.
SMALL = {"epochs": 30, "d_model": 8, "num_layers": 1, "learning_rate": 0.01, "patience": None}
STEPS = numpy.arange(24)

# The packages and their checks warn of things that are not ours.
pytestmark = pytest.mark.filterwarnings("ignore")


def extra(name: str) -> Any:
    """The module of an extra of the package, or the test is skipped."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip(name)
        return importlib.import_module(f"ptsm.{name}")


def waves(count: int = 24) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Slow and fast waves of two channels, and the class of each."""
    speeds = numpy.where(numpy.arange(count) % 2, 0.2, 1.1)
    cases = numpy.sin(speeds[:, None] * STEPS + numpy.arange(count)[:, None])
    return numpy.stack([cases, 0.5 * cases[:, ::-1]], axis=1), numpy.arange(count) % 2


@pytest.mark.parametrize("name", ["PatchTSMixerClassifier", "PatchTSMixerRegressor"])
def test_scikit_learn_finds_its_manners(name: str) -> None:
    module = extra("sklearn")
    checks = importlib.import_module("sklearn.utils.estimator_checks")
    estimator = getattr(module, name)(budget=0.01, options=SMALL)
    done = checks.check_estimator(estimator, on_fail=None, on_skip=None)
    assert [one for one in done if one["status"] == "failed"] == []
    # Arrays of other libraries than NumPy are not taken.
    assert {one["check_name"] for one in done if one["status"] == "skipped"} <= {"check_array_api_input"}
    assert len(done) > 40


def test_panels_are_searched_and_crossed_by_scikit_learn() -> None:
    module = extra("sklearn")
    selection = importlib.import_module("sklearn.model_selection")
    cases, slow = waves()
    cases[0, 0, 3] = numpy.nan
    classifier = module.PatchTSMixerClassifier(budget=0.01, options=SMALL, random_state=5)
    assert selection.cross_val_score(classifier, cases, slow, cv=3).mean() > 0.6
    grid = {"options": [{**SMALL, "epochs": 1}, SMALL]}
    search = selection.GridSearchCV(classifier, grid, cv=2).fit(cases, slow)
    assert search.best_params_["options"] in grid["options"]
    wanted = ptsm.Classifier(budget=0.01, seed=5, **SMALL).fit(cases, slow).predict_proba(cases)
    assert (classifier.fit(cases, slow).predict_proba(cases) == wanted).all()
    with pytest.raises(ValueError, match="one class alone"):
        classifier.fit(cases, numpy.zeros(len(cases)))


@pytest.mark.parametrize("name", ["PatchTSMixerClassifier", "PatchTSMixerRegressor"])
def test_aeon_finds_its_manners(name: str) -> None:
    module = extra("aeon")
    checks = importlib.import_module("aeon.testing.estimator_checking")
    done = checks.check_estimator(getattr(module, name))
    assert {key: told for key, told in done.items() if told != "PASSED"} == {}
    assert len(done) > 15


def test_collections_of_aeon_may_differ_in_length() -> None:
    module = extra("aeon")
    cases, slow = waves()
    ragged = [case[:, number % 5 :] for number, case in enumerate(cases)]
    classifier = module.PatchTSMixerClassifier(budget=0.01, options=SMALL, random_state=2)
    found = classifier.fit(ragged, slow).predict_proba(ragged)
    wanted = ptsm.Classifier(budget=0.01, seed=2, **SMALL).fit(ragged, slow).predict_proba(ragged)
    assert (found == wanted).all()


def test_sktime_finds_its_manners() -> None:
    module = extra("sktime")
    checks = importlib.import_module("sktime.utils.estimator_checks")
    done = checks.check_estimator(module.PatchTSMixerForecaster, raise_exceptions=False, verbose=False)
    assert {key: told for key, told in done.items() if told != "PASSED"} == {}
    assert len(done) > 100


def monthly(count: int = 96) -> pandas.Series:
    """Months with a year in them."""
    index = pandas.period_range("2015-01", periods=count, freq="M")
    year = numpy.sin(2 * numpy.pi * numpy.arange(count) / 12)
    return pandas.Series(100 + 10 * year, index=index, name="sold")


def test_sktime_forecasts_with_the_bits_of_the_package() -> None:
    module = extra("sktime")
    series = monthly()
    frame = pandas.DataFrame({"ds": series.index.to_timestamp(), "y": series.to_numpy()})
    steps = [1, 3, 6]
    builtin = module.PatchTSMixerForecaster("builtin").fit(series, fh=steps)
    wanted = ptsm.forecast(frame, 6, level=80)
    found = builtin.predict()
    assert found.name == "sold"
    assert list(found.index) == list(pandas.PeriodIndex(["2023-01", "2023-03", "2023-06"], freq="M"))
    assert found.tolist() == [wanted["ptsm"][step - 1] for step in steps]
    limits = builtin.predict_interval(coverage=0.8)
    assert limits["sold", 0.8, "lower"].tolist() == [wanted["ptsm-lo-80"][step - 1] for step in steps]
    later = builtin.update(monthly(98)[96:]).predict()
    assert later.index[0] == pandas.Period("2023-03", "M")
    assert pickle.loads(pickle.dumps(builtin)).predict().equals(later)


def test_sktime_trains_one_model_on_a_panel() -> None:
    module = extra("sktime")
    frame = pandas.DataFrame(rows(80, 3)).set_index(["unique_id", "ds"])
    forecaster = module.PatchTSMixerForecaster(options=SMALL, context_length=14, random_state=1)
    found = forecaster.fit(frame, fh=[1, 2]).predict()
    assert found.index.names == ["unique_id", "ds"]
    assert len(found) == 6
    own = ptsm.Forecaster(2, 14, seed=1, **SMALL).fit(frame.reset_index(), split="8:2:0")
    assert found["y"].tolist() == own.predict(frame)["ptsm"].tolist()
    ends = forecaster.predict_interval(coverage=[0.8, 0.9])["y"]
    limits = own.calibrate(level=80).predict(frame)
    assert ends[0.8, "lower"].tolist() == limits["ptsm-lo-80"].tolist()
    assert (ends[0.9, "lower"] < ends[0.8, "lower"]).all()


@pytest.mark.parametrize("model", ["builtin", None])
def test_sktime_forecasts_each_series_of_an_unsorted_panel(model: str | None) -> None:
    module = extra("sktime")
    index = pandas.date_range("2021-03-01", periods=60, freq="D")
    # Levels of their own, not in the order of the names; more than nine, as texts of numbers have another order.
    levels = {f"shop {number:02}": 100.0 * ((number * 7) % 12 + 1) for number in range(12)}
    order = sorted(levels, key=lambda name: -levels[name])
    week = numpy.sin(2 * numpy.pi * numpy.arange(60) / 7)
    parts = {name: pandas.DataFrame({"y": levels[name] + week}, index=index) for name in order}
    panel = pandas.concat(parts, names=["shop", "day"])
    own = {} if model else {"options": {**SMALL, "epochs": 1}, "context_length": 14, "random_state": 1}
    forecaster = module.PatchTSMixerForecaster(model, **own).fit(panel, fh=[1, 3])
    found = forecaster.predict()
    assert found.equals(module.PatchTSMixerForecaster(model, **own).fit(panel.sort_index(), fh=[1, 3]).predict())
    for name, level in levels.items():
        assert (found.loc[name, "y"] - level).abs().max() < 50, name
    ends = forecaster.predict_interval(coverage=0.8)
    for name, level in levels.items():
        assert (ends.loc[name] - level).abs().to_numpy().max() < 50, name
    later = pandas.concat(
        {name: pandas.DataFrame({"y": [levels[name]] * 2}, index=index[-2:] + index.freq * 2) for name in order},
        names=["shop", "day"],
    )
    found = forecaster.update(later, update_params=False).predict()
    for name, level in levels.items():
        assert (found.loc[name, "y"] - level).abs().max() < 50, name


def test_sktime_finds_the_channels_of_a_model_by_their_names(tmp_path: Path) -> None:
    module = extra("sktime")
    index = pandas.date_range("2021-03-01", periods=80, freq="D")
    week = numpy.sin(2 * numpy.pi * numpy.arange(80) / 7)
    y = pandas.DataFrame({"sold": 10 + week, "price": 500 + week}, index=index)
    ptsm.Forecaster(3, 14, seed=1, **{**SMALL, "epochs": 1}).fit(
        y.reset_index(names="ds"), target_col=["sold", "price"]
    ).save_pretrained(tmp_path)
    wanted = module.PatchTSMixerForecaster(str(tmp_path)).fit(y, fh=[1, 2]).predict()
    assert ((wanted - [10, 500]).abs() < 100).all(axis=None)
    turned = module.PatchTSMixerForecaster(str(tmp_path)).fit(y[["price", "sold"]], fh=[1, 2]).predict()
    assert turned.equals(wanted[["price", "sold"]])
    other = y.rename(columns={"price": "cost"})
    with pytest.raises(ptsm.InvalidConfig, match="y: has the columns sold, cost, and the model the channels sold, price"):
        module.PatchTSMixerForecaster(str(tmp_path)).fit(other, fh=[1, 2])
    with pytest.raises(ptsm.InvalidConfig, match="y: has the columns sold, and the model the channels sold, price"):
        module.PatchTSMixerForecaster(str(tmp_path)).fit(y[["sold"]], fh=[1, 2])


def test_sktime_refuses_what_is_not_used(tmp_path: Path) -> None:
    module = extra("sktime")
    series = monthly()
    frame = pandas.DataFrame({"ds": series.index.to_timestamp(), "y": series.to_numpy()})
    own = ptsm.Forecaster(3, 12, **{**SMALL, "epochs": 1}).fit(frame).calibrate(level=80)
    own.save_pretrained(tmp_path)
    for name, value in {"context_length": 8, "split": "8:2:0", "metric": "mae", "options": {}}.items():
        for model in ("builtin", str(tmp_path)):
            with pytest.raises(ptsm.InvalidConfig, match=f"{name}: would not be used"):
                module.PatchTSMixerForecaster(model, **{name: value}).fit(series, fh=[1])
    with pytest.raises(ptsm.InvalidConfig, match="season_length: would not be used"):
        module.PatchTSMixerForecaster(str(tmp_path), season_length=12).fit(series, fh=[1])
    far = module.PatchTSMixerForecaster(str(tmp_path)).fit(series, fh=[1, 5])
    assert len(far.predict()) == 2
    with pytest.raises(ptsm.InvalidConfig, match="intervals up to its 3 steps, and none 5 steps ahead"):
        far.predict_interval(coverage=0.8)
    seeded = module.PatchTSMixerForecaster(options=SMALL, context_length=12, random_state=numpy.int64(4))
    wanted = module.PatchTSMixerForecaster(options=SMALL, context_length=12, random_state=4).fit(series, fh=[1])
    assert seeded.fit(series, fh=[1]).predict().equals(wanted.predict())


def test_sktime_refuses_quantiles_of_a_model_without_intervals(tmp_path: Path) -> None:
    module = extra("sktime")
    series = monthly()
    frame = pandas.DataFrame({"ds": series.index.to_timestamp(), "y": series.to_numpy()})
    ptsm.Forecaster(3, 12, **{**SMALL, "epochs": 1}).fit(frame).save_pretrained(tmp_path)
    forecaster = module.PatchTSMixerForecaster(str(tmp_path)).fit(series, fh=[1, 2])
    assert len(forecaster.predict()) == 2
    with pytest.raises(ptsm.InvalidConfig, match="no intervals"):
        forecaster.predict_interval()


def test_quantiles_between_those_that_are_known() -> None:
    quantile = extra("sktime")._quantile
    known = {0.5: 0.0, 0.1: -1.2815515655446004, 0.9: 1.2815515655446004, 0.975: 3.0}
    assert quantile(known, 0.9) == known[0.9]
    assert quantile(known, 0.75) == pytest.approx(0.6744897501960817)
    assert known[0.9] < quantile(known, 0.95) < known[0.975]
    assert quantile(known, 0.99) == pytest.approx(3.0 * 2.3263478740408408 / 1.959963984540054)
    assert quantile({0.5: 2.0}, 0.5) == 2.0
