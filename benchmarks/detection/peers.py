"""Detectors of other projects, from their published formulas and defaults: which samples of a run each speaks at.

Rules of this file:
- A detector is a function of a run to a mask of its samples; it fires at each sample that its original would flag.
- What a tool does after a flag (raise, skip, rerun, clip) ends nothing here; what it leaves out of its statistics is
  left out here too. Detectors that watch loss and gradient norm speak for either.
- Where a text leaves something open (OLMo 2, K2-V2), what is assumed stands at the function.
"""

from collections.abc import Callable
from math import isfinite

import numpy as np
import numpy.typing as npt

from .corpus import Floats, Run

Mask = npt.NDArray[np.bool_]
Peer = Callable[[Run], Mask]
Judge = Callable[[Floats], Mask]  # of one series

WARM_MAX = 100  # samples of Megatron's and of the static rule's reference
ROLLING_ROWS = 4_000  # of a rolling window at once: 32 MB at 1,000 samples


def none(run: Run) -> Mask:
    return np.zeros(len(run), np.bool_)


def either(judge: Judge) -> Peer:
    """The judge asked about the loss and about the gradient norm."""
    return lambda run: judge(run.loss) | (none(run) if run.grad_norm is None else judge(run.grad_norm))


def of_gradient(judge: Judge) -> Peer:
    return lambda run: none(run) if run.grad_norm is None else judge(run.grad_norm)


def of_loss(judge: Judge) -> Peer:
    return lambda run: judge(run.loss)


# -- thresholds -------------------------------------------------------------------------------------------------------


def not_finite(values: Floats) -> Mask:
    """Keras TerminateOnNaN; SageMaker ExplodingTensor (all that it tests is NaN and infinity)."""
    return ~np.isfinite(values)


def above(threshold: float) -> Judge:
    return lambda values: values > threshold


def static(run: Run) -> Mask:
    """W&B-style alert rules: gradient norm > 10, or loss > 10 times the median of its first 100 samples."""
    fires = none(run) if run.grad_norm is None else run.grad_norm > 10
    usual = float(np.nanmedian(run.loss[:WARM_MAX])) if len(run) else 0.0
    fires[WARM_MAX:] |= run.loss[WARM_MAX:] > 10 * usual
    return fires


def megatron(values: Floats) -> Mask:
    """Megatron-Core is_unexpectedly_large: 10 times the largest of the first 100 finite values."""
    size = np.abs(values)
    finite = np.flatnonzero(np.isfinite(size))
    fires = np.zeros(len(values), np.bool_)
    if len(finite) > WARM_MAX:
        judged = finite[WARM_MAX:]
        fires[judged] = size[judged] >= 10 * size[finite[:WARM_MAX]].max()
    return fires


def not_decreasing(values: Floats, every: int = 10) -> Mask:
    """SageMaker LossNotDecreasing: at every tenth sample, the loss is not below that of ten samples before."""
    fires = np.zeros(len(values), np.bool_)
    at = np.arange(every, len(values), every)
    fires[at] = ~(values[at] < values[at - every])
    return fires


def spiky(values: Floats, threshold: float = 0.2) -> Mask:
    """The Megatron-derived SpikyLossDetector: 20 % above the last loss that was not flagged."""
    fires = np.zeros(len(values), np.bool_)
    last: float | None = None
    for i, value in enumerate(values.tolist()):
        if last is not None and _is_spike(value, last, threshold):
            fires[i] = True
        else:
            last = value
    return fires


def _is_spike(value: float, last: float, threshold: float) -> bool:
    if value != value or last != last:  # NaN is taken as the new value, and not flagged
        return False
    if not (isfinite(value) and isfinite(last)):
        return True
    return last != 0 and (value - last) / last >= threshold


# -- means and deviations ----------------------------------------------------------------------------------------------


def sigmas(values: Floats, factor: float, window: int) -> Mask:
    """Above the mean of the `window` values before by `factor` of their deviations; silent until the window is full."""
    fires = np.zeros(len(values), np.bool_)
    if len(values) <= window:
        return fires
    views = np.lib.stride_tricks.sliding_window_view(values, window)[:-1]
    for start in range(0, len(views), ROLLING_ROWS):
        part = views[start : start + ROLLING_ROWS]
        mean, deviation = part.mean(axis=1), part.std(axis=1)
        value = values[window + start : window + start + len(part)]
        fires[window + start : window + start + len(part)] = (deviation >= 1e-10) & (value > mean + factor * deviation)
    return fires


def olmo_core(values: Floats) -> Mask:
    """OLMo-core StabilityMonitor: 6 deviations over the last 128 values."""
    return sigmas(values, 6.0, 128)


def olmo_2(values: Floats) -> Mask:
    """OLMo 2's spike score: 7 deviations over the last 1,000 (as long as fewer are there, silent)."""
    return sigmas(values, 7.0, 1000)


def k2_v2(values: Floats, factor: float = 7.0, window: int = 1000, least: int = 128, patience: int = 3) -> Mask:
    """K2-V2's severity and persistence: 7 deviations, three values in a row, of a baseline without flagged values.

    Assumed: the baseline is the last 1,000 values that were not flagged, and judges from 128 on.
    """
    fires = np.zeros(len(values), np.bool_)
    kept = np.empty(len(values))
    count, in_a_row, total, squares = 0, 0, 0.0, 0.0
    offset = float(values[0]) if len(values) and isfinite(values[0]) else 0.0  # sums of squares of small numbers
    for i, value in enumerate(values.tolist()):
        known = min(count, window)
        if known >= least:
            mean = total / known
            deviation = max(squares / known - mean * mean, 0.0) ** 0.5
            if not (value - offset <= mean + factor * deviation):
                in_a_row += 1
                fires[i] = in_a_row >= patience
                continue
        in_a_row = 0
        if not isfinite(value):
            continue
        value -= offset
        if count >= window:
            gone = float(kept[count - window])
            total, squares = total - gone, squares - gone * gone
        kept[count] = value
        total, squares, count = total + value, squares + value * value, count + 1
        if count % window == 0:  # what rounding has left in the sums
            last = kept[count - window : count]
            total, squares = float(last.sum()), float((last * last).sum())
    return fires


def lightning(values: Floats, window: int = 10, relative: float = 2.0) -> Mask:
    """Lightning SpikeDetection: not finite, or risen and at least 3 times the mean of the last 10 unflagged losses."""
    fires = np.zeros(len(values), np.bool_)
    recent: list[float] = []
    last = 0.0
    for i, value in enumerate(values.tolist()):
        if i >= 1:
            mean = sum(recent) / len(recent) if recent else 0.0
            if not isfinite(value) or (value > last and abs(value - mean) >= abs(relative * mean)):
                fires[i] = True
                continue
        if isfinite(value):
            recent.append(value)
            del recent[:-window]
            last = value
    return fires


def stabilityguard(values: Floats, threshold: float = 10.0, alpha: float = 0.01, warm_up: int = 10) -> Mask:
    """stabilityguard 0.3 on the total norm: not finite, or 10 times an average that has this value in it already."""
    fires = np.zeros(len(values), np.bool_)
    average: float | None = None
    for i, value in enumerate(values.tolist()):
        if not isfinite(value):
            fires[i] = True
            continue
        average = value if average is None else (1 - alpha) * average + alpha * value
        fires[i] = i >= warm_up and value > 0.01 and average >= 1e-8 and value / average > threshold
    return fires


def zclip(values: Floats, alpha: float = 0.97, limit: float = 2.5, warm_up: int = 25) -> Mask:
    """ZClip: z > 2.5 of averages that learn the clipped value, which is what it lets through."""
    fires = np.zeros(len(values), np.bool_)
    if len(values) <= warm_up:
        return fires
    mean, variance = float(values[:warm_up].mean()), float(values[:warm_up].var())
    for i in range(warm_up, len(values)):
        value = float(values[i])
        if not isfinite(value):
            fires[i] = True
            continue
        deviation = variance**0.5
        z = (value - mean) / (deviation + 1e-6)
        if z > limit:
            fires[i] = True
            value = mean + limit * deviation / (z / limit)
        mean = alpha * mean + (1 - alpha) * value
        variance = alpha * variance + (1 - alpha) * (value - mean) ** 2
    return fires


PEERS: dict[str, Peer] = {
    "NaN of the loss (Keras TerminateOnNaN)": of_loss(not_finite),
    "SageMaker ExplodingTensor": either(not_finite),
    "static grad > 5": of_gradient(above(5.0)),
    "W&B-style grad > 10 or loss > 10x": static,
    "SageMaker LossNotDecreasing": of_loss(not_decreasing),
    "SpikyLoss +20 %": of_loss(spiky),
    "ZClip z > 2.5": of_gradient(zclip),
    "OLMo-core 6 sigma / 128": either(olmo_core),
    "OLMo 2 7 sigma / 1000": either(olmo_2),
    "K2-V2 7 sigma, patience 3": either(k2_v2),
    "Megatron 10x max of 100": either(megatron),
    "Lightning SpikeDetection": of_loss(lightning),
    "stabilityguard": of_gradient(stabilityguard),
}
