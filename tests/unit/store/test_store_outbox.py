"""What is owed is put once, waits as long as the policy says, and is let go on together."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from sqlmodel import Session, select

from lossguard.protocol.frames import pack_frame
from lossguard.protocol.messages import Declaration
from lossguard_server.rules.alert import AlertChange
from lossguard_server.services.notifying.channel import Channel
from lossguard_server.services.notifying.owing import enabled, owe, owe_all
from lossguard_server.services.notifying.quiet import Quiet
from lossguard_server.services.notifying.releasing import NOT_WANTED, reconsider, release
from lossguard_server.store import alerts, channels, incidents, journal, outbox, runs
from lossguard_server.store.journal import Entry
from lossguard_server.store.outbox import Notice
from lossguard_server.store.runs import StoredRun
from lossguard_server.store.tables import AlertRow
from notify_world import alert, alerted_store, change, channel
from store_world import Store, schema

NOON_S = 1_700_049_600.0  # 12:00 UTC
NIGHT = Quiet(time(11), time(13), ZoneInfo("UTC"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with alerted_store(tmp_path) as opened:
        yield opened


def owed(store: Store, changes: Sequence[Any], to: Sequence[Channel], now_s: float = NOON_S) -> int:
    store.write(lambda session: [channels.put(session, each.stored()) for each in to])
    return store.write(lambda session: owe_all(session, changes, now_s))


def notices(store: Store) -> list[Notice]:
    return store.read(lambda session: outbox.newest_first(session, 1_000))[::-1]


def states(store: Store) -> list[str]:
    return sorted(notice.state for notice in notices(store))


def silence(store: Store, alert_id: str, until_s: float) -> None:
    def write(session: Session) -> None:
        session.exec(select(AlertRow).where(AlertRow.id == alert_id)).one().silenced_until_s = until_s

    store.write(write)


def test_news_is_owed_once_to_each_channel_that_wants_it(store: Store) -> None:
    to = [channel(), channel(channel_id="c2", projects=("other",)), channel(channel_id="c3"),
          replace(channel(channel_id="c4"), enabled=False)]  # fmt: skip
    assert owed(store, [change()], to) == 2
    assert owed(store, [change()], to) == 0, "the same news again"
    assert {notice.key for notice in notices(store)} == {"c1:i1:opened:critical:100", "c3:i1:opened:critical:100"}
    (news,) = notices(store)[0].body["news"]
    assert news["values"] == [[98, 1.0], [99, 1.1], [100, "NaN"]]
    assert news["alert"] == "a1"


def test_a_channel_of_a_project_hears_of_it_however_it_is_called(store: Store) -> None:
    project = "a\tb " + "é" * 200
    stored = StoredRun("r2", project, "n", 1.0, 1.0, 1, 0, None)
    store.write(lambda session: runs.open_run(session, stored))
    to = [channel(projects=(project,)), channel(channel_id="c2", projects=("a b",))]
    assert owed(store, [change(run="r2")], to) == 1
    assert notices(store)[0].channel == "c1"


def test_an_alert_of_no_incident_is_news_by_itself(store: Store) -> None:
    assert owed(store, [AlertChange(alert(), "fired"), AlertChange(alert(), "acknowledged")], [channel()]) == 1
    assert notices(store)[0].incident == "a1"


def test_what_is_not_for_people_or_of_no_run_is_not_owed(store: Store) -> None:
    changes = [change("joined"), change("changed"), change("closed"), change(severity="warning"), change(run="gone")]
    assert owed(store, changes, [channel()]) == 0
    assert store.write(lambda session: owe(session, change(), [], NOON_S)) == 0
    assert store.read(enabled) == [channel()]


def test_a_channel_whose_zone_is_not_known_any_more_stops_no_alert(store: Store) -> None:
    stored = channel(quiet=NIGHT).stored()
    stored.body["quiet"]["zone"] = "Mars/Olympus"
    store.write(lambda session: channels.put(session, stored))
    assert store.write(lambda session: owe_all(session, [change()], NOON_S)) == 1
    assert states(store) == ["held"], "in its hours, as UTC"


def test_owing_is_undone_with_its_transaction(store: Store) -> None:
    def fails(session: Session) -> None:
        owe(session, change(), [channel()], NOON_S)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.write(fails)
    assert notices(store) == []


def test_a_storm_is_one_message_and_one_digest(store: Store) -> None:
    for number in range(50):
        owed(store, [change("doubled", last_step=100 + number)], [channel()], NOON_S + number)
    assert states(store) == ["held"] * 49 + ["owed"]
    assert {notice.due_s for notice in notices(store) if notice.state == "held"} == {NOON_S + 600}
    assert store.write(lambda session: release(session, NOON_S + 599)) == 0
    assert store.write(lambda session: release(session, NOON_S + 600)) == 1
    assert states(store) == ["folded"] * 49 + ["owed"] * 2
    digest = next(notice for notice in notices(store) if ":digest:" in notice.key)
    assert (digest.body["count"], len(digest.body["news"]), digest.run) == (49, 20, "r1")
    assert store.write(lambda session: release(session, NOON_S + 601)) == 0
    owed(store, [change("doubled", last_step=200)], [channel()], NOON_S + 700)
    assert max(notice.due_s for notice in notices(store)) == NOON_S + 1_200, "the digest was a page of the incident"


def test_one_that_was_held_alone_goes_as_it_is(store: Store) -> None:
    owed(store, [change()], [channel()])
    owed(store, [change("doubled", last_step=101)], [channel()], NOON_S + 60)
    store.write(lambda session: release(session, NOON_S + 600))
    assert [(notice.key.split(":")[2], notice.state, notice.owed_s) for notice in notices(store)] == [
        ("opened", "owed", NOON_S), ("doubled", "owed", NOON_S + 600),
    ]  # fmt: skip


def test_a_night_is_one_digest_of_every_run_and_channels_do_not_mix(store: Store) -> None:
    store.stream("r2")
    to = [channel(quiet=NIGHT), channel(channel_id="c2", quiet=NIGHT)]
    owed(store, [change(), change(incident="i2", run="r2")], to)
    assert states(store) == ["held"] * 4
    assert {notice.due_s for notice in notices(store)} == {NOON_S + 3_600}
    assert store.write(lambda session: release(session, NOON_S + 3_600)) == 2
    digests = sorted((notice for notice in notices(store) if ":digest:" in notice.key), key=lambda each: each.key)
    assert [(notice.channel, notice.run, notice.body["count"]) for notice in digests] == [
        ("c1", None, 2),
        ("c2", None, 2),
    ]


def test_what_was_held_for_the_incidents_sake_goes_on_through_the_night(store: Store) -> None:
    before_s = NOON_S - 3_600 - 60  # a minute before the quiet hours
    owed(store, [change()], [channel(quiet=NIGHT)], before_s)
    owed(store, [change("doubled", last_step=101)], [channel(quiet=NIGHT)], before_s + 30)
    assert {notice.due_s for notice in notices(store) if notice.state == "held"} == {NOON_S + 3_600}
    changed = channel(quiet=replace(NIGHT, end=time(14)))
    store.write(lambda session: channels.put(session, changed.stored()))
    store.write(lambda session: outbox.move(session, "c1:i1:opened:critical:100", "delivered"))
    assert store.write(lambda session: release(session, NOON_S + 3_600)) == 0
    assert store.read(outbox.next_due_s) == NOON_S + 7_200
    assert store.write(lambda session: release(session, NOON_S + 7_200)) == 1


def test_a_silenced_alert_is_not_told_but_what_joined_it_is(store: Store) -> None:
    silence(store, "a1", NOON_S + 100)
    store.write(lambda session: alerts.upsert(session, alert("a2").to_dict()))
    assert owed(store, [change()], [channel()]) == 0
    assert owed(store, [AlertChange(alert(), "fired")], [channel()]) == 0
    assert owed(store, [change(alerts=["a1", "a2"])], [channel()]) == 1
    assert owed(store, [change("doubled", incident="i2")], [channel()], NOON_S + 100) == 1


def test_what_is_silenced_while_it_is_held_is_dropped(store: Store) -> None:
    owed(store, [change(), change("escalated", last_step=101)], [channel(quiet=NIGHT)])
    silence(store, "a1", NOON_S + 10_000)
    assert store.write(lambda session: release(session, NOON_S + 3_600)) == 0
    assert states(store) == ["dropped", "dropped"]


def test_what_is_held_goes_on_while_any_alert_of_its_incident_is_not_silenced(store: Store) -> None:
    store.write(lambda session: alerts.upsert(session, alert("a2").to_dict()))
    news = change(alerts=["a1", "a2"])
    store.write(lambda session: incidents.upsert(session, news.incident.to_dict()))
    owed(store, [news], [channel(quiet=NIGHT)])
    silence(store, "a1", NOON_S + 10_000)
    assert store.write(lambda session: release(session, NOON_S + 3_600)) == 1
    assert states(store) == ["owed"]


def test_an_escalation_tells_of_the_alert_that_escalated(store: Store) -> None:
    for each in (
        alert("a1", rule="look_ahead", step=90, last_step=90, message="It is foretold."),
        alert("a2", rule="drift", severity="warning", last_step=120, message="It drifts."),
        alert("a3", rule="loss_jump", series="loss/bonds", last_step=110, message="It jumped."),
    ):
        store.write(lambda session, each=each: alerts.upsert(session, each.to_dict()))
    owed(store, [change("escalated", alerts=["a1", "a2", "a3"])], [channel()])
    (told,) = notices(store)[0].body["news"]
    assert (told["alert"], told["series"], told["message"], told["foretold"]) == (
        "a3", "loss/bonds", "It jumped.", True,
    )  # fmt: skip
    store.write(lambda session: alerts.upsert(session, alert("a4", rule="nonfinite", message="NaN.").to_dict()))
    worst = change("escalated", incident="i2", alerts=["a2", "a3", "a4"])
    owed(store, [worst], [channel()], NOON_S + 1)
    (told,) = notices(store)[-1].body["news"]
    assert (told["message"], told["foretold"]) == ("NaN.", False)
    owed(store, [change("escalated", incident="i3", alerts=["a2"])], [channel()], NOON_S + 2)
    (told,) = notices(store)[-1].body["news"]
    assert told["message"] == "M.", "several warnings together: the headline, and the cause that names them"


def made(store: Store, run: str, made_s: float, came_s: float, config: dict[str, Any] | None = None) -> None:
    """Messages of the run, up to step 100."""
    values = np.ones((1, 101))
    parts = [Declaration(seq=1, config=config or {}), schema(2, "loss/total"),
             pack_frame(3, np.arange(101), [0], values, made_s)]  # fmt: skip
    store.append(store.stream(run), *parts)
    store.write(lambda session: runs.seen(session, {run: came_s}))


@pytest.mark.parametrize(
    ("made_s", "came_s", "config", "state", "why"),
    [
        (NOON_S - 3_500, NOON_S, {}, "owed", None),
        (NOON_S - 7_200, NOON_S, {}, "dropped", "Its data were 2.0 h old when they came."),
        (NOON_S - 7_200, NOON_S - 7_199, {}, "owed", None),  # they came in time; the server was away, or slow
        (0.0, NOON_S, {}, "owed", None),  # it does not say
        (float("nan"), NOON_S, {}, "owed", None),
        (0.0, NOON_S, {"imported_from": "events.out"}, "dropped", "It was imported from a file."),
    ],
)
def test_what_did_not_just_happen_wakes_nobody(
    store: Store, made_s: float, came_s: float, config: dict[str, Any], state: str, why: str | None
) -> None:
    made(store, "r2", made_s, came_s, config)
    assert owed(store, [change(run="r2")], [channel()]) == (state == "owed")
    (notice,) = notices(store)
    assert (notice.state, notice.said) == (state, why)
    assert owed(store, [change(run="r2", incident="i2")], [channel()], NOON_S + 1) == (state == "owed")


def test_a_damaged_message_keeps_no_alert_from_being_stored(store: Store) -> None:
    stream = store.stream("r2")
    bad = [Entry(1, "declaration", b"\xc1"), Entry(2, "frame", b"\xc1", 0, 200)]
    store.write(lambda session: journal.append(session, stream.id, bad))
    assert owed(store, [change(run="r2")], [channel()]) == 1


def test_what_a_change_of_its_channel_lets_go_is_let_go(store: Store) -> None:
    store.stream("r2")
    owed(store, [change(), change(incident="i2", run="r2")], [channel(quiet=NIGHT)])
    owed(store, [change("doubled", last_step=101)], [channel(quiet=NIGHT)], NOON_S + 1)
    store.write(lambda session: reconsider(session, channel(quiet=NIGHT), NOON_S + 10))
    assert {notice.due_s for notice in notices(store)} == {NOON_S + 3_600}
    store.write(lambda session: channels.put(session, channel().stored()))
    store.write(lambda session: reconsider(session, channel(), NOON_S + 10))
    assert {notice.due_s for notice in notices(store)} == {NOON_S + 10}
    store.write(lambda session: reconsider(session, channel(projects=("other",)), NOON_S + 10))
    assert {(notice.state, notice.said) for notice in notices(store)} == {("dropped", NOT_WANTED)}


def test_a_change_of_its_channel_does_not_hasten_what_waits_for_its_pace(store: Store) -> None:
    owed(store, [change()], [channel()])
    owed(store, [change("doubled", last_step=101)], [channel()], NOON_S + 30)
    store.write(lambda session: reconsider(session, channel(), NOON_S + 60))
    assert [(notice.state, notice.due_s) for notice in notices(store)] == [("owed", NOON_S), ("held", NOON_S + 600)]


def test_a_clock_that_was_set_back_holds_nothing_for_long(store: Store) -> None:
    owed(store, [change()], [channel(quiet=NIGHT)])
    back_s = NOON_S - 30 * 86_400.0 - 5 * 3_600
    assert store.write(lambda session: release(session, back_s)) == 1
    (notice,) = store.read(lambda session: outbox.due(session, back_s - 7_200, longest_s=3_600.0))
    assert notice.state == "owed"
    assert store.read(lambda session: outbox.due(session, back_s - 1_800, longest_s=3_600.0)) == []


def test_a_deleted_run_leaves_what_people_were_told_and_were_not(store: Store) -> None:
    store.stream("r2")
    owed(store, [change(), change("doubled", last_step=101), change(incident="i2", run="r2")], [channel()])
    store.write(lambda session: outbox.move(session, "c1:i1:opened:critical:100", "delivered", said="HTTP 200"))
    for again in (False, True):
        if again:
            store.stream("r1")
            assert owed(store, [change()], [channel()], NOON_S + 86_400) == 1, "a new run of that id is told of"
        store.write(lambda session: runs.begin_delete(session, "r1"))
        while store.write(lambda session: runs.delete_some(session, "r1", 1))[1]:
            pass
        assert store.write(lambda session: runs.end_delete(session, "r1"))
    found = sorted((notice.state, notice.said, notice.run) for notice in notices(store) if notice.run is None)
    given_up = ("given_up", "The run was deleted.", None)
    assert found == [("delivered", "HTTP 200", None), given_up, given_up]
    assert [notice.state for notice in notices(store) if notice.run == "r2"] == ["owed"]


@pytest.mark.parametrize("is_removed", [True, False])
def test_what_is_held_for_a_channel_that_is_gone_is_given_up(store: Store, is_removed: bool) -> None:
    owed(store, [change()], [channel(quiet=NIGHT)])
    off = replace(channel(quiet=NIGHT), enabled=False).stored()
    store.write(lambda session: channels.delete(session, "c1") if is_removed else channels.put(session, off))
    assert store.write(lambda session: release(session, NOON_S + 3_600)) == 0
    assert states(store) == ["given_up"]


def test_the_one_that_is_due_first_is_found_for_each_channel(store: Store) -> None:
    def put(key: str, to: str, due_s: float, state: str = "owed") -> None:
        store.write(lambda session: outbox.put(session, Notice(key, to, None, "", state, 0, due_s, due_s, due_s, {})))

    for key, to, due_s in (("a", "c1", 5.0), ("b", "c1", 3.0), ("c", "c2", 4.0), ("d", "c3", 50.0)):
        put(key, to, due_s)
    put("e", "c2", 1.0, "delivered")
    assert [notice.key for notice in store.read(lambda session: outbox.due(session, 10.0))] == ["b", "c"]
    assert [notice.key for notice in store.read(lambda session: outbox.due(session, 10.0, {"c1"}))] == ["c"]
    assert store.read(lambda session: outbox.next_due_s(session)) == 3.0
    assert store.read(lambda session: outbox.next_due_s(session, {"c1", "c2"})) == 50.0
    assert store.read(lambda session: outbox.next_due_s(session, {"c1", "c2", "c3"})) is None


def test_only_what_is_over_is_forgotten(store: Store) -> None:
    for number in range(10):
        state = "delivered" if number % 2 else "owed"
        notice = Notice(str(number), "c", None, "", state, 1, float(number), 0.0, 0.0, {})
        store.write(lambda session, notice=notice: outbox.put(session, notice))
    assert store.write(lambda session: outbox.prune(session, 2.0, 100)) == 1
    assert store.write(lambda session: outbox.prune(session, 2.0, 2)) == 2
    assert [notice.key for notice in notices(store)] == ["0", "2", "4", "6", "7", "8", "9"]
    assert not store.write(lambda session: outbox.move(session, "7", "owed")), "what is over stays so"
