"""What a report says of a run: blame to 100 %, three sentences, the timeline's order, stages and marks as they came."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossguard_server.services.reporting.overlay import Band, overlay_of
from lossguard_server.services.reporting.pages.incidents import lead_text
from lossguard_server.services.reporting.pages.parts import blame_bar, blame_shares, part_text
from lossguard_server.services.reporting.story import story_of
from lossguard_server.services.reporting.timeline import ENTRIES_MAX, timeline_of
from report_world import alert, blame, chart, command, event, incident, line, record


@given(st.lists(st.integers(-300, 400), min_size=1, max_size=20))
def test_a_blame_adds_up(percents: list[int]) -> None:
    shares = blame_shares(blame(*((f"c{i}", "loss", float(p), p) for i, p in enumerate(percents))))
    if sum(percents):
        assert sum(shown for _, shown, _ in shares) == 100
    if any(percents):
        assert sum(width for _, _, width in shares) == pytest.approx(1.0)
    assert [width for _, _, width in shares] == sorted((width for _, _, width in shares), reverse=True)


def test_the_bar_is_as_long_as_what_moved() -> None:
    bar = blame_bar(blame(("a", "schedule", 6.0, 103), ("b", "loss", float("nan"), -3)), ["a", "b"])
    assert bar is not None
    assert bar.count("<rect") == 2
    assert 'width="97.' not in bar.split("<rect")[0]
    assert "a, its weight moved: +6 (103 %)" in bar
    assert "b, its loss moved: NaN (-3 %)" in bar
    assert blame_bar(blame(("a", "loss", 1.0, float("nan"))), []) is None  # type: ignore[arg-type]
    assert part_text({"component": "a", "cause": "?", "delta": None}, 0) == "a, moved: unknown (0 %)"


def test_a_healthy_run_is_called_healthy() -> None:
    story = story_of(record(charts=[chart(line("loss/total", [2.0, 1.0]))]))
    assert (story.tone, story.what) == ("ok", "Healthy: no incident in 10 steps.")
    assert story.why == "Nothing has to be explained; the total went from 2 to 1."
    assert story.done == "Nobody stepped in."
    assert story_of(record(run={"state": "crashed"})).tone == "critical"
    assert story_of(record(last_step=-1, charts=[])).what == "Nothing was measured."


def test_what_broke_first_why_and_what_helped() -> None:
    rules = [{"name": "loss_jump", "title": "The total loss jumped"}]
    late = incident(id="i2", first_step=8)
    early_warning = incident(id="i0", first_step=1, severity="warning")
    worse = command(id="c2", step=9, effect={"verdict": "worse", "decided": True, "text": "It got worse."})
    told = record(
        incidents=[early_warning, incident(), late], rules=rules, commands=[command(), worse], alerts=[alert()]
    )
    story = story_of(told)
    assert story.tone == "critical"
    assert story.what.startswith("Broke first, at step 5: The total loss jumped: a. It jumped. 2 more incidents")
    assert story.why == "The component a. The total rose."
    assert "From step 7 on: set the weight of a to 0.5: The total halved: worked." in story.done
    assert "1 other command was applied." in story.done
    assert story_of(record(incidents=[incident()])).done == "Nobody stepped in."


def test_where_a_value_was_born_is_told() -> None:
    origin = alert(evidence={"origin": {"text": "Born in head.norm, in the backward of log."}})
    assert story_of(record(incidents=[incident()], alerts=[origin])).why.endswith("in the backward of log.")


def test_stages_begin_where_the_trainer_says() -> None:
    stages = [{"start": at, "name": name, "weights": {}} for at, name in ((0, "one"), (5, "two"), (8, "three"))]
    events = [
        event("stage", 0, name="one"),
        event("stage", 6, name="two"),
        event("rollback", 9, to=4),
        event("stage", 7, name="two"),
    ]
    assert overlay_of(record(stages=stages, events=events)).bands == (Band(0, 7, "one"), Band(7, None, "two"))
    assert overlay_of(record(stages=stages)).bands == (Band(0, 5, "one"), Band(5, 8, "two"), Band(8, None, "three"))


def test_marks_of_what_a_rollback_took_back_are_gone() -> None:
    events = [
        event("trip", 7, text="t", action="skipped"),
        event("rollback", 9, to=4, **{"from": 9}),
        event("trip", 8, text="u"),
    ]
    alerts = [alert(), alert(id="a2", step=3, evidence={"rolled_back_to": 2})]
    found = overlay_of(record(events=events, alerts=alerts, commands=[command(), command(state="rejected")]))
    assert [(mark.step, mark.kind, mark.severity) for mark in found.marks] == [
        (4, "rollback", "none"),
        (5, "alert", "critical"),
        (7, "command", "none"),
        (8, "trip", "critical"),
    ]


def test_the_timeline_is_in_the_order_of_time() -> None:
    events = [
        event("stage", 0, 1_000.0, name="one"),
        event("trip", 8, 1_001.0, text="t"),
        event("trip", 9, 1_002.0, text="u"),
        event("rollback", 9, 1_006.0, to=4, **{"from": 9}),
        event("finish", 9, 900.0, state="finished"),
    ]
    entries, without = timeline_of(
        record(events=events, incidents=[incident()], alerts=[alert()], commands=[command()])
    )
    kinds = ["stage", "trip", "incident", "alert", "rollback", "end", "command"]
    assert ([entry.kind for entry in entries], without) == (kinds, 0)
    assert entries[1].text == "t And 1 more trip up to step 9."
    assert "Effect: The total halved: worked." in entries[-1].text


def test_a_long_timeline_keeps_what_matters_and_says_what_it_left_out() -> None:
    alerts = [alert(id=f"a{at}", severity="warning") for at in range(ENTRIES_MAX)]
    entries, without = timeline_of(record(alerts=alerts, commands=[command()], incidents=[incident()]))
    assert (len(entries), without) == (ENTRIES_MAX, 2)
    assert {"command", "incident"} < {entry.kind for entry in entries}


def test_leads_are_told_as_on_the_page() -> None:
    assert [lead_text(steps) for steps in (12, 0, -1, float("nan"), "x")] == [
        "12 steps before",
        "at the same step",
        "1 step after",
        "unknown",
        "unknown",
    ]
