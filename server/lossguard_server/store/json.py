"""JSON columns: text in, values out.

Rules of this file: non-finite numbers are written as words by `lossguard.protocol.numbers` and come back as words,
because a stored text cannot tell a number from a name; answers carry the word anyway.
"""

import json
from typing import Any

from lossguard.protocol.numbers import dumps


def to_text(value: Any) -> str:
    """The value as JSON text."""
    return dumps(value).decode()


def from_text(text: str) -> Any:
    """The value of a JSON column."""
    return json.loads(text)
