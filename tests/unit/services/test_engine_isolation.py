"""What breaks inside the engine is told, and silences nothing; what a run brings is bounded."""

from typing import Any

import numpy as np
import pytest

from lossguard_server.rules import first_bad, nonfinite
from lossguard_server.rules.base import AT_ONCE, Finding, Hits, Severity
from lossguard_server.rules.window import Window
from lossguard_server.services.engine import RULE_HEALTH
from lossguard_server.services.engine import gallery as galleries
from lossguard_server.services.engine import rows as buffers
from lossguard_server.services.engine.faults import GIVEN_UP_ROWS, MENDED_ROWS
from lossguard_server.services.engine.gallery import Gallery
from lossguard_server.services.engine.rows import RowBuffer
from lossguard_server.store.rows import Rows
from unit.rules.rule_world import little_rule, new_engine, noisy, rows_of, said


def hits(rows: Any, sustains: bool = False) -> Hits:
    finding = Finding("m", "t")
    return Hits("loss/total", np.array(rows), Severity.CRITICAL, AT_ONCE, lambda row: finding, sustains)


def of_steps(window: Window, *steps: int) -> list[int]:
    return np.flatnonzero(np.isin(window.steps, steps)).tolist()


@pytest.mark.parametrize("cut", [1, 50, 400])
def test_an_alert_that_is_over_stays_over_though_something_would_sustain_it(cut: int) -> None:
    def judge(window: Window) -> list[Hits]:
        after = np.flatnonzero((window.steps > 40) & (window.steps < 300))
        return [hits(of_steps(window, 10)), hits(after, sustains=True)]

    engine, trace = new_engine(little_rule("once", judge)), {"loss/total": noisy(2.0, 400)}
    changes = [change for at in range(0, 400, cut) for change in engine.observe("run", [rows_of(trace, at, at + cut)])]
    assert said(changes) == [("fired", "once", 10), ("resolved", "once", 10)]


def test_hits_of_rows_that_are_not_there_are_the_rule_s_fault_and_no_more() -> None:
    engine = new_engine(little_rule("far", lambda window: [hits([5_000])]), nonfinite.rule())
    changes = engine.observe("run", [rows_of({"loss/total": np.array([1.0, np.nan])})])
    assert [change.alert.rule for change in changes] == [RULE_HEALTH, "nonfinite"]


def test_a_broken_first_bad_is_told_and_alerts_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object) -> None:
        raise ZeroDivisionError("no plan")

    monkeypatch.setattr(first_bad, "_sight", broken)
    engine = new_engine(nonfinite.rule())
    changes = engine.observe("run", [rows_of({"loss/total": np.array([1.0, np.nan])})])
    assert [(change.alert.rule, change.alert.series) for change in changes] == [
        (RULE_HEALTH, "first_bad"),
        ("nonfinite", "loss/total"),
    ]


def test_a_page_on_which_the_engine_breaks_costs_that_page(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = new_engine(nonfinite.rule())
    with monkeypatch.context() as broken:
        broken.setattr("lossguard_server.rules.memory.follow", lambda *args: 1 / 0)
        changes = engine.observe("run", [rows_of({"loss/total": noisy(2.0, 10)})])
    assert [(change.alert.rule, change.alert.series) for change in changes] == [(RULE_HEALTH, "engine")]
    later = engine.observe("run", [Rows(np.array([10]), ("loss/total",), np.array([[np.nan]]))])
    assert said(later) == [("fired", "nonfinite", 10)]


def test_a_rule_that_works_again_is_well_again() -> None:
    def judge(window: Window) -> list[Hits]:
        if window.steps[0] < 20:
            raise ValueError("young")
        return []

    engine, changes = new_engine(little_rule("late", judge)), []
    for at in range(0, MENDED_ROWS + 100, 10):
        changes += engine.observe("run", [rows_of({"loss/total": noisy(2.0, MENDED_ROWS + 100)}, at, at + 10)])
    assert [(change.transition, change.alert.rule) for change in changes] == [
        ("fired", RULE_HEALTH),
        ("resolved", RULE_HEALTH),
    ]
    assert engine.failed() == []


def test_open_alerts_of_a_rule_that_fails_for_long_say_so_once_and_end_when_it_judges_again() -> None:
    n, mends = 2 * GIVEN_UP_ROWS + 300, 2 * GIVEN_UP_ROWS + 200

    def judge(window: Window) -> list[Hits]:
        if 20 <= window.steps[0] < mends:
            raise ValueError("old")
        return [hits(of_steps(window, 10))]

    engine, changes = new_engine(little_rule("ill", judge), nonfinite.rule()), []
    trace = {"loss/total": np.where(np.arange(n) == 10, np.nan, noisy(2.0, n))}
    for at in range(0, n, 10):
        if at == n // 2:  # a restart goes on counting
            body, engine = engine.dump("run"), new_engine(little_rule("ill", judge), nonfinite.rule())
            engine.load("run", body)
        changes += engine.observe("run", [rows_of(trace, at, at + 10)])
    ill = [(change.transition, change.alert.state) for change in changes if change.alert.rule == "ill"]
    assert ill == [("fired", "firing"), ("explained", "firing"), ("resolved", "resolved")]
    [doubted] = [change.alert for change in changes if change.transition == "explained"]
    said = f"failed on 1,000 rows in a row up to step {GIVEN_UP_ROWS + 19}: nothing tells whether this was over."
    assert doubted.evidence["text"] == f"t The rule ill {said}"


def test_a_rule_that_fails_now_and_then_judges_its_alerts_and_says_nothing_of_them() -> None:
    def judge(window: Window) -> list[Hits]:
        if window.steps[0] % 20:
            raise ValueError("sometimes")
        return [hits(np.arange(len(window.steps)))]

    engine, changes = new_engine(little_rule("moody", judge)), []
    for at in range(0, 3 * GIVEN_UP_ROWS, 10):
        changes += engine.observe("run", [rows_of({"loss/total": noisy(2.0, 3 * GIVEN_UP_ROWS)}, at, at + 10)])
    assert said(changes) == [("fired", "moody", 0), ("fired", RULE_HEALTH, 10)]


def test_rows_before_a_series_came_do_not_know_of_it() -> None:
    early, late = {"loss/total": noisy(2.0, 100)}, {"loss/total": noisy(2.0, 100), "loss/a": np.full(100, np.nan)}
    parts = [rows_of(early, 0, 50), rows_of(late, 50, 100)]

    def seen(batches: list[list[Rows]]) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []

        def judge(window: Window) -> list[Hits]:
            found.extend((step, len(window.names)) for step in window.steps.tolist())
            return []

        engine = new_engine(little_rule("notes", judge))
        for batch in batches:
            engine.observe("run", batch)
        return found

    assert seen([parts]) == seen([[part] for part in parts])


def test_a_page_of_many_series_has_few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffers, "CELLS_MAX", 100)
    buffer = RowBuffer()
    for first in (0, 30):
        steps = np.arange(first, first + 30)
        buffer.take(steps, np.array([0]), steps[:, None].astype(np.float64), has_total=True)
    pages = list(buffer.pages(10))
    assert [len(page.steps) for page in pages] == [10] * 6
    assert np.concatenate([page.values[:, 0] for page in pages]).tolist() == list(range(60))
    assert list(buffer.pages(10)) == []


def test_a_run_with_more_series_than_are_judged_says_so_and_losses_have_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(galleries, "SIDE_MAX", 3)
    engine = new_engine(nonfinite.rule())
    names = (*(f"noise/{number}" for number in range(10)), "loss/total")
    columns = np.ones((11, 5))
    columns[10, 3] = np.nan
    changes = engine.observe("run", [Rows(np.arange(5), names, columns)])
    assert [(change.alert.rule, change.alert.series) for change in changes] == [
        ("nonfinite", "loss/total"),
        (RULE_HEALTH, "series"),
    ]


def test_what_is_judged_does_not_change_by_what_comes_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(galleries, "SIDE_MAX", 2)
    gallery = Gallery()
    assert gallery.admit(("a", "b", "c")) == ("a", "b")
    assert gallery.admit(("c", "a", "loss/x")) == ("a", "loss/x")
    assert gallery.at(("c", "a", "loss/x")) == [1, 2]
    assert gallery.is_full
