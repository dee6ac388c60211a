"""Classifier and regression of cases as estimators of aeon, which pass its ``check_estimator``.

>>> from ptsm.aeon import PatchTSMixerClassifier                          # doctest: +SKIP
>>> PatchTSMixerClassifier(budget=5).fit(X, y).predict_proba(X)           # doctest: +SKIP

They need aeon 1.0 or later (``pip install ptsm[aeon]``), and take its collections: arrays ``[n, C, L]``, or lists of
``[C, L]`` that differ in length; NaN is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aeon.classification import BaseClassifier
from aeon.regression import BaseRegressor
from sklearn.utils import check_random_state

from ptsm.cases import Classifier, Regressor

__all__ = ["PatchTSMixerClassifier", "PatchTSMixerRegressor"]

_TAGS = {
    "X_inner_type": ["np-list", "numpy3D"],
    "capability:multivariate": True,
    "capability:unequal_length": True,
    "capability:missing_values": True,
    "algorithm_type": "deeplearning",
}


def _seed(random_state: Any) -> int | None:
    if random_state is None or isinstance(random_state, int):
        return random_state
    return int(check_random_state(random_state).randint(2**31 - 1))


#: A small network, for aeon's own tests.
_TEST_PARAMS = {"budget": 0.01, "options": {"epochs": 2, "d_model": 8, "num_layers": 1}}


class PatchTSMixerClassifier(BaseClassifier):  # type: ignore[misc]
    """Predicts the class of a case, as :class:`ptsm.Classifier` does, which is its ``model_``.

    ``budget`` are the seconds of counted work in which settings are searched, 120 if None; ``options`` are fields of a
    network or its training that are not searched, such as ``{"d_model": 16}``; ``random_state`` is the seed.
    """

    _tags = _TAGS

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
        super().__init__()

    def _fit(self, X: Any, y: Any) -> PatchTSMixerClassifier:
        model = Classifier(
            seed=_seed(self.random_state), budget=self.budget, **(self.options or {})
        )
        self.model_ = model.fit(X, y)
        return self

    def _predict(self, X: Any) -> Any:
        return self.model_.predict(X)

    def _predict_proba(self, X: Any) -> Any:
        return self.model_.predict_proba(X)

    @classmethod
    def _get_test_params(cls, parameter_set: str = "default") -> dict[str, Any]:
        return dict(_TEST_PARAMS)


class PatchTSMixerRegressor(BaseRegressor):  # type: ignore[misc]
    """Predicts a value of a case, as :class:`ptsm.Regressor` does, which is its ``model_``.

    All else as :class:`PatchTSMixerClassifier`.
    """

    _tags = _TAGS

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
        super().__init__()

    def _fit(self, X: Any, y: Any) -> PatchTSMixerRegressor:
        model = Regressor(seed=_seed(self.random_state), budget=self.budget, **(self.options or {}))
        self.model_ = model.fit(X, y)
        return self

    def _predict(self, X: Any) -> Any:
        return self.model_.predict(X)

    @classmethod
    def _get_test_params(cls, parameter_set: str = "default") -> dict[str, Any]:
        return dict(_TEST_PARAMS)
