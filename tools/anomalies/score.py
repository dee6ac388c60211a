"""Scores flagged points against labels, beside the same procedure on simple forecasts.

    python score.py points.csv labels.csv [--from ROW] [--until ROW]
    python score.py --simple last calibration.csv data.csv labels.csv --alpha 0.001 [--from ROW]

`points.csv` is what `ptsm detect --out` wrote for one channel with numbered rows; `labels.csv` has a line for each row
and no header, 1 where an anomaly is. Precision and recall are of points, with no adjustment; an event (a run of labels) counts as
found if one of its points is flagged, and its delay is that of the first one. False alarms are flagged points outside
all events, for each 10,000 of these. `--simple last` or `--simple N` (a season of N rows) calibrates the residuals of
that forecast on the first table by the same p-value and scans the second.
"""

import argparse
import bisect
import csv
import sys


def events_of(labels):
    events = []
    for row, label in enumerate(labels):
        if label and row and labels[row - 1]:
            events[-1][1] = row
        elif label:
            events.append([row, row])
    return events


def scored(flags, labels):
    """Scores of `flags`, a dict from scanned rows to whether they are flagged."""
    flagged = {row for row, flag in flags.items() if flag}
    true = {row for row in flags if labels[row]}
    right = len(flagged & true)
    events = [event for event in events_of(labels) if any(row in flags for row in range(event[0], event[1] + 1))]
    first = [next((row for row in range(a, b + 1) if row in flagged), None) for a, b in events]
    found = [row - event[0] for row, event in zip(first, events) if row is not None]
    clean = len(flags) - len(true)
    return {
        "scanned": len(flags),
        "flagged": len(flagged),
        "precision": round(right / len(flagged), 4) if flagged else None,
        "recall": round(right / len(true), 4) if true else None,
        "events found": f"{len(found)} of {len(events)}",
        "delays": found,
        "false alarms per 10,000": round(1e4 * len(flagged - true) / max(clean, 1), 1),
    }


def simple(calibration, values, lag, alpha):
    """Flags of rows by the conformal p-value of the change over `lag` rows."""
    def sizes(x):
        return [abs(x[i] - x[i - lag]) for i in range(lag, len(x))]

    known = sorted(sizes(calibration))
    p = [(1 + len(known) - bisect.bisect_left(known, size)) / (len(known) + 1) for size in sizes(values)]
    return {i + lag: one <= alpha for i, one in enumerate(p)}


def column(path):
    with open(path, newline="") as file:
        return [float(row[-1]) for row in list(csv.reader(file))[1:]]


def flags_of(path):
    """The flag of each row of what `ptsm detect --out` wrote."""
    flags = {}
    with open(path, newline="") as file:
        rows = csv.DictReader(file)
        if not {"row", "anomaly"} <= set(rows.fieldnames or []):
            sys.exit(f"{path}: wanted the columns row and anomaly (scan a table without times)")
        for cells in rows:
            row = int(float(cells["row"]))
            if row in flags:
                sys.exit(f"{path}: row {row} comes twice (scan one series and channel)")
            flags[row] = float(cells["anomaly"]) == 1
    return flags


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--simple")
    parser.add_argument("--alpha", type=float)
    parser.add_argument("--from", dest="start", type=int, default=0)
    parser.add_argument("--until", type=int)
    args = parser.parse_args()
    if len(args.files) != (3 if args.simple else 2):
        parser.error("wanted points.csv labels.csv, or with --simple calibration.csv data.csv labels.csv")
    if bool(args.simple) != (args.alpha is not None):
        parser.error("--simple and --alpha are used together")
    with open(args.files[-1]) as file:
        labels = [int(float(line)) for line in file if line.strip()]
    if args.simple:
        lag = 1 if args.simple == "last" else int(args.simple)
        flags = simple(column(args.files[0]), column(args.files[1]), lag, args.alpha)
    else:
        flags = flags_of(args.files[0])
    if max(flags, default=0) >= len(labels):
        sys.exit(f"{args.files[-1]}: {len(labels)} labels are fewer than the rows (wanted a line for each row, no header)")
    until = len(labels) if args.until is None else args.until
    flags = {row: flag for row, flag in flags.items() if args.start <= row < until}
    for name, value in scored(flags, labels).items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
