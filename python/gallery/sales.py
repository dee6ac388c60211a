"""The data of the gallery: daily sales of shops, with weeks, seasons, and days that nobody wrote down."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd

#: The tests of the gallery set both to small numbers.
SHOPS = int(os.environ.get("GALLERY_SHOPS", "30"))
DAYS = int(os.environ.get("GALLERY_DAYS", "730"))


def sales(shops: int = SHOPS, days: int = DAYS) -> pd.DataFrame:
    """A row for each shop and day: `unique_id`, `ds`, `y`."""
    random = np.random.default_rng(7)
    dates = pd.date_range("2023-01-02", periods=days, freq="D")
    day = np.arange(days)
    frames = []
    for shop in range(shops):
        level = random.uniform(40, 200)
        week = random.uniform(0.1, 0.4) * np.sin(2 * np.pi * (day + shop % 3) / 7)
        season = 0.2 * np.sin(2 * np.pi * day / 365.25)
        sold = level * (1 + week + season) + random.normal(0, 0.05 * level, days)
        sold[random.random(days) < 0.01] = np.nan
        frames.append(pd.DataFrame({"unique_id": f"shop {shop:02}", "ds": dates, "y": sold}))
    return pd.concat(frames, ignore_index=True)
