"""The judge with the real rules, killed between what it found and what they know: what was told stays true.

Rules of this file: `killed` stores nothing more, as kill -9 does; every store is looked at as people see it, by the
alerts that are in it and those that were told.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from judge_world import done, new_judge
from lossguard.protocol.messages import Frame
from lossguard_server.errors import StateUnreadable, StorageError
from lossguard_server.rules import default_rules
from lossguard_server.rules.base import Rule
from lossguard_server.services.engine import Engine
from lossguard_server.services.findings import SAVE_EVERY_S
from lossguard_server.services.judge import Judge
from lossguard_server.store import alerts
from store_world import Store, frame, opened_store, schema

SERIES = "loss/total"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened_store(tmp_path) as opened:
        yield opened


class World:
    """One run, its rows, and servers over it."""

    def __init__(self, store: Store) -> None:
        self.store, self.told = store, list[dict[str, Any]]()
        self._noise = np.random.default_rng(0)
        self._seqs: dict[int, int] = {}

    def server(self, rules: Sequence[Rule] = ()) -> Judge:
        self.engine = Engine(self.store.clock.of_services.wall_s)
        judge = new_judge(self.store, self.engine, self.told)
        judge._rules_for = lambda project, run_id: rules or default_rules()
        return judge

    def send(self, judge: Judge, begin: int, end: int, times: float = 1.0, attempt: int = 0, together: int = 5) -> None:
        """Rows of a loss about 2, so many times as high; judged as they come."""
        stream = self.store.stream(attempt=attempt)
        if stream.id not in self._seqs:
            self.store.append(stream, schema(1, SERIES))
            self._seqs[stream.id] = 1
        for step in range(begin, end):
            self._seqs[stream.id] += 1
            self.store.append(stream, self._row(self._seqs[stream.id], step, times))
            if (step + 1) % together == 0 or step == end - 1:
                judge.wake("r1")
                done(judge)

    def _row(self, seq: int, step: int, times: float) -> Frame:
        return frame(seq, [step], [2.0 * times * float(np.exp(self._noise.normal(0, 0.03)))])

    def save(self) -> None:
        """With the next page the rules are stored."""
        self.store.clock.now_s += SAVE_EVERY_S

    @staticmethod
    def kill(judge: Judge) -> None:
        judge._is_closed = True
        judge._thread.shutdown()

    def stored(self) -> dict[str, list[str]]:
        """States by rule, older first."""
        found: dict[str, list[str]] = {}
        for alert in reversed(self.store.read(lambda session: alerts.newest_first(session, "r1"))):
            found.setdefault(alert["rule"], []).append(alert["state"])
        return found

    def until_killed(self, judge: Judge) -> None:
        """A jump at 200 is over, one at 400 is told; what the rules know is of 255."""
        self.send(judge, 0, 200)
        self.send(judge, 200, 220, 4.0)
        self.send(judge, 220, 250)
        self.save()
        self.send(judge, 250, 400)
        self.send(judge, 400, 420, 4.0)
        self.kill(judge)


@pytest.mark.parametrize("on_again", [False, True])
def test_rules_that_were_changed_meanwhile_judge_what_comes_after(store: Store, on_again: bool) -> None:
    world, fewer = World(store), [rule for rule in default_rules() if rule.name != "loss_jump"]
    world.until_killed(world.server(fewer if on_again else ()))
    judge = world.server(() if on_again else fewer)
    world.send(judge, 420, 440, 4.0)
    world.send(judge, 440, 700)
    judge.close()
    assert world.stored()["drift"] == ["resolved"] * 2, "once each, under the id that was told"
    # a rule that is new may find what still lasts
    assert world.stored().get("loss_jump", []) in ([[], ["resolved"]] if on_again else [["resolved"] * 2])


def test_an_alert_may_be_acknowledged_before_its_rows_are_found_again(store: Store) -> None:
    world = World(store)
    world.until_killed(world.server())
    judge = world.server()
    judge._turns.size = 2  # so that the jump is many pages away
    firing = store.read(lambda session: alerts.open_of(session, "r1"))
    (alert,) = [each for each in firing if each["rule"] == "drift"]
    assert judge.acknowledge(alert["id"], "me").result(10)["severity"] == "critical"
    world.send(judge, 420, 440, 4.0)
    assert world.stored()["drift"] == ["resolved", "acknowledged"]
    judge.close()


def test_an_older_attempt_that_brings_its_rows_late_changes_no_alert_of_the_newer(store: Store) -> None:
    world = World(store)
    judge = world.server()
    world.send(judge, 0, 200)
    world.send(judge, 250, 390, attempt=1)
    world.save()
    world.send(judge, 390, 400, attempt=1)
    world.send(judge, 400, 420, 8.0, attempt=1)
    world.send(judge, 200, 212, float("nan"))
    world.kill(judge)
    judge = world.server()
    world.send(judge, 420, 700, attempt=1)
    judge.close()
    assert world.stored() == {name: ["resolved"] for name in ("loss_jump", "drift", "nonfinite")}


def test_rules_that_cannot_read_what_they_knew_begin_behind_what_was_told(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(store)
    world.until_killed(world.server())

    def refuse(run_id: str, body: bytes) -> None:
        raise StateUnreadable()

    judge = world.server()
    monkeypatch.setattr(world.engine, "load", refuse)
    told, firing = len(world.told), store.read(lambda session: alerts.open_of(session, "r1"))
    world.send(judge, 420, 425, 4.0)
    world.send(judge, 425, 700)
    judge.close()
    later = [(alert["id"], alert["state"]) for alert in world.told[told:]]
    assert sorted(later) == sorted((alert["id"], "resolved") for alert in firing)
    assert world.stored() == {"loss_jump": ["resolved"] * 2, "drift": ["resolved"] * 2}


def test_a_backlog_goes_on_when_the_disk_has_room_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(store)
    judge = world.server()
    judge._turns.size = 50

    def refuse(operation: object) -> None:
        raise StorageError("It is full.")

    stream = store.stream()
    store.append(stream, schema(1, SERIES), *[world._row(seq, seq, 1.0) for seq in range(2, 302)])
    with monkeypatch.context() as full:
        full.setattr(store.writer, "submit", refuse)
        judge.wake("r1")
        done(judge)
    assert judge.health()["judged_rows"] < 300
    judge.tick()
    done(judge)
    assert judge.health()["judged_rows"] == 300
    judge.close()
