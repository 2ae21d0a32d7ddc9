"""For how many rows each rule of a run failed: which are well again, and which have judged nothing for long.

Rules of this file: it counts; what is said, and of whom, others know.
"""

from collections.abc import Mapping, Sequence

MENDED_ROWS = 1_000  # judged without a fault: a rule that had failed is well again
GIVEN_UP_ROWS = 1_000  # failed on in a row: some windows, so that one bad stretch is not told twice


class Faults:
    """The rules that failed and are not well again."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[int, int]] = {}  # failed on in a row, judged since it failed last

    def failed(self, rule: str, rows: int) -> int:
        """The rule could not judge these rows (0: it failed elsewhere). Once they have become GIVEN_UP_ROWS or more in
        a row: how many; else, and later on, 0."""
        before, _ = self._rows.get(rule, (0, 0))
        self._rows[rule] = before + rows, 0
        return before + rows if before < GIVEN_UP_ROWS <= before + rows else 0

    def judged(self, rule: str, rows: int) -> bool:
        """The rule judged these rows. With them it is well again."""
        if rule not in self._rows:
            return False
        self._rows[rule] = 0, self._rows[rule][1] + rows
        if self._rows[rule][1] < MENDED_ROWS:
            return False
        del self._rows[rule]
        return True

    def dump(self) -> dict[str, Sequence[int]]:
        """All of it, as plain values."""
        return dict(self._rows)

    @classmethod
    def load(cls, data: Mapping[str, Sequence[int]]) -> "Faults":
        """What `dump` gave."""
        faults = cls()
        for rule, (failed, judged) in data.items():
            faults._rows[rule] = failed, judged
        return faults
