"""One try to tell a channel something, whatever kind it is.

Rules of this file: what the other side said is kept as it said it, but for the channel's own secrets.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from lossguard.protocol.numbers import dumps

from . import wording
from .channel import WEBHOOK, Channel
from .news import News, plain
from .sparkline import sparkline
from .told import SAID_CHARS, Told
from .wording import Words

BODY_VERSION = 1
TEST = "test"


class ToUrl(Protocol):
    """webhook.Webhook."""

    async def send(self, url: str, secret: str, key: str, event: str, body: bytes) -> Told: ...


class ToService(Protocol):
    """messenger.Messenger."""

    async def send(self, url: str, words: Words) -> Told: ...


@dataclass(frozen=True)
class Message:
    """What is sent: to a webhook with all of its `items`, elsewhere in words. `key`: the same in every try."""

    key: str
    event: str
    words: Words
    items: list[dict[str, Any]]
    count: int


def of_notice(key: str, body: dict[str, Any], public_url: str) -> Message:
    """The message of a notice's body in the outbox."""
    news = [News.from_dict(each) for each in body["news"]]
    count = int(body["count"])
    is_digest = count > 1
    words = wording.of_digest(news, public_url, count) if is_digest else wording.of_news(news[0], public_url)
    return Message(key, "digest" if is_digest else news[0].kind, words, _items(news, public_url), count)


def of_test(key: str, channel: str, public_url: str) -> Message:
    """What the test button sends."""
    return Message(key, TEST, wording.of_test(channel, public_url), [], 0)


def json_body(message: Message) -> bytes:
    """A webhook's body; `text` alone is what a chat's incoming webhook wants."""
    words = message.words
    return dumps(
        {
            "version": BODY_VERSION,
            "event": message.event,
            "key": message.key,
            "severity": words.severity,
            "title": words.title,
            "text": f"{words.title}\n{words.text}",
            "link": words.link,
            "count": message.count,
            "items": message.items,
        }
    )


class Sending:
    """Knows which way a channel's messages go."""

    def __init__(self, webhook: ToUrl, messenger: ToService) -> None:
        self._webhook, self._messenger = webhook, messenger

    async def send(self, channel: Channel, message: Message) -> Told:
        """One try."""
        if channel.kind == WEBHOOK:
            told = await self._webhook.send(channel.url, channel.secret, message.key, message.event, json_body(message))
        else:
            told = await self._messenger.send(channel.url, message.words)
        return replace(told, said=plain(channel.blotted(told.said), SAID_CHARS))


def _items(news: Sequence[News], public_url: str) -> list[dict[str, Any]]:
    return [
        {**each.to_dict(), "sparkline": sparkline(each.values), "link": wording.link_to(each, public_url)}
        for each in news
    ]
