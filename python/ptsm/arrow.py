"""Forecasts and trainings as functions of Arrow tables, for engines that spread work over processes and machines.

A table goes in, a table comes out; the functions can be pickled (with the files of the model as bytes), and a process loads a
model once, however many of them it is sent, and keeps the last few models. :mod:`ptsm.spark` and
:mod:`ptsm.ray` call them, and so may joblib, Dask or a loop. They need pyarrow.

>>> function = Predict("builtin", 7)                                      # doctest: +SKIP
>>> joblib.Parallel(2)(joblib.delayed(function)(one) for one in parts(table, 8))   # doctest: +SKIP
"""

from __future__ import annotations

import hashlib
import inspect
import io
import json
import os
import uuid
import zipfile
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ptsm import _ptsm
from ptsm.errors import Error, InvalidConfig, InvalidInput
from ptsm.forecaster import Forecaster, forecast
from ptsm.reading import percents, reading, tell, wanted_of

__all__ = ["Predict", "Train", "model_of", "parts"]

#: Rows that are forecast at a time, at least, where a table comes in pieces.
_ROWS_AT_ONCE = 1 << 16
#: Forecasters of this process, by the hash of their files, those used last at the end. None is a forecaster of the caller's,
#: which may be trained again.
_LOADED: OrderedDict[str, Forecaster] = OrderedDict()
#: So many are kept.
_MODELS = 4
#: How the message begins where no series of a table can be forecast.
_NO_VALUE = "no series has a value before the forecast"
#: Levels of the model inside the package, in per cent.
_BUILTIN_LEVELS = (1, 95)
#: What `fit` takes that is not for a worker.
_NOT_IN_WORKERS = ("progress", "checkpoint", "overwrite")
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
    several targets), and the ends of the intervals of ``level`` (none if not given) and ``quantiles``. ``how`` are further
    arguments of ``predict`` (of :func:`ptsm.forecast` for ``builtin``).

    Series without a value are left out with a warning; a table of nothing else has an empty answer, as it may be a piece of a
    larger one. Models with covariates are refused, and rows that name no series. The model is that of the call: a forecaster
    that is trained again later changes nothing here.
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
        self._check_how()
        wanted_of(self.level, self.quantiles, alias)
        targets = [target_col] if isinstance(target_col, str) else target_col
        if isinstance(model, Forecaster) or os.fspath(model) != "builtin":
            loaded = model if isinstance(model, Forecaster) else Forecaster.from_pretrained(model)
            self._files = loaded._fitted().files()
            self._check_model(loaded.info_)
            targets = targets or loaded.info_["targets"]
            self._key = _hash(self._files)
        else:
            low, high = _BUILTIN_LEVELS
            for one in self.level:
                if not low <= one <= high:
                    raise _refused("level", f"{_short(one)} must be from {low} to {high} for `builtin`, in per cent")
        self.targets = list(targets or ["y"])

    def _check_how(self) -> None:
        if self.h is not None and self.h < 1:
            raise _refused("h", f"{self.h} must be at least 1")
        for name in ("id_col", "time_col", "target_col", "level", "quantiles", "alias", "h"):
            if name in self.how:
                raise _refused("how", f"has {name!r}, which is an argument of its own (give it there)")
        for name, why in (
            ("X_df", "covariates do not go through these functions"),
            ("split", "a forecast has no parts"),
            ("model", "the model is an argument of its own"),
        ):
            if name in self.how:
                raise _refused("how", f"{name!r} would not be used: {why} (leave it out)")
        _known_in(self.how, {*_parameters(reading), "rows_before_end"})

    def _check_model(self, info: Mapping[str, Any]) -> None:
        if info["covariates"]:
            names = ", ".join(info["covariates"])
            text = f"knows covariates ({names}), which do not go through these functions (Forecaster.predict takes them)"
            raise _refused("model", text)
        asked = bool(self.level) or any(abs(one - 0.5) > 1e-9 for one in self.quantiles)
        name = "level" if self.level else "quantiles"
        if asked and self.h is not None and self.h > info["h"]:
            text = f"there are no intervals beyond the {info['h']} steps of the model, and h is {self.h} (leave out one of them)"
            raise _refused(name, text)
        if asked and not info["level"]:
            raise _refused(name, "the model has no intervals (Forecaster.calibrate fits them)")

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
        _ids(table, self.id_col)
        try:
            found = self._found(table)
        except InvalidInput as error:
            if not str(error).startswith(_NO_VALUE):
                raise
            tell([f"{error}: the answer for these {table.num_rows} rows is empty"])
            return schema.empty_table()
        return found.select(schema.names).cast(schema)

    def _found(self, table: pa.Table) -> pa.Table:
        roles: dict[str, Any] = {"id_col": self.id_col, "time_col": self.time_col, "target_col": self.targets}
        if self._files is None:
            asked = {"level": self.level, "quantiles": self.quantiles, "alias": self.alias, **roles, **self.how}
            return forecast(table, self.h, **asked)
        how = dict(self.how)
        wanted = {
            "h": self.h,
            "rows_before_end": how.pop("rows_before_end", 0),
            "wanted": wanted_of(self.level, self.quantiles, self.alias),
        }
        return self._forecaster()._predict(table, {"data": reading(**roles, **how), **wanted})

    def batches(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The forecasts of a table that comes in pieces; a series may cross their borders.

        A series whose rows do not follow one another is refused, when its later rows come. The names of all series are kept
        for that.
        """
        held: list[pa.RecordBatch] = []
        rows = 0
        done: set[Any] = set()
        for batch in batches:
            held.append(batch)
            rows += batch.num_rows
            if rows < _ROWS_AT_ONCE:
                continue
            table = pa.Table.from_batches(held)
            # The last series may have more rows in the next piece.
            starts, names = _runs(table, self.id_col)
            _refuse_torn(names, self.id_col, done)
            whole = starts[-1]
            done.update(names[:-1])
            yield from self(table.slice(0, whole)).to_batches()
            held = table.slice(whole).to_batches()
            rows = table.num_rows - whole
        if held:
            table = pa.Table.from_batches(held)
            _refuse_torn(_runs(table, self.id_col)[1], self.id_col, done)
            yield from self(table).to_batches()

    def sorted(self, table: pa.Table) -> pa.Table:
        """The forecasts of a table whose rows are in any order."""
        order = [(self.id_col, "ascending"), (self.time_col, "ascending")]
        ordered = table.select([self.id_col, self.time_col, *self.targets]).sort_by(order)
        schema = self.schema(ordered.schema)
        return pa.Table.from_batches(self.batches(ordered.to_batches()), schema)

    def _forecaster(self) -> Forecaster:
        found = _LOADED.pop(self._key, None)
        if found is None:
            found = Forecaster()
            found._set_files(self._files)
        _LOADED[self._key] = found
        while len(_LOADED) > _MODELS:
            _LOADED.popitem(last=False)
        return found


class Train(_Work):
    """Trains a forecaster on the series of a table, and gives one row: its group, the model as bytes, what was told.

    ``by`` are the columns that name the group, whose values the row keeps; all rows of a table are of one group, and a table
    with several or none is refused. The other arguments are those of :class:`ptsm.Forecaster` (``params``) and its ``fit``
    (``how``). A training that fails gives a row with the ``error`` and no model, so that one group does not end the others; where
    the model cannot be scored, the row has both. ``mase`` is that of the validation part, and ``notes`` say where a member of
    the model was fitted to that part, too.
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
        for one in self.FIELDS:
            if one.name in self.by:
                raise _refused("by", f"{one.name!r} is a column of the answer (rename the column of the table)")
        for name in _NOT_IN_WORKERS:
            if name in self.how:
                raise _refused("how", f"{name!r} is not for trainings in other processes (leave it out)")
        own = {*_parameters(Forecaster.fit)} - {"self", "df", "how", *_NOT_IN_WORKERS}
        _known_in(self.how, own | {*_parameters(reading)})
        Forecaster(**self.params)

    def schema(self, given: pa.Schema) -> pa.Schema:
        """The schema of the answer for a table of this one."""
        return pa.schema([*(given.field(name) for name in self.by), *self.FIELDS])

    def __call__(self, table: pa.Table) -> pa.Table:
        """Trains on the rows of one group, which are put into the order of their times."""
        self._alone()
        schema = self.schema(table.schema)
        row: dict[str, Any] = dict.fromkeys(schema.names)
        row.update({name: self._group(table, name) for name in self.by})
        kept = self.how.get("id_col")
        series = table.drop_columns([name for name in self.by if name != kept])
        how = {"sort": True, **self.how}
        try:
            forecaster = Forecaster(**self.params).fit(series, **how)
            row["model"] = _packed(forecaster._fitted().files())
            row["notes"] = "\n".join(forecaster.notes_)
            # What tells how rows are read, the part apart.
            read = {name: how[name] for name in _parameters(reading) if name in how and name != "split"}
            scores, notes = forecaster._evaluated(split="validation", baselines=False, **read)
            row["mase"] = scores["mase"]
            row["notes"] = "\n".join([*forecaster.notes_, *notes])
        except Error as error:
            row["error"] = str(error) if row["model"] is None else f"trained, but not scored: {error}"
        return pa.Table.from_pylist([row], schema)

    def _group(self, table: pa.Table, name: str) -> Any:
        """The only value of a column."""
        values = pc.unique(table.column(name)).to_pylist()
        if len(values) != 1:
            shown = ", ".join(repr(value) for value in values[:3])
            found = f"has {len(values)} values ({shown}{', ...' if len(values) > 3 else ''})" if values else "has no row"
            text = f"{name}: the column {found}, wanted those of one group (call it with the rows of each group)"
            raise InvalidInput(text, "InvalidInput", name, 2)
        return values[0]


def model_of(packed: bytes, **params: Any) -> Forecaster:
    """The forecaster of a row of :class:`Train`; ``params`` are those of :class:`ptsm.Forecaster`."""
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    forecaster = Forecaster(**params)
    forecaster._set_files(files)
    return forecaster


def parts(table: pa.Table, count: int, id_col: str = "unique_id") -> list[pa.Table]:
    """Cuts a table whose rows are grouped by series into ``count`` parts or fewer, between series, near even.

    A table in which the rows of a series do not follow one another is refused.
    """
    if count < 1:
        text = f"count: {count} must be at least 1"
        raise InvalidConfig(text, "InvalidConfig", "count", 2)
    if table.num_rows == 0:
        return []
    starts, names = _runs(table, id_col)
    _refuse_torn(names, id_col, set())
    wanted = [starts[len(starts) * part // count] for part in range(count)]
    ends = [*wanted[1:], table.num_rows]
    return [table.slice(a, b - a) for a, b in zip(wanted, ends, strict=True) if b > a]


def _refused(name: str, text: str) -> InvalidConfig:
    return InvalidConfig(f"{name}: {text}", "InvalidConfig", name, 2)


def _parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


def _known_in(how: Mapping[str, Any], known: set[str]) -> None:
    """Refuses arguments that the function to call does not have."""
    for name in how:
        if name not in known:
            raise _refused("how", f"{name!r} is no argument (there are {', '.join(sorted(known))})")


def _ids(table: pa.Table, id_col: str) -> Any:
    """The names of the series, of each row."""
    ids = table.column(id_col)
    if ids.null_count:
        text = f"{id_col}: {ids.null_count} of {len(ids)} rows name no series (drop them, or fill the column)"
        raise InvalidInput(text, "InvalidInput", id_col, 2)
    return ids.cast(ids.type.value_type) if pa.types.is_dictionary(ids.type) else ids


def _runs(table: pa.Table, id_col: str) -> tuple[list[int], list[Any]]:
    """Where rows of another series begin, and which."""
    if table.num_rows == 0:
        return [], []
    ids = _ids(table, id_col).combine_chunks()
    changed = pc.not_equal(ids[1:], ids[:-1])
    starts = [0, *(place + 1 for place in pc.indices_nonzero(changed).to_pylist())]
    return starts, ids.take(pa.array(starts)).to_pylist()


def _refuse_torn(names: Sequence[Any], id_col: str, done: set[Any]) -> None:
    """Refuses a series of which other rows came earlier, with others between; ``done`` came in earlier pieces."""
    seen: set[Any] = set()
    for name in names:
        if name in seen or name in done:
            text = (
                f"{id_col}: the rows of the series {name!r} do not follow one another (Predict.sorted takes rows in any "
                f"order; or sort the table by {id_col} and time)"
            )
            raise InvalidInput(text, "InvalidInput", id_col, 2)
        seen.add(name)


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
