"""Forecasts and trainings on Spark, by the functions of :mod:`ptsm.arrow`.

>>> ptsm.spark.predict(df, model, 7).write.parquet("forecasts")           # doctest: +SKIP

They need pyspark 4.0 or later with pandas and pyarrow (``pip install ptsm[spark]``). A task that is lost is repeated by Spark,
and gives the same rows: a forecast depends on its own series alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql.types import (
    BinaryType,
    DoubleType,
    StringType,
    StructField,
    StructType,
)

from ptsm.arrow import Predict, Train
from ptsm.forecaster import Forecaster

__all__ = ["predict", "train_groups"]


def predict(
    df: Any,
    model: Forecaster | str | os.PathLike[str],
    h: int | None = None,
    *,
    id_col: str = "unique_id",
    time_col: str = "ds",
    target_col: str | Sequence[str] | None = None,
    level: float | Sequence[float] | None = None,
    quantiles: Sequence[float] | None = None,
    partitions: int | None = None,
    how: Mapping[str, Any] | None = None,
) -> Any:
    """Forecasts every series of a data frame of Spark, as a data frame.

    The arguments are those of :class:`ptsm.arrow.Predict`, whose ``alias`` is ``ptsm`` here. Rows of a series are brought into one of ``partitions``
    (Spark's own number if None) and sorted there by time. A model directory is read by the driver, and sent with the tasks.
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
    rows = df.select(id_col, time_col, *function.targets)
    rows = rows.repartition(partitions, id_col) if partitions else rows.repartition(id_col)
    kept = [StructField(name, rows.schema[name].dataType) for name in (id_col, time_col)]
    numbers = [StructField(name, DoubleType()) for name in function.columns()]
    ordered = rows.sortWithinPartitions(id_col, time_col)
    return ordered.mapInArrow(function.batches, StructType([*kept, *numbers]))


def train_groups(
    df: Any,
    by: str | Sequence[str],
    params: Mapping[str, Any] | None = None,
    how: Mapping[str, Any] | None = None,
) -> Any:
    """Trains a forecaster on each group of rows, as a data frame with a row for each: the columns of ``by``, the model as
    bytes (:func:`ptsm.arrow.model_of`), its MASE on the validation part, notes, and the error of a training that failed.

    ``params`` are those of :class:`ptsm.Forecaster`, ``how`` those of its ``fit``. A group is trained by one task.
    """
    function = Train(by, params, how)
    kinds = {"model": BinaryType(), "mase": DoubleType()}
    kept = [StructField(name, df.schema[name].dataType) for name in function.by]
    own = [StructField(one.name, kinds.get(one.name, StringType())) for one in Train.FIELDS]

    # Spark counts the arguments of a plain function.
    def trained(table: Any) -> Any:
        return function(table)

    return df.groupBy(*function.by).applyInArrow(trained, StructType([*kept, *own]))
