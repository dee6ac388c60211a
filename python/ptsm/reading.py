"""How frames are read, and what is wanted of forecasts, as the library is asked."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

from ptsm.errors import InvalidConfig

#: Names of steps in pandas that are called otherwise here.
_STEPS = {
    "s": "1s", "S": "1s", "min": "1min", "T": "1min", "h": "1h", "H": "1h", "D": "1d", "B": "1b", "W": "1w",
    "MS": "1mo", "M": "1mo-end", "ME": "1mo-end", "QS": "3mo", "Q": "3mo-end", "QE": "3mo-end", "YS": "12mo",
    "AS": "12mo", "Y": "12mo-end", "YE": "12mo-end",
}  # fmt: skip


def reading(
    *,
    id_col: str | None = None,
    time_col: str | None = None,
    target_col: str | Sequence[str] | None = None,
    freq: str | None = None,
    season_length: int | None = None,
    split: str | None = None,
    sort: bool = False,
    duplicates: str | None = None,
    grid: str | None = None,
    round: str | None = None,
    resample: str | None = None,
    dates: str | None = None,
    missing: Sequence[object] = (),
    holidays: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """How a frame is read, with the names of the library; what is None is found out.

    ``sort`` puts rows into the order of their times; ``duplicates`` is ``error``, ``first``, ``last`` or ``mean``; ``grid``
    is ``regular`` (a time without a row is a missing row) or ``rows`` (each row is one step); ``round`` moves times to a
    step that they are close to (``5min``); ``resample`` makes one row of those in a longer step (``1h:mean``); ``dates`` is
    the order of dates that are texts (``day-first``); ``missing`` are further values that mean "missing";
    ``holidays`` is a file with a date a line, working days without rows.
    """
    targets = [target_col] if isinstance(target_col, str) else target_col
    given = {
        "id": id_col,
        "timestamp": time_col,
        "targets": list(targets) if targets is not None else None,
        "frequency": _STEPS.get(freq, freq) if freq is not None else None,
        "season": season_length,
        "split": split,
        "sort": sort or None,
        "duplicates": duplicates,
        "grid": grid,
        "round": round,
        "resample": resample,
        "dates": dates,
        "missing": [str(value) for value in missing] or None,
        "holidays": os.fspath(holidays) if holidays is not None else None,
    }
    return {name: value for name, value in given.items() if value is not None}


def percents(level: float | Iterable[float] | None) -> list[float] | None:
    """Levels of intervals in per cent, ascending, each once."""
    if level is None:
        return None
    levels = [level] if isinstance(level, (int, float)) else list(level)
    for one in levels:
        if not 0 < one < 100:
            text = f"level: {one} must be above 0 and below 100, in per cent"
            raise InvalidConfig(text, "InvalidConfig", "level", 2)
    return sorted({float(one) for one in levels})


def wanted_of(
    level: float | Iterable[float] | None,
    quantiles: Iterable[float] | None,
    alias: str | None,
) -> dict[str, Any]:
    """Levels, quantiles and the name of a forecast."""
    quantiles = [float(q) for q in quantiles or ()]
    for one in quantiles:
        if not 0 < one < 1:
            text = f"quantiles: {one} must be above 0 and below 1"
            raise InvalidConfig(text, "InvalidConfig", "quantiles", 2)
    return {"levels": percents(level), "quantiles": quantiles, "alias": alias}


def tell(notes: Iterable[str]) -> None:
    """Warns of what the caller should know."""
    for note in notes:
        warnings.warn(note, UserWarning, stacklevel=3)
