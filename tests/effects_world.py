"""A stored run that is commanded, and the service that judges its commands, for tests.

Rules of this file: no socket and no trainer: what a trainer would have told is written into the store.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from lossguard.protocol.frames import Columns
from lossguard.protocol.messages import Declaration, Event
from lossguard_server.services.effects.effects import Effects
from lossguard_server.services.effects.evidence import Evidence
from lossguard_server.services.registry import Registry
from lossguard_server.store import alerts, commands, events, journal
from lossguard_server.store.commands import Outcome, StoredCommand
from lossguard_server.store.events import StoredEvent
from lossguard_server.store.points import Points
from lossguard_server.store.tables import StreamRow
from store_world import Store, frame, opened_store, schema

NAMES = ("loss/total", "grad_norm/total", "loss/ce", "loss/aux", "weight/ce", "weight/aux")
AT = 600


class World:
    """A run of 600 steps in which `aux` holds 76 % of the total, and the service that watches it."""

    def __init__(self, store: Store) -> None:
        self.store, self.told = store, list[dict[str, Any]]()
        self.stream = store.stream()
        self.seq = 2
        store.append(self.stream, Declaration(seq=1, components=["ce", "aux"]), schema(2, *NAMES))
        self.restart()

    def restart(self) -> None:
        """The service as after a start of the server."""
        store = self.store
        self.registry = Registry(store.reading)
        evidence = Evidence(store.reading, Points(store.reading))
        self.effects = Effects(
            store.writer, store.reading, evidence, self.registry, store.clock.of_services, self.told.append
        )
        asyncio.run(self.effects.recall())

    def train(self, first: int, behind: int, weight: float = 0.01, ce: float = 2.2, is_judged: bool = True) -> None:
        noise = np.random.default_rng(first).standard_normal((2, behind - first))
        losses = np.array([[ce], [700.0]]) * np.exp(0.02 * noise)
        weights = np.array([[1.0], [weight]]) * np.ones_like(losses)
        total = (losses * weights).sum(axis=0)
        self.put(first, behind, np.array([total, total, *losses, *weights]))
        if is_judged:
            self.judge()

    def put(self, first: int, behind: int, columns: Columns) -> None:
        self.seq += 1
        self.store.append(self.stream, frame(self.seq, range(first, behind), *columns))
        asyncio.run(self.registry.find("r1")).step = behind - 1

    def judge(self) -> None:
        seq = self.store.read(lambda session: session.get_one(StreamRow, self.stream.id).last_seq)
        self.store.write(lambda session: journal.set_judged(session, self.stream.id, seq))

    def event(self, kind: str, step: int, **data: Any) -> None:
        self.seq += 1
        event = Event(seq=self.seq, kind=kind, step=step, data=data)
        self.store.append(self.stream, event)
        self.store.write(lambda session: events.add(session, "r1", StoredEvent(step, kind, 0.0, data)))

    def apply(self, kind: str = "set_weight", step: int = AT, number: int = 1, **more: Any) -> None:
        args = more.pop("args", {"component": "aux", "value": 0.001} if kind == "set_weight" else {})
        command = StoredCommand(
            f"c{number}", "r1", number, kind, args, f"k{number}", "me", None, more.pop("alert", None), "sent", 1.0,
            None, None, None, None, [],
        )  # fmt: skip
        self.store.write(lambda session: commands.add(session, command))
        outcome = Outcome(step=step, **more)
        moved = self.store.write(lambda session: commands.move(session, command, "applied", 2.0, outcome))
        assert moved is not None
        self.event("command", step, id=command.id, state="applied", **more)
        self.effects.command(moved.to_dict())

    def tick(self) -> list[dict[str, Any]]:
        """What was told by it."""
        self.told.clear()
        asyncio.run(self.effects.tick())
        return list(self.told)

    def effect(self) -> dict[str, Any]:
        """The one verdict that a tick gives."""
        [told] = self.tick()
        return dict(told["effect"])

    def alert(self, alert_id: str = "a1", **more: Any) -> None:
        alert = {
            "id": alert_id, "run": "r1", "rule": "contribution_dominates", "series": "contribution/aux",
            "component": "aux", "severity": "critical", "state": "firing", "step": 590, "last_step": 599,
            "fired_s": 1.0, "resolved_step": None, "message": "m", "evidence": {}, "blame": None, "remedy": None,
            "incident": None, **more,
        }  # fmt: skip
        self.store.write(lambda session: alerts.upsert(session, alert))


@contextmanager
def world(folder: Path) -> Iterator[World]:
    with opened_store(folder) as store:
        made = World(store)
        made.train(0, AT)
        yield made
