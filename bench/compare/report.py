"""The tables, from the figures of all rounds.

    python report.py RESULTS.json       prints the Markdown again
"""

import json
import pathlib
import statistics
import sys
from typing import Any

NAMES = {
    "ptsm": "**ptsm**",
    "eager": "PyTorch eager",
    "compile": "torch.compile",
    "onnxruntime": "ONNX Runtime",
    "openvino": "OpenVINO",
    "openvino-streams": "OpenVINO, a stream a thread",
}
Row = dict[str, Any]


def rates(row: Row, batch: str, name: str = "p50_ms") -> list[float]:
    """Sequences a second of one batch size, for each round."""
    return [1e3 * int(batch) / ms for ms in row["batches"][batch][name]]


def best_batch(row: Row) -> str:
    """The batch size with the most sequences a second, by the median over rounds."""
    return max(row["batches"], key=lambda batch: statistics.median(rates(row, batch)))


def quickest(row: Row) -> float:
    """Sequences a second of the quickest single call of all rounds and batch sizes."""
    return max(max(rates(row, batch, "best_ms")) for batch in row["batches"])


def number(value: float) -> str:
    """Three digits that mean something, thousands parted."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def spread(values: list[float]) -> str:
    """Median, and from the lowest to the highest round."""
    return f"{number(statistics.median(values))} ({number(min(values))} to {number(max(values))})"


def ratio(ours: list[float], theirs: list[float]) -> str:
    """How many times as fast we are: the median of the ratios of the rounds."""
    return number(statistics.median(a / b for a, b in zip(ours, theirs)))


def one_row(row: Row, ours: Row | None) -> str:
    """A line of a table; `ours` on the same threads, or nothing to compare with."""
    name = NAMES[row["engine"]]
    cells = [name, str(row["threads"])]
    if row["not_run"]:
        return "| " + " | ".join([*cells, f"not run: {row['not_run']}"] + [""] * 5) + " |"
    batch = best_batch(row)
    has_single = "1" in row["batches"]
    cells.append(spread(row["batches"]["1"]["p50_ms"]) if has_single else "")
    cells += [spread(rates(row, batch)), batch]
    if ours is None or ours["not_run"]:
        cells += ["", "", ""]
    elif ours is row:
        cells += ["1", "1", "1"] if has_single else ["", "1", "1"]
    else:
        cells.append(ratio(rates(ours, "1"), rates(row, "1")) if has_single else "")
        cells.append(ratio(rates(ours, best_batch(ours)), rates(row, batch)))
        cells.append(number(quickest(ours) / quickest(row)))
    return "| " + " | ".join(cells) + " |"


def table(rows: list[Row], train: bool) -> list[str]:
    """One table: forecasts or training."""
    unit = "training samples/s" if train else "best sequences/s"
    heads = ["engine", "threads", "batch 1, ms", unit, "at batch"]
    heads += ["ptsm is x times as fast: batch 1", "best", "quickest calls"]
    if train:
        heads[2] = heads[5] = ""
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for row in rows:
        ours = next(r for r in rows if r["engine"] == "ptsm" and r["threads"] == row["threads"])
        lines.append(one_row(row, ours))
    return lines


def largest_difference(rows: list[Row]) -> float:
    """Of all the engines that were measured."""
    return max((row["difference"] or 0.0 for row in rows if not row["not_run"]), default=0.0)


def about_shape(name: str, shape: dict[str, Any]) -> list[str]:
    """The tables of one shape under a heading."""
    lines = [f"## {name}: {shape['title']}", ""]
    facts = shape.get("facts") or {}
    if facts:
        lines.append(
            f"{facts['flops_per_sequence'] / 1e6:,.2f} MFLOP a sequence, {facts['num_parameters']:,}"
            f" parameters; ours loads in {facts['load_ms']:.0f} ms."
        )
    if "forecast" in shape:
        worst = largest_difference(shape["forecast"])
        lines += [f"Forecasts differ by at most {worst:.1e} of the largest number.", ""]
        lines += [*table(shape["forecast"], train=False), ""]
    if "train" in shape:
        worst = largest_difference(shape["train"])
        lines += [f"Training; losses before the first step differ by at most {worst:.1e}.", ""]
        lines += [*table(shape["train"], train=True), ""]
    return lines


def unfinished(found: dict[str, Any]) -> list[str]:
    """The shapes that a stopped run did not come to."""
    missing = [name for name in found["shapes_asked"] if name not in found["shapes"]]
    if not missing:
        return []
    return [f"**Not run:** {', '.join(missing)}; the run was stopped before them.", ""]


def warning(found: dict[str, Any]) -> list[str]:
    """What to make of the figures of a machine that had other work."""
    # At the end it is the run's own.
    if found["load_at_start"][0] < 0.3 * found["machine"]["cores"]:
        return []
    return [
        "**The machine had other work.** The rows of one thread hold. On two, the engines whose"
        " threads wait for each other at every layer lose far more than their share: look at the"
        " quickest calls, and where an engine is slower on two threads than on one, at neither.",
        "",
    ]


def about_run(found: dict[str, Any]) -> list[str]:
    """Machine, versions and load, above the tables."""
    machine = found["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    vectors = " ".join(machine["vector_instructions"])
    return [
        f"# Engines side by side, {found['date'][:10]}",
        "",
        f"`{found['command']}`, {found['date']}",
        "",
        f"- {machine['cpu']} (family/model {machine['family_model']}), {machine['cores']} cores,"
        f" {vectors}, {machine['memory_gib']} GiB, {machine['system']}",
        f"- {versions}",
        f"- load average (1, 5, 15 minutes) {found['load_at_start']} at the start,"
        f" {found['load_at_end']} at the end",
        f"- {found['rounds']} interleaved rounds of {found['seconds']} s for each batch size; medians"
        " over rounds of the median call, in brackets the lowest and the highest round. The ratios"
        " are medians of the ratios within rounds; `quickest calls` compares the quickest single"
        " call of each, which other work on the machine disturbs least.",
        "",
        *unfinished(found),
        *warning(found),
    ]


def markdown(found: dict[str, Any]) -> str:
    """The whole page."""
    # Keys are texts after a trip through JSON, numbers before it.
    found = json.loads(json.dumps(found))
    lines = about_run(found)
    for name, shape in found["shapes"].items():
        lines += about_shape(name, shape)
    return "\n".join(lines)


if __name__ == "__main__":
    print(markdown(json.loads(pathlib.Path(sys.argv[1]).read_text())))
