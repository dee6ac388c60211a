"""One engine in one process: answers a JSON line for each JSON line.

    python worker.py forecast|train ENGINE FOLDER THREADS

    {"load": 32}                   -> {"ok": true, "seconds": 1.2}
    {"check": 32}                  -> {"difference": 3e-7}     relative to the largest number
    {"time": 32, "seconds": 0.5}   -> {"p50_ms": .., "best_ms": .., "calls": ..}

An error is answered as {"error": ".."}. Nothing runs between two lines.
"""

import json
import os
import pathlib
import sys
import time
from collections.abc import Callable
from typing import Any

import engines

# Fewest calls that a median is taken from, as in `ptsm bench`.
MIN_CALLS = 5

engines.keep_to_threads(int(sys.argv[4]))

import numpy  # noqa: E402  (after the thread settings)


def relative_difference(got: numpy.ndarray, wanted: numpy.ndarray) -> float:
    """Largest absolute difference over the largest number; infinite if anything is not finite."""
    if got.shape != wanted.shape or not numpy.isfinite(got).all():
        return float("inf")
    return float(abs(got.astype(numpy.float64) - wanted).max() / abs(wanted).max())


def measure(call: Callable[[], Any], seconds: float) -> dict[str, float]:
    """Times calls for so many seconds, after a tenth of them to warm up."""
    begun = time.perf_counter()
    call()
    while time.perf_counter() - begun < 0.1 * seconds:
        call()
    times: list[float] = []
    begun = time.perf_counter()
    while len(times) < MIN_CALLS or time.perf_counter() - begun < seconds:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    times.sort()
    median = times[(len(times) + 1) // 2 - 1]
    return {"p50_ms": 1e3 * median, "best_ms": 1e3 * times[0], "calls": len(times)}


class Worker:
    """The engine and the calls that are loaded."""

    def __init__(self, task: str, engine: str, folder: pathlib.Path, threads: int):
        self.folder = folder
        self.calls: dict[int, Callable[[], Any]] = {}
        self.trained = None
        if task == "train":
            compile_it = engines.TRAINERS[engine]
            self.loader, self.trained = engines.training(folder, threads, compile_it)
        else:
            self.loader = engines.ENGINES[engine](folder, threads)

    def load(self, batch: int) -> dict[str, Any]:
        """Builds the call for a batch size and makes it once, which compiles it where needed."""
        begun = time.perf_counter()
        call = self.loader(batch)
        if self.trained is None:
            call()
        self.calls[batch] = call
        return {"ok": True, "seconds": time.perf_counter() - begun}

    def check(self, batch: int) -> dict[str, float]:
        """The first forecasts, or the loss before the first step, beside ours."""
        if self.trained is not None:
            wanted = json.loads((self.folder / "our-loss.json").read_text())
            loss = engines.loss_without_dropout(self.folder, self.trained, wanted["windows"])
            self.trained.train()
            return {"difference": abs(loss - wanted["loss"]) / abs(wanted["loss"])}
        wanted = numpy.load(self.folder / "our-forecasts.npy")[:batch]
        got = numpy.asarray(self.calls[batch]())
        return {"difference": relative_difference(got[: len(wanted)], wanted)}

    def answer(self, line: dict[str, Any]) -> dict[str, Any]:
        """Carries out one line."""
        if "load" in line:
            return self.load(line["load"])
        if "check" in line:
            return self.check(line["check"])
        return measure(self.calls[line["time"]], line["seconds"])


def main() -> None:
    # Libraries print to stdout: keep it for the answers, and send theirs to the log.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    task, engine, folder, threads = sys.argv[1:]
    worker = None
    for line in sys.stdin:
        try:
            worker = worker or Worker(task, engine, pathlib.Path(folder), int(threads))
            answer = worker.answer(json.loads(line))
        except Exception as error:  # every failure is a result: the row says why it is missing
            text = " ".join(str(error).replace(f"{folder}/", "").split())
            answer = {"error": f"{type(error).__name__}: {text[:300]}"}
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main()
