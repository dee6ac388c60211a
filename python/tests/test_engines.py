"""Spark and Ray: the bits of one process, also where a worker is killed in the middle."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from conftest import rows
from dying import Dying

import ptsm
from ptsm import arrow

SMALL = {"context_length": 14, "epochs": 1, "d_model": 8, "num_layers": 1, "seed": 2}

# The engines warn of things that are not ours.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def table() -> pyarrow.Table:
    """Forty series, the rows of a day together."""
    return pyarrow.table(rows(60, 40)).sort_by("ds")


@pytest.fixture(scope="module")
def trained(table: pyarrow.Table) -> ptsm.Forecaster:
    """A small network, calibrated."""
    ordered = table.sort_by([("unique_id", "ascending"), ("ds", "ascending")])
    return ptsm.Forecaster(5, **SMALL).fit(ordered, split="7:3:0").calibrate(level=80)


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that a killed worker leaves."""
    monkeypatch.setenv("PTSM_TEST_MARK", str(tmp_path / "mark"))
    return tmp_path / "mark"


def ordered(table: pyarrow.Table) -> pyarrow.Table:
    """The rows by series and time."""
    return table.sort_by([("unique_id", "ascending"), ("ds", "ascending")]).combine_chunks()


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    """Spark on two cores of this machine, which repeats a lost task."""
    sql = pytest.importorskip("pyspark.sql")
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    builder = sql.SparkSession.builder.master("local[2,4]").config("spark.ui.enabled", "false")
    builder = builder.config("spark.driver.host", "127.0.0.1").config("spark.sql.shuffle.partitions", "4")
    try:
        session = builder.config("spark.sql.session.timeZone", "UTC").getOrCreate()
    except Exception as error:
        pytest.skip(f"Spark cannot start: {str(error).splitlines()[0]}")
    yield session
    session.stop()


def test_spark_forecasts_with_the_bits_of_one_process(
    spark: Any, table: pyarrow.Table, trained: ptsm.Forecaster
) -> None:
    module = pytest.importorskip("ptsm.spark")
    frame = spark.createDataFrame(table.to_pandas())
    found = module.predict(frame, trained, 5, level=80).toPandas()
    wanted = arrow.Predict(trained, 5, level=80).sorted(table)
    found = ordered(pyarrow.table(found).select(wanted.column_names))
    for name in wanted.column_names:
        assert found[name].to_pylist() == ordered(wanted)[name].to_pylist()


def test_spark_repeats_a_task_whose_worker_was_killed(
    spark: Any, table: pyarrow.Table, trained: ptsm.Forecaster, mark: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = pytest.importorskip("ptsm.spark")
    monkeypatch.setattr(module, "Predict", Dying)
    frame = spark.createDataFrame(table.to_pandas())
    found = pyarrow.table(module.predict(frame, trained, 5).toPandas())
    assert mark.exists()
    wanted = ordered(arrow.Predict(trained, 5).sorted(table))
    for name in wanted.column_names:
        assert ordered(found)[name].to_pylist() == wanted[name].to_pylist()


def test_spark_trains_a_model_for_each_group(spark: Any, table: pyarrow.Table) -> None:
    module = pytest.importorskip("ptsm.spark")
    region = ["north" if name < "shop 2" else "south" for name in table["unique_id"].to_pylist()]
    grouped = table.append_column("region", pyarrow.array(region))
    params, how = {"h": 5, **SMALL}, {"split": "7:3:0"}
    found = module.train_groups(spark.createDataFrame(grouped.to_pandas()), "region", params, how)
    models = {row["region"]: row for row in found.collect()}
    assert sorted(models) == ["north", "south"]
    for name, row in models.items():
        own = ordered(grouped.filter(pyarrow.compute.field("region") == name).drop_columns("region"))
        wanted = ptsm.Forecaster(5, **SMALL).fit(own, **how).predict(own)["ptsm"].to_pylist()
        assert arrow.model_of(bytes(row["model"])).predict(own)["ptsm"].to_pylist() == wanted


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """Ray on two cores of this machine."""
    ray = pytest.importorskip("ray")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=300 << 20)
    yield ray
    ray.shutdown()


def test_ray_forecasts_with_the_bits_of_one_process(
    ray: Any, table: pyarrow.Table, trained: ptsm.Forecaster
) -> None:
    module = pytest.importorskip("ptsm.ray")
    found = module.predict(ray.data.from_arrow(table), trained, 5, level=80, blocks=3)
    found = pyarrow.concat_tables(ray.get(found.to_arrow_refs()))
    wanted = arrow.Predict(trained, 5, level=80).sorted(table)
    assert ordered(found.select(wanted.column_names)).equals(ordered(wanted))


def test_ray_repeats_a_block_whose_worker_was_killed(
    ray: Any, table: pyarrow.Table, trained: ptsm.Forecaster, mark: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = pytest.importorskip("ptsm.ray")
    monkeypatch.setattr(module, "Predict", Dying)
    found = module.predict(ray.data.from_arrow(table), trained, 5, blocks=3)
    monkeypatch.setattr(module, "Predict", arrow.Predict)
    found = pyarrow.concat_tables(ray.get(found.to_arrow_refs()))
    assert mark.exists()
    wanted = arrow.Predict(trained, 5).sorted(table)
    assert ordered(found.select(wanted.column_names)).equals(ordered(wanted))


def test_ray_ranks_trainings(ray: Any, table: pyarrow.Table) -> None:
    module = pytest.importorskip("ptsm.ray")
    grid = [{"h": 5, **SMALL}, {"h": 5, **SMALL, "epochs": 3}, {"h": 5, **SMALL, "context_length": 500}]
    with pytest.raises(ptsm.InvalidConfig, match="different h .5, 6."):
        module.tune(table, [{"h": 5, **SMALL}, {"h": 6, **SMALL}])
    found = module.tune(table, grid, {"split": "7:3:0"})
    assert [row["error"] is None for row in found] == [True, True, False]
    assert found[0]["mase"] <= found[1]["mase"]
    assert found[2]["params"]["context_length"] == 500
    own = ordered(table)
    wanted = ptsm.Forecaster(**found[0]["params"]).fit(own, split="7:3:0").predict(own)
    assert arrow.model_of(found[0]["model"]).predict(own).equals(wanted)
