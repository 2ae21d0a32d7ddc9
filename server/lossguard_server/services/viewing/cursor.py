"""How far a viewer has got in one run, as a short text that it gives back when it reconnects.

Rules of this file: pure. Whoever reads a cursor takes it for hostile: what is not one of this process is no cursor.
"""

from dataclasses import dataclass

MAX_DIGITS = 15


@dataclass(frozen=True)
class Cursor:
    """Everything up to these numbers has arrived."""

    boot: str  # one life of the server's process: numbers begin anew with each
    points: int
    notices: int

    def __str__(self) -> str:
        return f"{self.boot}.{self.points}.{self.notices}"


def read_cursor(text: str, boot: str) -> Cursor | None:
    """The cursor, when it is one of this process."""
    said, *numbers = text.split(".")
    if said != boot or len(numbers) != 2:
        return None
    if not all(number.isascii() and number.isdigit() and len(number) <= MAX_DIGITS for number in numbers):
        return None
    return Cursor(boot, *map(int, numbers))
