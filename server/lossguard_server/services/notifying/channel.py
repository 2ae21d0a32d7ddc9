"""A channel: where messages go, and what it wants to hear.

Rules of this file: `url` and `secret` are secrets and leave only towards the other side. What is shown of them names
the service and nothing that would open it; what the other side says of them is blotted out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, time, tzinfo
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from zoneinfo import ZoneInfo

from ...store.channels import StoredChannel
from .policy import Wishes
from .quiet import Quiet

WEBHOOK, APPRISE = "webhook", "apprise"
BLOT = "****"
_SHORT = 4  # what is shorter is no secret
_WORD = 8  # a shorter part of a path is a word; blotting out every "v1" and "api" would leave nothing to read


@dataclass(frozen=True)
class Channel:
    """One channel. `service` is what is shown of its address; `secret` signs webhooks, and is empty elsewhere."""

    id: str
    name: str
    kind: str
    url: str
    secret: str
    service: str
    enabled: bool
    wishes: Wishes
    created_s: float

    @classmethod
    def of(cls, stored: StoredChannel) -> "Channel":
        """The channel that `stored` gave."""
        body = stored.body
        wishes = Wishes(body["severity"], tuple(body["projects"]), body["resolved"], quiet_of(body["quiet"]))
        return cls(
            stored.id, stored.name, stored.kind, body["url"], body["secret"], body["service"], body["enabled"],
            wishes, stored.created_s,
        )  # fmt: skip

    def stored(self) -> StoredChannel:
        """As the database keeps it, secrets included."""
        body = {**self._open(), "url": self.url, "secret": self.secret}
        return StoredChannel(self.id, self.name, self.kind, body, self.created_s)

    def shown(self) -> dict[str, Any]:
        """As answers carry it, without secrets."""
        ends = f"{BLOT}{self.secret[-4:]}" if self.secret else None
        return {"id": self.id, "name": self.name, "kind": self.kind, "created_s": self.created_s, **self._open(),
                "secret": ends}  # fmt: skip

    def blotted(self, said: str) -> str:
        """What the other side said, without this channel's secrets in it."""
        for secret in sorted(self._secrets(), key=len, reverse=True):
            said = said.replace(secret, BLOT)
        return said

    def with_address(self, url: str, secret: str, service: str) -> "Channel":
        """The channel with another address."""
        return replace(self, url=url, secret=secret, service=service)

    def _open(self) -> dict[str, Any]:
        wishes = self.wishes
        return {
            "service": self.service,
            "enabled": self.enabled,
            "severity": wishes.severity,
            "projects": list(wishes.projects),
            "resolved": wishes.resolved,
            "quiet": None if wishes.quiet is None else quiet_view(wishes.quiet),
        }

    def _secrets(self) -> set[str]:
        parts = urlsplit(self.url)
        places = {parts.path, parts.query, *parts.path.split("/")}
        host = parts.netloc.rpartition("@")[2].partition(":")[0]
        if self.kind == APPRISE and "." not in host:
            places.add(host)  # of `slack://token/...` it is a secret
        words = {self.url, self.secret, parts.username or "", parts.password or ""}
        # a value of the query may be a code of a few characters; as it came, and as it is meant
        words |= {value for _, value in parse_qsl(parts.query)}
        words |= {pair.partition("=")[2] for pair in parts.query.split("&")}
        words |= {place for place in places if len(place) >= _WORD}
        return {form for word in words for form in (word, unquote(word)) if len(form) >= _SHORT}


def quiet_of(view: Mapping[str, Any] | None) -> Quiet | None:
    """The quiet hours of {from, to, zone, nonfinite_breaks}. A zone that this machine does not know any more is UTC:
    a channel that cannot be read would stop every alert from being stored."""
    if view is None:
        return None
    start, end = time.fromisoformat(view["from"]), time.fromisoformat(view["to"])
    try:
        zone: tzinfo = ZoneInfo(view["zone"])
    except (KeyError, ValueError, OSError):
        zone = UTC
    return Quiet(start, end, zone, view["nonfinite_breaks"])


def quiet_view(quiet: Quiet) -> dict[str, Any]:
    """As answers and the database carry quiet hours."""
    start, end = (moment.isoformat("minutes") for moment in (quiet.start, quiet.end))
    return {"from": start, "to": end, "zone": str(quiet.zone), "nonfinite_breaks": quiet.nonfinite_breaks}
