"""Channels: queries. What a channel's body says is services/notifying/channel.py's business; it holds secrets."""

from dataclasses import dataclass
from typing import Any

from sqlmodel import Session, col, select

from . import json
from .tables import ChannelRow


@dataclass(frozen=True)
class StoredChannel:
    """Where notifications go, as the database knows it."""

    id: str
    name: str
    kind: str
    body: dict[str, Any]
    created_s: float


def put(session: Session, channel: StoredChannel) -> None:
    """Store the channel as it is now, by its id."""
    row = session.get(ChannelRow, channel.id)
    if row is None:
        row = ChannelRow(id=channel.id, name="", kind="", body="", created_s=channel.created_s)
        session.add(row)
    row.name, row.kind, row.body = channel.name, channel.kind, json.to_text(channel.body)


def get(session: Session, channel_id: str) -> StoredChannel | None:
    """The channel, or None."""
    row = session.get(ChannelRow, channel_id)
    return None if row is None else _stored(row)


def oldest_first(session: Session) -> list[StoredChannel]:
    """Every channel."""
    rows = session.exec(select(ChannelRow).order_by(col(ChannelRow.created_s), col(ChannelRow.id)))
    return [_stored(row) for row in rows]


def delete(session: Session, channel_id: str) -> bool:
    """Remove a channel; False when there is none of that id."""
    row = session.get(ChannelRow, channel_id)
    if row is None:
        return False
    session.delete(row)
    return True


def _stored(row: ChannelRow) -> StoredChannel:
    return StoredChannel(row.id, row.name, row.kind, json.from_text(row.body), row.created_s)
