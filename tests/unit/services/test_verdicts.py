"""True and false alarms: kept beside the alert, told, audited, and counted as each rule's precision."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lossguard_server.errors import UnknownAlert
from lossguard_server.services.verdicts import Verdicts, precision_of, wilson
from lossguard_server.store import alerts, audit, verdicts
from lossguard_server.store.verdicts import Tally
from store_world import Store, opened_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened_store(tmp_path) as opened:
        opened.stream()
        yield opened


def put(store: Store, alert_id: str, rule: str = "above", state: str = "firing") -> None:
    alert = {
        "id": alert_id,
        "run": "r1",
        "rule": rule,
        "series": "a",
        "state": state,
        "severity": "critical",
        "fired_s": 1.0,
    }
    store.write(lambda session: alerts.upsert(session, alert))


def service(store: Store, told: list[dict[str, Any]]) -> Verdicts:
    return Verdicts(store.writer, store.reading, store.clock.of_services, told.append)


def test_a_verdict_is_told_kept_and_audited(store: Store) -> None:
    told: list[dict[str, Any]] = []
    put(store, "a1")
    said = asyncio.run(service(store, told).judge("a1", "false", "t1"))
    assert (said["verdict"], said["id"]) == ("false", "a1")
    assert told == [said]
    put(store, "a1", state="resolved")
    kept = store.read(lambda session: verdicts.get(session, "a1"))
    assert kept is not None
    assert (kept.verdict, kept.alert["state"]) == ("false", "resolved"), "the rules go on writing the alert"
    assert store.read(lambda session: verdicts.newest_first(session, "r1")) == [kept.to_dict()]
    [entry] = store.read(lambda session: audit.newest_first(session, "r1"))
    assert (entry["what"], entry["actor"], entry["detail"]["new"]) == ("alert judged", "t1", "false")


def test_a_repeated_verdict_is_audited_once_and_can_be_taken_back(store: Store) -> None:
    put(store, "a1")
    taken = service(store, [])
    for verdict in ("true", "true", None):
        asyncio.run(taken.judge("a1", verdict, "t1"))
    details = [entry["detail"] for entry in store.read(lambda session: audit.newest_first(session, "r1"))]
    assert [(detail["old"], detail["new"]) for detail in details] == [("true", None), (None, "true")]
    assert taken.precision() == {}


def test_a_rule_s_precision_counts_what_was_said(store: Store) -> None:
    taken = service(store, [])
    for number, verdict in enumerate(["true", "true", "true", "false", None]):
        put(store, f"a{number}")
        if verdict:
            asyncio.run(taken.judge(f"a{number}", verdict, "t1"))
    put(store, "b1", "beyond")
    found = taken.precision()
    assert list(found) == ["above"]
    assert (found["above"]["true"], found["above"]["false"], found["above"]["precision"]) == (3, 1, 0.75)


def test_a_silence_ends_by_itself_or_by_a_word(store: Store) -> None:
    put(store, "a1")
    taken = service(store, [])
    now_s = store.clock.of_services.wall_s()
    assert asyncio.run(taken.silence("a1", 30, "t1"))["silenced_until_s"] == now_s + 1_800
    assert asyncio.run(taken.silence("a1", 0, "t1"))["silenced_until_s"] is None


def test_of_an_unknown_alert_nothing_can_be_said(store: Store) -> None:
    for asked in (service(store, []).judge("a9", "true", "t1"), service(store, []).silence("a9", 1, "t1")):
        with pytest.raises(UnknownAlert):
            asyncio.run(asked)
    assert store.read(lambda session: audit.newest_first(session, "r1")) == []


# Wilson's interval as R gives it: prop.test(x, n, correct = FALSE)$conf.int
@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(3, 4, 0.3006, 0.9544), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (50, 100, 0.4038, 0.5962)],
)
def test_the_interval_is_wilson_s(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson(successes, trials) == pytest.approx((low, high), abs=1e-4)


def test_without_verdicts_there_is_no_precision() -> None:
    assert precision_of(Tally()) == {"true": 0, "false": 0, "precision": None, "low": None, "high": None}
