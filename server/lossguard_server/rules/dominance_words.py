"""What contribution_dominates says: the sentences, the numbers and the remedies of its findings.

Rules of this file: each is asked of one row, when an alert opens or grows worse.
"""

from math import isfinite
from typing import Protocol

from lossguard.protocol.magnitudes import exact_weight_for_share, weight_for_contribution

from . import advice, scale
from .base import Finding
from .blame import Blame, decompose
from .bound import range_text
from .moment import Moment
from .remedy import Remedy
from .shares import Usual
from .window import Floats, Window

CONTRIBUTION, SHARE = 0.01, 0.05  # what the report's healthy auxiliary loss adds, and the most that it may


class Shifts(Protocol):
    """What `shifted` needs of the rule's parameters."""

    @property
    def shift(self) -> float: ...
    @property
    def target_share(self) -> float: ...


def took_over(window: Window, limit: float, target_share: float, k: int, row: int) -> Finding:
    """An auxiliary component."""
    moment = Moment(window, row)
    remedy = advice.lower_weight(moment, k, target_share)
    amount, share, weight, loss = _of(moment, k)
    name = moment.components.names[k]
    message = (
        f"{name} adds {amount:.3g}, {100 * share:.0f} % of the total: raw value {loss:.4g} at weight {weight:.3g}, "
        f"which was meant to be a minor one.{_then(remedy, loss)}"
    )
    text = f"{_share_text(moment, k)}, limit {limit:g}; {_weights_text(moment, k, target_share)}{_slip_text(moment, k)}"
    return Finding(message, text, name, _numbers(moment, k), _blame(moment), remedy)


def outside_declared(window: Window, low: float, high: float, k: int, row: int) -> Finding:
    """A component whose share is declared."""
    moment = Moment(window, row)
    amount, share, weight, loss = _of(moment, k)
    name, declared = moment.components.names[k], range_text(low, high)
    is_above = share > high
    aim = (low + high) / 2 if isfinite(low) else high
    remedy = advice.lower_weight(moment, k, aim) if is_above and 0 < aim < 1 else None
    message = (
        f"{name} adds {amount:.3g}, {100 * share:.3g} % of the total; declared is {declared}: raw value {loss:.4g} at "
        f"weight {weight:.3g}.{_then(remedy, loss)}"
    )
    text = f"{_share_text(moment, k)}, declared {declared}"
    text += f"; {_weights_text(moment, k, aim)}" if is_above and 0 < aim < 1 else ": it is paid for, and hardly counts."
    numbers = {**_numbers(moment, k), "low": low, "high": high}
    return Finding(message, text + _slip_text(moment, k), name, numbers, _blame(moment), remedy)


def swelled(window: Window, usual: Usual, target_share: float, k: int, row: int) -> Finding:
    """A component of any rank that was small."""
    moment, before = Moment(window, row), float(usual.shares[row, k])
    amount, share, _, loss = _of(moment, k)
    name, aim = moment.components.names[k], max(before, target_share)
    remedy = advice.lower_weight(moment, k, aim)
    return Finding(
        f"{name} adds {amount:.3g}, {100 * share:.0f} % of the total where {100 * before:.2g} % is usual."
        f"{_then(remedy, loss)}",
        f"{_share_text(moment, k)}, usual {before:.3g}; {_weights_text(moment, k, aim)}{_slip_text(moment, k)}",
        name,
        {**_numbers(moment, k), "usual_share": before},
        _blame(moment),
        remedy,
    )


def shifted(window: Window, usual: Usual, variation: Floats, parameters: Shifts, k: int, row: int) -> Finding:
    """The shares as a whole; k gained the most."""
    moment, before = Moment(window, row), float(usual.shares[row, k])
    _, share, _, _ = _of(moment, k)
    name, moves = moment.components.names[k], float(variation[row])
    pairs = zip(moment.components.names, usual.shares[row].tolist(), moment.components.shares.tolist(), strict=True)
    listed = ", ".join(f"{other} {was:.2g} to {now:.2g}" for other, was, now in pairs)
    return Finding(
        f"The shares of the total have shifted by {100 * moves:.0f} %: {name} holds {100 * share:.0f} % where "
        f"{100 * before:.2g} % is usual, and no weight moved.",
        f"0.5 * sum |share - usual| = {moves:.3f}, limit {parameters.shift:g}: {listed}.",
        name,
        {**_numbers(moment, k), "usual_share": before, "variation": moves},
        _blame(moment),
    )


def alone(window: Window, k: int, row: int) -> Finding:
    """One of several equal weights that is all there is."""
    moment = Moment(window, row)
    amount, share, weight, loss = _of(moment, k)
    name = moment.components.names[k]
    return Finding(
        f"{name} is all of the total: it adds {amount:.3g} (raw value {loss:.4g} at weight {weight:.3g}), all others "
        f"together {1 - share:.1g} of that.",
        f"{_share_text(moment, k)}. Less than 1e-6 of a float32 sum is lost in it: the others are not trained. "
        f"Look for a scale that is missing in {name}.{_slip_text(moment, k)}",
        name,
        _numbers(moment, k),
        _blame(moment),
    )


def _of(moment: Moment, k: int) -> tuple[float, float, float, float]:
    """(contribution, share, weight, raw loss)"""
    known = moment.components
    return float(known.contributions[k]), float(known.shares[k]), float(known.weights[k]), float(known.losses[k])


def _others(moment: Moment, k: int) -> float:
    amount, share, _, _ = _of(moment, k)
    return abs(amount) * (1 - share) / share if share > 0 else 0.0


def _numbers(moment: Moment, k: int) -> dict[str, float]:
    amount, share, weight, loss = _of(moment, k)
    return {"share": share, "contribution": amount, "raw": loss, "weight": weight, "others": _others(moment, k)}


def _share_text(moment: Moment, k: int) -> str:
    amount, share, weight, loss = _of(moment, k)
    return f"|{weight:.3g} * {loss:.4g}| / (|{amount:.3g}| + {_others(moment, k):.3g}) = {share:.3f}"


def _weights_text(moment: Moment, k: int, target_share: float) -> str:
    """The formula with its numbers, and the weights of two other aims."""
    _, _, _, loss = _of(moment, k)
    others = _others(moment, k)
    text = (
        f"{target_share:.3g} / {1 - target_share:.3f} * {others:.3g} / {abs(loss):.4g} is the weight for a share of "
        f"{100 * target_share:.2g} %"
    )
    small, more = weight_for_contribution(loss, CONTRIBUTION), exact_weight_for_share(others, loss, SHARE)
    if small is None or more is None:
        return f"{text}."
    return f"{text}; {small:.2g} adds {CONTRIBUTION:g}, {more:.2e} holds {100 * SHARE:g} %."


def _then(remedy: Remedy | None, loss: float) -> str:
    if remedy is None or remedy.kind != "set_weight":
        return ""
    value = float(remedy.args["value"])
    return f" At weight {value:.2g} it would add {abs(value * loss):.2g}."


def _slip_text(moment: Moment, k: int) -> str:
    """How the raw value compares with what is declared for it."""
    name = moment.components.names[k]
    loss = float(moment.components.losses[k])
    for contract in moment.schedule.declaration.contracts:
        if contract.series == f"loss/{name}" and contract.kind in ("", "range", "bound"):
            low = float("-inf") if contract.low is None else contract.low
            high = float("inf") if contract.high is None else contract.high
            if (slip := scale.slip(loss, low, high, scale.counts_of(moment))) is not None:
                return f" Its raw value {loss:.4g} against {range_text(low, high)}: {slip.text}"
    return ""


def _blame(moment: Moment) -> Blame | None:
    reference = moment.reference
    return None if reference is None else decompose(reference.step, moment.step, moment.changes())
