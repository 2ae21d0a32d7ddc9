"""The real packages trainpulse and trainscope (`pip install trainpulse trainscope`, for this benchmark alone).

Rules of this file:
- They are asked as a training would ask them, value by value, with their own defaults; nothing of them is written anew.
- Where a package is missing its row of the table says so.
"""

from importlib import import_module
from math import isfinite
from types import ModuleType

import numpy as np

from .corpus import Run
from .peers import Mask, Peer


def installed(name: str) -> ModuleType | None:
    try:
        return import_module(name)
    except ImportError:
        return None


def _trainpulse(package: ModuleType, plateau: bool) -> Peer:
    """Any of its alerts: loss spike, gradient, not finite. `plateau`: with those about a loss that no longer falls."""

    def speaks(run: Run) -> Mask:
        monitor = package.Monitor()
        fires = np.zeros(len(run), np.bool_)
        norms = [None] * len(run) if run.grad_norm is None else run.grad_norm.tolist()
        for i, (loss, norm) in enumerate(zip(run.loss.tolist(), norms, strict=True)):
            said = monitor.log("loss", i, loss)
            if norm is not None:
                said = said + monitor.log("grad_norm", i, norm)
            fires[i] = any(plateau or alert.detector != "plateau" for alert in said)
        return fires

    return speaks


def _trainscope(package: ModuleType, upward: bool) -> Peer:
    """Its default detector, which it asks about finite losses only. `upward`: without its alarms at falling losses."""

    def speaks(run: Run) -> Mask:
        detector = package.make_detector({"name": "changepoint"})
        fires = np.zeros(len(run), np.bool_)
        for i, loss in enumerate(run.loss.tolist()):
            score = detector.update(loss) if isfinite(loss) else None
            fires[i] = score is not None and (score > 0 or not upward)
        return fires

    return speaks


def packages() -> dict[str, Peer | str]:
    """Name to detector, or to the reason why it is not there."""
    pulse, scope = installed("trainpulse"), installed("trainscope.core.detectors")
    no_pulse, no_scope = "not installed: pip install trainpulse", "not installed: pip install trainscope"
    return {
        "trainpulse (package)": _trainpulse(pulse, True) if pulse else no_pulse,
        "trainpulse without its plateau alerts (package)": _trainpulse(pulse, False) if pulse else no_pulse,
        "trainscope CUSUM, two-sided (package)": _trainscope(scope, False) if scope else no_scope,
        "trainscope CUSUM, upward (package)": _trainscope(scope, True) if scope else no_scope,
    }
