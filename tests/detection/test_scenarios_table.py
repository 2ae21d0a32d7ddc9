"""The table of benchmarks/scenarios.py says what is wrong with a run, and exits by it."""

from dataclasses import replace
from typing import Any, cast

import pytest
from incidents import table
from incidents.onset import begins
from incidents.trials import Pressed, Seen, pressed, watched
from incidents.watching import Bench

from lossguard.scenarios import find

TRUTH = find("ris").truth("unnormalised")
CONTRACT = {"rule": "contract", "step": 0, "severity": "critical"}
SEEN = Seen(
    fired={"contract": CONTRACT, "train_eval": CONTRACT | {"rule": "train_eval"}},
    first_bad="matrix/R_samp/fro",
    total=(1.9e23, 256.0),
    skipped=24,
    nan_loss=None,
    nan_weights=None,
    ran=130,
    began=0,
)
FIXED = replace(SEEN, fired={}, first_bad=None, began=None, total=(450.0, 180.0), skipped=0)
GATED = Pressed(
    "gate", {"component": "covariance", "open": False}, "applied", 8, (4e23, 190.0), True, 3, 1, "worked", "open"
)
TRIAL = table.Trial("ris", "unnormalised", TRUTH, 0, SEEN, SEEN, GATED, FIXED)
CALM = table.Trial("ris", "fixed", find("ris").truth("fixed"), None, FIXED)


def fired_at(step: int) -> dict[str, dict[str, object]]:
    return {rule: alert | {"step": step} for rule, alert in SEEN.fired.items()}


def test_a_row_tells_the_incident_the_alert_the_remedy_and_what_came_of_it() -> None:
    row = table.line(TRIAL)
    assert row.count(" | ") == len(table.HEADS) - 1
    for words in (
        "| 0 (declared: 0) |", "contract at 0, train_eval at 0", "matrix/R_samp/fro (true)",
        "gate component='covariance', open=False at 8",
        "total 4e+23 -> 190, finite, 3 skipped, 1 of the last 100; worked; incident open", "24 of 130 skipped",
    ):  # fmt: skip
        assert words in row
    assert "as it must be" in row
    assert "| never | none |" in table.line(CALM)
    assert table.verdict([TRIAL, CALM]) == "All 2 as their truth says."


@pytest.mark.parametrize(
    ("trial", "fault"),
    [
        (replace(TRIAL, seen=replace(SEEN, fired={"contract": CONTRACT})), "train_eval did not fire"),
        (replace(TRIAL, seen=replace(SEEN, first_bad="lr")), "first bad is lr, not matrix/R_samp/fro"),
        (replace(TRIAL, pressed=replace(GATED, finite=False)), "after the remedy: not finite"),
        (replace(TRIAL, pressed=replace(GATED, late=100)), "after the remedy: still skipping"),
        (replace(TRIAL, pressed=Pressed(said="no alert offered gate")), "after the remedy: no alert offered gate"),
        (
            replace(TRIAL, pressed=replace(GATED, verdict="worse", total=(2.0, 9e9))),
            "after the remedy: the verdict is 'worse'",
        ),
        (
            replace(TRIAL, pressed=replace(GATED, total=(2.0, 9e9))),
            "after the remedy: a total of 9e+09, where fixed begins with 450",
        ),
        (
            replace(TRIAL, pressed=replace(GATED, total=(2.0, float("nan")))),
            "after the remedy: a total of nan, where fixed begins with 450",
        ),
        (replace(TRIAL, seen=replace(SEEN, nan_weights=3)), "weights NaN from 3 with the guard"),
        (replace(TRIAL, seen=replace(SEEN, fired=fired_at(125))), "contract, the first, is 125 steps late"),
        (replace(TRIAL, seen=replace(SEEN, fired=fired_at(11))), "contract, the first, is 11 steps late"),
        (replace(TRIAL, seen=replace(SEEN, began=3)), "began at 3, not 0"),
        (replace(TRIAL, seen=replace(SEEN, began=None)), "began at None, not 0"),
        (replace(CALM, seen=replace(FIXED, fired={"contract": CONTRACT})), "contract fired"),
        (replace(CALM, seen=replace(FIXED, fired={"drift": CONTRACT | {"rule": "drift"}})), "drift paged"),
    ],
)
def test_what_is_not_as_the_truth_has_it_is_a_fault(trial: table.Trial, fault: str) -> None:
    assert trial.faults == [fault]
    assert f"WRONG: {fault}" in table.line(trial)
    assert fault in table.verdict([trial])


@pytest.mark.parametrize("onset", [0, 250])
def test_an_alert_before_the_onset_and_ten_steps_behind_it_is_in_time(onset: int) -> None:
    for late in (-onset, 0, 10):
        seen = replace(SEEN, fired=fired_at(onset + late), began=onset + 2)
        assert replace(TRIAL, onset=onset, seen=seen).faults == []


@pytest.mark.parametrize(
    ("first_bad", "total", "named", "limits", "step"),
    [
        ("weight/precursor", [2.1] * 30 + [8.0] * 5, [], None, 30),
        ("weight/precursor", [2.1] * 30 + [float("nan")], [], None, 30),
        ("weight/precursor", [2.1] * 30 + [4.1] * 5, [], None, None),
        ("matrix/R_samp/fro", [1.0], [48.0, 48.0, 3e-4], {"low": 30.0, "high": 60.0}, 2),
        ("count/masked", [1.0], [9.0, 0.0], {"low": 1.0, "high": None}, 1),
        ("count/masked", [1.0], [9.0, float("nan")], {"low": None, "high": None}, 1),
        ("count/masked", [1.0], [9.0, 8.0], {"low": 1.0, "high": None}, None),
        ("loss/numeric", [1.0, 5.0, float("nan")], [], None, 2),
    ],
)
def test_where_it_begins_is_read_from_the_series(
    first_bad: str, total: list[float], named: list[float], limits: dict[str, float | None] | None, step: int | None
) -> None:
    assert begins(first_bad, dict(enumerate(total)), dict(enumerate(named)), limits) == step


EFFECT = {"verdict": "no effect", "decided": False}


class Stored:
    """A bench and its one training, whose series these are; its alert has a remedy that is pressed at step 55."""

    limit_s = 0.0

    def __init__(self, series: dict[str, dict[int, float]]) -> None:
        self._series, self._steps = series, iter([50])

    def train(self, *_: object) -> "Stored":
        return self

    def finish(self) -> None: ...

    def end(self) -> None: ...

    def is_running(self) -> bool:
        return True

    def step(self) -> int:
        return next(self._steps)

    def items(self, what: str) -> list[dict[str, Any]]:
        alert = {"id": "a", "rule": "look_ahead", "state": "firing", "step": 51, "fired_s": 0.0, "severity": "critical"}
        found = {
            "alerts": [alert | {"remedy": {"kind": "set_weight", "args": {}}}],
            "series": [{"name": name, "contract": None} for name in self._series],
        }
        return found.get(what, [])

    def press(self, kind: str, args: object, alert: object) -> dict[str, Any]:
        return self.command("c") | {"kind": kind, "args": args}

    def command(self, identity: str) -> dict[str, Any]:
        return {"id": identity, "kind": "", "args": {}, "state": "applied", "step": 55, "effect": EFFECT}

    def series(self, *names: str, first: int = 0, last: int = 10**9) -> dict[str, dict[int, float]]:
        return {name: {at: v for at, v in self._series[name].items() if first <= at <= last} for name in names}


def test_where_the_server_cannot_tell_the_total_says_whether_the_remedy_helped() -> None:
    untold = replace(GATED, verdict="not decided")
    assert replace(TRIAL, pressed=untold).faults == []
    for broken in (
        replace(TRIAL, pressed=replace(untold, verdict="no effect")),
        replace(TRIAL, pressed=replace(untold, verdict="no verdict")),
        replace(TRIAL, pressed=replace(untold, total=(2.0, 9e9))),
        replace(TRIAL, pressed=untold, mend=None),
    ):
        assert len(broken.faults) == 1


def test_a_remedy_that_is_pressed_before_the_onset_is_judged_behind_it() -> None:
    denovo = find("denovo")
    truth, own = denovo.truth("log1p_x100"), denovo.options(stage_steps=250)
    total = {step: 3.0 if step < 250 else 60.0 for step in range(500)}
    calm = dict.fromkeys(range(500), 0.0)
    for steps, said in ((500, ""), (400, "50 of its steps are missing")):
        series = {"loss/total": total, "grad_norm/total": calm, "skipped": calm}
        bench = cast(
            Bench, Stored({name: {s: v for s, v in each.items() if s < steps} for name, each in series.items()})
        )
        done = pressed(bench, denovo, truth, "x", {}, own)
        assert (done.at, done.total, done.said, done.verdict) == (55, (3.0, 60.0), said, "not decided")


def test_the_replay_of_a_skipped_step_is_no_step_of_its_own() -> None:
    tabular = find("tabular")
    total = dict.fromkeys((0, 2, 3), float("nan"))
    series = {
        "loss/total": total,
        "skipped": dict.fromkeys(range(4), 1.0),
        "count/masked": dict.fromkeys((0, 2, 3), 0.0),
    }
    seen = watched(cast(Bench, Stored(series)), tabular, tabular.truth("empty_mask"), "x", {})
    assert (seen.skipped, seen.ran, seen.began) == (3, 3, 0)
