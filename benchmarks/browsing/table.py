"""One table of all that was measured, each number beside its limit."""

import math


class Table:
    """Rows of Markdown, in the order in which they are told."""

    def __init__(self) -> None:
        self._rows: list[str] = []

    def add(self, what: str, measured: float, limit: float, unit: str) -> None:
        """A number that has a limit."""
        held = "not measured" if math.isnan(measured) else "held" if measured <= limit else "**missed**"
        self._rows.append(f"| {what} | {_digits(measured)} {unit} | {limit:g} | {measured / limit:.2f} | {held} |")

    def note(self, what: str, measured: float, unit: str) -> None:
        """A number that has none."""
        self._rows.append(f"| {what} | {_digits(measured)} {unit} |  |  |  |")

    def text(self) -> str:
        return "\n".join(["| what | measured | limit | ratio | |", "|---|---|---|---|---|", *self._rows, ""])


def _digits(value: float) -> str:
    if math.isnan(value):
        return "nothing"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
