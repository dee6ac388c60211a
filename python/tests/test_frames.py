"""Frames of each kind in, the same kind out, with the bits of the command."""

from __future__ import annotations

from pathlib import Path

import pandas
import polars
import pyarrow
import pytest
from conftest import as_columns, as_kind, command, rows

import ptsm


def test_a_forecast_without_training_has_the_bits_of_the_command(kind: str, tmp_path: Path) -> None:
    frame = as_kind(rows(), kind)
    found = ptsm.forecast(frame, 7)
    assert type(found) is type(frame)
    polars.DataFrame(rows()).write_parquet(tmp_path / "in.parquet")
    command(
        "forecast", "in.parquet", "--horizon", "7", "--interval-names", "nixtla", "--out", "out.parquet", folder=tmp_path
    )  # fmt: skip
    wanted = polars.read_parquet(tmp_path / "out.parquet")
    found = as_columns(found)
    wanted = wanted.rename({name: name.replace("y", "ptsm", 1) for name in wanted.columns if name[0] == "y"})
    assert list(found) == wanted.columns
    assert found == wanted.to_dict(as_series=False)


def test_columns_come_back_in_their_types() -> None:
    columns = rows(60, 2)
    frame = polars.DataFrame(columns).with_columns(
        polars.col("unique_id").cast(polars.Categorical), polars.col("ds").cast(polars.Datetime("ms"))
    )
    found = ptsm.forecast(frame, 3)
    assert found.schema["ds"] == polars.Datetime("ms")
    assert found["unique_id"].to_list() == ["shop 0"] * 3 + ["shop 1"] * 3
    numbered = pyarrow.table({**columns, "unique_id": [7] * 60 + [8] * 60})
    assert ptsm.forecast(numbered, 3).column("unique_id").to_pylist() == [7] * 3 + [8] * 3
    dates = frame.with_columns(polars.col("ds").cast(polars.Date))
    assert ptsm.forecast(dates, 3).schema["ds"] == polars.Date
    texts = frame.with_columns(polars.col("ds").dt.strftime("%d/%m/%Y"))
    assert ptsm.forecast(texts, 1)["ds"][0] == "30/04/2021"


def test_an_index_of_pandas_is_kept() -> None:
    frame = pandas.DataFrame(rows(60, 2))
    wanted = ptsm.forecast(frame, 3)
    both = ptsm.forecast(frame.set_index(["unique_id", "ds"]), 3)
    assert both.index.names == ["unique_id", "ds"]
    assert both.reset_index().equals(wanted)
    one = frame[frame["unique_id"] == "shop 0"].set_index("ds")[["y"]].rename_axis(None)
    found = ptsm.forecast(one, 3)
    assert found.index.name is None
    assert found["ptsm"].tolist() == wanted["ptsm"].tolist()[:3]


def test_columns_may_have_other_names(kind: str) -> None:
    columns = rows(60, 2)
    renamed = {"shop": columns["unique_id"], "day": columns["ds"], "sold": columns["y"], "more": columns["y"]}
    frame = as_kind(renamed, kind)
    found = as_columns(ptsm.forecast(frame, 3, id_col="shop", time_col="day", target_col="sold", alias="f"))
    assert list(found) == ["shop", "day", "f", "f-lo-95", "f-lo-80", "f-hi-80", "f-hi-95"]
    both = as_columns(ptsm.forecast(frame, 3, id_col="shop", target_col=["sold", "more"], level=50))
    assert list(both)[2:] == ["sold", "sold-lo-50", "sold-hi-50", "more", "more-lo-50", "more-hi-50"]


def test_the_columns_of_chronos() -> None:
    frame = polars.DataFrame(rows(60, 2)).rename({"unique_id": "item_id", "ds": "timestamp", "y": "target"})
    found = ptsm.predict_df("builtin", frame, prediction_length=2)
    assert found.columns == ["item_id", "timestamp", "target_name", "predictions", "0.1", "0.5", "0.9"]
    assert found["predictions"].equals(found["0.5"].rename("predictions"))
    same = ptsm.forecast(frame, 2, level=80)
    assert found["0.9"].to_list() == same["ptsm-hi-80"].to_list()


def test_what_is_no_frame_is_refused() -> None:
    with pytest.raises(TypeError, match="wanted a frame .* got list"):
        ptsm.forecast([1, 2, 3])
    with pytest.raises(ptsm.InvalidInput, match=r"no column \"sales\".*the columns are unique_id, ds, y") as caught:
        ptsm.forecast(polars.DataFrame(rows(20, 1)), target_col="sales")
    assert caught.value.place == "frame"
    with pytest.raises(ptsm.InvalidConfig, match="level: 120 must be above 0 and below 100"):
        ptsm.forecast(polars.DataFrame(rows(20, 1)), level=120)


def test_batches_are_read_by_any_library() -> None:
    frame = polars.DataFrame(rows(60, 2))

    class Other:
        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return frame.__arrow_c_stream__(requested_schema)

    found = ptsm.forecast(Other(), 3)
    assert isinstance(found, ptsm.Batches)
    assert found.num_rows == 6
    assert pyarrow.table(found).column_names == found.column_names


def test_a_series_without_a_value_is_named() -> None:
    columns = rows(30, 2)
    columns["y"][:30] = [None] * 30
    with pytest.warns(UserWarning, match="skipped, as no value is known before the forecast: shop 0"):
        found = ptsm.forecast(polars.DataFrame(columns), 2)
    assert found["unique_id"].to_list() == ["shop 1"] * 2


def test_rows_are_put_in_order_and_on_a_grid_where_that_is_asked_for() -> None:
    frame = polars.DataFrame(rows(60, 1))
    wanted = ptsm.forecast(frame, 3)
    turned = frame.reverse()
    with pytest.raises(ptsm.InvalidInput, match="`sort=True`|`sort`"):
        ptsm.forecast(turned, 3)
    assert ptsm.forecast(turned, 3, sort=True).equals(wanted)
    marked = frame.with_columns(polars.col("y").fill_null(-9999.0))
    assert ptsm.forecast(marked, 3, missing=[-9999]).equals(wanted)
    assert ptsm.forecast(frame, 3, freq="D").equals(wanted)
    with pytest.raises(TypeError, match="sorted"):
        ptsm.forecast(frame, 3, sorted=True)
