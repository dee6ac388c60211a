"""A forecaster of sktime, which passes its ``check_estimator``.

>>> from ptsm.sktime import PatchTSMixerForecaster                        # doctest: +SKIP
>>> PatchTSMixerForecaster().fit(y, fh=[1, 2, 3]).predict()               # doctest: +SKIP

It needs sktime 1.0 or later (``pip install ptsm[sktime]``).
"""

from __future__ import annotations

import copy
import numbers
from collections.abc import Mapping
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state
from sktime.forecasting.base import BaseForecaster

from ptsm.errors import InvalidConfig
from ptsm.forecaster import Forecaster, forecast

__all__ = ["PatchTSMixerForecaster"]

#: Levels of the intervals of the model that needs no training, in per cent.
_BUILTIN_LEVELS = (1, 95)
_NORMAL = NormalDist()


class PatchTSMixerForecaster(BaseForecaster):  # type: ignore[misc]
    """Forecasts series, hierarchies and panels of them by one model.

    ``model`` is None for :class:`ptsm.Forecaster`, which is trained in ``fit`` on all series together; ``builtin`` for the
    model inside the package, which needs no training; or a model directory. ``context_length``, ``split``, ``metric`` and
    ``options`` are those of a training, ``options`` such as ``{"d_model": 16}`` for a network that is not searched, and
    are refused where nothing is trained; ``season_length`` are the steps of a season, which a model directory has of its own;
    ``random_state`` is the seed of a training, and changes nothing else.

    Several columns are channels of one model; those of a model directory are found by their names. Quantiles are those of
    calibrated intervals. At levels that a trained model lacks, they lie on straight lines between those that it has and the
    forecast, over the scores of a normal distribution; the outermost lines are continued, so that quantiles beyond the
    widest interval are extrapolated, and their coverage was measured on nothing.

    ``split`` divides each series into rows to train on, to choose by and to score (``8:2:0``: nothing is kept back to be
    scored; of short series the last horizon is chosen by).

    Examples
    --------
    >>> import pandas as pd
    >>> from ptsm.sktime import PatchTSMixerForecaster
    >>> y = pd.Series([float(day % 7) for day in range(70)])
    >>> forecaster = PatchTSMixerForecaster("builtin").fit(y, fh=[1, 2, 3])
    >>> forecaster.predict().index.tolist()
    [70, 71, 72]
    """

    _tags = {
        "authors": ["ptsm"],
        "maintainers": ["ptsm"],
        "y_inner_mtype": ["pd.DataFrame", "pd-multiindex", "pd_multiindex_hier"],
        "X_inner_mtype": ["pd.DataFrame", "pd-multiindex", "pd_multiindex_hier"],
        "capability:multivariate": True,
        "capability:exogenous": False,
        "capability:missing_values": True,
        "capability:insample": False,
        "capability:pred_int": True,
        "capability:pred_int:insample": False,
        "capability:random_state": True,
        "capability:update": True,
        "property:randomness": "derandomized",
        "requires-fh-in-fit": True,
    }

    def __init__(
        self,
        model: str | None = None,
        *,
        context_length: int | None = None,
        season_length: int | None = None,
        split: str | None = None,
        metric: str | None = None,
        options: Mapping[str, Any] | None = None,
        random_state: Any = None,
    ) -> None:
        self.model = model
        self.context_length = context_length
        self.season_length = season_length
        self.split = split
        self.metric = metric
        self.options = options
        self.random_state = random_state
        super().__init__()

    def _fit(self, y: Any, X: Any, fh: Any) -> PatchTSMixerForecaster:
        self._refuse_unused()
        self._past = _sorted(y)
        # What the columns are called in a frame.
        self._names = [f"y{number}" for number in range(y.shape[1])]
        self._targets = self._names
        if self.model == "builtin":
            self.forecaster_ = None
        elif self.model is not None:
            self.forecaster_ = Forecaster.from_pretrained(self.model)
            self._names, self._targets = _matched(list(y.columns), self.forecaster_.info_)
        else:
            self.forecaster_ = self._trained(self._past, self._steps(fh))
        return self

    def _refuse_unused(self) -> None:
        """Refuses what only a training uses, or the model that needs none."""
        if self.model is None:
            return
        names = ["context_length", "split", "metric", "options"]
        if self.model != "builtin":
            names.append("season_length")
        for name in names:
            if getattr(self, name) is not None:
                text = f"{name}: would not be used: the model {self.model!r} is not trained here (leave it out)"
                raise InvalidConfig(text, "InvalidConfig", name, 2)

    def _trained(self, y: Any, steps: int) -> Forecaster:
        seed = self.random_state
        if seed is not None and not isinstance(seed, numbers.Integral):
            seed = int(check_random_state(seed).randint(2**31 - 1))
        seed = None if seed is None else int(seed)
        forecaster = Forecaster(
            steps, self.context_length, seed=seed, metric=self.metric, **(self.options or {})
        )
        split = self.split or _split(y, steps)
        frame, roles = _long(y, self._names), _roles(y, self._targets)
        forecaster.fit(frame, season_length=self.season_length, split=split, **roles)
        # A network alone comes without intervals.
        return forecaster if forecaster.info_["level"] else forecaster.calibrate(frame)

    def _update(self, y: Any, X: Any = None, update_params: bool = True) -> PatchTSMixerForecaster:
        y = _sorted(y)
        old = self._past[~self._past.index.isin(y.index)]
        self._past = pd.concat([old, y]).sort_index()
        if update_params and self.model is None:
            self.forecaster_ = self._trained(self._past, self._steps(self._fh))
        return self

    def _steps(self, fh: Any) -> int:
        """The farthest step."""
        return max(1, int(max(fh.to_relative(self.cutoff).to_numpy())))

    def _found(self, fh: Any, levels: list[float]) -> tuple[Any, Any]:
        """The rows of the forecast that are asked for, and their index."""
        fh = _with_step(fh, self._past)
        steps, past = self._steps(fh), _long(self._past, self._names)
        roles = _roles(self._past, self._targets)
        if self.forecaster_ is None:
            season = self.season_length
            found = forecast(past, steps, level=levels, season_length=season, **roles)
        else:
            found = self.forecaster_.predict(past, steps, **roles)
        wanted = fh.to_relative(self.cutoff).to_numpy().astype(int) - 1
        series = len(found) // steps
        rows = (np.arange(series)[:, np.newaxis] * steps + wanted).ravel()
        return found.iloc[rows], fh.get_expected_pred_idx(y=self._past, cutoff=self.cutoff)

    def _predict(self, fh: Any, X: Any) -> Any:
        found, index = self._found(fh, [])
        values = {column: found[name].to_numpy() for column, name in self._columns(found)}
        return pd.DataFrame(values, index=index, columns=self._past.columns)

    def _predict_quantiles(self, fh: Any, X: Any, alpha: list[float]) -> Any:
        low, high = _BUILTIN_LEVELS
        levels = sorted({min(max(_level(a), low), high) for a in alpha})
        steps = self._steps(_with_step(fh, self._past))
        if self.forecaster_ is not None and steps > self.forecaster_.info_["h"] and set(alpha) != {0.5}:
            own = self.forecaster_.info_["h"]
            text = f"fh: the model has intervals up to its {own} steps, and none {steps} steps ahead (train it with a farther fh)"
            raise InvalidConfig(text, "InvalidConfig", "fh", 2)
        found, index = self._found(fh, levels)
        answer = {}
        for column, name in self._columns(found):
            known = _quantiles(found, name)
            for one in alpha:
                answer[column, one] = _quantile(known, one)
        names = self._get_varnames()
        columns = pd.MultiIndex.from_product([names, alpha])
        values = [answer[column, one] for column in self._past.columns for one in alpha]
        return pd.DataFrame(np.stack(values, axis=1), index=index, columns=columns)

    def _columns(self, found: Any) -> list[tuple[Any, str]]:
        """Each column of the series with its name in a forecast."""
        columns = list(self._past.columns)
        if len(columns) == 1:
            return [(columns[0], "ptsm")]
        return list(zip(columns, self._names, strict=True))

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Parameters for sktime's own tests: without training, and a small network."""
        small = {"epochs": 1, "d_model": 4, "num_layers": 1}
        return [{"model": "builtin"}, {"context_length": 8, "options": small}]


def _sorted(y: Any) -> Any:
    """The rows by series, in the order that sktime expects of the forecast."""
    return y.sort_index() if y.index.nlevels > 1 else y


def _matched(columns: list[Any], info: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The channel of each column, and the channels in the order of the model.

    A series of its own may be called anything; several columns are matched by their names.
    """
    channels = list(info["channels"])
    given = [str(column) for column in columns]
    if list(info["targets"]) != channels or info["covariates"]:
        told = ", ".join([*info["targets"]])
        text = f"model: forecasts {told} alone of {', '.join([*channels, *info['covariates']])}, wanted one that forecasts all"
        raise InvalidConfig(text, "InvalidConfig", "model", 2)
    if len(given) == len(channels) == 1:
        return channels, channels
    if sorted(given) != sorted(channels):
        text = (
            f"y: has the columns {', '.join(given)}, and the model the channels {', '.join(channels)} (rename the "
            "columns, or leave some out)"
        )
        raise InvalidConfig(text, "InvalidConfig", "y", 2)
    return given, channels


def _with_step(fh: Any, y: Any) -> Any:
    """The horizon with the step of the times, which sktime does not look for in panels."""
    first = y.index if y.index.nlevels == 1 else y.loc[y.index.droplevel(-1)[0]].index
    if fh.freq is not None or not isinstance(first, pd.DatetimeIndex) or len(first) < 2:
        return fh
    steps = first[1:] - first[:-1]
    regular = pd.infer_freq(first) if len(first) > 2 else None
    fh = copy.copy(fh)
    # Of times with gaps the step that most of them have.
    fh.freq = regular or pd.tseries.frequencies.to_offset(steps.value_counts().index[0])
    return fh


def _split(y: Any, steps: int) -> str:
    """A fifth of the rows to choose by, or a horizon where that is more."""
    lengths = [len(y)] if y.index.nlevels == 1 else y.groupby(y.index.droplevel(-1)).size()
    shortest = int(min(lengths))
    return "8:2:0" if shortest >= 5 * steps else f"{max(1, shortest - steps)}:{steps}:0"


def _roles(y: Any, names: list[str]) -> dict[str, Any]:
    """What the columns of the long form are."""
    times = y.index.get_level_values(-1)
    dated = isinstance(times, (pd.PeriodIndex, pd.DatetimeIndex))
    return {
        "id_col": "unique_id" if y.index.nlevels > 1 else "none",
        "time_col": "ds" if dated else "none",
        "target_col": names,
    }


def _long(y: Any, names: list[str]) -> Any:
    """The long form: names of series, times, targets. Times that are numbers are told by the order of the rows."""
    times = y.index.get_level_values(-1)
    columns: dict[str, Any] = {}
    if y.index.nlevels > 1:
        # Numbers have the order of the series, so the forecast has it too.
        columns["unique_id"] = y.index.droplevel(-1).factorize()[0]
    if isinstance(times, pd.PeriodIndex):
        columns["ds"] = times.to_timestamp()
    elif isinstance(times, pd.DatetimeIndex):
        columns["ds"] = times
    for number, name in enumerate(names):
        columns[name] = y.iloc[:, number].to_numpy(dtype=float)
    return pd.DataFrame(columns)


def _level(quantile: float) -> float:
    """The interval in per cent of which a quantile is an end."""
    return float(round(100 * abs(1 - 2 * quantile), 9))


def _quantiles(found: Any, name: str) -> dict[float, Any]:
    """Known quantiles of a forecast."""
    known = {0.5: found[name].to_numpy()}
    for column in found.columns:
        for side, sign in (("-lo-", -1), ("-hi-", 1)):
            head, _, level = str(column).rpartition(side)
            if head == name:
                known[0.5 + sign * float(level) / 200] = found[column].to_numpy()
    return known


def _quantile(known: dict[float, Any], wanted: float) -> Any:
    """A quantile on straight lines through known ones, over normal scores; the outer lines go through the median."""
    for level, values in known.items():
        if abs(level - wanted) < 1e-9:
            return values
    middle = known[0.5]
    side = sorted((q for q in known if (q - 0.5) * (wanted - 0.5) > 0), key=lambda q: abs(q - 0.5))
    if not side:
        text = "the model has no intervals (ptsm calibrate, or Forecaster.calibrate, fits them)"
        raise InvalidConfig(text, "InvalidConfig", "model", 2)
    score = _NORMAL.inv_cdf(wanted)
    outer = next((q for q in side if abs(q - 0.5) > abs(wanted - 0.5)), None)
    if outer is None:
        last = side[-1]
        return middle + (known[last] - middle) * (score / _NORMAL.inv_cdf(last))
    inner = max((q for q in [0.5, *side] if abs(q - 0.5) < abs(wanted - 0.5)), key=lambda q: abs(q - 0.5))
    first, last = _NORMAL.inv_cdf(inner), _NORMAL.inv_cdf(outer)
    share = (score - first) / (last - first)
    return known[inner] + (known[outer] - known[inner]) * share
