"""What came of one try to tell somebody."""

from dataclasses import dataclass

DELIVERED, LATER, REFUSED = "delivered", "later", "refused"
LATER_STATUSES = frozenset({408, 425, 429})  # "not now"; every other 4xx is "not so", and stays that
SAID_CHARS = 2_000


@dataclass(frozen=True)
class Told:
    """`outcome`: delivered, later (try again) or refused (do not). `said`: what the other side answered, or what failed
    on the way. `status`: of HTTP, where there is one. `after_s`: what the other side asks to wait. `is_kept_in`: this
    server was not told that it may send there (--notify-allow)."""

    outcome: str
    said: str
    status: int | None = None
    after_s: float | None = None
    is_kept_in: bool = False


def outcome_of(status: int) -> str:
    """What an HTTP status says of trying again. A redirect is refused: it leads where nobody looked."""
    if 200 <= status < 300:
        return DELIVERED
    return LATER if status in LATER_STATUSES or status >= 500 else REFUSED
