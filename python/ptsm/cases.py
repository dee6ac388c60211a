"""Classifiers and regressions of cases, which are series with a label each."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ptsm import _onnx, _ptsm
from ptsm._params import Params, as_json
from ptsm.errors import InvalidConfig, InvalidInput
from ptsm.progress import Progress, Watch

Self = TypeVar("Self", bound="Cases")
_Packed = tuple[int, list[int], bytes]
#: The shortest context of a network whose length is not given, in steps.
_LEAST_CONTEXT = 8


def _numpy() -> Any:
    try:
        import numpy
    except ImportError as error:
        text = "cases are arrays of NumPy, which is not installed (pip install numpy)"
        raise ImportError(text) from error
    return numpy


def pack(cases: Any) -> _Packed:
    """Channels, the length of each case, and the numbers: ``[n, C, L]``, ``[n, L]``, or a list of ``[C, L]``."""
    np = _numpy()
    if isinstance(cases, (list, tuple)) and len({np.shape(case) for case in cases}) > 1:
        each = [np.atleast_2d(np.asarray(case, dtype=np.float64)) for case in cases]
        channels = {case.shape[0] for case in each}
        if len(channels) > 1:
            text = f"the cases have {min(channels)} to {max(channels)} channels, wanted as many in each"
            raise InvalidInput(text, "InvalidInput", None, 2)
        data = b"".join(np.ascontiguousarray(case).tobytes() for case in each)
        return channels.pop(), [case.shape[1] for case in each], data
    array = np.asarray(cases, dtype=np.float64)
    if array.ndim == 2:
        array = array[:, np.newaxis, :]
    if array.ndim != 3:
        text = f"wanted cases as [n, C, L] or [n, L], got an array of {array.ndim} dimensions"
        raise InvalidInput(text, "InvalidInput", None, 2)
    count, channels, length = array.shape
    return channels, [length] * count, np.ascontiguousarray(array).tobytes()


class Cases(Params):
    """What classifiers and regressions have in common."""

    def __init__(
        self,
        *,
        seed: int | None = None,
        budget: float | None = None,
        **options: Any,
    ) -> None:
        self.seed = seed
        self.budget = budget
        self._set_options(options)
        self._core: _ptsm.LabelCore | None = None
        #: What was chosen in training, and how good it is, a sentence each.
        self.notes_: list[str] = []

    def _fit(self, X: Any, labels: Any, progress: bool | Callable[[Progress], object] | None) -> None:
        packed = pack(X)
        options = dict(self._options)
        # Shorter contexts than this have no room for patches; missing steps are put before the cases.
        if max(packed[1], default=0) < _LEAST_CONTEXT and options.get("context_length") is None:
            options["context_length"] = _LEAST_CONTEXT
        asked = {"seed": self.seed, "budget": self.budget, "options": options}
        with Watch(progress) as observer:
            self._core, self.notes_ = _ptsm.fit_cases(packed, labels, as_json(asked), observer)

    def save_pretrained(self, directory: str | os.PathLike[str], *, overwrite: bool = True) -> None:
        """Writes the model directory, as a whole or not at all."""
        self._fitted().save(os.fspath(directory), overwrite)

    def to_onnx(
        self,
        path: str | os.PathLike[str],
        *,
        missing: str = "nan",
        standardise: str | None = None,
        member: str | None = None,
    ) -> dict[str, Any]:
        """Writes the model as an ONNX file, and returns its size, inputs and outputs.

        The file takes cases as ``[batch, steps, channels]`` (steps last in what ``fit`` takes) of the length of the
        longest training case; the options are those of ``Forecaster.to_onnx``, which has ``quantiles`` too.
        """
        return _onnx.write(self._fitted(), path, missing=missing, standardise=standardise, member=member)

    @classmethod
    def from_pretrained(cls: type[Self], directory: str | os.PathLike[str], **params: Any) -> Self:
        """Loads a model directory of ``save_pretrained`` or ``ptsm train``."""
        model = cls(**params)
        model._set_core(_ptsm.LabelCore.from_dir(os.fspath(directory)))
        return model

    def __sklearn_is_fitted__(self) -> bool:
        return self._core is not None

    def _fitted(self) -> _ptsm.LabelCore:
        if self._core is None:
            text = "the model is not trained (fit it, or load one by from_pretrained)"
            raise InvalidConfig(text, "InvalidConfig", None, 2)
        return self._core

    def _set_core(self, core: _ptsm.LabelCore) -> None:
        raise NotImplementedError

    def _set_files(self, files: Any) -> None:
        self._set_core(_ptsm.LabelCore.from_files(files))


class Classifier(Cases):
    """Predicts the class of a case, an array ``[C, L]`` of channels and steps; NaN is missing.

    Settings are searched by cross-validation within ``budget``, seconds of work of two cores that are counted and not
    timed, and the probabilities of three networks averaged, as ``ptsm train --task classification`` does. Options such
    as ``d_model=16`` or ``epochs=40`` are not searched.
    """

    def fit(self, X: Any, y: Any, *, progress: bool | Callable[[Progress], object] | None = None) -> Classifier:
        """Trains on cases ``[n, C, L]`` (or ``[n, L]``, or a list of ``[C, L]``) and the class of each."""
        labels = _numpy().asarray(y).tolist()
        self._fit(X, [str(label) for label in labels], progress)
        names = {str(label): label for label in labels}
        self._set_classes([names.get(name, name) for name in self._fitted().names])
        return self

    def _set_classes(self, labels: list[Any]) -> None:
        np = _numpy()
        known = np.asarray(labels)
        #: The columns of the core's probabilities in the order of the classes.
        self._order = np.argsort(known, kind="stable")
        self.classes_ = known[self._order]

    def predict_proba(self, X: Any) -> Any:
        """Probabilities ``[n, classes]``, in the order of ``classes_``."""
        core = self._fitted()
        flat = _numpy().asarray(core.predict(pack(X)))
        return flat.reshape(-1, len(self.classes_))[:, self._order]

    def predict(self, X: Any) -> Any:
        """The most probable class of each case."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def evaluate(self, X: Any, y: Any) -> dict[str, Any]:
        """All scores of the cases, as ``ptsm evaluate`` has them: accuracy, confusion, cross entropy, ..."""
        labels = [str(label) for label in _numpy().asarray(y).tolist()]
        found: dict[str, Any] = json.loads(self._fitted().score(pack(X), labels))
        return found

    def score(self, X: Any, y: Any) -> float:
        """The share of the cases whose class is predicted."""
        np = _numpy()
        return float(np.mean(self.predict(X) == np.asarray(y)))

    def _set_core(self, core: _ptsm.LabelCore) -> None:
        if not core.classifies:
            text = "the model is a regression (load it by Regressor.from_pretrained)"
            raise InvalidConfig(text, "InvalidConfig", None, 2)
        self._core = core
        names: list[Any] = core.names
        if all(name.lstrip("-").isdigit() for name in names):
            names = [int(name) for name in names]
        self._set_classes(names)

    def _core_state(self) -> dict[str, Any]:
        state = super()._core_state()
        if state["files"] is not None:
            state["classes"] = self.classes_.tolist()
        return state

    def _set_core_state(self, state: dict[str, Any]) -> None:
        super()._set_core_state(state)
        if "classes" in state:
            known = {str(label): label for label in state["classes"]}
            self._set_classes([known.get(name, name) for name in self._fitted().names])


class Regressor(Cases):
    """Predicts one or more values of a case; all else as :class:`Classifier`."""

    def fit(
        self,
        X: Any,
        y: Any,
        *,
        targets: Sequence[str] | None = None,
        progress: bool | Callable[[Progress], object] | None = None,
    ) -> Regressor:
        """Trains on cases ``[n, C, L]`` and their values, ``[n]`` or ``[n, targets]``."""
        np = _numpy()
        values = np.asarray(y, dtype=np.float64)
        self._flat = values.ndim == 1
        values = values.reshape(len(values), -1)
        names = list(targets) if targets is not None else [f"y{i}" for i in range(values.shape[1])]
        if len(names) != values.shape[1]:
            text = f"{len(names)} names for {values.shape[1]} values"
            raise InvalidConfig(text, "InvalidConfig", "targets", 2)
        self._fit(X, (names, values.ravel().tolist()), progress)
        return self

    def predict(self, X: Any) -> Any:
        """The values of each case, ``[n]`` or ``[n, targets]`` as they were learnt."""
        core = self._fitted()
        values = _numpy().asarray(core.predict(pack(X))).reshape(-1, len(core.names))
        return values[:, 0] if self._flat else values

    def evaluate(self, X: Any, y: Any) -> dict[str, Any]:
        """All scores of the cases, as ``ptsm evaluate`` has them: RMSE, MAE, R2, ..."""
        values = _numpy().asarray(y, dtype=float).ravel().tolist()
        core = self._fitted()
        found: dict[str, Any] = json.loads(core.score(pack(X), (core.names, values)))
        return found

    def score(self, X: Any, y: Any) -> float:
        """The share of the variance that is explained (R2), the mean over the targets."""
        np = _numpy()
        truth = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
        error = truth - np.asarray(self.predict(X)).reshape(truth.shape)
        spread = ((truth - truth.mean(axis=0)) ** 2).sum(axis=0)
        return float(np.mean(1 - (error**2).sum(axis=0) / spread))

    def _set_core(self, core: _ptsm.LabelCore) -> None:
        if core.classifies:
            text = "the model is a classifier (load it by Classifier.from_pretrained)"
            raise InvalidConfig(text, "InvalidConfig", None, 2)
        self._core = core
        self._flat = len(core.names) == 1

    def _core_state(self) -> dict[str, Any]:
        state = super()._core_state()
        if state["files"] is not None:
            state["flat"] = self._flat
        return state

    def _set_core_state(self, state: dict[str, Any]) -> None:
        super()._set_core_state(state)
        self._flat = bool(state.get("flat", True))
