"""What a person can press: a command with its arguments worked out, and one sentence that says what it does.

To hold component k at the share X of the whole: w_k' = X / (1 - X) * sum over j != k of |w_j L_j| / |L_k|.
To bring a jump J in without a shock: N = ceil(log J / log 1.02) steps, so that no step adds more than 2 %.

Rules of this file: values and arithmetic only; which component a remedy is for is decided in advice.py.
"""

from dataclasses import dataclass
from math import ceil, isfinite, log
from typing import Any

TARGET_SHARE = 0.005  # a healthy auxiliary loss of the report adds 0.005 to 0.01 to a total of about 2
GROWTH_PER_STEP = 1.02  # of the total along a ramp
RAMP_STEPS_MAX = 1_000_000


@dataclass(frozen=True)
class Remedy:
    """A ready command: `kind` and `args` of docs/protocol.md."""

    kind: str
    args: dict[str, Any]
    text: str

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "args": self.args, "text": self.text}


def weight_for_share(others: float, loss: float, share: float) -> float | None:
    """The weight at which |weight * loss| is `share` of the whole, `others` being the rest of it; two digits."""
    weight = exact_weight_for_share(others, loss, share)
    return None if weight is None else two_digits(weight)


def exact_weight_for_share(others: float, loss: float, share: float) -> float | None:
    """The same, not rounded; None where no weight would do."""
    if not (isfinite(others) and isfinite(loss)) or others <= 0 or loss == 0 or not 0 < share < 1:
        return None
    weight = share / (1 - share) * others / abs(loss)
    return weight if isfinite(weight) and weight > 0 else None


def weight_for_contribution(loss: float, contribution: float) -> float | None:
    """The weight at which |weight * loss| is `contribution`; two digits."""
    if not (isfinite(loss) and isfinite(contribution)) or loss == 0 or contribution <= 0:
        return None
    weight = contribution / abs(loss)
    return two_digits(weight) if isfinite(weight) and weight > 0 else None


def ramp_steps(jump: float, growth: float = GROWTH_PER_STEP) -> int | None:
    """Over so many steps a total that will be `jump` times as large grows by at most `growth` a step; None without."""
    if not isfinite(jump) or jump <= 1:
        return None
    return min(ceil(log(jump) / log(growth)), RAMP_STEPS_MAX)


def two_digits(value: float) -> float:
    """Rounded to two significant digits: a weight that a person can read out."""
    return float(f"{value:.1e}")
