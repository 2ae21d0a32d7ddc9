"""The rules see each committed message once and in order, over restarts; alerts are stored before they are told."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from judge_world import Recorder, an_alert, done, judging, new_judge
from lossguard.protocol.messages import Declaration, Event
from lossguard_server.errors import AlertOver, UnknownAlert
from lossguard_server.rules.alert import AlertChange
from lossguard_server.services.findings import SAVE_EVERY_S
from lossguard_server.store import alerts, journal, runs
from lossguard_server.store.rows import Rows
from store_world import Store, frame, opened_store, rollback, schema


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened_store(tmp_path) as opened:
        yield opened


def test_messages_are_judged_in_their_order(store: Store) -> None:
    rules, stream = Recorder(), store.stream()
    declared = Declaration(seq=2, components=["ce"])
    store.append(stream, schema(1, "a"), declared, frame(3, [0, 1], [1.0, 2.0]), Event(seq=4, kind="finish", step=1))
    with judging(store, rules) as (judge, _):
        judge.wake("r1")
    observed = [("observe", 0), ("observe", 1)]
    assert rules.calls == [("restore", []), ("declare", ["ce"]), *observed, ("flush", None)]
    assert store.stream().judged_seq == 4


def test_an_alert_is_stored_with_the_watermark_and_then_told(store: Store) -> None:
    stream = store.stream()
    store.append(stream, schema(1, "a"), frame(2, [0, 1], [1.0, 200.0]))
    with judging(store, Recorder()) as (judge, told):
        judge.wake("r1")
    assert [alert["id"] for alert in told] == ["a1"]
    assert [alert["id"] for alert in store.read(lambda session: alerts.newest_first(session, "r1"))] == ["a1"]
    assert store.read(journal.unjudged) == []


def test_after_a_restart_the_rules_know_what_they_knew_and_judge_what_is_left(store: Store) -> None:
    stream, second, third = store.stream(), Recorder(), Recorder()
    store.append(stream, schema(1, "a"), Declaration(seq=2, components=["ce"]), frame(3, [0, 1], [1.0, 200.0]))
    with judging(store, Recorder()) as (judge, _):
        judge.wake("r1")
    store.append(stream, frame(4, [2, 3], [300.0, 4.0]))  # committed, then the server was killed
    with judging(store, second) as (judge, told):
        judge.catch_up()
    assert second.calls == [("load", "a1"), ("observe", 2), ("observe", 3)]
    assert [alert["id"] for alert in told] == ["a2"]
    with judging(store, third) as (judge, _):
        judge.catch_up()
    assert third.calls == []


def test_rules_of_another_version_learn_from_what_the_run_shows(store: Store) -> None:
    stream, later = store.stream(), Recorder(is_forgetful=True)
    store.append(stream, schema(1, "a"), Declaration(seq=2, components=["ce"]), frame(3, [0, 1], [1.0, 200.0]))
    with judging(store, Recorder()) as (judge, _):
        judge.wake("r1")
    store.append(stream, frame(4, [2], [300.0]))
    with judging(store, later) as (judge, told):
        judge.catch_up()
    assert later.calls == [("declare", ["ce"]), ("warm", 0), ("warm", 1), ("restore", ["a1"]), ("observe", 2)]
    assert [alert["id"] for alert in told] == ["a2"]


def test_what_was_judged_since_the_rules_were_stored_is_judged_again_and_told_once(store: Store) -> None:
    stream, later = store.stream(), Recorder()
    store.append(stream, schema(1, "a"), frame(2, [0], [1.0]))
    judge = new_judge(store, Recorder(), told := [])
    judge.wake("r1")
    done(judge)
    store.append(stream, frame(3, [1], [200.0]))
    judge.wake("r1")
    done(judge)  # and is killed: nothing is saved at the end
    assert [alert["id"] for alert in told] == ["a1"]
    assert store.stream().judged_seq == 2, "the rules are stored every few seconds"
    store.append(stream, frame(4, [2], [300.0]))
    with judging(store, later) as (again, told_again):
        again.catch_up()
    assert later.calls == [("load", ""), ("observe", 1), ("observe", 2)]
    assert [alert["id"] for alert in told_again] == ["a2"], "the first was told before"
    judge._is_closed = True
    judge._thread.shutdown()


def test_the_rules_are_stored_every_few_seconds_and_when_the_run_falls_silent(store: Store) -> None:
    stream = store.stream()
    store.append(stream, schema(1, "a"))
    with judging(store, Recorder()) as (judge, _):
        for seq, passed_s, stored in ((2, 0.0, 1), (3, SAVE_EVERY_S, 3), (4, 0.0, 3)):
            judge.wake("r1")
            done(judge)
            store.clock.now_s += passed_s
            store.append(stream, frame(seq, [seq], [1.0]))
            judge.wake("r1")
            done(judge)
            assert store.stream().judged_seq == stored
        judge.settle("r1")
        done(judge)
        assert store.stream().judged_seq == 4


def test_at_a_rollback_the_rules_go_back_and_learn_what_is_still_shown(store: Store) -> None:
    rules, stream = Recorder(), store.stream()
    store.append(stream, schema(1, "a"), frame(2, [0, 1, 2, 3], [1.0, 200.0, 1.0, 300.0]), rollback(3, 4, 2))
    store.append(stream, frame(4, [2, 3], [1.0, 1.0]))
    with judging(store, rules) as (judge, told):
        judge.wake("r1")
    assert rules.calls == [
        ("restore", []),
        *[("observe", step) for step in range(4)],
        ("rewind", (4, 2)),
        *[("warm", step) for step in range(2)],
        *[("observe", step) for step in (2, 3)],
    ]
    assert {alert["id"]: alert["state"] for alert in told} == {"a1": "firing", "a3": "resolved"}


@pytest.mark.parametrize("judged", [2, 3, 4])
def test_a_restart_before_or_after_a_rollback_shows_the_rules_the_same(store: Store, judged: int) -> None:
    stream, first, later = store.stream(), Recorder(), Recorder()
    messages = [schema(1, "a"), frame(2, [0, 1, 2, 3], [1.0] * 4), rollback(3, 4, 2), frame(4, [2], [1.0])]
    store.append(stream, *messages[:judged])
    with judging(store, first) as (judge, _):
        judge.wake("r1")
    store.append(stream, *messages[judged:], frame(5, [3], [1.0]))
    with judging(store, later) as (judge, _):
        judge.catch_up()
    calls = [call for call in [*first.calls, *later.calls] if call[0] not in ("restore", "load")]
    shown = [("warm", 0), ("warm", 1), ("observe", 2), ("observe", 3)]
    assert calls[-9:] == [*(("observe", step) for step in range(4)), ("rewind", (4, 2)), *shown]


def test_an_older_attempt_that_goes_back_late_moves_nothing_of_the_newer_one(store: Store) -> None:
    older, newer, rules = store.stream(attempt=0), store.stream(attempt=1), Recorder()
    store.append(older, schema(1, "a"), frame(2, [0, 1], [1.0] * 2))
    with judging(store, rules) as (judge, _):
        judge.wake("r1")
        store.append(newer, schema(1, "a"), frame(2, [5, 6], [200.0, 1.0]))
        judge.wake("r1")
        done(judge)
        store.append(older, rollback(3, 2, 1))
        judge.wake("r1")
        done(judge)
        assert [call for call in rules.calls if call[0] == "rewind"] == []
        store.append(newer, rollback(3, 7, 1), frame(4, [1], [1.0]))
        judge.wake("r1")
        done(judge)
    after = [("rewind", (7, 1)), ("warm", 0), ("observe", 1)]
    assert rules.calls[-3:] == after, "of both attempts, what is before step 1"


def test_while_a_run_goes_back_all_the_time_the_others_are_judged(store: Store) -> None:
    storm, other, rules = store.stream("r1"), store.stream("r2"), Recorder()
    store.append(storm, schema(1, "a"), frame(2, range(1_000), [1.0] * 1_000))
    for seq in range(3, 603, 2):
        store.append(storm, rollback(seq, 1_000, 999), frame(seq + 1, [999], [1.0]))
    store.append(other, schema(1, "a"), frame(2, [5_000], [200.0]))
    with judging(store, rules) as (judge, told):
        both_wait = threading.Event()
        judge._thread.submit(both_wait.wait, 10)
        judge.wake("r1")
        judge.wake("r2")
        both_wait.set()
    before = rules.calls[: rules.calls.index(("observe", 5_000))]
    assert [kind for kind, _ in before if kind in ("rewind", "warm")] == ["rewind"]
    assert sum(kind == "rewind" for kind, _ in rules.calls) == 300
    assert (told[0]["id"], told[0]["state"]) == ("a5000", "firing")


def test_rollbacks_in_a_row_are_learned_from_once(store: Store) -> None:
    rules, stream = Recorder(), store.stream()
    store.append(stream, schema(1, "a"), frame(2, range(100), [1.0] * 100))
    backs = [(60, 90, 80), (30, 80, 20), (3, 20, 50)]  # the last cannot bring back what was cut off
    store.append(stream, *(rollback(3 + k, from_step, to) for k, (_, from_step, to) in enumerate(backs)))
    store.append(stream, Declaration(seq=6, components=["ce"]), frame(7, [50], [1.0]), frame(8, [51], [1.0]))
    with judging(store, rules) as (judge, _):
        judge.wake("r1")
    assert rules.calls[101:] == [
        *[("rewind", (from_step if from_step > to else to, to)) for _, from_step, to in backs],
        ("declare", ["ce"]),
        *[("warm", step) for step in range(20)],
        *[("observe", step) for step in (50, 51)],
    ]


def test_a_trip_is_told_once_also_over_a_restart(store: Store) -> None:
    stream, rules, later = store.stream(), Recorder(), Recorder()
    store.append(stream, Event(seq=1, kind="trip", step=7, data={"series": ["buffers"]}))
    with judging(store, rules) as (judge, _):
        judge.wake("r1")
    store.append(stream, schema(2, "a"), frame(3, [8], [1.0]))
    with judging(store, later) as (judge, _):
        judge.wake("r1")
    told = [each for recorder in (rules, later) for each in recorder.calls if each[0] == "tripped"]
    assert told == [("tripped", 7)]


def test_a_rollback_that_names_no_step_moves_nothing(store: Store) -> None:
    rules = Recorder()
    nonsense = Event(seq=3, kind="rollback", step=4, data={"to": "2", "from": 1 << 60})
    store.append(store.stream(), schema(1, "a"), frame(2, [0], [1.0]), nonsense)
    with judging(store, rules) as (judge, _):
        judge.wake("r1")
    assert rules.calls == [("restore", []), ("observe", 0)]


def test_a_long_backlog_lets_other_runs_through(store: Store) -> None:
    long, short, rules = store.stream("r1"), store.stream("r2"), Recorder()
    store.append(long, schema(1, "a"), *(frame(seq, [seq], [1.0]) for seq in range(2, 1_000)))
    store.append(short, schema(1, "a"), frame(2, [5_000], [1.0]))
    with judging(store, rules) as (judge, _):
        judge.wake("r1")
        judge.wake("r2")
    seen = [step for kind, step in rules.calls if kind == "observe"]
    assert seen.index(5_000) < 300
    assert sorted(seen) == [*range(2, 1_000), 5_000]


def test_a_fault_in_the_rules_costs_one_page(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    stream, rules = store.stream(), Recorder()
    store.append(stream, schema(1, "a"), frame(2, [0], [-1.0]))
    with judging(store, rules) as (judge, told):
        judge.wake("r1")
        done(judge)
        store.append(stream, frame(3, [1], [200.0]))
        judge.wake("r1")
        done(judge)
        assert [alert["id"] for alert in told] == ["a1"]
    assert "judging run r1 failed" in caplog.text
    assert [step for kind, step in rules.calls if kind == "observe"] == [0, 1]


def test_acknowledging(store: Store) -> None:
    store.append(store.stream(), schema(1, "a"), frame(2, [1], [200.0]))
    with judging(store, Recorder()) as (judge, told):
        judge.wake("r1")
        done(judge)
        assert judge.acknowledge("a1", "admin").result(10)["state"] == "acknowledged"
        assert judge.acknowledge("a1", "admin").result(10)["state"] == "acknowledged"
        assert [alert["state"] for alert in told] == ["firing", "acknowledged"]
        with pytest.raises(UnknownAlert):
            judge.acknowledge("none", "admin").result(10)
        store.write(lambda session: alerts.upsert(session, an_alert("a1", "resolved").to_dict()))
        with pytest.raises(AlertOver):
            judge.acknowledge("a1", "admin").result(10)


def deleted(store: Store, run: str) -> None:
    store.write(lambda session: runs.begin_delete(session, run))
    while store.write(lambda session: runs.delete_some(session, run, 100))[1]:
        pass
    assert store.write(lambda session: runs.end_delete(session, run))


def test_a_run_that_bears_a_deleted_one_s_name_is_judged_from_its_first_message(store: Store) -> None:
    rules, stream = Recorder(), store.stream()
    store.append(stream, schema(1, "a"), frame(2, [0, 1, 2], [1.0, 2.0, 3.0]))
    with judging(store, rules) as (judge, _):
        judge.wake("r1")
        done(judge)
        deleted(store, "r1")
        judge.forget("r1")
        again = store.stream()
        store.append(again, schema(1, "a"), frame(2, [7], [1.0]))
        judge.wake("r1")
        done(judge)
        assert set(judge._streams.watermarks("r1")) == {again.id}, "nothing is kept of the old one's stream"
    assert rules.calls[-3:] == [("forget", "r1"), ("restore", []), ("observe", 7)], "and no state is left"


def test_an_alert_of_a_run_that_was_deleted_meanwhile_does_not_stop_the_judge(store: Store) -> None:
    class Slow(Recorder):
        def observe(self, run_id: str, parts: Sequence[Rows]) -> list[AlertChange]:
            if run_id == "r1":
                deleted(store, "r1")
            return super().observe(run_id, parts)

    store.append(store.stream("r1"), schema(1, "a"), frame(2, [0], [200.0]))
    other = store.stream("r2")
    with judging(store, Slow()) as (judge, _):
        judge.wake("r1")
        done(judge)
        store.append(other, schema(1, "a"), frame(2, [0], [1.0]))
        judge.wake("r2")
        done(judge)
    assert store.stream("r2").judged_seq == 2
