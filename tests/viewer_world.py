"""Time that a test turns, for the hub and its mailboxes, and what a viewer finds in one."""

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from lossguard_server.services.viewing.hub import Hub
from lossguard_server.services.viewing.mailbox import Mailbox
from lossguard_server.store.rows import Rows

BOOT = "boot"


class Timers:
    """Time, and the callbacks that wait for it."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.waiting: list[tuple[float, Callable[[], None]]] = []
        self.hub = Hub(lambda: self.now_s, self.later, BOOT)

    def later(self, delay_s: float, call: Callable[[], None]) -> None:
        self.waiting.append((self.now_s + delay_s, call))

    def turn(self, seconds: float) -> None:
        self.now_s += seconds
        due = [call for at_s, call in self.waiting if at_s <= self.now_s + 1e-9]
        self.waiting = [entry for entry in self.waiting if entry[0] > self.now_s + 1e-9]
        for call in due:
            call()

    def viewer(self, run_id: str | None, **wish: Any) -> Mailbox:
        """Subscribed, its answer taken."""
        mailbox = self.hub.join()
        self.hub.subscribe(mailbox, run_id, **wish)
        assert taken(mailbox)[0]["type"] == "subscribed"
        return mailbox


def rows(first: int, n: int = 1, names: tuple[str, ...] = ("a",), value: float = 1.5) -> Rows:
    """`names` at the steps `first` to `first + n - 1`."""
    return Rows(np.arange(first, first + n), names, np.full((len(names), n), value))


def taken(mailbox: Mailbox) -> list[dict[str, Any]]:
    """All that goes out now, read as fast as it comes."""
    found = []
    mailbox.measure()
    while (message := mailbox.next()) is not None:
        found.append(msgspec.msgpack.decode(message))
    return found


def kinds(messages: list[dict[str, Any]]) -> list[str]:
    return [message["type"] for message in messages]


def steps(messages: list[dict[str, Any]], series: str = "a") -> list[int]:
    """The steps of a series that came, in order; conflated points left out."""
    return [
        int(step)
        for message in messages
        if message["type"] == "points" and series in message["series"] and "conflated" not in message
        for step in np.frombuffer(message["steps"])
    ]
