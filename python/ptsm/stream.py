"""Forecasts while rows arrive."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ptsm import _ptsm


@dataclass(frozen=True)
class Forecast:
    """A forecast: a list for each column, one entry for each step."""

    #: Times of the steps, of the kind that was pushed; None where rows are only numbered.
    times: list[Any] | None
    #: ``ptsm``, ``ptsm-lo-80``, ..., or with the names of the channels where there are several.
    columns: dict[str, list[float]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), []))


class Stream:
    """Remembers the last rows of one series and forecasts from them, with the bits of ``predict`` at that moment.

    A time that is skipped is a row of missing points; a late row fills in what was missing; of two rows with the newest
    time the last counts.
    """

    def __init__(
        self,
        core: _ptsm.ForecastCore,
        info: Mapping[str, Any],
        *,
        every: int,
        min_rows: int | None,
        id: str,
        alias: str,
    ) -> None:
        self._core = _ptsm.StreamCore(core, id, every, min_rows)
        self._channels: list[str] = list(info["channels"])
        self._alias = alias

    def push(
        self, time: Any, values: float | Sequence[float | None] | Mapping[str, float | None] | None
    ) -> Forecast | None:
        """Takes a row in; gives a forecast if one is due.

        ``time`` is a datetime, a date, a text or a whole number, as in the training; None where rows are numbered.
        ``values`` are those of the channels in order, or by name; None or NaN is missing.
        """
        if isinstance(values, Mapping):
            unknown = set(values) - set(self._channels)
            if unknown:
                text = f"{sorted(unknown)[0]!r} is no channel (they are {', '.join(self._channels)})"
                raise KeyError(text)
            row = [values.get(name) for name in self._channels]
        elif values is None or isinstance(values, (int, float)) or getattr(values, "ndim", 1) == 0:
            row = [None if values is None else float(values)]  # type: ignore[arg-type]
        else:
            row = [None if value is None else float(value) for value in values]
        told = self._core.push(None if time is None else str(time), row)
        if told is None:
            return None
        times, channels, points, intervals = told
        return Forecast(_like(times, time), self._columns(channels, points, intervals))

    def _columns(
        self, channels: list[str], points: list[float], intervals: list[tuple[float, list[float], list[float]]]
    ) -> dict[str, list[float]]:
        width = len(channels)
        columns: dict[str, list[float]] = {}
        for number, channel in enumerate(channels):
            name = self._alias if width == 1 else channel
            columns[name] = points[number::width]
            for percent, lower, _ in reversed(intervals):
                columns[f"{name}-lo-{percent:.6g}"] = lower[number::width]
            for percent, _, upper in intervals:
                columns[f"{name}-hi-{percent:.6g}"] = upper[number::width]
        return columns

    def state(self) -> bytes:
        """All that the stream has seen; another one of the same model continues from it with the same bits."""
        return self._core.state().encode()

    def restore(self, state: bytes) -> None:
        """Goes on where :meth:`state` was asked for."""
        self._core.restore(state.decode())

    def report(self) -> dict[str, Any]:
        """Counts of rows, the running score of the forecasts whose truth has come, and the drift alarm."""
        report: dict[str, Any] = json.loads(self._core.report())
        return report


def _like(times: list[str] | None, given: Any) -> list[Any] | None:
    """Times as texts, as values of the kind of ``given``."""
    if times is None or isinstance(given, str):
        return times
    if isinstance(given, datetime.datetime):
        # A Timestamp of pandas is a datetime, too, and makes its own kind.
        return [type(given).fromisoformat(time.replace("Z", "+00:00")) for time in times]
    if isinstance(given, datetime.date):
        return [datetime.date.fromisoformat(time[:10]) for time in times]
    kind = type(given)
    return [kind(int(time)) if isinstance(given, int) else kind(time) for time in times]
