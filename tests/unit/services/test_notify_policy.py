"""A storm is a few messages; the night is quiet as long as it lasts, and not an hour longer."""

from dataclasses import replace
from datetime import UTC, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from lossguard_server.services.notifying.backoff import GIVE_UP_S, LONGEST_S, retry_after_s, wait_s
from lossguard_server.services.notifying.news import News, of_alert, of_incident
from lossguard_server.services.notifying.policy import Past, Wishes, due_s, wants
from lossguard_server.services.notifying.quiet import Quiet
from notify_world import RUN, alert, change

BERLIN = ZoneInfo("Europe/Berlin")


def news(said: Any = "opened", **changed: Any) -> News:
    found = of_incident(change(**changed).incident, said, None, RUN)
    assert found is not None
    return found


def at(text: str, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold).timestamp()


@pytest.mark.parametrize(
    ("wishes", "said", "severity", "is_wanted"),
    [
        (Wishes(), "opened", "critical", True),
        (Wishes(), "escalated", "critical", True),
        (Wishes(), "doubled", "critical", True),
        (Wishes(), "opened", "warning", False),
        (Wishes("warning"), "opened", "warning", True),
        (Wishes(), "closed", "critical", False),
        (Wishes(resolved=True), "closed", "critical", True),
        (Wishes(resolved=True), "closed", "warning", False),
        (Wishes(projects=("q", "p")), "opened", "critical", True),
        (Wishes(projects=("q",)), "opened", "critical", False),
    ],
)
def test_a_channel_hears_what_it_wants(wishes: Wishes, said: Any, severity: Any, is_wanted: bool) -> None:
    assert wants(wishes, news(said, severity=severity), "p") is is_wanted


def test_a_project_is_meant_by_its_whole_name() -> None:
    long = "a\tb " + "x" * 300
    found = of_incident(change().incident, "opened", None, replace(RUN, project=long))
    assert found is not None
    assert found.project != long, "what is told is for the eye"
    assert wants(Wishes(projects=(long,)), found, long)
    assert not wants(Wishes(projects=(found.project,)), found, long)


def test_what_only_joined_is_no_news_for_people() -> None:
    assert of_incident(change().incident, "joined", None, RUN) is None
    assert of_alert(alert().to_dict(), "acknowledged", RUN) is None


def test_an_incident_pages_once_in_ten_minutes_and_three_times_an_hour() -> None:
    """News every ten seconds for two hours, each told or held as the policy says; what is held is let go in one."""
    told: list[float] = []
    held_until_s: float | None = None
    for now_s in range(0, 7_200, 10):
        if held_until_s is not None and now_s >= held_until_s:
            told.append(held_until_s)
            held_until_s = None
        when_s = due_s(Wishes(), news(), Past(told, told), now_s)
        if when_s > now_s:
            held_until_s = when_s
        else:
            told.append(when_s)
    assert told == [0, 600, 1_200, 3_600, 4_200, 4_800]


def test_an_escalation_waits_for_nothing_but_another_one_and_the_hour() -> None:
    worse = news("escalated")
    assert due_s(Wishes(), worse, Past([1_000.0], [1_000.0]), 1_030.0) == 1_030.0
    assert due_s(Wishes(), worse, Past([1_000.0, 1_030.0], [1_000.0], [1_030.0]), 1_060.0) == 1_630.0
    assert due_s(Wishes(), worse, Past([1_000.0, 1_600.0, 2_200.0]), 2_300.0) == 4_600.0
    assert due_s(Wishes(), news("doubled"), Past([1_000.0]), 1_030.0) == 1_600.0


def test_a_hundred_incidents_at_once_are_ten_messages_and_one_later() -> None:
    told: list[float] = []
    later: list[float] = []
    for number in range(100):
        when_s = due_s(Wishes(), news(), Past((), told), 1_000.0 + number / 100)
        (told if when_s <= 1_000.0 + number / 100 else later).append(when_s)
    assert len(told) == 10
    assert {round(when_s) for when_s in later} == {1_600}


def test_a_clock_that_was_set_back_silences_nobody() -> None:
    assert due_s(Wishes(), news(), Past([9_000.0], [9_000.0] * 20), 1_000.0) == 1_000.0


@pytest.mark.parametrize(
    ("start", "end", "now", "fold", "until"),
    [
        ("22:00", "07:00", "2025-06-01T21:59:59", 0, None),
        ("22:00", "07:00", "2025-06-01T22:00:00", 0, "2025-06-02T07:00"),
        ("22:00", "07:00", "2025-06-02T06:59:59", 0, "2025-06-02T07:00"),
        ("22:00", "07:00", "2025-06-02T07:00:00", 0, None),
        ("12:00", "13:00", "2025-06-02T12:30:00", 0, "2025-06-02T13:00"),
        ("12:00", "13:00", "2025-06-02T11:59:00", 0, None),
        # the clock goes forward at 02:00 on 2025-03-30, and back at 03:00 on 2025-10-26
        ("22:00", "07:00", "2025-03-29T23:00:00", 0, "2025-03-30T07:00"),
        ("22:00", "07:00", "2025-10-25T23:00:00", 0, "2025-10-26T07:00"),
    ],
)
def test_quiet_hours_end_at_their_local_time(start: str, end: str, now: str, fold: int, until: str | None) -> None:
    quiet = Quiet(time.fromisoformat(start), time.fromisoformat(end), BERLIN)
    assert quiet.until_s(at(now, fold)) == (None if until is None else at(until))


def test_a_night_is_an_hour_shorter_or_longer_when_the_clock_is_turned() -> None:
    quiet = Quiet(time(22), time(7), BERLIN)
    for evening, hours in (("2025-03-29T22:00", 8), ("2025-10-25T22:00", 10), ("2025-06-01T22:00", 9)):
        until_s = quiet.until_s(at(evening))
        assert until_s is not None
        assert (until_s - at(evening)) / 3_600 == hours


def test_an_end_that_comes_twice_is_the_first_and_one_that_does_not_come_is_after_the_gap() -> None:
    quiet = Quiet(time(22), time(2, 30), BERLIN)
    assert quiet.until_s(at("2025-10-26T02:10", fold=0)) == at("2025-10-26T02:30", fold=0)
    assert quiet.until_s(at("2025-10-26T02:10", fold=1)) is None, "the night ended an hour ago"
    until_s = quiet.until_s(at("2025-03-30T01:59"))
    assert until_s is not None
    assert datetime.fromtimestamp(until_s, UTC).isoformat() == "2025-03-30T01:00:00+00:00"  # 03:00 in Berlin
    until_s = quiet.until_s(at("2026-03-29T01:00"))
    assert until_s == at("2026-03-29T03:00")
    begins = Quiet(time(2, 30), time(4), BERLIN)
    assert begins.until_s(at("2025-03-30T01:59:59")) is None
    assert begins.until_s(at("2025-03-30T03:00")) == at("2025-03-30T04:00"), "as the clock is turned"


def test_quiet_hours_hold_everything_but_what_may_wake() -> None:
    night_s, morning_s = at("2025-06-01T23:00"), at("2025-06-02T07:00")
    quiet = Quiet(time(22), time(7), BERLIN)
    waking = Quiet(time(22), time(7), BERLIN, nonfinite_breaks=True)
    broken = news(count={"nonfinite": 1, "loss_jump": 1})
    assert due_s(Wishes(quiet=quiet), broken, Past(), night_s) == morning_s
    assert due_s(Wishes(quiet=waking), news(), Past(), night_s) == morning_s
    assert due_s(Wishes(quiet=waking), broken, Past(), night_s) == night_s
    assert due_s(Wishes(quiet=waking), broken, Past([night_s - 1]), night_s) == night_s + 599
    over = news("closed", count={"nonfinite": 1})
    assert due_s(Wishes(quiet=waking, resolved=True), over, Past(), night_s) == morning_s
    late = news(count={"nonfinite": 1}, severity="warning")
    assert due_s(Wishes("warning", quiet=waking), late, Past(), night_s) == morning_s


def test_waits_double_up_to_an_hour_with_jitter_and_obey_the_other_side() -> None:
    assert [wait_s(tries, 0.0, None) for tries in (1, 2, 3, 10, 11, 5_000)] == [5, 10, 20, 2_560, LONGEST_S, LONGEST_S]
    assert wait_s(3, 1.0, None) == 10.0
    assert wait_s(1, 1.0, 120.0) == 120.0
    assert wait_s(20, 0.0, 1.0) == LONGEST_S < GIVE_UP_S


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("120", 120.0), (" 0 ", 0.0), (None, None), ("", None), ("soon", None), ("-5", None), ("١٢", None),
     ("Sun, 01 Jun 2025 00:01:00 GMT", 60.0), ("Sun, 01 Jun 2025 00:01:00 -0000", 60.0),
     ("Sun, 01 Jun 2020 00:00:00 GMT", 0.0), ("Sun, 01 Jun 2025 00:00:00 +99999999999999999999", None),
     ("Fri, 31 Dec 99999999999999999999 23:59:59 GMT", None), ("Sun, 1", None), ("9" * 400, 999_999_999_999.0)],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, datetime(2025, 6, 1, tzinfo=UTC).timestamp()) == seconds
