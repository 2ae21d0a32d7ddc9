"""What a person can press: a command with its arguments worked out, and one sentence that says what it does.

Rules of this file: values only; the arithmetic of weights and ramps is lossguard.protocol.magnitudes, which the
preflight uses too; which component a remedy is for is decided in advice.py.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Remedy:
    """A ready command: `kind` and `args` of docs/protocol.md."""

    kind: str
    args: dict[str, Any]
    text: str

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "args": self.args, "text": self.text}
