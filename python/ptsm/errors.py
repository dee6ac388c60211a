"""Exceptions of the package, with what went wrong, where, and the way out."""

from __future__ import annotations

__all__ = [
    "BackendUnavailable",
    "Error",
    "InternalError",
    "InvalidConfig",
    "InvalidInput",
    "InvalidWeights",
    "IoError",
    "OutOfMemory",
]


class Error(Exception):
    """The base of all exceptions of the package.

    ``kind`` is the name of the kind of failure, ``place`` where it happened (a file, row, column or argument, or
    None), ``code`` the exit code of the ``ptsm`` command for it.
    """

    def __init__(
        self, message: str, kind: str = "Internal", place: str | None = None, code: int = 70
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.place = place
        self.code = code

    @property
    def hint(self) -> str | None:
        """The way out, which the message has in brackets at its end; None where it has none."""
        text = str(self)
        if not text.endswith(")"):
            return None
        depth = 0
        for position in range(len(text) - 1, -1, -1):
            depth += (text[position] == ")") - (text[position] == "(")
            if depth == 0:
                return text[position + 1 : -1]
        return None

    def __reduce__(self) -> tuple[type, tuple[str, str, str | None, int]]:
        return type(self), (str(self), self.kind, self.place, self.code)


class InvalidConfig(Error, ValueError):
    """An argument has an impossible value."""


class InvalidInput(Error, ValueError):
    """Data have the wrong shape or values."""


class IoError(Error, OSError):
    """A file or folder cannot be read or written."""

    def __init__(
        self, message: str, kind: str = "Io", place: str | None = None, code: int = 3
    ) -> None:
        super().__init__(message, kind, place, code)


class InvalidWeights(Error):
    """A file of a model is damaged or does not fit."""


class BackendUnavailable(Error):
    """A device or an instruction set is not there."""


class OutOfMemory(Error, MemoryError):
    """Work would take more memory than there is."""


class InternalError(Error):
    """A defect of the package."""


#: The exception of each kind of failure.
CLASSES: dict[str, type[Error]] = {
    "InvalidConfig": InvalidConfig,
    "InvalidInput": InvalidInput,
    "Io": IoError,
    "InvalidWeights": InvalidWeights,
    "BackendUnavailable": BackendUnavailable,
    "OutOfMemory": OutOfMemory,
    "Internal": InternalError,
}
