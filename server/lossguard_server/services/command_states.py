"""The life of a command, as one table.

Rules of this file: a pair that is not listed cannot happen. `applied`, `rejected`, `expired`, `superseded` and
`cancelled` are final.
"""

from ..errors import IllegalTransition

QUEUED, SENT, RECEIVED = "queued", "sent", "received"
APPLIED, REJECTED = "applied", "rejected"
EXPIRED, SUPERSEDED, CANCELLED = "expired", "superseded", "cancelled"

OPEN = (QUEUED, SENT, RECEIVED)
REPORTED = (RECEIVED, APPLIED, REJECTED)  # what a trainer may say of a command

_TABLE = frozenset(
    {
        (QUEUED, SENT),  # it goes out on the trainer's socket
        (QUEUED, EXPIRED),  # the run or its attempt ended first, or the run is lost
        (QUEUED, SUPERSEDED),  # a newer one of the same meaning, before it went out
        (QUEUED, CANCELLED),  # its operator took it back
        (SENT, RECEIVED),
        (SENT, APPLIED),  # the `received` may have been lost with a trainer that had no spool
        (SENT, REJECTED),
        (SENT, EXPIRED),
        (RECEIVED, APPLIED),
        (RECEIVED, REJECTED),
        (RECEIVED, EXPIRED),
    }
)


def is_legal(state: str, to_state: str) -> bool:
    """True when a command may go from `state` to `to_state`."""
    return (state, to_state) in _TABLE


def check(state: str, to_state: str) -> None:
    """Raises IllegalTransition for a pair that is not in the table."""
    if not is_legal(state, to_state):
        raise IllegalTransition(f"It is {state}, which does not lead to {to_state}.")
