"""What a person is told of a server's trouble, and of a spool's: once a kind, and never more than a screen of it.

Rules of this file: much of the text is the server's own, which may be hostile: it is cut, it is not what tells one kind
from another, and there is an end to the kinds.
"""

import logging
from pathlib import Path

log = logging.getLogger("lossguard")

WORDS_MAX = 500  # characters of one text
KIND_MAX = 80  # characters of a kind
KINDS_MAX = 32  # an honest server has half a dozen


class Complaints:
    """Says each kind of trouble once. `folder`: where the data is kept meanwhile."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._said: set[str] = set()

    def __call__(self, what: str, hint: str, kind: str = "") -> None:
        """`kind`: by default the text itself."""
        key = (kind or what)[:KIND_MAX]
        if key in self._said or len(self._said) >= KINDS_MAX:
            return
        self._said.add(key)
        log.warning("lossguard: %s (%s). Data is kept in %s.", what[:WORDS_MAX], hint[:WORDS_MAX], self._folder)
        if len(self._said) == KINDS_MAX:
            log.warning("lossguard: further troubles are not said.")
