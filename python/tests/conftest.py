"""Series for the tests, as a frame of each kind, and the command that they are compared with."""

from __future__ import annotations

import datetime
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas
import polars
import pyarrow
import pytest

START = datetime.datetime(2021, 3, 1)
KINDS = ("pandas", "polars", "pyarrow")


def rows(days: int = 200, series: int = 4) -> dict[str, list[Any]]:
    """Daily series with a week, a little noise that is the same every time, and some missing days."""
    names, times, values = [], [], []
    for number in range(series):
        for day in range(days):
            noise = math.sin(12.9898 * (day + 1) * (number + 1)) * 0.3
            value = 10.0 + 3 * number + 2 * math.sin(2 * math.pi * day / 7) + noise
            names.append(f"shop {number}")
            times.append(START + datetime.timedelta(days=day))
            values.append(None if day % 53 == 17 else value)
    return {"unique_id": names, "ds": times, "y": values}


def as_kind(columns: dict[str, list[Any]], kind: str) -> Any:
    """Columns as a frame of a kind."""
    if kind == "pandas":
        return pandas.DataFrame(columns)
    return polars.DataFrame(columns) if kind == "polars" else pyarrow.table(columns)


def as_columns(frame: Any) -> dict[str, list[Any]]:
    """A frame of any kind as columns of plain values."""
    if isinstance(frame, pandas.DataFrame):
        frame = pyarrow.Table.from_pandas(frame, preserve_index=False)
    if isinstance(frame, polars.DataFrame):
        return frame.to_dict(as_series=False)
    return frame.to_pydict()


def command(*words: str, folder: Path) -> None:
    """Runs the command of the package."""
    line = [sys.executable, "-m", "ptsm", *words]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of frame in turn."""
    return str(request.param)


@pytest.fixture(scope="session")
def frame() -> polars.DataFrame:
    """The series as a frame of polars."""
    return polars.DataFrame(rows())
