"""Runs, events, alerts, commands, audit and tokens come back as they were stored."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lossguard_server.store import alerts, audit, commands, events, runs, tokens
from lossguard_server.store.commands import Outcome, StoredCommand
from lossguard_server.store.events import StoredEvent
from lossguard_server.store.runs import StoredRun
from lossguard_server.store.tokens import StoredToken
from store_world import Store, opened_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened_store(tmp_path) as opened:
        opened.stream("r1")
        yield opened


def test_a_newer_attempt_reopens_a_run_and_an_older_does_not(store: Store) -> None:
    run = StoredRun("r2", "p", "n", 5.0, 5.0, 2, 1, None)
    store.write(lambda session: runs.open_run(session, run))
    store.write(lambda session: runs.finish(session, "r2", 1, "crashed"))
    older = store.write(lambda session: runs.open_run(session, replace(run, attempt=0)))
    assert (older.attempt, older.finish) == (1, "crashed")
    newer = store.write(lambda session: runs.open_run(session, replace(run, attempt=2)))
    assert (newer.attempt, newer.finish, newer.created_s) == (2, None, 5.0)
    store.write(lambda session: runs.finish(session, "r2", 1, "finished"))
    assert store.read(lambda session: runs.get(session, "r2")).finish is None, "the end of an older attempt"
    assert [found.id for found in store.read(runs.newest_first)] == ["r2", "r1"]


def test_events_keep_their_order_and_their_numbers(store: Store) -> None:
    added = [
        StoredEvent(7, "nonfinite", 1.0, {"series": ["loss/ce"], "value": math.nan}),
        StoredEvent(3, "gap", 2.0, {"from": 1, "to": 2}),
    ]
    for event in added:
        store.write(lambda session, event=event: events.add(session, "r1", event))
    found = store.read(lambda session: events.oldest_first(session, "r1"))
    assert [event.step for event in found] == [7, 3]
    assert found[0].data == {"series": ["loss/ce"], "value": "NaN"}
    assert store.read(lambda session: events.count(session, "r1", "gap")) == 1


def test_an_alert_is_replaced_by_its_id(store: Store) -> None:
    alert = {"id": "a1", "run": "r1", "rule": "nonfinite", "state": "firing", "severity": "critical", "fired_s": 5.0}
    alert |= {"evidence": {"value": math.inf}}
    store.write(lambda session: alerts.upsert(session, alert))
    store.write(lambda session: alerts.upsert(session, {**alert, "id": "a2"}))
    store.write(lambda session: alerts.upsert(session, {**alert, "state": "resolved", "fired_s": 9.0}))
    found = store.read(lambda session: alerts.newest_first(session, "r1"))
    assert [(each["id"], each["state"]) for each in found] == [("a2", "firing"), ("a1", "resolved")]
    assert found[1]["fired_s"] == 5.0, "the time at which it first fired"
    assert [each["id"] for each in store.read(lambda session: alerts.open_of(session, "r1"))] == ["a2"]
    assert store.read(lambda session: alerts.get(session, "a1"))["evidence"] == {"value": "Infinity"}
    assert store.read(lambda session: alerts.get(session, "none")) is None


def test_a_command_moves_once_from_each_state(store: Store) -> None:
    command = StoredCommand(
        "c1", "r1", 1, "set_weight", {"component": "ce", "value": -0.0}, "k1", "admin", None, None, "queued", 1.0,
        None, None, None, None, [{"state": "queued", "at_s": 1.0}],
    )  # fmt: skip
    assert store.read(lambda session: commands.next_number(session, "r1")) == 1
    store.write(lambda session: commands.add(session, command))
    assert store.read(lambda session: commands.by_key(session, "r1", "k1")) == command
    assert store.read(lambda session: commands.next_number(session, "r1")) == 2
    outcome = Outcome(step=9, old=0.01, new=math.nan)
    moved = store.write(lambda session: commands.move(session, command, "applied", 2.0, outcome))
    assert (moved.state, moved.step, moved.old, moved.new) == ("applied", 9, 0.01, "NaN")
    assert [entry["state"] for entry in moved.history] == ["queued", "applied"]
    assert store.write(lambda session: commands.move(session, command, "applied", 3.0, outcome)) is None
    assert store.read(lambda session: commands.in_states(session, "r1", ("queued",))) == []
    assert "idempotency_key" not in moved.to_dict()


def test_the_audit_trail_is_newest_first(store: Store) -> None:
    for number in range(3):
        store.write(lambda session, n=number: audit.add(session, float(n), "admin", "x", {"n": n}, "r1"))
    found = store.read(lambda session: audit.newest_first(session, "r1"))
    assert [entry["detail"]["n"] for entry in found] == [2, 1, 0]


def test_a_token_is_kept_without_its_secret(store: Store) -> None:
    token = StoredToken("t1", "ci", ("view", "control"), b"\x00" * 32, 1.0)
    store.write(lambda session: tokens.add(session, token))
    assert store.read(tokens.oldest_first) == [token]
    assert store.write(lambda session: tokens.delete(session, "t1")) is True
    assert store.write(lambda session: tokens.delete(session, "t1")) is False
