"""The series that a column of an exported table stands for: services/exporting/names.py the other way round.

Rules of this file: pure; docs/export.md says the rules in words.
"""

import re

_STEP = re.compile(r"step'+")
_GUARDED = re.compile(r"""((?:^|[;,|"])\s*)'('*[=+\-@＝＋－＠])""")


def series(column: str) -> str:
    """The series of a column: `step'` is the series `step`."""
    return column[:-1] if _STEP.fullmatch(column) else column


def csv_series(column: str) -> str:
    """The series of a CSV column: without the apostrophes that keep formulas from running."""
    return series(_GUARDED.sub(r"\1\2", column))
