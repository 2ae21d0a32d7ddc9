"""A message says what is known in one line each, and no name of a run can say anything else."""

import math
from typing import Any

import pytest

from lossguard_server.services.notifying import wording
from lossguard_server.services.notifying.news import News, of_alert, of_incident, plain
from lossguard_server.services.notifying.sparkline import sparkline
from lossguard_server.store.runs import StoredRun
from notify_world import RUN, alert, change


def pairs(*values: Any) -> list[list[Any]]:
    return [[step, value] for step, value in enumerate(values)]


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([], ""),
        ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], "▁▂▃▄▅▆▇█"),
        ([3.0, 3.0], "▄▄"),
        ([1.0, math.nan, 2.0, math.inf, -math.inf], "▁×█↑↓"),
        ([1, "NaN", "Infinity", "-Infinity"], "▄×↑↓"),
        ([math.nan], "×"),
        ([-1.7e308, 1.7e308], "▁█"),
        ([0.0, 5e-324], "▄▄"),
        ([1.0, None, "x", [], 2.0], "▁█"),
    ],
)
def test_a_curve_is_a_line_and_what_is_no_number_a_mark(values: list[Any], line: str) -> None:
    assert sparkline(pairs(*values)) == line


def test_a_long_curve_keeps_its_spike_and_its_nan() -> None:
    values = [1.0] * 1_000
    values[500], values[700] = 50.0, math.nan
    line = sparkline(pairs(*values))
    assert len(line) == 32
    assert line.count("█") == line.count("×") == 1
    assert sparkline([[1]]) == ""


def test_a_message_says_everything_that_is_known() -> None:
    news = of_incident(change("escalated").incident, "escalated", alert().to_dict(), RUN)
    assert news is not None
    words = wording.of_news(News.from_dict(news.to_dict()), "https://lg.example")
    assert words.title == "critical: p/n: loss/total, loss jump is now critical, step 100"
    assert words.text.splitlines() == [
        "The total jumped to 9 times its level at step 100.",
        "series loss/total, rule loss_jump, step 100",
        "Cause: The loss of bonds began it.",
        "Blame: 80 % is bonds.",
        "First bad: grad/bonds at step 88, 12 steps before the first symptom",
        "Curve: ▁█× (steps 98 to 100)",
        "Remedy: Set bonds to 0.01.",
        "https://lg.example/#run=r1&alert=a1",
    ]


def test_what_was_foretold_has_come_and_what_doubled_is_not_told_as_if_it_began() -> None:
    news = of_incident(change("escalated").incident, "escalated", alert().to_dict(), RUN, foretold=True)
    twice = of_incident(change("doubled", last_step=140).incident, "doubled", alert().to_dict(), RUN)
    over = of_incident(change("closed").incident, "closed", None, RUN)
    assert news is not None
    assert twice is not None
    assert over is not None
    words = wording.of_news(News.from_dict(news.to_dict()), "http://h")
    assert words.title == "critical: p/n: loss/total, loss jump has come, as it was foretold, step 100"
    begins = "By step 140 it is twice as bad as when it was last told. It began so: M.\n"
    assert wording.of_news(twice, "http://h").text.startswith(begins)
    assert wording.of_news(over, "http://h").text.startswith("It is over. It was: M.\n")


def test_what_is_not_known_takes_no_line() -> None:
    news = of_alert(alert(evidence={}).to_dict(), "fired", RUN)
    assert news is not None
    assert len(wording.of_news(news, "http://h").text.splitlines()) == 3


def test_a_digest_has_a_line_for_each_up_to_twenty() -> None:
    items = [
        found for step in range(25) if (found := of_incident(change(last_step=step).incident, "doubled", None, RUN))
    ]
    words = wording.of_digest(items[:20], "http://h", 25)
    lines = words.text.splitlines()
    assert words.title == "25 notifications of p/n"
    assert (
        lines[0] == "- critical: p/n: bonds, loss jump is twice as bad, step 0: "
        "By step 0 it is twice as bad as when it was last told. It began so: M."
    )
    assert lines[20:] == ["and 5 more.", "http://h/#run=r1&alert=a1"]
    other = StoredRun("r2", "p", "other", 1.0, 1.0, 1, 0, None)
    items.append(of_incident(change().incident, "closed", None, other))  # type: ignore[arg-type]
    assert wording.of_digest(items[-2:], "http://h", 2).title == "2 notifications of 2 runs"
    assert wording.of_digest(items[-2:], "http://h", 2).link == "http://h/"


@pytest.mark.parametrize(
    "name", ["a\r\nBcc: x@y.z", "\x1b[31mred", "left\u202eright", "null\x00", "line\u2028", "\ud800", "x" * 10_000]
)
def test_no_name_breaks_out_of_its_line(name: str) -> None:
    run = StoredRun("r1", name, name, 1.0, 1.0, 1, 0, None)
    headline = {"alert": "a1", "rule": name, "series": name, "component": name, "message": name}
    news = of_incident(change(headline=headline).incident, "opened", None, run)
    assert news is not None
    words = wording.of_news(news, "http://h")
    assert len(words.title) < 700
    assert not any(ord(letter) < 32 or letter in "\u202e\u2028\ud800" for letter in words.title)
    assert len(words.text.splitlines()) == (7 if plain(name, 99) else 6)


def test_a_name_calls_nobody() -> None:
    run = StoredRun("r1", "@everyone", "<!channel> <@U1>", 1.0, 1.0, 1, 0, None)
    news = of_incident(change().incident, "opened", None, run)
    assert news is not None
    for words in (wording.of_news(news, "http://h"), wording.of_digest([news, news], "http://h", 2)):
        assert "@everyone" not in words.title + words.text
        assert "<!" not in words.title + words.text
        assert "<@" not in words.title + words.text
    assert plain("a\tb  c\n", 99) == "a b c"


@pytest.mark.parametrize("name", ["<https://evil.example|click>", "[click](https://evil.example)", "![x](http://e)"])
def test_a_name_hides_no_link(name: str) -> None:
    run = StoredRun("r1", "p", name, 1.0, 1.0, 1, 0, None)
    headline = {"alert": "a1", "rule": name, "series": name, "component": name, "message": name}
    news = of_incident(change(headline=headline).incident, "opened", None, run)
    assert news is not None
    for words in (wording.of_news(news, "http://h"), wording.of_digest([news, news], "http://h", 2)):
        assert "<h" not in words.title + words.text
        assert "](" not in words.title + words.text


def test_a_link_names_run_and_alert_whatever_they_are_called() -> None:
    run = StoredRun("r/1 &t=x#", "p", "n", 1.0, 1.0, 1, 0, None)
    news = of_incident(change().incident, "opened", None, run)
    assert news is not None
    assert wording.link_to(news, "http://h") == "http://h/#run=r%2F1+%26t%3Dx%23&alert=a1"
