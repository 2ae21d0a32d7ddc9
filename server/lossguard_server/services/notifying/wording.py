"""The words of a message, the same for every channel that carries text.

Rules of this file: plain text, one thing a line; no mark-up, because no two services agree on one. A name must not call
anybody, nor hide where a link leads: services read `@everyone`, `<!channel>`, `<https://x|click>` and `[click](x)`
wherever they stand.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from .news import DOUBLED, ESCALATED, OPENED, RESOLVED, News
from .sparkline import sparkline

DIGEST_LINES = 20
_HAPPENED = {OPENED: "", ESCALATED: " is now critical", DOUBLED: " is twice as bad", RESOLVED: " is over"}
_FORETOLD = " has come, as it was foretold"


@dataclass(frozen=True)
class Words:
    """A message for people. `severity`: critical, warning, resolved or test."""

    title: str
    text: str
    severity: str
    link: str


def of_news(news: News, public_url: str) -> Words:
    """One piece of news."""
    link = link_to(news, public_url)
    lines = [_message(news), _facts(news), *_more(news), link]
    return Words(_tame(_title(news)), "\n".join(_tame(line) for line in lines if line), _colour(news), link)


def of_digest(items: Sequence[News], public_url: str, count: int) -> Words:
    """`count` pieces of news, of which these are the first, in the order in which they came."""
    runs = sorted({f"{news.project}/{news.run_name}" for news in items})
    where = runs[0] if len(runs) == 1 else f"{len(runs)} runs"
    lines = [f"- {_title(news)}: {_message(news)}" for news in items[:DIGEST_LINES]]
    if count > len(lines):
        lines.append(f"and {count - len(lines)} more.")
    link = link_to(items[-1], public_url) if len(runs) == 1 else f"{public_url}/"
    colour = "critical" if any(_colour(news) == "critical" for news in items) else _colour(items[-1])
    text = "\n".join([*map(_tame, lines), link])
    return Words(_tame(f"{count} notifications of {where}"), text, colour, link)


def of_test(channel: str, public_url: str) -> Words:
    """What the test button sends."""
    text = f"This is a test of the channel {channel!r}. Nothing is wrong.\n{public_url}/"
    return Words("lossguard: test", _tame(text), "test", f"{public_url}/")


def link_to(news: News, public_url: str) -> str:
    """The page, with the run and the alert opened."""
    return f"{public_url}/#{urlencode({'run': news.run, 'alert': news.alert})}"


def _title(news: News) -> str:
    what = news.component if news.component is not None else news.series
    rule = news.rule.replace("_", " ")
    happened = _FORETOLD if news.kind == ESCALATED and news.foretold else _HAPPENED[news.kind]
    return f"{_colour(news)}: {news.project}/{news.run_name}: {what}, {rule}{happened}, step {news.step}"


def _message(news: News) -> str:
    """The alert's sentence, which is of the step at which it fired: what came later is said in front."""
    if news.kind == DOUBLED:
        return f"By step {news.step} it is twice as bad as when it was last told. It began so: {news.message}"
    return f"It is over. It was: {news.message}" if news.kind == RESOLVED else news.message


def _facts(news: News) -> str:
    component = [f"component {news.component}"] if news.component is not None else []
    return ", ".join([*component, f"series {news.series}", f"rule {news.rule}", f"step {news.step}"])


def _more(news: News) -> list[str]:
    """What is known beyond the message; of what is not known, no line."""
    order = [_lead(str(each["series"]), each["step"], each["lead_steps"]) for each in news.first_bad]
    curve = sparkline(news.values)
    return [
        f"Cause: {news.cause}" if news.cause else "",
        f"Blame: {news.blame}" if news.blame else "",
        f"First bad: {'; '.join(order)}" if order else "",
        f"Curve: {curve} (steps {news.values[0][0]} to {news.values[-1][0]})" if curve else "",
        f"Remedy: {news.remedy}" if news.remedy else "",
    ]


def _lead(series: str, step: object, lead_steps: object) -> str:
    if not isinstance(lead_steps, int) or lead_steps == 0:
        return f"{series} at step {step}"
    count, way = abs(lead_steps), "before" if lead_steps > 0 else "after"
    return f"{series} at step {step}, {count} {'step' if count == 1 else 'steps'} {way} the first symptom"


def _colour(news: News) -> str:
    return "resolved" if news.kind == RESOLVED else news.severity


def _tame(text: str) -> str:
    """A zero-width space where a service would see somebody being called, or mark-up of a link."""
    return re.sub(r"@(?=\w)|<|\](?=\()", lambda found: f"{found[0]}\u200b", text)
