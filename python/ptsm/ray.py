"""Forecasts and trainings on Ray, by the functions of :mod:`ptsm.arrow`.

>>> ptsm.ray.predict(dataset, model, 7).write_parquet("forecasts")        # doctest: +SKIP

They need Ray 2.50 or later (``pip install ptsm[ray]``). A block or a training that is lost is repeated by Ray, to the same
numbers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import ray

from ptsm._params import as_json
from ptsm.arrow import Predict, Train
from ptsm.errors import InvalidConfig
from ptsm.forecaster import Forecaster
from ptsm.frames import Frame

__all__ = ["predict", "tune"]


class _Actor:
    """Holds a model in a process of Ray."""

    def __init__(self, function: Predict) -> None:
        self.function = function

    def __call__(self, table: pa.Table) -> pa.Table:
        return self.function.sorted(table)


def predict(
    dataset: Any,
    model: Forecaster | str | os.PathLike[str],
    h: int | None = None,
    *,
    id_col: str = "unique_id",
    time_col: str = "ds",
    target_col: str | Sequence[str] | None = None,
    level: float | Sequence[float] | None = None,
    quantiles: Sequence[float] | None = None,
    blocks: int = 16,
    actors: int = 1,
    how: Mapping[str, Any] | None = None,
) -> Any:
    """Forecasts every series of a dataset of Ray, as a dataset.

    The arguments are those of :class:`ptsm.arrow.Predict`, whose ``alias`` is ``ptsm`` here. Rows of a series are brought into one of ``blocks``, each of which
    must fit in memory, and forecast by ``actors`` processes of one core.
    """
    function = Predict(
        model,
        h,
        id_col=id_col,
        time_col=time_col,
        target_col=target_col,
        level=level,
        quantiles=quantiles,
        how=how,
    )
    rows = dataset.select_columns([id_col, time_col, *function.targets])
    return rows.repartition(blocks, keys=[id_col]).map_batches(
        _Actor,
        fn_constructor_args=(function,),
        batch_size=None,
        batch_format="pyarrow",
        concurrency=actors,
        num_cpus=1,
    )


def tune(
    df: Any,
    params: Sequence[Mapping[str, Any]],
    how: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Trains a forecaster with each of ``params`` on the series of a frame, and ranks them by their MASE on the validation
    part, the best first.

    ``how`` is that of ``fit``. All of ``params`` have the same ``h``, as errors grow with it. A model that was refitted with the
    validation part, as the default forecaster may be, has a MASE that is too good, which its ``notes`` say: networks of fixed
    options are compared more fairly. Each answer has ``params``, ``mase``, ``model`` as bytes (:func:`ptsm.arrow.model_of`),
    ``notes``, and ``error`` where the training failed, which come last. A training is a task of one core.
    """
    if not params:
        text = "params: is empty (give the parameters of at least one forecaster)"
        raise InvalidConfig(text, "InvalidConfig", "params", 2)
    horizons = {one.get("h") for one in params}
    if len(horizons) > 1:
        told = ", ".join(sorted(map(str, horizons)))
        text = f"params: have different h ({told}), whose errors cannot be compared (call tune for each)"
        raise InvalidConfig(text, "InvalidConfig", "params", 2)
    table = ray.put(pa.table(Frame(df).stream))
    task = ray.remote(num_cpus=1, max_retries=3)(_trained)
    tasks = [task.remote(table, Train([], one, how)) for one in params]
    found = []
    for one, row in zip(params, ray.get(tasks), strict=True):
        found.append({"params": json.loads(as_json(dict(one))), **row})
    worst = float("inf")
    return sorted(found, key=lambda row: worst if row["mase"] is None else row["mase"])


def _trained(table: pa.Table, function: Train) -> dict[str, Any]:
    row: dict[str, Any] = function(table).to_pylist()[0]
    return row
