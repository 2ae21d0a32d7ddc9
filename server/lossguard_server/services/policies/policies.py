"""Acts when an alert begins to fire, where a policy says so.

Rules of this file:
- An action is a command like any other: stored, audited, delivered, settled, judged and reverted like a person's. Its
  actor is "policy:<rule>", it names the alert, and its reason says which policy and how much of the budget is left.
- An alert is acted upon at most once (the command's idempotency key is the alert's id, which outlives a restart), and
  never if it began before its policy was there.
- One alert at a time: what an earlier one used of the budget is known to the next.
- What cannot be done now (the trainer is away, an earlier action has no verdict, ten minutes are not over) is tried
  again while the alert fires; what cannot be done at all is said once in the audit trail.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlmodel import Session

from ...errors import CommandError, RollbackPending, RunNotConnected, StorageError
from ...store import alerts, audit
from ...store.columns import Reading
from ...store.writer import Writer
from ..beginnings import Beginnings, by_severity
from ..clock import Clock
from ..commands import Commands, Intention
from ..live import LiveRun
from ..parameters import Place
from ..registry import Registry
from . import records
from .deeds import Answer, Deed, Left, ToGuard, Waits, answer_to, reason_of, refusal
from .records import GUARDED, LEFT, WAITS, Past, actor_of
from .standing import InForce, Standing

RETRY_S = 5.0  # a person looks at minutes; each try reads the database
WAIT_MAX_S = 3_600.0  # beyond the policy's own pause: what a trainer that comes back after that needs, a person decides
WHAT = {Left: LEFT, Waits: WAITS, ToGuard: GUARDED}

Alert = dict[str, Any]


class Policies:
    """Answers alerts. Owned by the event loop's thread."""

    def __init__(
        self, registry: Registry, commands: Commands, standing: Standing, writer: Writer, reading: Reading, clock: Clock
    ) -> None:
        self._registry, self._commands, self._standing = registry, commands, standing
        self._writer, self._reading, self._clock = writer, reading, clock
        self._beginnings = Beginnings(self._answer, by_severity)
        self._waiting: dict[str, tuple[Alert, str]] = {}  # by alert, with the reason
        self._tried_s = clock.monotonic_s()

    async def recall(self) -> None:
        """After a start: alerts that are open began before; those that were put off are still to be answered. Call it
        before anything is judged. Raises StorageError."""
        found, put_off = await asyncio.to_thread(self._open_before)
        self._beginnings.saw(found)
        for alert in put_off:
            self._beginnings.again(alert)

    def alert(self, alert: Alert) -> None:
        """An alert changed."""
        self._beginnings.alert(alert)

    def tick(self) -> None:
        """Called about every second."""
        now_s = self._clock.monotonic_s()
        if now_s - self._tried_s >= RETRY_S:
            self._tried_s = now_s
            for alert, _ in self._waiting.values():
                self._beginnings.again(alert)

    async def run(self) -> None:
        """Answers alerts as they come. Ends by cancellation."""
        await self._beginnings.run()

    async def settled(self) -> None:
        """Everything that came so far has been answered."""
        await self._beginnings.settled()

    async def view(self, run: LiveRun) -> dict[str, Any]:
        """What is in force in a run and why, {rule: n} of what is `used`, {rule: reason} of what the training script
        refuses, and of what waits. Raises StorageError."""
        place = _place(run)
        past = await asyncio.to_thread(self._past, run)
        refused = {rule: refusal(each.policy, run) for rule, each in self._standing.in_force(place).items()}
        waiting = {alert["rule"]: why for alert, why in self._waiting.values() if alert["run"] == run.id}
        return {
            **self._standing.view(place),
            "used": {rule: each.used for rule, each in past.items()},
            "refused": {rule: why for rule, why in refused.items() if why is not None},
            "waiting": waiting,
        }

    def forget(self, run_id: str) -> None:
        """The run was deleted."""
        self._standing.forget(run_id)
        self._waiting = {key: each for key, each in self._waiting.items() if each[0]["run"] != run_id}

    async def _answer(self, alert: Alert) -> None:
        self._waiting.pop(alert["id"], None)
        run = await self._registry.find(alert["run"])
        said = self._standing.in_force(_place(run)).get(alert["rule"])
        if said is None or not said.policy.answers(alert["severity"]):
            return
        try:
            await self._act(run, alert, said)
        except StorageError as error:  # a full disk, perhaps: later
            self._waiting[alert["id"]] = alert, error.message

    async def _act(self, run: LiveRun, alert: Alert, said: InForce) -> None:
        past, stored = await asyncio.to_thread(self._known, run, alert)
        if stored is None or past.has_answered(alert["id"]):
            return
        now_s = self._clock.wall_s()
        answer = answer_to(said.policy, stored, run, past, now_s)
        if isinstance(answer, Deed):
            answer = await self._give(run, alert, answer, reason_of(alert["rule"], said.policy, said.set_by, past))
        if isinstance(answer, Waits) and past.waited_s(alert["id"], now_s) > said.policy.pause_s + WAIT_MAX_S:
            answer = Left(f"It has waited too long. {answer.reason}")
        if isinstance(answer, Waits):
            self._waiting[alert["id"]] = alert, answer.reason
        if not isinstance(answer, Deed):
            await self._say(alert, said, answer, past)

    async def _give(self, run: LiveRun, alert: Alert, deed: Deed, reason: str) -> Answer:
        """The deed, when it is given; else why it is not."""
        intention = Intention(
            kind=deed.kind,
            args=deed.args,
            idempotency_key=f"policy:{alert['id']}",
            actor=actor_of(alert["rule"]),
            reason=reason,
            alert=alert["id"],
            expires_in_s=WAIT_MAX_S,
        )
        try:
            await self._commands.give(run, intention)
        except (RunNotConnected, RollbackPending) as error:
            return Waits(error.message)
        except CommandError as error:
            return Left(error.message)
        return deed

    async def _say(self, alert: Alert, said: InForce, answer: Left | Waits | ToGuard, past: Past) -> None:
        """A row in the audit trail, unless it is there: that an alert waits, whatever the reason has become since; what
        holds for every alert, from an earlier one."""
        what = WHAT[type(answer)]
        is_known = isinstance(answer, Left) and answer.once and past.has_said(what, reason=answer.reason)
        if is_known or past.has_said(what, alert=alert["id"]):
            return
        detail = {"alert": alert["id"], "rule": alert["rule"], "do": said.policy.do, "reason": answer.reason}
        wall_s, actor = self._clock.wall_s(), actor_of(alert["rule"])

        def store(session: Session) -> None:
            audit.add(session, wall_s, actor, what, detail, alert["run"])

        await asyncio.wrap_future(self._writer.submit(store))

    def _known(self, run: LiveRun, alert: Mapping[str, Any]) -> tuple[Past, Alert | None]:
        with self._reading() as session:
            past = records.of_run(session, run.stored).get(alert["rule"], Past())
            others = records.by_others(session, run.stored, alert["id"])
            return replace(past, others=others), alerts.get(session, alert["id"])

    def _past(self, run: LiveRun) -> dict[str, Past]:
        with self._reading() as session:
            return records.of_run(session, run.stored)

    def _open_before(self) -> tuple[list[Alert], list[Alert]]:
        with self._reading() as session:
            return records.open_before(session)


def _place(run: LiveRun) -> Place:
    return Place(run.stored.project, run.id)
