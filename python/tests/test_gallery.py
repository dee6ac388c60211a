"""The scripts of the gallery run on small data."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

GALLERY = Path(__file__).parents[1] / "gallery"
SMALL = {"GALLERY_SHOPS": "4", "GALLERY_DAYS": "200", "GALLERY_CASES": "48"}
#: Each with what it prints.
SCRIPTS = {
    "1_first_forecast.py": "mean absolute error: ",
    "2_train_and_judge.py": "80 % intervals hold ",
    "3_classify_with_scikit_learn.py": "right on cases that were not trained on: ",
    "4_while_rows_arrive.py": "rows seen: 200",
    "5_many_series_and_groups.py": "28 rows from two processes",
}


def test_every_script_is_run() -> None:
    found = {path.name for path in GALLERY.glob("[0-9]_*.py")}
    assert found == set(SCRIPTS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_runs(name: str) -> None:
    needed = {"3": "sklearn", "5": "joblib"}
    pytest.importorskip(needed.get(name[0], "pandas"))
    line = [sys.executable, "-W", "ignore", str(GALLERY / name)]
    done = subprocess.run(line, env={**os.environ, **SMALL}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert SCRIPTS[name] in done.stdout
