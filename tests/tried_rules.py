"""Two rules of a line each, for tests of what is done with rules and not of what they find."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lossguard_server.rules.base import Finding, Hits, Hold, Info, Memory, Rule, Severity, ascending, parameter
from lossguard_server.rules.window import Window


@dataclass(frozen=True)
class Parameters:
    """`need` of one row of `above`; `order` says what makes no sense together."""

    limit: float = parameter(100.0, "above this a value counts", 0.5, 1e6, "units")
    need: float = parameter(1, "so many rows in a row", 1, 5, "rows", whole=True)

    def __post_init__(self) -> None:
        ascending(self, "need", "limit")


def rule(name: str = "above", series: str = "a", **given: float) -> Rule:
    """Critical where the series is above the limit."""

    def judge(window: Window, parameters: Parameters, memory: Memory) -> Sequence[Hits]:
        number = window.number(series)
        if number is None:
            return []
        rows = np.flatnonzero(window.values[:, number] > parameters.limit)
        hold = Hold(int(parameters.need), int(parameters.need))
        return [Hits(series, rows, Severity.CRITICAL, hold, lambda row: Finding(f"step {window.steps[row]}", "high"))]

    info = Info("R99", name, "Too high", series, "a > limit", "nobody", "it is not high")
    return Rule(info, Parameters(**given), judge)


def broken() -> Rule:
    """Fails at every row."""

    def judge(window: Window, parameters: Parameters, memory: Memory) -> Sequence[Hits]:
        raise ZeroDivisionError("as it was meant to")

    return Rule(Info("R98", "broken", "", "", "", "", ""), Parameters(), judge)
