"""Functions of Arrow tables: in pieces, in parts, in other processes, with the bits of one call."""

from __future__ import annotations

import copy
import json
import multiprocessing
import pickle

import pyarrow
import pytest
from conftest import rows

import ptsm
from ptsm import arrow, studies

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


#: Models that were loaded in this process by `_loaded`.
LOADS: list[object] = []


def _loaded(given: tuple[bytes, pyarrow.Table]) -> tuple[pyarrow.Table, int]:
    text, table = given
    load = ptsm.Forecaster._set_files

    def counted(self: ptsm.Forecaster, files: object) -> None:
        LOADS.append(files)
        load(self, files)

    ptsm.Forecaster._set_files = counted
    try:
        found = pickle.loads(text)(table)
    finally:
        ptsm.Forecaster._set_files = load
    return found, len(LOADS)


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


def test_a_forecaster_that_is_trained_again_changes_nothing(table: pyarrow.Table) -> None:
    own = ptsm.Forecaster(5, **SMALL).fit(table)
    old = copy.deepcopy(own).predict(table)["ptsm"]
    function = arrow.Predict(own, 5)
    assert function(table)["ptsm"].equals(old)
    own.fit(table.slice(0, 450))
    assert not own.predict(table)["ptsm"].equals(old)
    assert function(table)["ptsm"].equals(old)
    assert arrow.Predict(own, 5)(table)["ptsm"].equals(own.predict(table)["ptsm"])


def test_few_models_are_kept(table: pyarrow.Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow, "_MODELS", 2)
    functions = [arrow.Predict(ptsm.Forecaster(5, **{**SMALL, "seed": seed}).fit(table)) for seed in range(3)]
    first = [function(table) for function in functions]
    assert list(arrow._LOADED) == [function._key for function in functions[1:]]
    assert [function(table) for function in functions] == first


def test_rows_that_are_not_grouped_are_refused(table: pyarrow.Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow, "_ROWS_AT_ONCE", 100)
    function = arrow.Predict("builtin", 3)
    half = pyarrow.concat_tables([table.slice(0, 45), table.slice(90, 90), table.slice(45, 45)])
    far = pyarrow.concat_tables([table.slice(0, 45), table.slice(90), table.slice(45, 45)])
    for torn in (half, far, table.sort_by("ds")):
        with pytest.raises(ptsm.InvalidInput, match="series 'shop 0' do not follow one another.*sorted"):
            arrow.parts(torn, 2)
        with pytest.raises(ptsm.InvalidInput, match="series 'shop 0' do not follow one another.*sorted"):
            list(function.batches(torn.to_batches(max_chunksize=30)))
        assert function.sorted(torn).equals(function(torn.sort_by([("unique_id", "ascending"), ("ds", "ascending")])))
    coded = table.set_column(0, "unique_id", table["unique_id"].dictionary_encode())
    assert [len(part) for part in arrow.parts(coded, 3)] == [270, 270, 270]


def test_rows_without_a_series_are_refused(table: pyarrow.Table) -> None:
    names = [None if row == 5 else name for row, name in enumerate(table["unique_id"].to_pylist())]
    unnamed = table.set_column(0, "unique_id", pyarrow.array(names))
    for call in (arrow.Predict("builtin", 3), arrow.Predict("builtin", 3).sorted, lambda one: arrow.parts(one, 2)):
        with pytest.raises(ptsm.InvalidInput, match="unique_id: 1 of 810 rows name no series"):
            call(unnamed)


@pytest.mark.parametrize("builtin", [True, False])
def test_a_piece_without_a_value_has_an_empty_answer(
    trained: ptsm.Forecaster, table: pyarrow.Table, builtin: bool
) -> None:
    function = arrow.Predict("builtin" if builtin else trained, 3)
    values = [None if row < 90 else value for row, value in enumerate(table["y"].to_pylist())]
    gaps = table.set_column(2, "y", pyarrow.array(values, pyarrow.float64()))
    with pytest.warns(UserWarning):
        whole = function(gaps)
    with pytest.warns(UserWarning, match="empty"):
        first = function(gaps.slice(0, 90))
    assert first.equals(function.schema(table.schema).empty_table())
    assert function(gaps.slice(90)).equals(whole)


def test_a_group_is_one_group(table: pyarrow.Table) -> None:
    function = arrow.Train("unique_id", {"h": 5, **SMALL})
    with pytest.raises(ptsm.InvalidInput, match="unique_id: the column has 9 values .'shop 0', 'shop 1'"):
        function(table)
    with pytest.raises(ptsm.InvalidInput, match="unique_id: the column has no row"):
        function(table.slice(0, 0))


def test_a_training_is_scored_as_it_was_read(table: pyarrow.Table, monkeypatch: pytest.MonkeyPatch) -> None:
    values = [-1.0 if value is None else value for value in table["y"].to_pylist()]
    marked = table.set_column(2, "y", pyarrow.array(values))
    own = {"missing": [-1.0], "season_length": 5, "split": "6:3:1"}
    row = arrow.Train([], {"h": 5, **SMALL}, own)(marked).to_pylist()[0]
    forecaster = ptsm.Forecaster(5, **SMALL).fit(marked, **own)
    assert row["mase"] == forecaster.evaluate(split="validation", season_length=5, missing=[-1.0])["mase"]

    def fails(self: ptsm.Forecaster, **how: object) -> None:
        raise ptsm.InvalidInput("no windows", "InvalidInput", None, 2)

    monkeypatch.setattr(ptsm.Forecaster, "_evaluated", fails)
    row = arrow.Train([], {"h": 5, **SMALL}, own)(marked).to_pylist()[0]
    assert row["error"] == "trained, but not scored: no windows"
    assert arrow.model_of(row["model"]).predict(marked).equals(forecaster.predict(marked))


def test_scores_of_rows_that_were_trained_on_say_so(table: pyarrow.Table, monkeypatch: pytest.MonkeyPatch) -> None:
    own = ptsm.Forecaster(5, **SMALL).fit(table)
    wanted = own.evaluate(table, split="validation")
    files = own._fitted().files()
    record = json.loads(files["training.json"])
    assert not record["training"].get("with_validation")
    record["training"]["with_validation"] = True
    seen = ptsm.Forecaster(5)
    seen._set_files({**files, "training.json": json.dumps(record).encode()})
    with pytest.warns(UserWarning, match="fitted to the validation part"):
        assert seen.evaluate(table, split="validation")["mase"] == wanted["mase"]
    seen.evaluate(table)
    assert "fitted to the validation" not in arrow.Train([], {"h": 5, **SMALL})(table)["notes"][0].as_py()
    monkeypatch.setattr(studies, "_fitted_to_validation", lambda files: True)
    assert "fitted to the validation" in arrow.Train([], {"h": 5, **SMALL})(table)["notes"][0].as_py()


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ({"quantiles": [1.5]}, "quantiles"),
        ({"level": 99}, "level: 99 must be from 1 to 95"),
        ({"h": 0}, "h: 0"),
        ({"how": {"id_col": "shop"}}, "argument of its own"),
        ({"how": {"X_df": 1}}, "covariates"),
        ({"how": {"split": "7:3:0"}}, "no parts"),
        ({"how": {"sorted": True}}, "'sorted' is no argument"),
    ],
)
def test_what_a_worker_would_refuse_is_refused_at_once(named: dict[str, object], told: str) -> None:
    with pytest.raises(ptsm.InvalidConfig, match=told):
        arrow.Predict("builtin", **named)


def test_a_model_that_does_not_fit_is_refused_at_once(trained: ptsm.Forecaster, table: pyarrow.Table) -> None:
    with pytest.raises(ptsm.InvalidConfig, match="no intervals beyond the 5 steps"):
        arrow.Predict(trained, 9, level=80)
    assert arrow.Predict(trained, 9)(table).num_rows == 81
    bare = ptsm.Forecaster(5, **SMALL).fit(table)
    with pytest.raises(ptsm.InvalidConfig, match="no intervals"):
        arrow.Predict(bare, 5, quantiles=[0.1])
    for name in ("model", "mase", "notes", "error"):
        with pytest.raises(ptsm.InvalidConfig, match=f"by: '{name}' is a column"):
            arrow.Train(name)
    for how in ({"checkpoint": "folder"}, {"splitt": "7:3:0"}):
        with pytest.raises(ptsm.InvalidConfig, match="how: "):
            arrow.Train("unique_id", how=how)
    planned = table.append_column("promo", pyarrow.array([float(row % 7 == 2) for row in range(len(table))]))
    known = ptsm.Forecaster(5, **SMALL).fit(planned, target_col="y", future_covariates=["promo"])
    if known.info_["covariates"]:
        with pytest.raises(ptsm.InvalidConfig, match="knows covariates .promo"):
            arrow.Predict(known, 5)


def test_columns_that_are_not_there_are_told(table: pyarrow.Table) -> None:
    with pytest.raises(KeyError, match="sold"):
        arrow.Predict("builtin", 3, target_col="sold")(table)
