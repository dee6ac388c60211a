# %% [markdown]
# # While rows arrive
#
# A stream keeps what a forecast needs, some kilobytes, and gives one after each row. Its state is bytes: the process may end,
# and another one continues.

# %%
import numpy as np
from sales import sales

import ptsm

df = sales()
forecaster = ptsm.Forecaster(h=7, context_length=28, epochs=5, seed=0).fit(df)
shop = df[df["unique_id"] == "shop 01"]
before, after = shop.iloc[:-60], shop.iloc[-60:]

# %% The past first, then a row a day, each compared with the forecast of the day before.
stream = forecaster.stream(every=1, id="shop 01")
for row in before.itertuples():
    forecast = stream.push(row.ds, row.y)
errors = []
for number, row in enumerate(after.itertuples()):
    if number == 30:
        # Another process.
        state = stream.state()
        stream = forecaster.stream(every=1, id="shop 01")
        stream.restore(state)
    errors.append(abs(row.y - forecast.columns["ptsm"][0]))
    forecast = stream.push(row.ds, row.y)
print(f"mean absolute error a day ahead: {np.nanmean(errors):.2f} of {after['y'].mean():.0f}")
print(f"the next week, from {forecast.times[0]:%d %B}:", np.round(forecast.columns["ptsm"]))

# %% The last forecast is that of the whole table.
wanted = forecaster.predict(shop)["ptsm"].tolist()
assert forecast.columns["ptsm"] == wanted
print("rows seen:", stream.report()["counters"]["rows"])
