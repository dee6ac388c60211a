"""Streams have the bits of predict at each moment."""

from __future__ import annotations

import polars
import pytest

import ptsm


@pytest.fixture(scope="module")
def trained(frame: polars.DataFrame) -> ptsm.Forecaster:
    """A small network."""
    return ptsm.Forecaster(h=5, context_length=28, epochs=1).fit(frame)


def test_a_stream_forecasts_as_predict_does(trained: ptsm.Forecaster, frame: polars.DataFrame) -> None:
    one = frame.filter(polars.col("unique_id") == "shop 1")
    stream = trained.stream(every=10, id="shop 1")
    made = 0
    for number, (_, time, value) in enumerate(one.iter_rows(), start=1):
        found = stream.push(time, value)
        if found is None:
            continue
        made += 1
        wanted = trained.predict(one.head(number))
        assert found.columns["ptsm"] == wanted["ptsm"].to_list()
        assert found.times == wanted["ds"].to_list()
        assert len(found) == 5
    assert made >= 10
    assert stream.report()["counters"]["rows"] == one.height


def test_a_state_goes_on_with_the_same_bits(trained: ptsm.Forecaster, frame: polars.DataFrame) -> None:
    one = frame.filter(polars.col("unique_id") == "shop 2")
    whole, first = trained.stream(), trained.stream()
    for _, time, value in one.head(100).iter_rows():
        whole.push(time, value)
        first.push(time, [value])
    second = trained.stream()
    second.restore(first.state())
    for _, time, value in one.tail(100).iter_rows():
        assert second.push(time, {"y": value}) == whole.push(time, value)
    with pytest.raises(ptsm.Error):
        second.restore(b"{}")


def test_times_come_back_as_they_were_pushed(trained: ptsm.Forecaster) -> None:
    stream = trained.stream(min_rows=1)
    found = stream.push("2021-03-01", 3.0)
    assert found is not None
    assert found.times is not None
    assert found.times[0] == "2021-03-02"
    pandas = pytest.importorskip("pandas")
    later = stream.push(pandas.Timestamp("2021-03-02"), 3.0)
    assert later is not None
    assert later.times is not None
    assert later.times[0] == pandas.Timestamp("2021-03-03")


def test_a_row_that_does_not_fit_is_refused(trained: ptsm.Forecaster) -> None:
    stream = trained.stream()
    with pytest.raises(ptsm.InvalidInput, match="2 values, wanted 1"):
        stream.push("2021-03-01", [1.0, 2.0])
    with pytest.raises(KeyError, match="'z' is no channel"):
        stream.push("2021-03-01", {"z": 1.0})
    with pytest.raises(ptsm.InvalidInput, match="no time"):
        stream.push(None, 1.0)
    with pytest.raises(ptsm.InvalidInput, match="not finite"):
        stream.push("2021-03-01", float("inf"))
