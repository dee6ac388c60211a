"""Runs our engine beside PyTorch, torch.compile, ONNX Runtime and OpenVINO: see README.md.

    run [--shapes seed,large] [--engines eager,openvino] [--threads 1,2] [--rounds 5] [--seconds 0.5]
"""

import argparse
import concurrent.futures
import contextlib
import datetime
import json
import pathlib
import shlex
import shutil
import subprocess
import sys
from typing import Any

import engines
import machine
import report
from ours import Ptsm
from remote import NotRun, Remote
from shapes import CHECKED_WINDOWS, SHAPES, Shape

HERE = pathlib.Path(__file__).parent
# Largest difference of a forecast or a loss, relative to the largest number; that of `ptsm bench`.
TOLERANCE = 1e-4
# Compiling takes a minute a batch size, so torch.compile gets two of them, at most this large.
LARGEST_COMPILED = 32
# Seconds that one answer may take beyond what it was asked to measure.
PATIENCE = 300.0


def say(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


class Row:
    """One engine on a number of threads: its figures, a list over rounds for each batch size."""

    def __init__(self, engine: str, threads: int, batches: list[int]):
        self.engine, self.threads = engine, threads
        self.batches: dict[int, dict[str, list[float]]] = {batch: {} for batch in batches}
        self.difference: float | None = None
        self.not_run: str | None = None if batches else "no batch size for it"
        self.remote: Remote | None = None

    def add(self, batch: int, figures: dict[str, Any]) -> None:
        """Files the figures of one round."""
        for name in ("p50_ms", "best_ms", "calls", "share_of_peak"):
            if name in figures:
                self.batches[batch].setdefault(name, []).append(figures[name])

    def fail(self, error: NotRun) -> None:
        """Keeps the reason and drops the figures: a row is whole or missing."""
        say(f"    {self.engine}, {self.threads} threads: {error}")
        self.not_run, self.batches = str(error), {}
        if self.remote:
            self.remote.close()

    def content(self) -> dict[str, Any]:
        """For the JSON file."""
        names = ("engine", "threads", "not_run", "difference", "batches")
        return {name: getattr(self, name) for name in names}


def batches_of(engine: str, threads: int, sizes: list[int]) -> list[int]:
    """The batch sizes that an engine is measured at."""
    if engine == "compile":
        return sorted({sizes[0], max(size for size in sizes if size <= LARGEST_COMPILED)})
    if engine == "openvino-streams":
        return [size for size in sizes if threads > 1 and size >= threads and size % threads == 0]
    return sizes


def make_rows(task: str, shape: Shape, options: argparse.Namespace) -> list[Row]:
    """The rows of one table, ours first, in the order in which they are measured."""
    sizes = list(shape.batches) if task == "forecast" else [shape.train_batch]
    known = engines.ENGINES if task == "forecast" else engines.TRAINERS
    rows = []
    for threads in options.threads:
        rows.append(Row("ptsm", threads, sizes))
        for engine in (name for name in options.engines if name in known):
            row = Row(engine, threads, batches_of(engine, threads, sizes))
            if engine == "openvino-streams" and threads == 1:
                continue
            if engine == "compile" and not machine.has_cpp_compiler():
                row.not_run = "no C++ compiler on this machine"
            if engine == "compile" and task == "train" and not shape.compile_training:
                row.not_run = "compiled training is measured at the seed shape only"
            rows.append(row)
    return rows


def start(row: Row, task: str, folder: pathlib.Path) -> None:
    """Starts the engine, loads every batch size, and checks the answers beside ours."""
    try:
        row.remote = Remote(task, row.engine, folder, row.threads)
        worst = 0.0
        for batch in row.batches:
            row.remote.ask(PATIENCE, load=batch)
            worst = max(worst, row.remote.ask(PATIENCE, check=batch)["difference"])
        row.difference = worst
        if not worst <= TOLERANCE:
            raise NotRun(f"its answers differ from ours by {worst:.1e} of the largest number")
    except NotRun as error:
        row.fail(error)


def measure(row: Row, task: str, folder: pathlib.Path, ptsm: Ptsm, seconds: float) -> dict[str, Any]:
    """One turn of one engine: all its batch sizes. Returns our report if it is our turn."""
    if row.engine != "ptsm":
        assert row.remote
        for batch in row.batches:
            row.add(batch, row.remote.ask(PATIENCE + seconds, time=batch, seconds=seconds))
        return {}
    found = ptsm.bench(folder, row.threads, list(row.batches), seconds, task == "train")
    for line in found["train" if task == "train" else "results"]:
        row.add(line["batch"], {"calls": line.get("steps"), **line})
    return {} if task == "train" else found


def compare(task: str, shape: Shape, folder: pathlib.Path, options: argparse.Namespace) -> Any:
    """One table of one shape: rows, and what `ptsm bench` says of the model."""
    ptsm, facts = Ptsm(options.ptsm), {}
    rows = make_rows(task, shape, options)
    with contextlib.ExitStack() as stack:
        others = [row for row in rows if row.engine != "ptsm" and not row.not_run]
        with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
            list(pool.map(lambda row: start(row, task, folder), others))
        for row in others:
            if row.remote:
                stack.callback(row.remote.close)
        for turn in range(options.rounds):
            say(f"  {task}, round {turn + 1} of {options.rounds}, load {machine.load()[0]}")
            for row in (row for row in rows if not row.not_run):
                try:
                    found = measure(row, task, folder, ptsm, options.seconds)
                    facts = facts or {key: value for key, value in found.items() if key != "results"}
                except NotRun as error:
                    row.fail(error)
    return [row.content() for row in rows], facts


def prepare(name: str, folder: pathlib.Path, options: argparse.Namespace) -> None:
    """Weights, inputs, ONNX files and our answers; in a process of its own, as it needs torch."""
    sizes = set()
    for threads in options.threads:
        for engine in ("openvino", "openvino-streams"):
            parts = threads if engine == "openvino-streams" else 1
            found = batches_of(engine, threads, list(SHAPES[name].batches))
            sizes |= {size // parts for size in found}
    listed = ",".join(str(size) for size in sorted(sizes))
    command = [sys.executable, HERE / "prepare.py", name, folder, listed]
    subprocess.run(command, check=True, stdout=sys.stderr, stderr=subprocess.DEVNULL)
    Ptsm(options.ptsm).answer(folder)


def run_shape(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Every table of one shape."""
    say(f"{name}: weights and inputs")
    shape, folder = SHAPES[name], options.work / name
    prepare(name, folder, options)
    found: dict[str, Any] = {"title": shape.title, "config": shape.config(), "load": machine.load()}
    for task in options.tasks:
        found[task], facts = compare(task, shape, folder, options)
        found["facts"] = found.get("facts") or facts
    shutil.rmtree(folder)
    return found


def names(known: Any) -> Any:
    """A list of known names as an option."""

    def parse(text: str) -> list[str]:
        unknown = [name for name in text.split(",") if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"{unknown[0]}: wanted any of {', '.join(known)}")
        return text.split(",")

    return parse


def parse_options() -> argparse.Namespace:
    tasks = ("forecast", "train")
    parser = argparse.ArgumentParser(prog="bench/compare/run", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--ptsm", type=pathlib.Path, required=True, help="our binary; run builds it if not given")
    add("--venv", help="virtual environment, made if it is not there (option of run)")
    add("--shapes", type=names(SHAPES), default=list(SHAPES))
    add("--engines", type=names(engines.ENGINES), default=list(engines.ENGINES))
    add("--tasks", type=names(tasks), default=list(tasks))
    add("--threads", type=lambda text: [int(x) for x in text.split(",")], default=[1, 2])
    add("--rounds", type=int, default=5)
    add("--seconds", type=float, default=0.5, help="for each batch size in each round")
    add("--work", type=pathlib.Path, default=HERE / ".work", help="folder for weights and inputs")
    add("--out", type=pathlib.Path, default=HERE.parent / "results", help="folder of the results")
    add("--name", default="compare", help="name of the results, after the date")
    return parser.parse_args()


def command_line() -> str:
    """The command without the places of this machine."""
    words = [word.rsplit("/", 1)[-1] if word.startswith("/") else word for word in sys.argv[1:]]
    return shlex.join(["bench/compare/run", *words])


def main() -> None:
    options = parse_options()
    options.out.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now(datetime.timezone.utc)
    found: dict[str, Any] = {
        "date": now.isoformat(timespec="seconds"),
        "command": command_line(),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "tolerance": TOLERANCE,
        "checked_windows": CHECKED_WINDOWS,
        "machine": machine.describe(),
        "versions": {"ptsm": Ptsm(options.ptsm).version(), **machine.versions()},
        "shapes_asked": options.shapes,
        "load_at_start": machine.load(),
        "shapes": {},
    }
    stem = options.out / f"{now:%Y-%m-%d}-{options.name}"
    for name in options.shapes:
        found["shapes"][name] = run_shape(name, options)
        # Written after every shape: a run that is stopped keeps what it has.
        found["load_at_end"] = machine.load()
        stem.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")
        stem.with_suffix(".md").write_text(report.markdown(found))
    print(report.markdown(found))


if __name__ == "__main__":
    main()
