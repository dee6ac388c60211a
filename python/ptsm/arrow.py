"""Forecasts and trainings as functions of Arrow tables, for engines that spread work over processes and machines.

A table goes in, a table comes out; the functions can be pickled (with the files of the model as bytes, and no name of a
function to call), and a process loads a model once, however many of them it is sent. :mod:`ptsm.spark` and
:mod:`ptsm.ray` call them, and so may joblib, Dask or a loop. They need pyarrow.

>>> function = Predict("builtin", 7)                                      # doctest: +SKIP
>>> joblib.Parallel(2)(joblib.delayed(function)(one) for one in parts(table, 8))   # doctest: +SKIP
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import uuid
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ptsm import _ptsm
from ptsm.errors import Error, InvalidConfig
from ptsm.forecaster import Forecaster, forecast
from ptsm.reading import percents

__all__ = ["Predict", "Train", "model_of", "parts"]

#: Rows that are forecast at a time, at least, where a table comes in pieces.
_ROWS_AT_ONCE = 1 << 16
#: Forecasters of this process, by the hash of their files.
_LOADED: dict[str, Forecaster] = {}
#: What this copy of the module is called; a fork has the name of its parent, but another number.
_NAME = uuid.uuid4().hex


def _process() -> str:
    return f"{_NAME}-{os.getpid()}"


class _Work:
    """What can be sent to another process."""

    def __init__(self) -> None:
        self._made_in = _process()

    def _alone(self) -> None:
        """One thread in a worker, as the engine has a worker for each core."""
        if self._made_in != _process():
            _ptsm.set_threads(1)


class Predict(_Work):
    """Forecasts every series of a table.

    ``model`` is a forecaster, a model directory, or ``builtin``. The table has a column that names the series, one of
    times, and the targets of the model (``y`` for ``builtin``, or ``target_col``); rows of a series follow one another in
    the order of their times. The answer has the first two columns in their types, the forecast (``alias``, or the names of
    several targets), and the ends of the intervals of ``level`` (none if not given) and ``quantiles``.
    """

    def __init__(
        self,
        model: Forecaster | str | os.PathLike[str],
        h: int | None = None,
        *,
        id_col: str = "unique_id",
        time_col: str = "ds",
        target_col: str | Sequence[str] | None = None,
        level: float | Sequence[float] | None = None,
        quantiles: Sequence[float] | None = None,
        alias: str = "ptsm",
        how: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.h = h
        self.id_col = id_col
        self.time_col = time_col
        self.level = percents(level) or []
        self.quantiles = [float(one) for one in quantiles or ()]
        self.alias = alias
        self.how = dict(how or {})
        self._files: dict[str, bytes] | None = None
        targets = [target_col] if isinstance(target_col, str) else target_col
        if isinstance(model, Forecaster) or os.fspath(model) != "builtin":
            loaded = model if isinstance(model, Forecaster) else Forecaster.from_pretrained(model)
            self._files = loaded._fitted().files()
            targets = targets or loaded.info_["targets"]
            self._key = _hash(self._files)
            _LOADED.setdefault(self._key, loaded)
        self.targets = list(targets or ["y"])

    def columns(self) -> list[str]:
        """Names of the columns of numbers in the answer."""
        names = [self.alias] if len(self.targets) == 1 else self.targets
        found = []
        for name in names:
            lower = [f"{name}-lo-{_short(one)}" for one in reversed(self.level)]
            upper = [f"{name}-hi-{_short(one)}" for one in self.level]
            found += [name, *lower, *upper, *(f"{name}_q{_short(one)}" for one in self.quantiles)]
        return found

    def schema(self, given: pa.Schema) -> pa.Schema:
        """The schema of the answer for a table of this one."""
        kept = [given.field(name).with_nullable(True) for name in (self.id_col, self.time_col)]
        return pa.schema(kept + [pa.field(name, pa.float64()) for name in self.columns()])

    def __call__(self, table: pa.Table) -> pa.Table:
        """The forecasts of a table of whole series."""
        table = table.select([self.id_col, self.time_col, *self.targets])
        schema = self.schema(table.schema)
        if table.num_rows == 0:
            return schema.empty_table()
        self._alone()
        roles = {"id_col": self.id_col, "time_col": self.time_col, "target_col": self.targets}
        asked = {"quantiles": self.quantiles, **roles, **self.how}
        if self._files is None:
            found = forecast(table, self.h, level=self.level, alias=self.alias, **asked)
        else:
            found = self._forecaster().predict(table, self.h, level=self.level, **asked)
            names = {self._alias: self.alias} if len(self.targets) == 1 else {}
            found = found.rename_columns([_renamed(name, names) for name in found.column_names])
        return found.select(schema.names).cast(schema)

    def batches(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The forecasts of a table that comes in pieces; a series may cross their borders."""
        held: list[pa.RecordBatch] = []
        rows = 0
        for batch in batches:
            held.append(batch)
            rows += batch.num_rows
            if rows < _ROWS_AT_ONCE:
                continue
            table = pa.Table.from_batches(held)
            # The last series may have more rows in the next piece.
            ids = table.column(self.id_col)
            whole = pc.index(ids, ids[-1]).as_py()
            yield from self(table.slice(0, whole)).to_batches()
            held = table.slice(whole).to_batches()
            rows = table.num_rows - whole
        if held:
            yield from self(pa.Table.from_batches(held)).to_batches()

    def sorted(self, table: pa.Table) -> pa.Table:
        """The forecasts of a table whose rows are in any order."""
        order = [(self.id_col, "ascending"), (self.time_col, "ascending")]
        ordered = table.select([self.id_col, self.time_col, *self.targets]).sort_by(order)
        schema = self.schema(ordered.schema)
        return pa.Table.from_batches(self.batches(ordered.to_batches()), schema)

    @property
    def _alias(self) -> str:
        return self._forecaster().alias

    def _forecaster(self) -> Forecaster:
        found = _LOADED.get(self._key)
        if found is None:
            found = Forecaster()
            found._set_files(self._files)
            _LOADED[self._key] = found
        return found


class Train(_Work):
    """Trains a forecaster on the series of a table, and gives one row: its group, the model as bytes, what was told.

    ``by`` are the columns that name the group, whose values the row keeps; all rows of a table are of one group. The other
    arguments are those of :class:`ptsm.Forecaster` (``params``) and its ``fit`` (``how``). A training that fails gives a row
    with the ``error`` and no model, so that one group does not end the others.
    """

    #: Columns of the answer after those of the group.
    FIELDS = (
        pa.field("model", pa.binary()),
        pa.field("mase", pa.float64()),
        pa.field("notes", pa.string()),
        pa.field("error", pa.string()),
    )

    def __init__(
        self,
        by: str | Sequence[str],
        params: Mapping[str, Any] | None = None,
        how: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.by = [by] if isinstance(by, str) else list(by)
        self.params = dict(params or {})
        self.how = dict(how or {})
        Forecaster(**self.params)

    def schema(self, given: pa.Schema) -> pa.Schema:
        """The schema of the answer for a table of this one."""
        return pa.schema([*(given.field(name) for name in self.by), *self.FIELDS])

    def __call__(self, table: pa.Table) -> pa.Table:
        """Trains on the rows of one group, which are put into the order of their times."""
        self._alone()
        schema = self.schema(table.schema)
        row: dict[str, Any] = dict.fromkeys(schema.names)
        row.update({name: table.column(name)[0].as_py() for name in self.by})
        kept = self.how.get("id_col")
        series = table.drop_columns([name for name in self.by if name != kept])
        try:
            forecaster = Forecaster(**self.params).fit(series, **{"sort": True, **self.how})
            scores = forecaster.evaluate(split="validation", baselines=False, sort=True)
            row["mase"] = scores["mase"]
            row["notes"] = "\n".join(forecaster.notes_)
            row["model"] = _packed(forecaster._fitted().files())
        except Error as error:
            row["error"] = str(error)
        return pa.Table.from_pylist([row], schema)


def model_of(packed: bytes, **params: Any) -> Forecaster:
    """The forecaster of a row of :class:`Train`; ``params`` are those of :class:`ptsm.Forecaster`."""
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    forecaster = Forecaster(**params)
    forecaster._set_files(files)
    return forecaster


def parts(table: pa.Table, count: int, id_col: str = "unique_id") -> list[pa.Table]:
    """Cuts a table whose rows are grouped by series into ``count`` parts or fewer, between series, near even."""
    if count < 1:
        text = f"count: {count} must be at least 1"
        raise InvalidConfig(text, "InvalidConfig", "count", 2)
    ids = table.column(id_col).combine_chunks()
    if len(ids) == 0:
        return []
    changed = pc.not_equal(ids[1:], ids[:-1])
    starts = [0, *(place + 1 for place in pc.indices_nonzero(changed).to_pylist())]
    wanted = [starts[len(starts) * part // count] for part in range(count)]
    ends = [*wanted[1:], table.num_rows]
    return [table.slice(a, b - a) for a, b in zip(wanted, ends, strict=True) if b > a]


def _hash(files: Mapping[str, bytes]) -> str:
    whole = hashlib.sha256()
    for name in sorted(files):
        whole.update(json.dumps([name, len(files[name])]).encode())
        whole.update(files[name])
    return whole.hexdigest()


def _packed(files: Mapping[str, bytes]) -> bytes:
    """The files as an archive that has the same bytes each time."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name), files[name])
    return written.getvalue()


def _short(number: float) -> str:
    """A number as names of columns have it: 80, 97.5, 0.1."""
    return f"{round(number, 6):g}"


def _renamed(name: str, names: Mapping[str, str]) -> str:
    for old, new in names.items():
        rest = name.removeprefix(old)
        if name.startswith(old) and (not rest or rest[0] in "-_"):
            return new + rest
    return name
