"""How a series is called in a table, reversibly.

Rules of this file:
- Pure. `shown` and `named` undo each other for every name; docs/export.md says the rules in words.
- The column of steps is called `step`; a series of that name becomes `step'`, and `step'` becomes `step''`.
- In CSV a cell that begins with = + - @ is a formula to a spreadsheet, also behind a separator of another country's
  (; |) that it may split at: such a place gets an apostrophe, which makes it text.
- terminal/importing/names.py undoes both; it is a client and may not import this.
"""

import re

_STEP = re.compile(r"step'*")
_FORMULA = re.compile(r"""((?:^|[;,|"])\s*)('*[=+\-@＝＋－＠])""")


def column(name: str) -> str:
    """The column's name in any format: never `step`."""
    return name + "'" if _STEP.fullmatch(name) else name


def csv_column(name: str) -> str:
    """The column's name in CSV: no spreadsheet takes it for a formula."""
    return _FORMULA.sub(r"\1'\2", column(name))
