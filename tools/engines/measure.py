"""Forecasts many series by one process, joblib, Spark or Ray, and prints rows a second and the peak of the memory.

    python tools/engines/measure.py make FOLDER [--series 200000] [--rows 40]
    python tools/engines/measure.py one|joblib|spark|ray FOLDER [--kill]

`make` writes daily series as Parquet files, a file for some days, so that the rows of a series are in every one; and a
small network that is trained on some of them. The others write their forecasts, and compare them with those of `one`, both
sorted by series and time: every value must be the same. With `--kill` a worker is killed in the middle of its work.

Memory is the sum of the proportional set sizes of the process and all that it started, looked at twice a second; the time of the
processors leaves out what other work on the machine takes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import threading
import time
from pathlib import Path

import numpy
import pyarrow
import pyarrow.dataset
import pyarrow.parquet

TESTS = Path(__file__).resolve().parents[2] / "python" / "tests"
sys.path.insert(0, str(TESTS))

import dying  # noqa: E402

import ptsm  # noqa: E402
import ptsm.arrow  # noqa: E402

STEPS = 7
FILES = 8
ORDER = [("unique_id", "ascending"), ("ds", "ascending")]


def make(folder: Path, series: int, rows: int) -> None:
    """Daily series with a week in them, and a network."""
    (folder / "in").mkdir(parents=True)
    random = numpy.random.default_rng(0)
    level, size = random.uniform(5, 100, series), random.uniform(0.5, 5, series)
    start = numpy.datetime64("2024-01-01", "us")
    for part in range(FILES):
        days = numpy.arange(rows * part // FILES, rows * (part + 1) // FILES)
        noise = random.normal(0, 1, (len(days), series))
        week = numpy.sin(2 * numpy.pi * days / 7)[:, None]
        table = pyarrow.table(
            {
                "unique_id": numpy.tile(numpy.arange(series), len(days)),
                "ds": numpy.repeat(start + days * numpy.timedelta64(1, "D"), series),
                "y": (level + 3 * size * week + size * noise).ravel(),
            }
        )
        pyarrow.parquet.write_table(table, folder / "in" / f"{part}.parquet")
    some = pyarrow.dataset.dataset(folder / "in").to_table()
    some = some.filter(pyarrow.compute.field("unique_id") < 500).sort_by(ORDER)
    params = {"context_length": 21, "epochs": 2, "d_model": 16, "num_layers": 2, "seed": 0}
    forecaster = ptsm.Forecaster(STEPS, **params).fit(some, split="7:3:0").calibrate(level=80)
    forecaster.save_pretrained(folder / "model")


def one(folder: Path, out: Path) -> None:
    """One process with all its threads."""
    function = ptsm.arrow.Predict(folder / "model", level=80)
    found = function.sorted(pyarrow.dataset.dataset(folder / "in").to_table())
    out.mkdir()
    pyarrow.parquet.write_table(found, out / "0.parquet")


def joblib(folder: Path, out: Path) -> None:
    """Two processes of joblib."""
    import joblib

    function = ptsm.arrow.Predict(folder / "model", level=80)
    table = pyarrow.dataset.dataset(folder / "in").to_table().sort_by(ORDER)
    cut = ptsm.arrow.parts(table, 16)
    found = joblib.Parallel(2)(joblib.delayed(function)(part) for part in cut)
    out.mkdir()
    pyarrow.parquet.write_table(pyarrow.concat_tables(found), out / "0.parquet")


def spark(folder: Path, out: Path) -> None:
    """Spark on two cores."""
    from pyspark.sql import SparkSession

    import ptsm.spark

    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master("local[2,4]").config("spark.ui.enabled", "false")
    builder = builder.config("spark.ui.showConsoleProgress", "false")
    builder = builder.config("spark.driver.host", "127.0.0.1").config("spark.driver.memory", "2g")
    session = builder.config("spark.sql.session.timeZone", "UTC").getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    print(f"Spark has started after {time.monotonic() - BEGAN:.1f} s", flush=True)
    frame = session.read.parquet(str(folder / "in"))
    found = ptsm.spark.predict(frame, folder / "model", level=80, partitions=16)
    found.write.parquet(str(out))
    session.stop()


def ray(folder: Path, out: Path) -> None:
    """Ray on two cores."""
    import ray

    import ptsm.ray

    store = 1 << 30
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=store)
    ray.data.DataContext.get_current().enable_progress_bars = False
    print(f"Ray has started after {time.monotonic() - BEGAN:.1f} s", flush=True)
    dataset = ray.data.read_parquet(str(folder / "in"))
    ptsm.ray.predict(dataset, folder / "model", level=80, blocks=16).write_parquet(str(out))
    ray.shutdown()


ENGINES = {"one": one, "joblib": joblib, "spark": spark, "ray": ray}


def family(root: int) -> list[int]:
    """A process and all that it started."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(after_name[1]), []).append(int(stat.parent.name))
    found = [root]
    for process in found:
        found += children.get(process, [])
    return found


class Watch(threading.Thread):
    """The peak of the memory in MiB, and the time of the processors, of this process and all that it started."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0.0
        self.busy: dict[int, float] = {}
        self.ended = threading.Event()

    def run(self) -> None:
        """Looks twice a second."""
        while not self.ended.wait(0.5):
            total = 0
            for process in family(os.getpid()):
                try:
                    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
                    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
                except OSError:
                    continue
                self.busy[process] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
                total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
            self.peak = max(self.peak, total / 1024)


def measured(name: str, folder: Path, kill: bool) -> None:
    """Runs an engine, and prints what it took."""
    out = folder / name
    shutil.rmtree(out, ignore_errors=True)
    mark = folder / "mark"
    mark.unlink(missing_ok=True)
    if kill:
        os.environ["PTSM_TEST_MARK"] = str(mark)
        os.environ["PTSM_TEST_CALLS"] = "3"
        os.environ["PYTHONPATH"] = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
        module = __import__(f"ptsm.{name}", fromlist=[name])
        module.Predict = dying.Dying
    watch = Watch()
    watch.start()
    ENGINES[name](folder, out)
    seconds = time.monotonic() - BEGAN
    watch.ended.set()
    watch.join()
    found = pyarrow.dataset.dataset(out, format="parquet").to_table()
    rows = pyarrow.dataset.dataset(folder / "in").count_rows()
    print(f"{name}: {rows:,} rows in, {found.num_rows:,} out, {seconds:.1f} s, {rows / seconds:,.0f} rows/s in, "
          f"{sum(watch.busy.values()):.1f} s of processors, peak {watch.peak:,.0f} MiB")  # fmt: skip
    if kill:
        print("a worker was killed" if mark.exists() else "NO worker was killed")
    wanted = pyarrow.dataset.dataset(folder / "one", format="parquet").to_table().sort_by(ORDER)
    found = found.sort_by(ORDER)
    for column in wanted.column_names:
        same = found[column].cast(wanted[column].type).combine_chunks().equals(wanted[column].combine_chunks())
        if not same:
            sys.exit(f"{column} is not that of one process")
    print("every value is that of one process")
    if kill and not mark.exists():
        sys.exit(1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["make", *ENGINES])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--series", type=int, default=200_000)
    parser.add_argument("--rows", type=int, default=40)
    parser.add_argument("--kill", action="store_true", help="kill a worker of Spark or Ray in the middle")
    given = parser.parse_args()
    BEGAN = time.monotonic()
    if given.what == "make":
        make(given.folder, given.series, given.rows)
    else:
        measured(given.what, given.folder, given.kill and given.what in ("spark", "ray"))
