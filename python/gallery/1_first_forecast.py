# %% [markdown]
# # A forecast without training
#
# The model inside the package forecasts any series. How good is it here? The last two weeks tell: they are hidden, forecast,
# and compared with what came, beside the simplest forecast that there is: the same day a week ago.

# %%
import numpy as np
from sales import sales

import ptsm

H = 14
df = sales()
df.tail(3)

# %% The last two weeks of each shop are hidden.
known = df[df.groupby("unique_id").cumcount(ascending=False) >= H]
came = df[df.groupby("unique_id").cumcount(ascending=False) < H]
forecast = ptsm.forecast(known, H, level=80)
forecast.head(3)

# %% Beside the week before.
both = came.merge(forecast, on=["unique_id", "ds"])
naive = known.groupby("unique_id").tail(7)[["unique_id", "ds", "y"]]
naive = naive.assign(day=naive["ds"].dt.dayofweek).rename(columns={"y": "week_ago"}).drop(columns="ds")
both = both.assign(day=both["ds"].dt.dayofweek).merge(naive, on=["unique_id", "day"])
error = (both["y"] - both["ptsm"]).abs().mean()
naive_error = (both["y"] - both["week_ago"]).abs().mean()
inside = both["y"].between(both["ptsm-lo-80"], both["ptsm-hi-80"])[both["y"].notna()].mean()
print(f"mean absolute error: {error:.2f}; of the week before: {naive_error:.2f}")
print(f"in the 80 % interval: {100 * inside:.0f} %")
assert len(forecast) == H * df["unique_id"].nunique()
assert np.isfinite(forecast["ptsm"]).all()
