"""The channels that a person has set up: made, changed, removed, tried.

Rules of this file:
- An address is checked when it is given, and again by the sender at every message.
- A webhook's secret is told once, when it is made; later only its end is shown. The audit trail has no address at all.
- A removed channel gets nothing more, what is owed to it included.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from sqlmodel import Session

from ...errors.notifying import BadChannel, UnknownChannel
from ...store import audit, channels, outbox
from ...store.columns import Reading
from ...store.outbox import Notice
from ...store.writer import Writer
from ..clock import Clock
from ..records import Records
from .channel import APPRISE, WEBHOOK, Channel
from .policy import Wishes
from .releasing import SWITCHED_OFF, reconsider
from .sending import Sending, of_test
from .told import DELIVERED, Told

SECRET_PREFIX, SECRET_BYTES = "whsec_", 32
MAX_CHANNELS = 100


class CheckUrl(Protocol):
    """What of webhook.Webhook is needed to check an address."""

    def check(self, url: str) -> str: ...


class CheckService(Protocol):
    """What of messenger.Messenger is needed to check an address."""

    async def check(self, url: str) -> str: ...


@dataclass(frozen=True)
class Asked:
    """A channel as a person wants it. `url` and `secret` None: as they are, or for a new channel a made secret."""

    name: str
    kind: str
    url: str | None
    secret: str | None
    enabled: bool
    wishes: Wishes


class Channels:
    """Owned by the event loop's thread."""

    def __init__(
        self,
        writer: Writer,
        reading: Reading,
        clock: Clock,
        new_id: Callable[[], str],
        webhook: CheckUrl,
        messenger: CheckService,
        sending: Sending,
        public_url: str,
    ) -> None:
        self._records, self._clock, self._new_id = Records(writer, reading), clock, new_id
        self._webhook, self._messenger = webhook, messenger
        self._sending, self._public_url = sending, public_url.rstrip("/")

    async def listed(self) -> list[Channel]:
        """Every channel, oldest first."""
        return [Channel.of(stored) for stored in await self._records.read(channels.oldest_first)]

    async def create(self, asked: Asked, actor: str) -> Channel:
        """A new channel, its secret included. Raises BadChannel, AppriseNotInstalled, StorageError."""
        if asked.url is None:
            raise BadChannel("It has no address.")
        if len(await self.listed()) >= MAX_CHANNELS:
            raise BadChannel(f"There are {MAX_CHANNELS} channels, and no more are kept.", "Remove one first.")
        secret = asked.secret or f"{SECRET_PREFIX}{secrets.token_urlsafe(SECRET_BYTES)}"
        made = Channel(
            id=self._new_id(),
            name=asked.name,
            kind=asked.kind,
            url=asked.url,
            secret=secret if asked.kind == WEBHOOK else "",
            service=await self._checked(asked.kind, asked.url),
            enabled=asked.enabled,
            wishes=asked.wishes,
            created_s=self._clock.wall_s(),
        )
        await self._store(made, "channel created", actor, {"after": _wished(made)})
        return made

    async def change(self, channel_id: str, asked: Asked, actor: str) -> Channel:
        """The channel as it is from now on. Raises UnknownChannel, BadChannel, AppriseNotInstalled, StorageError."""
        found = await self._find(channel_id)
        if asked.kind != found.kind:
            raise BadChannel(f"It is a channel of the kind {found.kind}, and stays one.", "Make another channel.")
        changed = replace(found, name=asked.name, enabled=asked.enabled, wishes=asked.wishes)
        if asked.url is not None:
            changed = replace(changed, url=asked.url, service=await self._checked(asked.kind, asked.url))
        if asked.secret is not None and asked.kind == WEBHOOK:
            changed = replace(changed, secret=asked.secret)
        detail: dict[str, Any] = {"before": _wished(found), "after": _wished(changed)}
        if (found.url, found.secret) != (changed.url, changed.secret):
            detail["address changed"] = "yes"
        await self._store(changed, "channel changed", actor, detail)
        return changed

    async def remove(self, channel_id: str, actor: str) -> None:
        """The channel is gone. Raises UnknownChannel, StorageError."""
        found = await self._find(channel_id)
        wall_s = self._clock.wall_s()

        def remove(session: Session) -> None:
            if channels.delete(session, channel_id):
                outbox.give_up_all(session, channel_id, SWITCHED_OFF)
                audit.add(session, wall_s, actor, "channel removed", _detail(found), None)

        await self._records.write(remove)

    async def test(self, channel_id: str, actor: str) -> tuple[Told, float]:
        """Send a real message now; what the other side said of it, and after how many seconds.

        Raises UnknownChannel, StorageError."""
        found = await self._find(channel_id)
        wall_s, began_s = self._clock.wall_s(), self._clock.monotonic_s()
        told = await self._sending.send(
            found, of_test(f"{found.id}:test:{self._new_id()}", found.name, self._public_url)
        )
        took_s = self._clock.monotonic_s() - began_s
        detail = {**_detail(found), "delivered": told.outcome == DELIVERED}
        await self._records.write(lambda session: audit.add(session, wall_s, actor, "channel tested", detail, None))
        return told, took_s

    async def notices(self, limit: int) -> list[tuple[Notice, str]]:
        """The newest notices, each with the name that its channel has now (its id, when that is gone)."""

        def read(session: Session) -> list[tuple[Notice, str]]:
            names = {stored.id: stored.name for stored in channels.oldest_first(session)}
            found = outbox.newest_first(session, limit)
            return [(notice, names.get(notice.channel, notice.channel)) for notice in found]

        return await self._records.read(read)

    async def _checked(self, kind: str, url: str) -> str:
        return await self._messenger.check(url) if kind == APPRISE else self._webhook.check(url)

    async def _find(self, channel_id: str) -> Channel:
        stored = await self._records.read(lambda session: channels.get(session, channel_id))
        if stored is None:
            raise UnknownChannel(f"It was asked for as {channel_id[:80]!r}.")
        return Channel.of(stored)

    async def _store(self, channel: Channel, what: str, actor: str, detail: Mapping[str, Any]) -> None:
        wall_s = self._clock.wall_s()

        def store(session: Session) -> None:
            channels.put(session, channel.stored())
            reconsider(session, channel, wall_s)
            audit.add(session, wall_s, actor, what, {**_detail(channel), **detail}, None)

        await self._records.write(store)


def _detail(channel: Channel) -> dict[str, Any]:
    return {"channel": channel.id, "name": channel.name, "kind": channel.kind}


def _wished(channel: Channel) -> dict[str, Any]:
    """What the audit trail says of a channel: nothing of its address."""
    shown = channel.shown()
    return {key: shown[key] for key in ("name", "enabled", "severity", "projects", "resolved", "quiet")}
