"""What a living trainer sends under each number: its message, or what stands in its place.

Rules of this file: every number goes out. What is damaged in the spool, what a server that was set back asks for once
more, and what it refuses for good is a gap event; it is said once, and kept where it can be.
"""

import logging
from typing import Protocol

from .complaints import WORDS_MAX
from .protocol.gaps import DAMAGED, REFUSALS_MAX, Filling, Hole, Poison, filler
from .protocol.messages import Hold, Refusal
from .spool import Spool
from .spool_segments import Missing

log = logging.getLogger("lossguard")

SET_BACK = "the server was set back to an older state, and asks for what it had acknowledged"
HOLDS_SAID_MAX = 50  # a disk that fills up and is emptied all day says enough by then


class Warn(Protocol):
    """Says something once a kind."""

    def __call__(self, what: str, hint: str, kind: str = "") -> None: ...


class Outgoing:
    """The messages of one spool as they go out."""

    def __init__(self, spool: Spool, warn: Warn) -> None:
        self.replaced = 0  # messages that the server refused too often
        self._spool, self._warn = spool, warn
        self.is_held = False  # the server cannot store at present
        self._filling, self._poison = Filling(), Poison()
        self._forgotten_seq = self._holds_said = 0

    def begin(self, acked_seq: int) -> None:
        """A connection on which the server has everything up to `acked_seq`."""
        self._filling.begin(acked_seq)

    def acknowledged(self, seq: int) -> None:
        """Everything up to `seq` may be forgotten."""
        if seq > self._forgotten_seq:
            self.hold(Hold(error=""))  # it stores: also where it was another one that held
            self._forgotten_seq = seq
        self._spool.acknowledged(seq)
        self._poison.acknowledged(seq)

    def message(self, seq: int) -> bytes:
        """What goes out under this number. Raises OSError where it may be read another time."""
        reason = DAMAGED
        try:
            found = self._spool.find(seq)
        except KeyError:
            found, reason = Missing(seq, self._forgotten_seq), SET_BACK
        if isinstance(found, bytes):
            return self._poison.outgoing(seq, found)
        if self._filling.is_told(seq):
            return filler(seq)
        self._warn(reason, "what is gone is recorded as gaps", reason)
        return self._filling.tell(Hole(seq, found.last_seq, *self._spool.steps_between(seq, found.last_seq), reason))

    def hold(self, hold: Hold) -> None:
        """The server cannot store, or can again; each is said once."""
        if bool(hold.error) == self.is_held:
            return
        self.is_held = bool(hold.error)
        self._holds_said += 1
        if self._holds_said > HOLDS_SAID_MAX:
            return
        if self.is_held:
            log.warning(
                "lossguard: the server cannot store now: %s (%s).", hold.message[:WORDS_MAX], hold.hint[:WORDS_MAX]
            )
        else:
            log.warning("lossguard: the server stores again.")

    def refused(self, refusal: Refusal) -> None:
        """The server refuses one message; after so many times a gap takes its number."""
        seq = refusal.seq
        try:
            found = self._spool.find(seq)
        except (KeyError, OSError):
            found = filler(seq)
        payload = filler(seq) if isinstance(found, Missing) else found
        if not self._poison.refused(refusal, payload):
            return
        self.replaced += 1
        is_kept = self._spool.quarantine(seq, payload, refusal)
        what = f"the server refused message {seq} {REFUSALS_MAX} times: {refusal.message[:WORDS_MAX]}"
        hint = "it is kept in bad/ there, and a gap takes its place" if is_kept else "a gap takes its place"
        self._warn(what, hint, f"refused {refusal.error}")
