"""A forecast whose process is killed once, in the middle of its work, for the tests of engines."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import ptsm.arrow


class Dying(ptsm.arrow.Predict):
    """Kills the process that it works in after so many tables (one), unless that has been done."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.mark = Path(os.environ["PTSM_TEST_MARK"])
        self.calls = 0

    def __call__(self, table: Any) -> Any:
        self.calls += 1
        found = super().__call__(table)
        if self.calls >= int(os.environ.get("PTSM_TEST_CALLS", "1")):
            try:
                self.mark.touch(exist_ok=False)
            except FileExistsError:
                return found
            os.kill(os.getpid(), signal.SIGKILL)
        return found
