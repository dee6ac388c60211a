"""PatchTSMixer for time series: forecasts of frames, with and without training.

>>> import ptsm
>>> ptsm.forecast(df)                                   # without training
>>> forecaster = ptsm.Forecaster(h=24).fit(df)          # doctest: +SKIP
>>> forecaster.predict()                                # doctest: +SKIP
"""

from __future__ import annotations

import atexit as _atexit
import os as _os

from ptsm import _ptsm
from ptsm._ptsm import Batches, __version__, set_threads
from ptsm.cases import Classifier, Regressor
from ptsm.errors import (
    BackendUnavailable,
    Error,
    InternalError,
    InvalidConfig,
    InvalidInput,
    InvalidWeights,
    IoError,
    OutOfMemory,
)
from ptsm.forecaster import Forecaster, forecast, predict_df
from ptsm.progress import Progress
from ptsm.stream import Forecast, Stream
from ptsm.studies import Backtest, Detection, Evaluation

__all__ = [
    "BackendUnavailable",
    "Backtest",
    "Batches",
    "Classifier",
    "Detection",
    "Error",
    "Evaluation",
    "Forecast",
    "Forecaster",
    "InternalError",
    "InvalidConfig",
    "InvalidInput",
    "InvalidWeights",
    "IoError",
    "OutOfMemory",
    "Progress",
    "Regressor",
    "Stream",
    "__version__",
    "forecast",
    "predict_df",
    "set_threads",
]

# Seconds that the end of the interpreter waits for an interrupted training to write its checkpoint.
_atexit.register(_ptsm.wait_for_work, 5.0)
if hasattr(_os, "register_at_fork"):
    _os.register_at_fork(after_in_child=_ptsm.after_fork)
