# %% [markdown]
# # A forecaster of one's own, and whether it is any good
#
# Trained on the first part of the series, chosen by the second, judged by the third: windows that nothing was fitted to.

# %%
import tempfile

from sales import sales

import ptsm

df = sales()
forecaster = ptsm.Forecaster(h=14, context_length=56, epochs=10, seed=0)
forecaster.fit(df)
for note in forecaster.notes_:
    print("-", note)

# %% Every window of the test part, beside simple forecasts. Shown by itself, it is the table of `ptsm evaluate`.
# Its verdict: a ridge regression does as well on such shops. `ptsm.Forecaster(h=14)`, without options of a network, compares
# both, and others, on the validation part, and keeps the mean of the best.
scores = forecaster.evaluate(df)
print(scores)

# %% Intervals: fitted on the validation part, compared with the test part.
forecaster.calibrate(df, level=[80, 95])
covered = {one["level"]: one["coverage"] for one in forecaster.evaluate(df)["probabilistic"]["intervals"]}
for level, share in covered.items():
    print(f"{100 * level:.0f} % intervals hold {100 * share:.1f} % of the points")

# %% Kept as a folder that the command reads, too: ptsm predict --model FOLDER --data FILE
with tempfile.TemporaryDirectory() as folder:
    forecaster.save_pretrained(folder)
    again = ptsm.Forecaster.from_pretrained(folder)
assert again.predict(df).equals(forecaster.predict(df))
