"""Whether a channel is told of a piece of news, and when: a pure function of both, of what was told, and of the time.

Rules of this file:
- A page wakes somebody. Of one incident at most one in PAGE_EVERY_S and PAGES_AN_HOUR; what comes meanwhile waits, and
  is told together when the time is over. So a storm is a few messages, and no news is lost.
- An escalation does not wait for what was told before it, only for another escalation: that it got worse is why
  somebody gets up.
- A channel has a limit of its own, for the night on which a hundred runs fail at once.
- Quiet hours move what is to be told to their end.
- Times in the future are left out: a clock that was set back must not silence anybody.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from .news import ESCALATED, KINDS, RESOLVED, News
from .quiet import Quiet

PAGE_EVERY_S = 600.0
PAGES_AN_HOUR = 3
HOUR_S = 3_600.0
CHANNEL_PAGES = 10  # in CHANNEL_SPAN_S, of whatever incidents
CHANNEL_SPAN_S = 600.0
SEVERITIES = ("warning", "critical")


@dataclass(frozen=True)
class Wishes:
    """What a channel wants to hear. No `projects`: of all of them."""

    severity: str = "critical"
    projects: tuple[str, ...] = ()
    resolved: bool = False
    quiet: Quiet | None = None


@dataclass(frozen=True)
class Past:
    """What was told over the channel, epoch seconds in any order: of the incident, of everything, and of the
    incident's escalations."""

    incident_s: Sequence[float] = ()
    channel_s: Sequence[float] = ()
    escalated_s: Sequence[float] = ()


def wants(wishes: Wishes, news: News, project: str) -> bool:
    """Whether the channel is told of this at all. `project`: its name as the trainer gave it; that of the news is for
    the eye."""
    if news.kind not in KINDS or (news.kind == RESOLVED and not wishes.resolved):
        return False
    if wishes.projects and project not in wishes.projects:
        return False
    return _rank(news.severity) >= _rank(wishes.severity)


def due_s(wishes: Wishes, news: News, past: Past, now_s: float) -> float:
    """When it is told: `now_s`, or later."""
    paced_s = max(
        now_s,
        _after(past.escalated_s if news.kind == ESCALATED else past.incident_s, now_s, 1, PAGE_EVERY_S),
        _after(past.incident_s, now_s, PAGES_AN_HOUR, HOUR_S),
        _after(past.channel_s, now_s, CHANNEL_PAGES, CHANNEL_SPAN_S),
    )
    return paced_s if breaks_quiet(wishes, news) else rested_s(wishes, paced_s)


def rested_s(wishes: Wishes, at_s: float) -> float:
    """`at_s`, or the end of the quiet hours that it lies in."""
    until_s = None if wishes.quiet is None else wishes.quiet.until_s(at_s)
    return at_s if until_s is None else until_s


def breaks_quiet(wishes: Wishes, news: News) -> bool:
    """Whether the channel hears this by night, too."""
    is_urgent = news.nonfinite and news.severity == "critical" and news.kind != RESOLVED
    return wishes.quiet is not None and wishes.quiet.nonfinite_breaks and is_urgent


def _after(told_s: Sequence[float], now_s: float, count: int, span_s: float) -> float:
    """The first moment at which fewer than `count` of what was told lie within the last `span_s`."""
    known = sorted(at_s for at_s in told_s if at_s <= now_s)
    return known[-count] + span_s if len(known) >= count else now_s


def _rank(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else -1
