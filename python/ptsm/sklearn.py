"""Classifier and regression of cases as estimators of scikit-learn, which pass its ``check_estimator``.

>>> from ptsm.sklearn import PatchTSMixerClassifier                       # doctest: +SKIP
>>> cross_val_score(PatchTSMixerClassifier(budget=5), X, y)               # doctest: +SKIP

They need scikit-learn 1.6 or later (``pip install ptsm[sklearn]``). A row of an array ``[n, L]`` is a series of L steps,
``[n, C, L]`` has C channels; NaN is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from ptsm.cases import Classifier, Regressor

__all__ = ["PatchTSMixerClassifier", "PatchTSMixerRegressor"]

#: Cases that a search of settings needs at least.
_LEAST_CASES = 4


class _Cases(BaseEstimator):  # type: ignore[misc]
    """Parameters, and how arrays are checked."""

    def __init__(
        self,
        *,
        budget: float | None = None,
        options: Mapping[str, Any] | None = None,
        random_state: Any = None,
    ) -> None:
        self.budget = budget
        self.options = options
        self.random_state = random_state

    def _seed(self) -> int | None:
        if self.random_state is None or isinstance(self.random_state, int):
            return self.random_state
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _cases(self, X: Any) -> Any:
        check_is_fitted(self, "model_")
        return validate_data(
            self, X, reset=False, allow_nd=True, ensure_all_finite="allow-nan", dtype=np.float64
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        return tags


class PatchTSMixerClassifier(ClassifierMixin, _Cases):  # type: ignore[misc]
    """Predicts the class of a case, as :class:`ptsm.Classifier` does, which is its ``model_``.

    ``budget`` are the seconds of counted work in which settings are searched, 120 if None; ``options`` are fields of a
    network or its training that are not searched, such as ``{"d_model": 16}``; ``random_state`` is the seed.
    """

    def fit(self, X: Any, y: Any) -> PatchTSMixerClassifier:
        """Trains on cases ``[n, L]`` or ``[n, C, L]`` and the class of each."""
        X, y = validate_data(
            self,
            X,
            y,
            allow_nd=True,
            ensure_all_finite="allow-nan",
            ensure_min_samples=_LEAST_CASES,
            dtype=np.float64,
        )
        check_classification_targets(y)
        self.classes_ = np.unique(y)
        if len(self.classes_) < 2:
            text = f"y has one class alone, {self.classes_[0]!r}: a classifier tells two or more classes apart"
            raise ValueError(text)
        model = Classifier(seed=self._seed(), budget=self.budget, **(self.options or {}))
        self.model_ = model.fit(X, y)
        return self

    def predict_proba(self, X: Any) -> Any:
        """Probabilities ``[n, classes]``, in the order of ``classes_``."""
        cases = self._cases(X)
        return self.model_.predict_proba(cases)

    def predict(self, X: Any) -> Any:
        """The most probable class of each case."""
        found = self.predict_proba(X).argmax(axis=1)
        return self.classes_[found]


class PatchTSMixerRegressor(RegressorMixin, _Cases):  # type: ignore[misc]
    """Predicts one or more values of a case, as :class:`ptsm.Regressor` does, which is its ``model_``.

    All else as :class:`PatchTSMixerClassifier`.
    """

    def fit(self, X: Any, y: Any) -> PatchTSMixerRegressor:
        """Trains on cases ``[n, L]`` or ``[n, C, L]`` and their values, ``[n]`` or ``[n, targets]``."""
        X, y = validate_data(
            self,
            X,
            y,
            allow_nd=True,
            ensure_all_finite="allow-nan",
            ensure_min_samples=_LEAST_CASES,
            dtype=np.float64,
            multi_output=True,
            y_numeric=True,
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        model = Regressor(seed=self._seed(), budget=self.budget, **(self.options or {}))
        self.model_ = model.fit(X, y)
        return self

    def predict(self, X: Any) -> Any:
        """The values of each case, ``[n]`` or ``[n, targets]`` as they were learnt."""
        cases = self._cases(X)
        return self.model_.predict(cases)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
