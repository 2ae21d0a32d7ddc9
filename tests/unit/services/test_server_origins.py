"""The origin of a non-finite value reaches its alert: the right one, once, also over a restart."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from judge_world import done, new_judge
from lossguard.protocol.messages import Event
from lossguard.protocol.numbers import dumps
from lossguard_server.rules.alert import Alert
from lossguard_server.services.engine import Engine
from lossguard_server.services.origins import DATA_BYTES, TEXT_CHARS, choose, explained, origin_of
from lossguard_server.store import alerts
from store_world import Store, frame, opened_store, rollback, schema

TEXT = "log of 0 in decoder.head, forward."
FOUND = {"component": "ce", "module": "decoder.head", "op": "log", "phase": "forward", "reproduced": True, "text": TEXT}
NAN = float("nan")


def told(seq: int, step: int, **data: Any) -> Event:
    return Event(seq=seq, kind="origin", step=step, data=FOUND | data)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened_store(tmp_path) as opened:
        yield opened


def judged(store: Store) -> list[dict[str, Any]]:
    """What a server that starts now, with fresh rules, tells of r1."""
    found = list[dict[str, Any]]()
    judge = new_judge(store, Engine(lambda: 0.0), found)
    judge.wake("r1")
    done(judge)
    judge.close()
    return found


def stored(store: Store) -> list[dict[str, Any]]:
    return store.read(lambda session: alerts.newest_first(session, "r1"))


def test_the_alert_of_the_step_says_where_it_was_born(store: Store) -> None:
    store.append(store.stream(), schema(1, "loss/total"), frame(2, [0, 1], [1.0, NAN]), told(3, 1))
    judged(store)
    [alert] = stored(store)
    assert alert["evidence"]["origin"] == FOUND
    assert alert["evidence"]["text"].endswith(TEXT)
    assert alert["evidence"]["text"].count(TEXT) == 1
    assert alert["state"] == "firing"


def test_over_restarts_it_is_told_once(store: Store) -> None:
    stream = store.stream()
    store.append(stream, schema(1, "loss/total"), frame(2, [0, 1], [1.0, NAN]))
    assert [alert["evidence"].get("origin") for alert in judged(store)] == [None]
    store.append(stream, told(3, 1))
    assert [alert["evidence"]["origin"] for alert in judged(store)] == [FOUND]
    assert judged(store) == []
    store.append(stream, told(4, 1, module="another"), frame(5, range(2, 40), [1.0] * 38))
    [resolved] = judged(store)
    assert (resolved["state"], resolved["evidence"]["origin"]["module"]) == ("resolved", "decoder.head")
    assert resolved["evidence"]["text"].count(TEXT) == 1


def test_it_finds_an_alert_that_is_over_also_after_a_restart(store: Store) -> None:
    stream = store.stream()
    store.append(stream, schema(1, "loss/total"), frame(2, range(40), [NAN] + [1.0] * 39))
    assert judged(store)[-1]["state"] == "resolved"
    store.append(stream, told(3, 0))
    [alert] = judged(store)
    assert (alert["state"], alert["evidence"]["origin"]) == ("resolved", FOUND)
    [kept] = stored(store)
    assert dumps(kept) == dumps({name: alert[name] for name in kept})


def test_it_waits_for_a_row_that_comes_after_it(store: Store) -> None:
    store.append(store.stream(), schema(1, "loss/total"), frame(2, [0], [1.0]), told(3, 1), frame(4, [1], [NAN]))
    judged(store)
    [alert] = stored(store)
    assert alert["evidence"]["origin"] == FOUND


@pytest.mark.parametrize("calm", [5, 40, 400])
def test_rows_that_end_the_alert_at_once_do_not_lose_it(store: Store, calm: int) -> None:
    rows = frame(3, range(calm + 1), [NAN] + [1.0] * calm)
    store.append(store.stream(), schema(1, "loss/total"), told(2, 0), rows)
    judged(store)
    [alert] = stored(store)
    assert alert["evidence"]["origin"] == FOUND
    assert (alert["state"], alert["resolved_step"]) == (("firing", None) if calm < 20 else ("resolved", 20))


def test_of_one_incident_the_first_origin_stays(store: Store) -> None:
    store.append(
        store.stream(), schema(1, "loss/total"), frame(2, [4, 5, 6], [NAN] * 3), told(3, 5), told(4, 6, op="exp")
    )
    judged(store)
    assert stored(store)[0]["evidence"]["origin"]["op"] == "log"


@pytest.mark.parametrize("first", ["trip", "origin"])
def test_an_alert_of_buffers_alone_takes_its_origin(store: Store, first: str) -> None:
    trip = Event(seq=2, kind="trip", step=1, data={"series": ["buffers"], "text": "buffers not finite at step 1."})
    pair = [trip, told(3, 1)] if first == "trip" else [told(2, 1), replace_seq(trip, 3)]
    store.append(store.stream(), schema(1, "loss/total"), *pair, frame(4, [0, 1, 2], [1.0] * 3))
    judged(store)
    [alert] = stored(store)
    assert (alert["series"], alert["step"], alert["evidence"]["origin"]) == ("buffers", 1, FOUND)
    assert alert["evidence"]["text"].endswith(TEXT)
    assert judged(store) == []


def replace_seq(event: Event, seq: int) -> Event:
    return Event(seq=seq, kind=event.kind, step=event.step, data=event.data)


def test_what_waits_is_forgotten_when_the_run_goes_back(store: Store) -> None:
    early = [schema(1, "loss/total"), frame(2, [0, 1], [1.0, 1.0]), told(3, 2)]
    store.append(store.stream(), *early, rollback(4, 2, 1), frame(5, [1, 2], [1.0, NAN]))
    judged(store)
    assert "origin" not in stored(store)[0]["evidence"]


def test_an_origin_without_an_alert_changes_nothing(store: Store) -> None:
    store.append(store.stream(), schema(1, "loss/total"), frame(2, [0], [1.0]), told(3, 0))
    assert judged(store) == []


# -- which alert, and what it carries ---------------------------------------------------------------------------------


def alert(
    name: str, step: int, last_step: int, state: str = "firing", rule: str = "nonfinite", **evidence: Any
) -> Alert:
    made = Alert(
        name, "r1", rule, "loss/ce", None, "critical", "firing", step, last_step, 1.0, None, "m", {}, None, None
    )
    return replace(made, state=state, evidence={"text": "t"} | evidence)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("step", "wanted"),
    [(10, "exact"), (15, "spans"), (12, "spans"), (99, "open"), (4, "exact again")],
)
def test_the_alert_that_began_there_else_the_one_that_held_else_the_open_one(step: int, wanted: str) -> None:
    known = [
        alert("other rule", 10, 99, rule="contract"),
        alert("open", 50, 60),
        alert("exact", 10, 11, "resolved"),
        alert("spans", 11, 20, "resolved"),
        alert("exact again", 4, 30, "resolved", origin={}),
    ]
    found = choose(known, step)
    assert found is not None
    assert found.id == wanted


def test_an_open_alert_with_an_origin_takes_no_second_and_a_closed_one_of_another_step_none() -> None:
    assert choose([alert("a", 5, 6, origin={}), alert("b", 1, 2, "resolved")], 99) is None
    assert choose([], 1) is None


@pytest.mark.parametrize("text", [None, 5, "", [], {"a": 1}, NAN])
def test_a_sentence_that_is_no_text_is_not_said(text: Any) -> None:
    found = explained(alert("a", 1, 1), {"text": text, "op": "log"})
    assert (found.evidence["text"], found.evidence["origin"]["op"]) == ("t", "log")


def test_what_is_too_long_is_cut_to_its_words() -> None:
    long = {"text": "x" * 100_000, "op": "log", "module": 3, "where": ["y" * 100_000], "deep": [[["z"] * 10_000]]}
    origin = origin_of(Event(seq=1, kind="origin", step=1, data=long))
    assert origin == {"text": "x" * TEXT_CHARS, "op": "log"}
    assert len(explained(alert("a", 1, 1), origin).evidence["text"]) < TEXT_CHARS + 10
    assert DATA_BYTES > 2 * TEXT_CHARS
