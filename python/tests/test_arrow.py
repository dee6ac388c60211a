"""Functions of Arrow tables: in pieces, in parts, in other processes, with the bits of one call."""

from __future__ import annotations

import multiprocessing
import pickle

import pyarrow
import pytest
from conftest import rows

import ptsm
from ptsm import arrow

SMALL = {"context_length": 14, "epochs": 1, "d_model": 8, "num_layers": 1, "seed": 2}


@pytest.fixture(scope="module")
def table() -> pyarrow.Table:
    """Nine series."""
    return pyarrow.table(rows(90, 9))


@pytest.fixture(scope="module")
def trained(table: pyarrow.Table) -> ptsm.Forecaster:
    """A small network, calibrated."""
    return ptsm.Forecaster(5, alias="own", **SMALL).fit(table).calibrate(level=[80, 97.5])


def test_a_function_has_the_bits_of_the_forecaster(trained: ptsm.Forecaster, table: pyarrow.Table) -> None:
    function = arrow.Predict(trained, 5, level=[80, 97.5], quantiles=[0.1], alias="net")
    found = function(table)
    wanted = trained.predict(table, 5, level=[80, 97.5], quantiles=[0.1])
    assert found.schema == function.schema(table.schema)
    assert found.column_names[2:] == [
        "net", "net-lo-97.5", "net-lo-80", "net-hi-80", "net-hi-97.5", "net_q0.1",
    ]  # fmt: skip
    assert found.rename_columns(wanted.column_names).equals(wanted)
    assert function(table.slice(0, 0)).schema == found.schema


@pytest.mark.parametrize("size", [7, 90, 91, 1000])
def test_a_series_may_cross_the_borders_of_pieces(
    trained: ptsm.Forecaster, table: pyarrow.Table, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrow, "_ROWS_AT_ONCE", 100)
    function = arrow.Predict(trained, level=80)
    pieces = function.batches(table.to_batches(max_chunksize=size))
    assert pyarrow.Table.from_batches(pieces).equals(function(table))
    assert list(function.batches([])) == []
    mixed = table.take(pyarrow.array([(7 * row) % len(table) for row in range(len(table))]))
    assert function.sorted(mixed).equals(function(table))


def test_parts_hold_whole_series(table: pyarrow.Table) -> None:
    for count in (1, 2, 4, 9, 30):
        cut = arrow.parts(table, count)
        assert pyarrow.concat_tables(cut).equals(table)
        assert len(cut) == min(count, 9)
        assert all(part.num_rows % 90 == 0 for part in cut)
    assert arrow.parts(table.slice(0, 0), 3) == []
    with pytest.raises(ptsm.InvalidConfig, match="count"):
        arrow.parts(table, 0)


def test_a_process_loads_a_model_once(trained: ptsm.Forecaster, table: pyarrow.Table) -> None:
    text = pickle.dumps(arrow.Predict(trained, 3))
    wanted = arrow.Predict(trained, 3)(table)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.map(_loaded, [(text, table)] * 3)
    assert [loaded for _, loaded in found] == [1, 1, 1]
    assert all(one.equals(wanted) for one, _ in found)


def _loaded(given: tuple[bytes, pyarrow.Table]) -> tuple[pyarrow.Table, int]:
    text, table = given
    found = pickle.loads(text)(table)
    return found, len(arrow._LOADED)


def test_joblib_has_the_bits_of_one_process(table: pyarrow.Table) -> None:
    joblib = pytest.importorskip("joblib")
    function = arrow.Predict("builtin", 4, level=80)
    found = joblib.Parallel(2)(joblib.delayed(function)(part) for part in arrow.parts(table, 4))
    assert pyarrow.concat_tables(found).equals(function(table))


def test_a_group_is_trained_to_the_bits_of_the_forecaster(table: pyarrow.Table) -> None:
    grouped = table.append_column("region", pyarrow.array(["north"] * len(table)))
    function = arrow.Train("region", {"h": 5, **SMALL})
    found = function(grouped)
    assert found.schema == function.schema(grouped.schema)
    row = found.to_pylist()[0]
    assert row["region"] == "north"
    assert row["error"] is None
    own = ptsm.Forecaster(5, **SMALL).fit(table)
    assert row["mase"] == own.evaluate(split="validation")["mase"]
    assert arrow.model_of(row["model"]).predict(table).equals(own.predict(table))


def test_a_training_that_fails_is_told_in_its_row(table: pyarrow.Table) -> None:
    short = table.slice(0, 6)
    row = arrow.Train("unique_id", {"h": 5, **SMALL})(short).to_pylist()[0]
    assert row["unique_id"] == "shop 0"
    assert row["model"] is None
    assert "too few" in row["error"]
    with pytest.raises(ptsm.InvalidConfig, match="is no option"):
        arrow.Train("unique_id", {"d_modl": 3})


def test_columns_that_are_not_there_are_told(table: pyarrow.Table) -> None:
    with pytest.raises(KeyError, match="sold"):
        arrow.Predict("builtin", 3, target_col="sold")(table)
