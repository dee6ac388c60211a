"""Rolling cutoffs, covariates, surprises and reasons, with the bits of the command."""

from __future__ import annotations

import pickle
from pathlib import Path

import polars
import pytest
from conftest import START, as_columns, as_kind, command, rows

import ptsm

SMALL = {"context_length": 28, "epochs": 2, "seed": 3}


@pytest.fixture(scope="module")
def trained(frame: polars.DataFrame) -> ptsm.Forecaster:
    """A small network, calibrated."""
    return ptsm.Forecaster(h=7, **SMALL).fit(frame).calibrate(frame)


def test_a_cross_validation_has_the_bits_of_the_command(trained: ptsm.Forecaster, kind: str, tmp_path: Path) -> None:
    frame = as_kind(rows(), kind)
    trained.save_pretrained(tmp_path / "m")
    polars.DataFrame(rows()).write_parquet(tmp_path / "in.parquet")
    command(
        "backtest", "--model", "m", "--data", "in.parquet", "--windows", "3", "--step", "4", "--no-baselines",
        "--interval-names", "nixtla", "--out", "out.parquet", folder=tmp_path,
    )  # fmt: skip
    found = trained.cross_validation(frame, n_windows=3, step_size=4)
    assert type(found) is type(frame)
    found = as_columns(found)
    names = ["unique_id", "ds", "cutoff", "y", "ptsm"]
    assert list(found)[:5] == names
    wanted = polars.read_parquet(tmp_path / "out.parquet")
    assert len(found["ds"]) == 3 * 4 * 7
    for name in found:
        theirs = "y_actual" if name == "y" else name.replace("ptsm", "y", 1)
        assert as_columns(wanted)[theirs] == found[name], name


def test_a_backtest_has_scores_and_rows(trained: ptsm.Forecaster, frame: polars.DataFrame) -> None:
    found = trained.backtest(frame, n_windows=2)
    assert found["models"][0]["name"] == "ptsm"
    assert found["models"][0]["overall"]["mase"] > 0
    assert {one["name"] for one in found["baselines"]} >= {"repeat_last"}
    assert str(found).startswith("frame")
    assert found.rows.equals(trained.cross_validation(frame, n_windows=2))
    back = pickle.loads(pickle.dumps(found))
    assert back == found
    assert back.rows.equals(found.rows)
    # The last cutoff is a horizon before the end.
    last = found.rows.filter(polars.col("cutoff") == polars.col("cutoff").max())
    wanted = trained.predict(frame, rows_before_end=7)
    assert last["ptsm"].to_list() == wanted["ptsm"].to_list()
    with pytest.raises(ptsm.InvalidConfig, match="n_windows"):
        trained.backtest(frame, n_windows=0)


def test_a_backtest_trains_again(frame: polars.DataFrame) -> None:
    forecaster = ptsm.Forecaster(h=7, **SMALL).fit(frame)
    fixed = forecaster.cross_validation(frame, n_windows=2)
    again = forecaster.cross_validation(frame, n_windows=2, refit=True)
    assert again["y"].equals(fixed["y"])
    assert not again["ptsm"].equals(fixed["ptsm"])
    once = forecaster.cross_validation(frame, n_windows=2, refit=2)
    assert once["cutoff"].equals(fixed["cutoff"])
    assert once["ptsm"].to_list()[:28] == again["ptsm"].to_list()[:28]


def test_columns_of_a_backtest_may_be_called_anything(trained: ptsm.Forecaster, frame: polars.DataFrame) -> None:
    wanted = trained.cross_validation(frame, n_windows=2)
    for name, time, target in (
        ("cutoff_shop", "ds", "y"),
        ("y_actual", "ds", "y"),
        ("y-shop", "y_day", "y"),
        ("ptsm", "cutoff", "y"),
        ("shop", "day", "y_actual"),
        ("shop", "day", "cutoff"),
    ):
        renamed = frame.rename({"unique_id": name, "ds": time, "y": target})
        own = ptsm.Forecaster(h=7, **SMALL).fit(renamed, id_col=name, time_col=time, target_col=target).calibrate()
        found = own.cross_validation(renamed, n_windows=2)
        assert [name, time, target] == [found.columns[place] for place in (0, 1, 3)]
        assert found.columns[2].startswith("cutoff")
        assert [column.to_list() for column in found] == [column.to_list() for column in wanted]
        assert found.dtypes == wanted.dtypes


def test_options_that_are_not_used_are_refused(trained: ptsm.Forecaster, frame: polars.DataFrame) -> None:
    for call in (trained.backtest, trained.cross_validation, trained.explain):
        with pytest.raises(ptsm.InvalidConfig, match="split: would not be used"):
            call(frame, split="7:1:2")
    for call in (trained.cross_validation, trained.explain, trained.detect):
        with pytest.raises(ptsm.InvalidConfig, match="season_length: would not be used"):
            call(frame, season_length=7)
    for refit in (-1, 2.7, "yes"):
        with pytest.raises(ptsm.InvalidConfig, match="refit: "):
            trained.backtest(frame, refit=refit)


def promoted() -> polars.DataFrame:
    """The series with a promotion that lifts them."""
    day = polars.int_range(polars.len()).over("unique_id")
    promo = ((day * 7919 % 11) < 2).cast(polars.Float64)
    frame = polars.DataFrame(rows()).with_columns(promo.alias("promo"))
    return frame.with_columns(polars.col("y") + 6 * polars.col("promo"))


def test_covariates_have_the_bits_of_the_command(tmp_path: Path) -> None:
    frame = promoted()
    last = START.replace(year=2021, month=9, day=9)
    past = frame.filter(polars.col("ds") <= last)
    plan = frame.filter(polars.col("ds") > last).drop("y")
    forecaster = ptsm.Forecaster(h=7, **SMALL).fit(past, target_col="y", future_covariates=["promo"])
    assert any("promo" in note for note in forecaster.notes_)
    assert forecaster.info_["covariates"] == ["promo"]
    found = forecaster.predict(past, X_df=plan)
    past.write_parquet(tmp_path / "past.parquet")
    plan.write_parquet(tmp_path / "plan.parquet")
    forecaster.save_pretrained(tmp_path / "m")
    command(
        "predict", "--model", "m", "--data", "past.parquet", "--future", "plan.parquet", "--out", "out.parquet",
        folder=tmp_path,
    )  # fmt: skip
    assert found["ptsm"].to_list() == polars.read_parquet(tmp_path / "out.parquet")["y"].to_list()
    # Rows at the end without a target are a plan, too.
    whole = polars.concat([past, plan], how="diagonal").sort("unique_id", "ds")
    assert forecaster.predict(whole)["ptsm"].to_list() == found["ptsm"].to_list()
    with pytest.raises(ptsm.InvalidInput, match="promo"):
        forecaster.predict(past)
    # From earlier cutoffs the covariates are those of the frame.
    crossed = forecaster.cross_validation(past, n_windows=1)
    assert (crossed["y"] - crossed["ptsm"]).abs().mean() < 3
    reasons = forecaster.explain(past, X_df=plan)
    assert "covariate" in reasons["kind"].to_list()
    with pytest.raises(ptsm.InvalidConfig, match="not trained again"):
        forecaster.cross_validation(past, refit=True)


def test_a_plan_is_refused_where_there_are_no_covariates(
    trained: ptsm.Forecaster, frame: polars.DataFrame
) -> None:
    with pytest.raises(ptsm.InvalidConfig, match="X_df: the model knows no covariates"):
        trained.predict(frame, X_df=promoted().drop("y"))
    with pytest.raises(TypeError, match="future_covariates"):
        trained.predict(frame, future_covariates=["promo"])


def test_a_scan_has_the_bits_of_the_command(trained: ptsm.Forecaster, kind: str, tmp_path: Path) -> None:
    columns = rows()
    place = 4 * 50 - 5
    columns["y"][place] = 90.0
    frame = as_kind(columns, kind)
    trained.save_pretrained(tmp_path / "m")
    polars.DataFrame(columns).write_parquet(tmp_path / "in.parquet")
    command(
        "detect", "--model", "m", "--data", "in.parquet", "--alpha", "0.02", "--out", "out.parquet", folder=tmp_path
    )
    found = trained.detect(frame, alpha=0.02)
    assert type(found.rows) is type(frame)
    wanted = as_columns(polars.read_parquet(tmp_path / "out.parquet"))
    assert as_columns(found.rows) == wanted
    assert found["events"][0]["value"] == 90.0
    assert found["anomalies"] == sum(wanted["anomaly"])


def test_a_scan_is_calibrated_on_another_frame(trained: ptsm.Forecaster, frame: polars.DataFrame) -> None:
    first = frame.filter(polars.int_range(polars.len()).over("unique_id") < 150)
    found = trained.detect(frame, calibration=first, fdr=0.2)
    assert found["calibrated_on"] == "all rows of calibration"
    assert pickle.loads(pickle.dumps(found)) == found
    with pytest.raises(ptsm.InvalidConfig, match="would not be used"):
        trained.detect(frame, calibration=first, split="8:1:1")
    with pytest.raises(ptsm.InvalidConfig, match="give either"):
        trained.detect(frame, alpha=0.1, fdr=0.1)


def test_reasons_have_the_bits_of_the_command(trained: ptsm.Forecaster, kind: str, tmp_path: Path) -> None:
    frame = as_kind(rows(), kind)
    trained.save_pretrained(tmp_path / "m")
    polars.DataFrame(rows()).write_parquet(tmp_path / "in.parquet")
    command("explain", "--model", "m", "--data", "in.parquet", "--out", "out.parquet", folder=tmp_path)
    found = trained.explain(frame)
    assert type(found) is type(frame)
    assert as_columns(found) == as_columns(polars.read_parquet(tmp_path / "out.parquet"))
