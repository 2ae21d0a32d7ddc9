"""The judge over a server's life: rules that were switched off, a disk that was full, runs that are silent for long."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from judge_world import Recorder, done, judging
from lossguard_server.errors import StorageError
from lossguard_server.services.judge import KEPT_S
from store_world import Store, frame, opened_store, schema


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened_store(tmp_path) as opened:
        yield opened


def test_an_alert_of_a_rule_that_was_switched_off_while_the_server_was_down_is_over(store: Store) -> None:
    stream, later = store.stream(), Recorder()
    store.append(stream, schema(1, "a"), frame(2, [0], [200.0]))
    with judging(store, Recorder()) as (judge, _):
        judge.wake("r1")
    later.switched_off = ["a0"]
    store.append(stream, frame(3, [1], [1.0]))
    with judging(store, later) as (judge, told):
        judge.catch_up()
    assert [(alert["id"], alert["state"]) for alert in told] == [("a0", "resolved")]


def test_what_the_disk_refused_is_stored_when_it_can_be(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.append(store.stream(), schema(1, "a"), frame(2, [0], [200.0]))
    with judging(store, Recorder()) as (judge, told):
        with monkeypatch.context() as full:

            def refuse(operation: object) -> None:
                raise StorageError("It is full.")

            full.setattr(store.writer, "submit", refuse)
            judge.wake("r1")
            done(judge)
        assert told == []
        judge.tick()
        done(judge)
        assert [alert["id"] for alert in told] == ["a0"]


def test_a_run_that_is_silent_for_long_is_let_go_and_comes_back_as_it_was(store: Store) -> None:
    stream, rules = store.stream(), Recorder()
    store.append(stream, schema(1, "a"), frame(2, [0], [200.0]))
    with judging(store, rules) as (judge, _):
        judge.wake("r1")
        done(judge)
        judge.tick()
        done(judge)
        assert ("forget", "r1") not in rules.calls
        store.clock.now_s += KEPT_S
        judge.tick()
        done(judge)
        store.append(stream, frame(3, [1], [1.0]))
        judge.wake("r1")
        done(judge)
    assert rules.calls[-3:] == [("forget", "r1"), ("load", "a0"), ("observe", 1)]
