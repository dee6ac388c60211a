"""Forecasters of frames."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ptsm import _onnx, _ptsm
from ptsm._params import Params, as_json
from ptsm.errors import InvalidConfig
from ptsm.frames import Frame
from ptsm.progress import Progress, Watch
from ptsm.reading import percents, reading, tell, wanted_of
from ptsm.studies import Studies

if TYPE_CHECKING:
    from ptsm.stream import Stream

def forecast(
    df: Any,
    h: int | None = None,
    *,
    level: float | Iterable[float] = (80, 95),
    quantiles: Iterable[float] | None = None,
    model: str | os.PathLike[str] = "builtin",
    alias: str = "ptsm",
    rows_before_end: int = 0,
    id_col: str | None = None,
    time_col: str | None = None,
    target_col: str | Sequence[str] | None = None,
    freq: str | None = None,
    season_length: int | None = None,
    **how: Any,
) -> Any:
    """Forecasts every series of a frame without training, as ``ptsm forecast FILE``.

    ``df`` is a frame of pandas, polars, pyarrow or DuckDB, or any other with Arrow's C stream: one column of times,
    perhaps one that names the series, and columns of numbers. The answer is a frame of the same kind. ``h`` steps are
    forecast, or the usual ones of the step of the rows; ``level`` are the intervals in per cent, from 1 to 95.
    ``how`` says how the frame is read (:func:`ptsm.reading.reading`).
    """
    frame = Frame(df)
    levels = percents(level) or []
    wanted = wanted_of(levels, quantiles, alias)
    needed = {round(abs(1 - 2 * q), 9) for q in wanted["quantiles"]} - {0.0}
    asked = {
        "data": reading(
            id_col=id_col,
            time_col=time_col,
            target_col=target_col,
            freq=freq,
            season_length=season_length,
            **how,
        ),
        "model": os.fspath(model),
        "h": h,
        "levels": sorted({one / 100 for one in levels} | needed),
        "rows_before_end": rows_before_end,
        "wanted": wanted,
    }
    batches, notes = _ptsm.forecast(frame.stream, as_json(asked))
    tell(notes)
    return frame.like(batches)


class Forecaster(Studies, Params):
    """Learns from the series of a frame, and forecasts them and others like them.

    Without ``options``, classical methods, ridge regressions and networks are compared on the validation part of the
    series, and the mean of those that forecast it best is kept, as ``ptsm train`` does. With an option, any field of
    ``config.json`` or of a training such as ``d_model=32`` or ``epochs=20``, that network alone is trained, all else
    chosen for the data, as ``ptsm train --recipe auto``.

    ``h`` steps are forecast from ``context_length`` past ones; both are chosen for the data if None. ``metric`` is what
    is small in a good forecast: ``mae``, ``smape`` or ``mape``. ``alias`` is the name of the forecast's column.
    """

    def __init__(
        self,
        h: int | None = None,
        context_length: int | None = None,
        *,
        seed: int | None = None,
        metric: str | None = None,
        alias: str = "ptsm",
        **options: Any,
    ) -> None:
        self.h = h
        self.context_length = context_length
        self.seed = seed
        self.metric = metric
        self.alias = alias
        self._set_options(options)
        self._core: _ptsm.ForecastCore | None = None
        self._info: dict[str, Any] = {}
        self._frame: Any = None
        #: What was chosen in training, and why, a sentence each.
        self.notes_: list[str] = []

    def fit(
        self,
        df: Any,
        *,
        id_col: str | None = None,
        time_col: str | None = None,
        target_col: str | Sequence[str] | None = None,
        freq: str | None = None,
        season_length: int | None = None,
        split: str | None = None,
        future_covariates: Sequence[str] | None = None,
        calendar: Sequence[str] | None = None,
        progress: bool | Callable[[Progress], object] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
        **how: Any,
    ) -> Forecaster:
        """Trains on all series of a frame.

        Columns that are not named are found as the ``ptsm`` command finds them: Nixtla's ``unique_id`` and ``ds`` among
        others, and every other column of numbers is a channel. ``split`` are the borders of training, validation and
        test part (``7:1:2``, ``last:24``, ...). ``future_covariates`` are columns that are known ahead, such as prices, and
        ``calendar`` what the times tell (``hour``, ``weekday``, ``month``, ...): those that help on the validation part are
        used, and :meth:`predict` needs their future. ``progress`` is True for a bar, or a function that takes a
        :class:`Progress`. In the folder ``checkpoint`` a run that was interrupted is resumed by the same call, to the
        same bits; ``overwrite`` begins it anew. ``how`` says how the frame is read
        (:func:`ptsm.reading.reading`).
        """
        frame = Frame(df)
        data = reading(
            id_col=id_col,
            time_col=time_col,
            target_col=target_col,
            freq=freq,
            season_length=season_length,
            split=split,
            **how,
        )
        for name, words in (("future_covariates", future_covariates), ("calendar", calendar)):
            if words is not None:
                data[name] = list(words)
        asked = {
            "data": data,
            "h": self.h,
            "context_length": self.context_length,
            "seed": self.seed,
            "metric": self.metric,
            "options": self._options,
            "overwrite": overwrite,
        }
        with Watch(progress) as observer:
            folder = os.fspath(checkpoint) if checkpoint is not None else None
            core, self.notes_ = _ptsm.fit(frame.stream, as_json(asked), observer, folder)
        self._set_core(core)
        self._frame = df
        return self

    def predict(
        self,
        df: Any = None,
        h: int | None = None,
        *,
        level: float | Iterable[float] | None = None,
        quantiles: Iterable[float] | None = None,
        X_df: Any = None,
        rows_before_end: int = 0,
        id_col: str | None = None,
        time_col: str | None = None,
        target_col: str | Sequence[str] | None = None,
        **how: Any,
    ) -> Any:
        """Forecasts past the end of every series of a frame, by default the one of the training.

        The answer is a frame of the same kind: the columns of series and times, the forecast (``ptsm``, or the names of
        the channels where there are several), and the ends of its intervals (``ptsm-lo-80``, ``ptsm-hi-80``): all that
        the forecaster has, or those of ``level``. ``quantiles`` adds columns such as ``ptsm_q0.1``. Fewer steps than the
        model's own are cut; for more it is fed its own forecasts, and gives no intervals. Covariates of the steps ahead are
        in the frame ``X_df``, or in rows at the end of ``df`` that have no target.
        """
        data = reading(
            id_col=id_col,
            time_col=time_col,
            target_col=target_col,
            **how,
        )
        wanted = wanted_of(level, quantiles, self.alias)
        asked = {"data": data, "h": h, "wanted": wanted, "rows_before_end": rows_before_end}
        return self._predict(df, asked, X_df)

    def _predict(self, df: Any, asked: dict[str, Any], plan: Any = None) -> Any:
        core = self._fitted()
        frame = Frame(self._known(df))
        future = Frame(plan).stream if plan is not None else None
        batches, notes = core.predict(frame.stream, future, as_json(asked))
        tell(notes)
        return frame.like(batches)

    def calibrate(
        self,
        df: Any = None,
        *,
        level: float | Iterable[float] = (80, 95),
        split: str = "validation",
        **columns: Any,
    ) -> Forecaster:
        """Fits intervals so that their coverage is as stated on one part of a frame, as ``ptsm calibrate``."""
        asked = {
            "data": reading(**columns),
            "split": split,
            "levels": [one / 100 for one in percents(level) or []],
        }
        core = self._fitted()
        frame = Frame(self._known(df))
        self._set_core(core.calibrate(frame.stream, as_json(asked)))
        return self

    def stream(self, every: int = 1, *, min_rows: int | None = None, id: str = "") -> Stream:
        """A stream of rows of one series, with a forecast after every ``every`` rows."""
        from ptsm.stream import Stream

        return Stream(self._fitted(), self._info, every=every, min_rows=min_rows, id=id, alias=self.alias)

    def save_pretrained(self, directory: str | os.PathLike[str], *, overwrite: bool = True) -> None:
        """Writes the model directory, as a whole or not at all: files as Hugging Face writes them, and our own."""
        self._fitted().save(os.fspath(directory), overwrite)

    def to_onnx(
        self,
        path: str | os.PathLike[str],
        *,
        missing: str = "nan",
        quantiles: Sequence[float] | None = None,
        standardise: str | None = None,
        member: str | None = None,
    ) -> dict[str, Any]:
        """Writes the model as an ONNX file, and returns its size, inputs and outputs.

        The file takes the last rows in data units, ``[batch, context_length, channels]``, and gives the forecast. Missing
        points are NaN in it (``missing="nan"``), told by a second input (``"mask"``), or never there (``"none"``).
        ``quantiles`` are levels in (0, 1); with ``standardise="none"`` the file takes and gives the numbers of the
        network; ``member`` is the only network of an ensemble to be written. What a graph cannot compute is refused;
        what the file leaves out, such as calibrated intervals, is told by a ``UserWarning``.
        """
        return _onnx.write(
            self._fitted(), path, missing=missing, quantiles=quantiles, standardise=standardise, member=member
        )

    @classmethod
    def from_pretrained(cls, directory: str | os.PathLike[str], **params: Any) -> Forecaster:
        """Loads a model directory of ``save_pretrained``, ``ptsm train`` or ``ptsm import``."""
        forecaster = cls(**params)
        forecaster._set_core(_ptsm.ForecastCore.from_dir(os.fspath(directory)))
        return forecaster

    @property
    def info_(self) -> dict[str, Any]:
        """What the trained model is: steps, channels, columns, step of the rows, levels of its intervals."""
        self._fitted()
        return dict(self._info)

    @property
    def choice_(self) -> dict[str, Any] | None:
        """How the default forecaster was chosen; None for a network that was trained alone."""
        text = self._fitted().files().get("choice.json")
        return json.loads(text) if text is not None else None

    def __sklearn_is_fitted__(self) -> bool:
        return self._core is not None

    def _known(self, df: Any) -> Any:
        if df is None and self._frame is None:
            text = "df: there is no frame of the training any more (give one)"
            raise InvalidConfig(text, "InvalidConfig", "df", 2)
        return self._frame if df is None else df

    def _fitted(self) -> _ptsm.ForecastCore:
        if self._core is None:
            text = "the forecaster is not trained (fit it, or load one by from_pretrained)"
            raise InvalidConfig(text, "InvalidConfig", None, 2)
        return self._core

    def _set_core(self, core: _ptsm.ForecastCore) -> None:
        self._core = core
        self._info = json.loads(core.info())

    def _set_files(self, files: Any) -> None:
        self._set_core(_ptsm.ForecastCore.from_files(files))


def predict_df(
    model: Forecaster | str | os.PathLike[str],
    df: Any,
    *,
    prediction_length: int | None = None,
    quantile_levels: Sequence[float] = (0.1, 0.5, 0.9),
    id_column: str | None = None,
    timestamp_column: str | None = None,
    target: str | Sequence[str] | None = None,
    future_df: Any = None,
) -> Any:
    """Forecasts with the names of arguments and columns of Chronos and AutoGluon.

    The answer has the columns of series and times, ``target_name``, ``predictions`` and one for each quantile, a row for
    each step of each target. ``model`` is a forecaster, a model directory, or ``builtin``; ``future_df`` has the covariates of
    the steps ahead.
    """
    wanted = {**wanted_of(None, quantile_levels, None), "stacked": True}
    data = reading(id_col=id_column, time_col=timestamp_column, target_col=target)
    if not isinstance(model, Forecaster) and os.fspath(model) != "builtin":
        model = Forecaster.from_pretrained(model)
    if isinstance(model, Forecaster):
        return model._predict(df, {"data": data, "h": prediction_length, "wanted": wanted}, future_df)
    if future_df is not None:
        text = "future_df: would not be used: the model inside the package knows no covariates (leave it out)"
        raise InvalidConfig(text, "InvalidConfig", "future_df", 2)
    frame = Frame(df)
    levels = {round(abs(1 - 2 * q), 9) for q in wanted["quantiles"]} - {0.0}
    asked = {
        "data": data,
        "model": "builtin",
        "h": prediction_length,
        "levels": sorted(levels),
        "rows_before_end": 0,
        "wanted": wanted,
    }
    batches, notes = _ptsm.forecast(frame.stream, as_json(asked))
    tell(notes)
    return frame.like(batches)
