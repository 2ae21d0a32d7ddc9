"""The life of a command, as one table.

Rules of this file:
- A pair that is not listed cannot happen. `rejected`, `superseded` and `cancelled` are final.
- What a trainer applied is a fact, whenever the word of it comes: it may come after the server gave the command up.
- `applied` is in force in the newest attempt, or in the one that ended. An attempt that goes on from an older
  checkpoint lacks what was applied behind it: that is offered again, to be applied at its own step, and what is refused
  as too late, or was applied before an attempt that begins anew, is `rolled_back`.
"""

from ..errors import IllegalTransition

QUEUED, SENT, RECEIVED = "queued", "sent", "received"
APPLIED, REJECTED, ROLLED_BACK = "applied", "rejected", "rolled_back"
EXPIRED, SUPERSEDED, CANCELLED = "expired", "superseded", "cancelled"

OPEN = (QUEUED, SENT, RECEIVED)
REPORTED = (RECEIVED, APPLIED, REJECTED)  # what a trainer may say of a command
STATES = (*OPEN, APPLIED, REJECTED, EXPIRED, SUPERSEDED, CANCELLED, ROLLED_BACK)

_TABLE = frozenset(
    {
        (QUEUED, SENT),  # it goes out on the trainer's socket
        (QUEUED, EXPIRED),  # the run or its attempt ended first, or the run is lost, or it is too late
        (QUEUED, SUPERSEDED),  # a newer one of the same meaning, before it went out
        (QUEUED, CANCELLED),  # its operator took it back
        (SENT, RECEIVED),
        (SENT, APPLIED),  # the `received` may have been lost with a trainer that had no spool
        (SENT, REJECTED),
        (SENT, EXPIRED),
        (RECEIVED, APPLIED),
        (RECEIVED, REJECTED),
        (RECEIVED, EXPIRED),
        (EXPIRED, APPLIED),  # its trainer had it; the word came after the server had given it up
        (APPLIED, QUEUED),  # an attempt went on from before it: it is offered again
        (EXPIRED, QUEUED),  # so was one that was offered again to an attempt that ended first
        (SENT, ROLLED_BACK),  # offered again, and refused
        (RECEIVED, ROLLED_BACK),
        (APPLIED, ROLLED_BACK),  # an attempt began without it, or came by its step a second time without it
        (EXPIRED, ROLLED_BACK),
        (ROLLED_BACK, APPLIED),  # a later attempt went on from a checkpoint that holds it
    }
)


def is_legal(state: str, to_state: str) -> bool:
    """True when a command may go from `state` to `to_state`."""
    return (state, to_state) in _TABLE


def check(state: str, to_state: str) -> None:
    """Raises IllegalTransition for a pair that is not in the table."""
    if not is_legal(state, to_state):
        raise IllegalTransition(f"It is {state}, which does not lead to {to_state}.")
