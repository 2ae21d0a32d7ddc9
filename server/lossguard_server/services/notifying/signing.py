"""How a receiver knows that a webhook is ours: HMAC-SHA256 over `timestamp.body` with the channel's secret.

Rules of this file: the timestamp is signed, too, so that what was overheard cannot be sent again a day later; comparing
takes equal time whatever matches.
"""

import hashlib
import hmac

SIGNATURE = "X-Lossguard-Signature"
KEY = "Idempotency-Key"
EVENT = "X-Lossguard-Event"
TOLERANCE_S = 300.0


def signed(secret: str, body: bytes, at_s: int) -> str:
    """The value of the signature's header: `t=<epoch seconds>,v1=<hex>`."""
    return f"t={at_s},v1={_digest(secret, body, str(at_s))}"


def is_signed(header: str, secret: str, body: bytes, now_s: float, tolerance_s: float = TOLERANCE_S) -> bool:
    """What a receiver does: whether the header is right for the body, and not too old."""
    parts = dict(part.partition("=")[::2] for part in header.split(","))
    told = parts.get("t", "")
    if not told.isascii() or not told.isdigit() or abs(now_s - int(told)) > tolerance_s:
        return False
    return hmac.compare_digest(_digest(secret, body, told).encode(), parts.get("v1", "").encode())


def _digest(secret: str, body: bytes, told: str) -> str:
    return hmac.new(secret.encode(), told.encode() + b"." + body, hashlib.sha256).hexdigest()
