"""Looks after one command until it is known what became of it.

Rules of this file: whatever ends the waiting, the command goes on without it: the answer is the command as it was last
seen, and what went wrong, if anything did. A server that is gone may come back; one that refuses stays with it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .client import Client, Refused, Unreachable, address

APPLIED, CANCELLED = "applied", "cancelled"
OPEN = ("queued", "sent", "received")
OVER = ("finished", "stopped", "crashed")
PATIENCE_S = 30.0  # for a server that is restarted
PAUSE_MAX_S = 0.5  # between two looks: a person notices no more, and a step may take minutes

Item = dict[str, Any]


@dataclass(frozen=True)
class Seen:
    """A command as it was last seen, and why it is not known further."""

    command: Item
    trouble: Refused | None = None


class Following:
    """`limit_s`: how long it is waited; None: as long as it takes."""

    def __init__(
        self,
        client: Client,
        limit_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client, self._clock, self._sleep = client, clock, sleep
        self._limit_s, self._begun_s = limit_s, clock()

    def until_settled(self, command: Item) -> Seen:
        """Until it is applied, or can no more be."""
        return self._until(command, lambda seen: seen["state"] not in OPEN, self._look)

    def until_judged(self, command: Item) -> Seen:
        """Until it is known what an applied command did to the training."""
        return self._until(
            command,
            lambda seen: seen.get("effect") is not None or seen["state"] not in (APPLIED, *OPEN),
            self._look_while_running,
        )

    def _until(self, command: Item, is_known: Callable[[Item], bool], look: Callable[[Item], Item]) -> Seen:
        pause_s, heard_s = 0.0, self._clock()
        try:
            while not is_known(command):
                if self._limit_s is not None and self._clock() - self._begun_s > self._limit_s:
                    return Seen(command, _unfinished(command, f"after {self._limit_s:g} s"))
                self._sleep(pause_s)
                pause_s = min(PAUSE_MAX_S, 1.5 * pause_s + 0.02)
                try:
                    command, heard_s = look(command), self._clock()
                except Unreachable as gone:
                    if self._clock() - heard_s > PATIENCE_S:
                        return Seen(command, gone)
        except Refused as refused:
            return Seen(command, refused)
        except KeyboardInterrupt:
            return Seen(command, _unfinished(command, "and goes on without this terminal"))
        return Seen(command)

    def _look(self, command: Item) -> Item:
        return dict(self._client.get(address("commands", command["id"])))

    def _look_while_running(self, command: Item) -> Item:
        """The run first: a verdict that its end brought is seen then."""
        state = self._client.get(address("runs", command["run"]))["state"]
        seen = self._look(command)
        if seen.get("effect") is None and state in OVER:
            raise Refused(f"The run is {state}: there will be no verdict on {command['id']}.")
        return seen


def _unfinished(command: Item, why: str) -> Refused:
    what = "not judged yet" if command["state"] == APPLIED else f"still {command['state']}"
    return Refused(
        f"Command {command['id']} is {what} {why}.",
        f"`lossguard commands {command['run']}` shows what becomes of it.",
    )
