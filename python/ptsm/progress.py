"""How far a training is: a bar of tqdm, or a function of the caller."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Progress:
    """How far a training is."""

    #: Which of several trainings it is, in words; empty where there is one.
    part: str
    #: Epoch in work, from 1; 0 before the first step.
    epoch: int
    #: Steps done, of how many without early stopping.
    step: int
    steps: int
    #: Mean training loss of the epoch so far.
    loss: float | None
    #: Validation loss of the last whole epoch.
    val_loss: float | None
    #: Seconds to the end of this part at the pace so far.
    eta: float | None


class Reporter:
    """Calls an observer ``Progress`` by ``Progress``."""

    def __init__(self, told: Callable[[Progress], object]) -> None:
        self._told = told
        self._part: str | None = None
        self._began = (0.0, 0)

    def __call__(
        self,
        part: str,
        epoch: int,
        step: int,
        steps: int,
        loss: float | None,
        val_loss: float | None,
    ) -> None:
        now = time.monotonic()
        if part != self._part or step < self._began[1]:
            self._part, self._began = part, (now, step)
        done, seconds = step - self._began[1], now - self._began[0]
        eta = seconds / done * (steps - step) if done > 0 else None
        self._told(Progress(part, epoch, step, steps, loss, val_loss, eta))


class Bar:
    """A bar of tqdm, one for each part."""

    def __init__(self) -> None:
        try:
            from tqdm.auto import tqdm
        except ImportError as error:
            text = "progress=True shows a bar of tqdm, which is not installed (pip install tqdm, or give a function)"
            raise ImportError(text) from error
        self._make = tqdm
        self._bar: Any = None
        self._part: str | None = None

    def __call__(self, progress: Progress) -> None:
        if self._bar is None or progress.part != self._part:
            self.close()
            self._part = progress.part
            self._bar = self._make(total=progress.steps, desc=progress.part or "training")
        self._bar.total = progress.steps
        self._bar.update(progress.step - self._bar.n)
        if progress.loss is not None:
            self._bar.set_postfix(epoch=progress.epoch, loss=f"{progress.loss:.4f}", refresh=False)

    def close(self) -> None:
        """Ends the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class Watch:
    """The observer of a training for an argument ``progress``: None or False, True, or a function."""

    def __init__(self, progress: bool | Callable[[Progress], object] | None) -> None:
        self._bar = Bar() if progress is True else None
        told = self._bar or (progress if callable(progress) else None)
        self.observer = Reporter(told) if told is not None else None

    def __enter__(self) -> Reporter | None:
        return self.observer

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
