"""Ctrl-C, progress, threads and forks."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars
import pytest
from conftest import rows

import ptsm

LONG = {"h": 7, "context_length": 56, "epochs": 60, "patience": None, "seed": 1}


def test_an_interrupted_training_is_resumed_to_the_same_bits(tmp_path: Path) -> None:
    frame = polars.DataFrame(rows(300, 6))
    whole = ptsm.Forecaster(**LONG).fit(frame).predict()
    folder = tmp_path / "run"

    def interrupt(progress: ptsm.Progress) -> None:
        if progress.step >= 20:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        ptsm.Forecaster(**LONG).fit(frame, checkpoint=folder, progress=interrupt)
    assert list((folder / "checkpoints").iterdir())
    # The interrupted run ends beside the call.
    ptsm._ptsm.wait_for_work(20.0)
    resumed = ptsm.Forecaster(**LONG).fit(frame, checkpoint=folder).predict()
    assert resumed.equals(whole)
    # What is finished is not repeated.
    assert ptsm.Forecaster(**LONG).fit(frame, checkpoint=folder).predict().equals(whole)


def test_the_default_is_resumed_where_it_was_interrupted(tmp_path: Path) -> None:
    frame = polars.DataFrame(rows(120, 2))
    whole = ptsm.Forecaster(h=7).fit(frame)

    def interrupt(progress: ptsm.Progress) -> None:
        if progress.step >= 5:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        ptsm.Forecaster(h=7).fit(frame, checkpoint=tmp_path, progress=interrupt)
    ptsm._ptsm.wait_for_work(20.0)
    # Nothing is chosen by half of a training.
    assert not (tmp_path / "choice.json").exists()
    resumed = ptsm.Forecaster(h=7).fit(frame, checkpoint=tmp_path)
    assert resumed.predict().equals(whole.predict())
    assert resumed.choice_ == whole.choice_


def test_progress_is_told_and_its_exception_ends_the_training(frame: polars.DataFrame) -> None:
    seen: list[ptsm.Progress] = []
    ptsm.Forecaster(**{**LONG, "epochs": 20}).fit(frame, progress=seen.append)
    assert seen
    assert all(0 <= one.step <= one.steps for one in seen)

    def stop(_: ptsm.Progress) -> None:
        message = "enough"
        raise RuntimeError(message)

    with pytest.raises(RuntimeError, match="enough"):
        ptsm.Forecaster(**LONG).fit(frame, progress=stop)


def test_threads_of_one_forecaster_have_the_same_bits(frame: polars.DataFrame) -> None:
    forecaster = ptsm.Forecaster(h=3, context_length=28, epochs=1).fit(frame)
    wanted = forecaster.predict(frame)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: forecaster.predict(frame), range(32)))
    assert all(one.equals(wanted) for one in found)


def test_other_threads_run_while_a_forecaster_is_trained(frame: polars.DataFrame) -> None:
    counted, ended = [], threading.Event()

    def count() -> None:
        while not ended.wait(0.001):
            counted.append(1)

    other = threading.Thread(target=count)
    other.start()
    ptsm.Forecaster(h=3, context_length=28, epochs=10).fit(frame)
    ended.set()
    other.join()
    assert len(counted) > 5


def test_the_number_of_threads_changes_no_bit(frame: polars.DataFrame) -> None:
    found = []
    for threads in (1, 3, None):
        ptsm.set_threads(threads)
        found.append(ptsm.Forecaster(h=3, context_length=28, epochs=1).fit(frame).predict())
    assert found[0].equals(found[1])
    assert found[0].equals(found[2])
    with pytest.raises(ptsm.InvalidConfig, match="threads: must be from 1 to 1024"):
        ptsm.set_threads(0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_process_computes() -> None:
    code = """
import multiprocessing, sys
import pyarrow
import ptsm
table = pyarrow.table({"y": [float(i % 7) for i in range(100)]})
wanted = ptsm.forecast(table, 3).to_pydict()
forecaster = ptsm.Forecaster(h=3, context_length=28, epochs=1).fit(table)
trained = forecaster.predict(table).to_pydict()
def work(_):
    return ptsm.forecast(table, 3).to_pydict(), forecaster.predict(table).to_pydict()
with multiprocessing.get_context("fork").Pool(3) as pool:
    assert pool.map(work, range(6)) == [(wanted, trained)] * 6
print("ok")
"""
    line = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "ok\n", done.stderr


def test_a_spawned_process_gets_a_forecaster(frame: polars.DataFrame) -> None:
    forecaster = ptsm.Forecaster(h=3, context_length=28, epochs=1).fit(frame)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply(forecaster.predict, (frame,))
    assert found.equals(forecaster.predict(frame))


def test_the_command_has_its_exit_codes() -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "ptsm", *words]
        return subprocess.run(line, capture_output=True, text=True, check=False)

    version = run("--version")
    assert version.returncode == 0
    assert version.stdout.startswith(f"ptsm {ptsm.__version__}")
    missing = run("forecast", "none.csv")
    assert missing.returncode == 3
    assert missing.stderr.startswith("error: none.csv: no such file")
    assert run("forecats").returncode == 2
