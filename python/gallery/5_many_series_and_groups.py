# %% [markdown]
# # Many series, many processes
#
# A function of Arrow tables forecasts whole series wherever it is called: here in two processes of joblib, and in the same way
# by Spark and Ray (docs/distributed.md). Another one trains a model for each group.

# %%
import pyarrow as pa
from joblib import Parallel, delayed
from sales import SHOPS, sales

import ptsm
from ptsm import arrow

table = pa.Table.from_pandas(sales(), preserve_index=False)
function = arrow.Predict("builtin", 7, level=80)
found = pa.concat_tables(Parallel(2)(delayed(function)(part) for part in arrow.parts(table, 4)))
assert found.equals(function(table))
print(f"{found.num_rows} rows from two processes, those of one to the bit")

# %% Three regions, a model for each.
region = pa.array([f"region {int(name[-2:]) % 3}" for name in table["unique_id"].to_pylist()])
train = arrow.Train("region", {"h": 7, "context_length": 28, "epochs": 3, "seed": 0})
grouped = table.append_column("region", region)
groups = [grouped.filter(pa.compute.field("region") == name) for name in region.unique().to_pylist()]
trained = pa.concat_tables(Parallel(2)(delayed(train)(group) for group in groups)).to_pylist()
for row in trained:
    print(f"{row['region']}: MASE {row['mase']:.3f} on the validation part")

# %% A row has its model as bytes.
first = arrow.model_of(trained[0]["model"])
week = first.predict(groups[0].drop_columns("region"))
assert isinstance(first, ptsm.Forecaster)
assert week.num_rows == 7 * len(groups[0]["unique_id"].unique())
print(f"{SHOPS} shops in {len(trained)} regions")
