"""Parameters as those of scikit-learn's estimators: get, set, clone, show."""

from __future__ import annotations

import inspect
import json
from typing import Any, TypeVar

from ptsm._ptsm import check_options

Self = TypeVar("Self", bound="Params")


def as_json(value: Any) -> str:
    """JSON of settings; numbers of NumPy are numbers."""

    def plain(other: Any) -> Any:
        for method in ("item", "tolist"):
            if hasattr(other, method):
                return getattr(other, method)()
        text = f"{other!r} is no value of a setting"
        raise TypeError(text)

    return json.dumps(value, default=plain)


class Params:
    """Named parameters of ``__init__``, and options of a network under any further name."""

    _options: dict[str, Any]
    #: The trained model; None before.
    _core: Any
    notes_: list[str]

    def _set_options(self, options: dict[str, Any]) -> None:
        check_options(as_json(options))
        self._options = dict(options)

    def __getattr__(self, name: str) -> Any:
        options = self.__dict__.get("_options", {})
        if name in options:
            return options[name]
        text = f"{type(self).__name__!r} object has no attribute {name!r}"
        raise AttributeError(text)

    @classmethod
    def _named(cls) -> dict[str, Any]:
        parameters = inspect.signature(cls.__init__).parameters.values()
        kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        return {p.name: p.default for p in parameters if p.kind in kinds and p.name != "self"}

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """All parameters by name; ``deep`` is there for scikit-learn, and changes nothing."""
        named = {name: getattr(self, name) for name in self._named()}
        return {**named, **self._options}

    def set_params(self: Self, **params: Any) -> Self:
        """Sets parameters by name; a trained model stays as it is until it is fitted again."""
        named = self._named()
        options = {**self._options, **{k: v for k, v in params.items() if k not in named}}
        self._set_options(options)
        for name, value in params.items():
            if name in named:
                setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        named = self._named()
        shown = [
            f"{name}={value!r}"
            for name, value in self.get_params().items()
            if name not in named or value != named[name]
        ]
        return f"{type(self).__name__}({', '.join(shown)})"

    # Pickling: parameters, and the files of the model as bytes. Nothing in a pickle names a function to call.

    def _core_state(self) -> dict[str, Any]:
        files = self._core.files() if self._core is not None else None
        return {"files": files, "notes": self.notes_}

    def _set_core_state(self, state: dict[str, Any]) -> None:
        self.notes_ = list(state["notes"])
        if state["files"] is not None:
            self._set_files(state["files"])

    def _set_files(self, files: Any) -> None:
        """Takes the model of these files."""
        raise NotImplementedError

    def __getstate__(self) -> dict[str, Any]:
        return {"version": 1, "params": self.get_params(), **self._core_state()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        if state.get("version") != 1:
            text = f"a pickle of version {state.get('version')!r}, wanted 1 (written by a later ptsm?)"
            raise ValueError(text)
        self.__init__(**state["params"])  # type: ignore[misc]
        self._set_core_state(state)
