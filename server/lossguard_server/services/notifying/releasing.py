"""Lets go on what was held: alone as it is, several of a channel as one digest.

Rules of this file: in one transaction. A digest is a notice of its own, with its key, before anything of it is sent; so
after a restart it is the same digest.
"""

import hashlib
from collections.abc import Sequence
from itertools import groupby

from sqlmodel import Session

from ...store import channels, incidents, outbox, runs
from ...store.outbox import Notice
from .channel import Channel
from .news import News
from .owing import is_silenced, past_of
from .policy import breaks_quiet, due_s, rested_s, wants
from .wording import DIGEST_LINES

HELD_LONGEST_S = 26 * 3_600.0  # an hour of pages, and a night in which the clock is turned
SWITCHED_OFF = "The channel was switched off or removed."
SILENCED = "The alert was silenced."
NOT_WANTED = "The channel does not want it any more."


def release(session: Session, now_s: float) -> int:
    """Let go on what was held until now (epoch seconds); how many messages that makes."""
    held = sorted(outbox.held_over(session, now_s, HELD_LONGEST_S), key=lambda notice: notice.channel)
    return sum(_of_channel(session, key, list(its), now_s) for key, its in groupby(held, lambda notice: notice.channel))


def reconsider(session: Session, channel: Channel, now_s: float) -> None:
    """The channel was changed: what is held for it is held as long as it would be now, or dropped."""
    for notice in outbox.held_for(session, channel.id):
        news = News.from_dict(notice.body["news"][0])
        run = runs.get(session, news.run)
        if not wants(channel.wishes, news, news.project if run is None else run.project):
            outbox.move(session, notice.key, outbox.DROPPED, said=NOT_WANTED)
            continue
        when_s = due_s(channel.wishes, news, past_of(session, channel.id, news, now_s), now_s)
        outbox.move(session, notice.key, outbox.HELD, due_s=when_s, owed_s=when_s)


def _of_channel(session: Session, channel_id: str, held: Sequence[Notice], now_s: float) -> int:
    stored = channels.get(session, channel_id)
    channel = None if stored is None else Channel.of(stored)
    if channel is None or not channel.enabled:
        for notice in held:
            outbox.move(session, notice.key, outbox.GIVEN_UP, said=SWITCHED_OFF)
        return 0
    kept = [notice for notice in held if _still_wanted(session, channel, notice, now_s)]
    if len(kept) == 1:
        outbox.move(session, kept[0].key, outbox.OWED, due_s=now_s, owed_s=now_s)
    elif kept:
        _fold(session, channel_id, kept, now_s)
    return min(len(kept), 1)


def _still_wanted(session: Session, channel: Channel, notice: Notice, now_s: float) -> bool:
    news = News.from_dict(notice.body["news"][0])
    incident = incidents.get(session, news.incident)
    if is_silenced(session, news, [] if incident is None else incident["alerts"], now_s):
        outbox.move(session, notice.key, outbox.DROPPED, said=SILENCED)
        return False
    until_s = now_s if breaks_quiet(channel.wishes, news) else rested_s(channel.wishes, now_s)
    if until_s > now_s:  # the night began while it was held for the incident's sake
        outbox.move(session, notice.key, outbox.HELD, due_s=until_s, owed_s=until_s)
    return until_s <= now_s


def _fold(session: Session, channel_id: str, kept: Sequence[Notice], now_s: float) -> None:
    named = "\n".join(notice.key for notice in kept)
    key = f"{channel_id}:digest:{hashlib.sha256(named.encode()).hexdigest()[:32]}"
    runs = {notice.run for notice in kept}
    # a digest is a list: of each piece one line is told
    lines = [{**notice.body["news"][0], "values": [], "first_bad": []} for notice in kept[:DIGEST_LINES]]
    body = {"news": lines, "count": len(kept)}
    run = runs.pop() if len(runs) == 1 else None
    outbox.put(session, Notice(key, channel_id, run, "", outbox.OWED, 0, now_s, now_s, now_s, body))
    for notice in kept:
        outbox.move(session, notice.key, outbox.FOLDED, owed_s=now_s, said=f"It went with {key}.")
