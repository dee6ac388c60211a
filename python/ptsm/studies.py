"""What a trained forecaster can be asked beside its forecasts: scores, rolling cutoffs, surprises, reasons."""

from __future__ import annotations

import json
import numbers
from collections.abc import Iterable, Mapping
from typing import Any

from ptsm import _ptsm
from ptsm._params import as_json
from ptsm.errors import InvalidConfig
from ptsm.frames import Frame
from ptsm.reading import reading, tell


#: What is told with scores of the validation part that are those of training in part, as the command says it.
_ON_VALIDATION = "a member of this model was fitted to the validation part, too"


class Evaluation(dict[str, Any]):
    """Scores by name; shown as the table that ``ptsm evaluate`` prints."""

    def __init__(self, scores: dict[str, Any], table: str) -> None:
        super().__init__(scores)
        self.table = table

    def __repr__(self) -> str:
        return self.table

    def __reduce__(self) -> tuple[Any, ...]:
        return Evaluation, (dict(self), self.table)


class Backtest(Evaluation):
    """Scores of forecasts from rolling cutoffs; ``rows`` are the forecasts, a frame of the kind that was handed in."""

    def __init__(self, scores: dict[str, Any], table: str, rows: Any) -> None:
        super().__init__(scores, table)
        self.rows = rows

    def __reduce__(self) -> tuple[Any, ...]:
        return Backtest, (dict(self), self.table, self.rows)


class Detection(dict[str, Any]):
    """The report of a scan, ``events`` first of all; ``rows`` are the scanned points, a frame of the kind handed in."""

    def __init__(self, report: dict[str, Any], rows: Any) -> None:
        super().__init__(report)
        self.rows = rows

    def __reduce__(self) -> tuple[Any, ...]:
        return Detection, (dict(self), self.rows)


class Studies:
    """Questions to a forecaster."""

    alias: str

    def _fitted(self) -> _ptsm.ForecastCore:
        raise NotImplementedError

    def _known(self, df: Any) -> Any:
        raise NotImplementedError

    def evaluate(
        self,
        df: Any = None,
        *,
        split: str = "test",
        by: Iterable[str] = (),
        baselines: bool = True,
        season_length: int | None = None,
        **columns: Any,
    ) -> Evaluation:
        """Scores every window of one part of a frame beside simple forecasts, as ``ptsm evaluate``.

        ``split`` is ``train``, ``validation`` or ``test`` of the training's borders, or other borders, whose test part is
        scored. ``by`` adds errors by ``step``, ``channel`` or ``series``. ``columns`` say how the frame is read, as in ``predict``.
        A ``UserWarning`` tells where the validation part is scored and a member of the model was fitted to it, too.
        """
        found, notes = self._evaluated(
            df, split=split, by=by, baselines=baselines, season_length=season_length, **columns
        )
        tell(notes)
        return found

    def _evaluated(
        self,
        df: Any = None,
        *,
        split: str,
        by: Iterable[str] = (),
        baselines: bool,
        season_length: int | None = None,
        **columns: Any,
    ) -> tuple[Evaluation, list[str]]:
        """The scores, and what is to be told with them."""
        wanted = set(by)
        unknown = wanted - {"step", "channel", "series"}
        if unknown:
            text = f"by: {sorted(unknown)[0]!r} is not one of step, channel, series"
            raise InvalidConfig(text, "InvalidConfig", "by", 2)
        asked = {
            "data": reading(season_length=season_length, **columns),
            "split": split,
            "baselines": baselines,
            "per_step": "step" in wanted,
            "per_channel": "channel" in wanted,
            "per_series": "series" in wanted,
        }
        core = self._fitted()
        frame = Frame(self._known(df))
        scores, table = core.evaluate(frame.stream, as_json(asked))
        seen = split == "validation" and _fitted_to_validation(core.files())
        return Evaluation(json.loads(scores), table), [_ON_VALIDATION] if seen else []

    def score(self, df: Any = None, **columns: Any) -> float:
        """Minus the MASE of the test part: larger is better, as scikit-learn wants it."""
        scores = self.evaluate(df, baselines=False, **columns)
        return -float(scores["mase"])

    def backtest(
        self,
        df: Any = None,
        *,
        n_windows: int = 5,
        step_size: int | None = None,
        h: int | None = None,
        refit: bool | int = False,
        baselines: bool = True,
        season_length: int | None = None,
        **columns: Any,
    ) -> Backtest:
        """Forecasts from ``n_windows`` cutoffs, scored beside simple forecasts, as ``ptsm backtest``.

        The last cutoff is ``h`` rows before the end of each series, and ``step_size`` rows lie between two of them (``h``
        if None). With ``refit`` the model is trained again on the rows before every cutoff, or every ``refit``-th one;
        without, ``cutoffs`` say which of them it has seen in training. Covariates of the forecast's steps are those
        of the frame. The answer has the scores by name; its ``rows`` are the forecasts with the columns of
        :meth:`cross_validation`.
        """
        asked = {
            "data": _no_split(season_length=season_length, **columns),
            "h": h,
            "windows": n_windows,
            "step": step_size,
            "refit": _every(refit),
            "baselines": baselines,
            "alias": self.alias,
        }
        core = self._fitted()
        frame = Frame(self._known(df))
        rows, scores, table = _ptsm.backtest(core, frame.stream, as_json(asked))
        return Backtest(json.loads(scores), table, frame.like(rows))

    def cross_validation(
        self,
        df: Any = None,
        *,
        n_windows: int = 5,
        step_size: int | None = None,
        h: int | None = None,
        refit: bool | int = False,
        **columns: Any,
    ) -> Any:
        """The forecasts of :meth:`backtest`, a row for each step: series, time, ``cutoff`` (the last time before the
        forecast), the true value under the name of the target, the forecast, and the ends of its intervals. Several
        targets keep their names, and have the true value in ``NAME_actual``.
        """
        if columns.get("season_length") is not None:
            text = "season_length: would not be used: nothing is scored (leave it out; `backtest` takes it)"
            raise InvalidConfig(text, "InvalidConfig", "season_length", 2)
        found = self.backtest(
            df, n_windows=n_windows, step_size=step_size, h=h, refit=refit, baselines=False, **columns
        )
        return found.rows

    def detect(
        self,
        df: Any = None,
        *,
        calibration: Any = None,
        fdr: float | None = None,
        alpha: float | None = None,
        hide: float | None = None,
        ahead: int = 1,
        split: str | None = None,
        **columns: Any,
    ) -> Detection:
        """Points that were not expected, as ``ptsm detect``: the residual of each gets a p-value.

        All rows of the frame are scanned, compared with the residuals of a frame ``calibration`` that training did not
        see; without one, the test part is scanned, compared with the validation part of the training's borders or of
        ``split``. Points are flagged by a rate of false discoveries ``fdr`` (0.05), or by a level ``alpha`` of the p-values.
        ``hide`` makes later forecasts without points below such a level; ``ahead`` are the steps from the last row that a
        forecast is made from to the point. The answer is a report, its ``events`` strongest first; its ``rows`` are the points.
        """
        asked = {
            "data": reading(**_no_season(columns)),
            "split": split,
            "fdr": 0.05 if fdr is None and alpha is None else fdr,
            "alpha": alpha,
            "hide": hide,
            "ahead": ahead,
        }
        if calibration is not None and split is not None:
            text = "split: would not be used beside `calibration`, whose rows are all taken (leave it out)"
            raise InvalidConfig(text, "InvalidConfig", "split", 2)
        core = self._fitted()
        frame = Frame(self._known(df))
        other = Frame(calibration).stream if calibration is not None else None
        rows, report = _ptsm.detect(core, frame.stream, other, as_json(asked))
        return Detection(json.loads(report), frame.like(rows))

    def explain(
        self,
        df: Any = None,
        *,
        X_df: Any = None,
        rows_before_end: int = 0,
        stretch: int | None = None,
        **columns: Any,
    ) -> Any:
        """What moved the forecast of each series, as ``ptsm explain``: a row for each channel and source of influence.

        Stretches of ``stretch`` rows of the past are made missing, one at a time, and the change of the forecast is told
        (``size``, ``mean``, and ``step_1`` onwards); what a covariate adds is exact.
        """
        asked = {
            "data": _no_split(**_no_season(columns)),
            "rows_before_end": rows_before_end,
            "stretch": stretch,
        }
        core = self._fitted()
        frame = Frame(self._known(df))
        plan = Frame(X_df).stream if X_df is not None else None
        rows, notes = _ptsm.explain(core, frame.stream, plan, as_json(asked))
        tell(notes)
        return frame.like(rows)


def _no_split(**columns: Any) -> dict[str, Any]:
    """How a frame is read that is not divided."""
    if columns.get("split") is not None:
        text = "split: would not be used: the rows are not divided into parts (leave it out)"
        raise InvalidConfig(text, "InvalidConfig", "split", 2)
    return reading(**columns)


def _no_season(columns: dict[str, Any]) -> dict[str, Any]:
    """The arguments, of a question that needs no season."""
    if columns.get("season_length") is not None:
        text = "season_length: would not be used: nothing is scored beside a season (leave it out)"
        raise InvalidConfig(text, "InvalidConfig", "season_length", 2)
    return columns


def _fitted_to_validation(files: Mapping[str, bytes]) -> bool:
    """Whether a member of the model with these files was fitted to the validation part."""
    choice = files.get("choice.json")
    if choice is not None and json.loads(choice).get("refitted"):
        return True
    records = (text for name, text in files.items() if name.rsplit("/", 1)[-1] == "training.json")
    return any(json.loads(text).get("training", {}).get("with_validation") for text in records)


def _every(refit: Any) -> int:
    """Cutoffs from one training to the next; 0 = none."""
    if not isinstance(refit, numbers.Integral) and type(refit).__name__ not in ("bool", "bool_") or int(refit) < 0:
        text = f"refit: {refit!r} must be True, False, or a whole number of cutoffs from one training to the next"
        raise InvalidConfig(text, "InvalidConfig", "refit", 2)
    return int(refit)
