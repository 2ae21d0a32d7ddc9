"""What a person can press: a command with its arguments worked out, and one sentence that says what it does.

To hold component k at the share X of the whole: w_k' = X / (1 - X) * sum over j != k of |w_j L_j| / |L_k|.

Rules of this file: values and arithmetic only; which component a remedy is for is decided in advice.py.
"""

from dataclasses import dataclass
from math import isfinite
from typing import Any

TARGET_SHARE = 0.005  # a healthy auxiliary loss of the report adds 0.005 to 0.01 to a total of about 2


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
    if not (isfinite(others) and isfinite(loss)) or others <= 0 or loss == 0:
        return None
    weight = share / (1 - share) * others / abs(loss)
    return two_digits(weight) if isfinite(weight) and weight > 0 else None


def two_digits(value: float) -> float:
    """Rounded to two significant digits: a weight that a person can read out."""
    return float(f"{value:.1e}")
