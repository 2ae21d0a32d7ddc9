"""When the next try is due, and after which there is none."""

from datetime import UTC
from email.utils import parsedate_to_datetime

FIRST_S = 5.0
LONGEST_S = 3_600.0
GIVE_UP_S = 86_400.0
TRIES_LEAST = 8  # about 20 minutes of them: a clock that was set forward must not end it at the first
_DOUBLINGS = 20  # 2^20 * FIRST_S is far above LONGEST_S; 2^tries would not fit a float for ever


def wait_s(tries: int, chance: float, asked_s: float | None) -> float:
    """Seconds after the try number `tries` (from 1): doubling up to LONGEST_S, of which `chance` (0 to 1) takes up to
    half, so that many do not come back at once; never less than the other side asked for."""
    longest_s = min(LONGEST_S, FIRST_S * 2.0 ** min(tries - 1, _DOUBLINGS))
    return max(longest_s * (1.0 - chance / 2), asked_s or 0.0)


def retry_after_s(header: str | None, now_s: float) -> float | None:
    """Seconds that a `Retry-After` header asks for: a number or a date; None where it says neither."""
    said = (header or "").strip()
    if said.isascii() and said.isdigit():
        return float(said[:12])
    try:
        date = parsedate_to_datetime(said)
        # a date in "-0000" has no zone: RFC 5322 says that it is UTC
        at_s = (date if date.tzinfo is not None else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):  # of a date in the year 9999 behind which a zone lies, too
        return None
    return max(0.0, at_s - now_s)
