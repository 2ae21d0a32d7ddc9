"""Puts what is to be told into the outbox, in the transaction that stores what it tells of.

Rules of this file:
- Called in the writer's thread with its session: it asks the database little, and nothing at all where no channel is.
- Owing the same news twice is owing it once: the key says channel, incident and news.
- It decides when, not whether it gets there; that is courier.py's.
- What did not just happen wakes nobody: an import, or data that came LATE_S after they were made. It stands in the
  outbox, dropped, and says why; a trainer's clock may be wrong.
"""

from collections.abc import Iterable, Sequence

from sqlmodel import Session

from ...rules.alert import Alert, AlertChange
from ...rules.cases import FORETOLD, level_of
from ...rules.incident import NOTIFYING, IncidentChange
from ...store import alerts, channels, making, outbox, runs
from ...store.outbox import Notice
from ...store.runs import StoredRun
from .channel import Channel
from .news import ESCALATED, News, of_alert, of_incident
from .policy import HOUR_S, Past, due_s, wants

LATE_S = 3_600.0
IMPORTED = "It was imported from a file."

Change = IncidentChange | AlertChange


def enabled(session: Session) -> list[Channel]:
    """The channels that are switched on."""
    return [each for each in map(Channel.of, channels.oldest_first(session)) if each.enabled]


def owe(session: Session, change: Change, to: Sequence[Channel], now_s: float) -> int:
    """Put the news of a change into the outbox for each channel that wants it; how many do. `now_s`: epoch seconds."""
    run = runs.get(session, _run_of(change)) if to else None
    news = None if run is None else _news(session, change, run)
    if run is None or news is None or is_silenced(session, news, _alerts_of(change), now_s):
        return 0
    wanting = [channel for channel in to if wants(channel.wishes, news, run.project)]
    if not wanting:
        return 0
    if (old := _why_old(session, news, run)) is None:
        return sum(_put(session, news, channel, now_s) for channel in wanting)
    for channel in wanting:
        outbox.put(session, _notice(news, channel, outbox.DROPPED, now_s, now_s, old))
    return 0


def owe_all(session: Session, changes: Iterable[Change], now_s: float) -> int:
    """`owe` for every change, to every channel that is switched on; how many notices were put."""
    found = list(changes)
    to = enabled(session) if found else []
    return sum(owe(session, change, to, now_s) for change in found)


def key_of(channel_id: str, news: News) -> str:
    """The idempotency key: which channel, which incident, which news of it."""
    return f"{channel_id}:{news.incident}:{news.serial}"


def is_silenced(session: Session, news: News, alert_ids: Sequence[str], now_s: float) -> bool:
    """A person who silenced one alert of an incident has not silenced what else belongs to it, its `alert_ids`."""
    ids = set(alert_ids) | {news.alert}
    return outbox.silenced(session, sorted(ids), now_s) == ids


def past_of(session: Session, channel_id: str, news: News, now_s: float) -> Past:
    """What the channel was told in the last hour."""
    since_s = now_s - HOUR_S
    return Past(
        outbox.told_s(session, channel_id, since_s, news.incident),
        outbox.told_s(session, channel_id, since_s),
        outbox.told_s(session, channel_id, since_s, news.incident, f"{channel_id}:{news.incident}:{ESCALATED}:"),
    )


def _run_of(change: Change) -> str:
    return change.alert.run if isinstance(change, AlertChange) else change.incident.run


def _alerts_of(change: Change) -> list[str]:
    return [change.alert.id] if isinstance(change, AlertChange) else change.incident.alerts


def _news(session: Session, change: Change, run: StoredRun) -> News | None:
    """None where nobody wants to know."""
    if isinstance(change, AlertChange):
        return of_alert(change.alert.to_dict(), change.transition, run)
    if change.news not in NOTIFYING:
        return None
    incident = change.incident
    top = alerts.get(session, incident.headline["alert"])
    if change.news != "escalated":
        return of_incident(incident, change.news, top, run)
    its = [Alert.from_dict(found) for each in incident.alerts if (found := alerts.get(session, each)) is not None]
    paging = [each for each in its if each.severity == "critical"]
    worst = max(paging, key=lambda each: (level_of(each), each.last_step), default=None)
    if worst is None:  # several warnings together: the cause says which
        return of_incident(incident, change.news, None, run)
    foretold = level_of(worst) > FORETOLD and any(level_of(each) == FORETOLD for each in paging)
    return of_incident(incident, change.news, worst.to_dict(), run, foretold)


def _why_old(session: Session, news: News, run: StoredRun) -> str | None:
    """Why nobody is to be woken by it: it did not just happen. None where it did, or nothing says so."""
    if making.is_imported(session, run.id):
        return IMPORTED
    made_s = making.made_s(session, run.id, news.step)
    late_s = 0.0 if made_s is None else run.seen_s - made_s
    return None if late_s <= LATE_S else f"Its data were {late_s / HOUR_S:.1f} h old when they came."


def _put(session: Session, news: News, channel: Channel, now_s: float) -> bool:
    when_s = due_s(channel.wishes, news, past_of(session, channel.id, news, now_s), now_s)
    state = outbox.OWED if when_s <= now_s else outbox.HELD
    return outbox.put(session, _notice(news, channel, state, now_s, when_s))


def _notice(news: News, channel: Channel, state: str, now_s: float, when_s: float, said: str | None = None) -> Notice:
    body = {"news": [news.to_dict()], "count": 1}
    key = key_of(channel.id, news)
    return Notice(key, channel.id, news.run, news.incident, state, 0, now_s, when_s, when_s, body, said)
