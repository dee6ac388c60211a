"""Scores a model directory of ours with the Hugging Face implementation, on every test window.

    python score_with_transformers.py --model DIR --data ETTh2.csv [--split ett-hour] [--json]

Loads the directory with `PatchTSMixerForPrediction.from_pretrained` (a missing, unexpected or
misshapen weight is an error), standardises by the training rows, and prints mse, mae, correlation
and windows, to be laid beside what `ptsm evaluate --split test --json` prints. Complete data only:
this script does not know masks.
"""

import argparse
import csv
import gzip
import json
import math
import pathlib
import sys

import numpy
import torch
from transformers import PatchTSMixerForPrediction


def read_channels(path, channels):
    """The named columns of a CSV file as float64 `[rows, channels]`."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", newline="") as file:
        rows = csv.reader(file)
        header = next(rows)
        places = [header.index(name) for name in channels]
        return numpy.array([[float(row[place]) for place in places] for row in rows])


def borders(split, num_rows):
    """End of the training rows, end of the validation rows, end of the test rows."""
    if split in ("ett-hour", "ett-minute"):
        month = 30 * (24 if split == "ett-hour" else 96)
        return 12 * month, 16 * month, 20 * month
    if split == "7:1:2":
        train, test = int(0.7 * num_rows), int(0.2 * num_rows)
        return train, num_rows - test, num_rows
    raise SystemExit(f"--split {split}: wanted ett-hour, ett-minute or 7:1:2")


def load(directory):
    """The model, in eval mode; every weight of the file must have found its place."""
    model, info = PatchTSMixerForPrediction.from_pretrained(directory, output_loading_info=True)
    wrong = {name: list(found) for name, found in info.items() if found}
    if wrong:
        raise SystemExit(f"{directory}: weights do not fit: {wrong}")
    return model.eval()


def score(model, values, train_end, first, last, batch_size):
    """MSE, MAE and Pearson correlation over every window of rows `first..last`, in float64."""
    mean, deviation = values[:train_end].mean(0), values[:train_end].std(0)
    scaled = torch.from_numpy(((values - mean) / deviation).astype(numpy.float32))
    context, steps = model.config.context_length, model.config.prediction_length
    starts = range(first - context, last - context - steps + 1)
    errors = {"squared": 0.0, "absolute": 0.0}
    moments = numpy.zeros(5)
    count = 0
    for begin in range(0, len(starts), batch_size):
        chosen = starts[begin : begin + batch_size]
        past = torch.stack([scaled[s : s + context] for s in chosen])
        truth = torch.stack([scaled[s + context : s + context + steps] for s in chosen])
        with torch.no_grad():
            forecast = model(past_values=past).prediction_outputs
        x, y = forecast.double().numpy().ravel(), truth.double().numpy().ravel()
        errors["squared"] += ((x - y) ** 2).sum()
        errors["absolute"] += abs(x - y).sum()
        moments += [x.sum(), y.sum(), (x * x).sum(), (y * y).sum(), (x * y).sum()]
        count += x.size
    sx, sy, sxx, syy, sxy = moments / count
    correlation = (sxy - sx * sy) / math.sqrt((sxx - sx * sx) * (syy - sy * sy))
    return {
        "mse": errors["squared"] / count,
        "mae": errors["absolute"] / count,
        "correlation": correlation,
        "windows": len(starts),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--split", default="ett-hour", help="ett-hour, ett-minute or 7:1:2")
    parser.add_argument("--batch-size", type=int, default=256)
    args = parser.parse_args()
    preprocessor = json.loads((args.model / "preprocessor.json").read_text())
    values = read_channels(args.data, preprocessor["channels"])
    train_end, first, last = borders(args.split, len(values))
    json.dump(score(load(args.model), values, train_end, first, last, args.batch_size), sys.stdout)
    print()


if __name__ == "__main__":
    main()
