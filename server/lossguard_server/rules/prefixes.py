"""Finds the series of a kind, once: the numbers of those whose name begins so.

Rules of this file: a series' number and name stay what they are for a run's life, so only names that are new are read.
"""

from .base import Memory
from .window import Window


def numbered(window: Window, memory: Memory, prefix: str) -> dict[str, int]:
    """The rest of the name, and the number, of every series of the run that begins with `prefix`, in order of arrival.

    What was found is kept in the rule's `memory`.
    """
    known = memory.setdefault(f"series {prefix}", {"read": 0, "numbers": {}})
    numbers: dict[str, int] = known["numbers"]
    for number in range(known["read"], len(window.names)):
        if window.names[number].startswith(prefix):
            numbers[window.names[number].removeprefix(prefix)] = number
    known["read"] = len(window.names)
    return numbers
