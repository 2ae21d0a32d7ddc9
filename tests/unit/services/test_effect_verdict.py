"""The verdict on a command: a table of what two stretches of a run may look like, and what is said of each."""

from dataclasses import replace
from math import inf, nan
from typing import Any

import numpy as np
import pytest

from lossguard_server.services.effects.robust import Samples
from lossguard_server.services.effects.stretch import Mark, Stretch
from lossguard_server.services.effects.verdict import Alerts, Answered, Case, Effect, Sides, judge

SPAN = Stretch(1200, 1150, 1200, 1250)
NOTHING = Samples(np.empty(0, np.int64), np.empty(0))
NONE = Sides(NOTHING, NOTHING)


def noisy(level: float, spread: float = 0.05, seed: int = 0, n: int = 50, way: float = 0.0) -> list[float]:
    """`way`: how much of itself it grows by at each step."""
    noise = np.random.default_rng(seed).standard_normal(n)
    return [float(each) for each in level * np.exp(spread * noise + way * np.arange(n))]


def sides(before: list[float], after: list[float]) -> Sides:
    return Sides(*(Samples(np.arange(at, at + len(each)), np.array(each)) for at, each in
                   ((1200 - len(before), before), (1200, after))))  # fmt: skip


def lowered(share: Sides, total: Sides, **more: Any) -> Case:
    return Case("set_weight", SPAN, total, more.pop("grad_norm", NONE), "aux", -1, share, **more)


def general(kind: str, total: Sides, **more: Any) -> Case:
    return Case(kind, SPAN, total, more.pop("grad_norm", NONE), **more)


FIRED, OVER = Alerts((1, 1), (1, 1), (), Answered("r", None)), Alerts((1, 0), (1, 0), (), Answered("r", 1230))
FELL, STAYED = sides(noisy(0.71), noisy(0.24, seed=1)), sides(noisy(0.7), noisy(0.71, seed=1))
CALM, ROSE = sides(noisy(9.2, seed=2), noisy(3.5, seed=3)), sides(noisy(2.1, seed=2), noisy(5.6, seed=3))
LEVEL = sides(noisy(2.1, seed=2), noisy(2.1, seed=3))
BROKEN = [*noisy(2.0, n=30), *[nan] * 20]
MEAN_OF_NONE = [nan] * 49  # tabular's empty_mask: the mean over no position, at every step

CASES: list[tuple[str, Case, str, str]] = [
    ("a lower weight ends a dominance", lowered(FELL, CALM, alerts=OVER), "worked",
     "The share of aux went from 71 % to 24 % in 50 steps, the total went from 9.27 to 3.48, the alert ended at step "
     "1,230: worked."),
    ("and without an alert", lowered(FELL, CALM), "worked", "The share of aux went from 71 % to 24 % in 50 steps"),
    ("one that does nothing", lowered(STAYED, LEVEL), "no effect", "which is within its noise: no effect."),
    ("the same beneath much noise", lowered(sides(noisy(0.3, 0.6), noisy(0.25, 0.6, 1)), LEVEL), "no effect",
     "within its noise"),
    ("the total rises", lowered(FELL, ROSE), "worse", "the total went from 2.12 to 5.57: worse."),
    ("a larger weight makes the total larger, as was asked",
     Case("set_weight", SPAN, ROSE, NONE, "aux", 1, sides(noisy(0.1), noisy(0.65, seed=1)), np.log(5.6 / 2.1)),
     "worked", "The share of aux went from 10 % to 65 %"),
    ("but not by so much",
     Case("set_weight", SPAN, ROSE, NONE, "aux", 1, sides(noisy(0.1), noisy(0.65, seed=1)), np.log(1.5)), "worse",
     "which is more than the new weights explain"),
    ("its share went the other way", lowered(sides(noisy(0.3), noisy(0.6, seed=1)), LEVEL), "worse",
     "although its weight was lowered: worse."),
    ("its alert is still open", lowered(FELL, CALM, alerts=FIRED), "no effect", "the alert is still open: no effect."),
    ("its alert is over, though the total rose", lowered(FELL, ROSE, alerts=OVER), "worked", "the alert ended"),
    ("a new critical alert counts before that",
     lowered(FELL, CALM, alerts=Alerts((1, 1), (1, 1), (("nonfinite", 1210),), Answered("r", 1230))), "worse",
     "a critical alert (nonfinite) began at step 1,210: worse."),
    ("not finite since", lowered(FELL, sides(noisy(2.0), BROKEN)), "worse",
     "The total broke (20 of 50 rows are not finite) in 50 steps: worse."),
    ("not finite before", general("set_lr_scale", sides(BROKEN, noisy(2.0, seed=1))), "worked",
     "The total recovered (20 of 50 rows before were not finite) in 50 steps: worked."),
    ("a stage in which there is something to learn, while a rule still counts the rows before it",
     general("go_to_stage", sides(MEAN_OF_NONE, noisy(1.42, 0.3)), alerts=FIRED), "worked",
     "The total recovered (49 of 49 rows before were not finite) in 50 steps, the alert is still open: worked."),
    ("and when that is over", general("go_to_stage", sides(MEAN_OF_NONE, noisy(1.42, 0.3)), alerts=OVER), "worked",
     "The total went from not finite to 1.4"),
    ("a mask that was empty now and then, and a total that was lower for it",
     general("go_to_stage", sides([nan, 0.05] * 25, noisy(0.88, 0.3)), alerts=FIRED), "worked", "25 of 50 rows before"),
    ("a few rows not finite before, and a total that explodes",
     general("set_lr_scale", sides([*noisy(2.0, n=44), *[nan] * 6], noisy(1e9, seed=1))), "worse",
     "The total went from 2 to 1e+09 in 50 steps: worse."),
    ("a few rows not finite before, and a gradient that doubles",
     general("set_clip", sides([*noisy(2.0, n=44), *[nan] * 6], noisy(2.0, seed=1)),
             grad_norm=sides(noisy(2.0), noisy(5.0, seed=1))), "worse", "the gradient norm went from"),
    ("a few rows not finite before, and all is well since, while the alert is open",
     general("set_clip", sides([*noisy(2.0, n=44), *[nan] * 6], noisy(2.0, seed=1)), alerts=FIRED), "worked",
     "The total recovered (6 of 50 rows before were not finite) in 50 steps, the alert is still open: worked."),
    ("not finite before, and something else is critical now",
     general("go_to_stage", sides(MEAN_OF_NONE, noisy(1e9)), alerts=Alerts((2, 2), (2, 2), (("loss_jump", 1210),))),
     "worse", "a critical alert (loss_jump) began"),
    ("a total that falls, while what the command was to mend goes on",
     general("go_to_stage", sides(noisy(3.15, n=8), noisy(0.248)), alerts=FIRED), "no effect", "alert is still open"),
    ("the same, and it is mended", general("go_to_stage", sides(noisy(3.15, n=8), noisy(0.248)), alerts=OVER), "worked",
     "The total went from 3.1"),
    ("not finite, before and after, while the alert is open",
     general("go_to_stage", sides(MEAN_OF_NONE, BROKEN), alerts=FIRED), "no effect", "still open: no effect."),
    ("not finite, before and after", general("set_clip", sides(BROKEN, BROKEN)), "no effect", "stayed not finite"),
    ("all of it not finite", general("set_clip", sides([inf] * 50, [nan] * 50)), "no effect", "stayed not finite"),
    ("a single value that is not finite decides nothing",
     general("set_clip", sides(noisy(2.0), [*noisy(2.0, n=49), nan])), "no effect", "within its noise"),
    ("a lower learning rate calms the gradient",
     general("set_lr_scale", LEVEL, grad_norm=sides(noisy(20.0), noisy(4.0, seed=1))), "worked",
     "the gradient norm went from 20.1 to 4.01: worked."),
    ("weights that grew hid that the gradient was falling",
     general("hold_stage", sides(noisy(2.0), noisy(2.7, seed=1)), grad_norm=sides(noisy(20.0), noisy(15.0, seed=1)),
             by_weights=0.3), "no effect", "which the new weights alone explain: no effect."),
    ("the gradient doubles", general("set_clip", LEVEL, grad_norm=sides(noisy(2.0), noisy(5.0, seed=1))), "worse",
     "the gradient norm went from"),
    ("a stage held, and alerts end", general("hold_stage", LEVEL, alerts=Alerts((2, 1))), "worked",
     "of 2 open alerts 1 are left: worked."),
    ("what falls by itself goes on falling",
     general("set_lr_scale", sides(noisy(9.0, 0.01, way=-0.02), noisy(9.0 * np.exp(-1.0), 0.01, 1, way=-0.02))),
     "no effect", "as it was going before: no effect."),
    ("what rises by itself goes on rising",
     general("set_lr_scale", sides(noisy(1.0, 0.01, way=0.02), noisy(np.exp(1.0), 0.01, 1, way=0.02))), "no effect",
     "as it was going before"),
    ("a rollback to a level that holds", general("rollback", LEVEL), "worked",
     "before step 1,200, where it went back to, to 2.09 in 50 steps: worked."),
    ("a rollback after which it rises again", general("rollback", ROSE), "no effect",
     "The total rose again, from 2.12"),
    ("a rollback whose alert fires again", general("rollback", LEVEL, alerts=FIRED), "no effect", "still open"),
    ("a share that was taken away whole",
     Case("gate", SPAN, CALM, NONE, "aux", -1, sides(noisy(0.7), [0.0] * 50)), "worked", "went from 70 % to 0 %"),
    ("a share too small to matter", lowered(sides(noisy(4e-4), noisy(1e-4, seed=1)), LEVEL), "no effect",
     "too small a share to matter"),
    ("a weight that is what it was",
     Case("set_weight", SPAN, LEVEL, NONE, "aux", 0, sides(noisy(0.3), noisy(0.5, seed=1))), "no effect",
     "its weight is what it was"),
    ("losses below zero", general("set_clip", sides(noisy(-5.0), [-each for each in noisy(9.0, seed=1)])), "worked",
     "The total went from -5.0"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "verdict", "words"), [each[1:] for each in CASES], ids=[each[0] for each in CASES])
def test_the_table(case: Case, verdict: str, words: str) -> None:
    effect = judge(case)
    assert (effect.verdict, effect.decided) == (verdict, True), effect.text
    assert words in effect.text
    assert effect.text.endswith(f": {verdict}.")
    assert (effect.at_step, effect.steps) == (1200, 50)


UNDECIDED: list[tuple[str, Case, str]] = [
    ("the run went back", lowered(FELL, CALM, undone="the run went back to step 1,150"),
     "Not judged: the run went back to step 1,150."),
    ("a stage began at once",
     Case("set_clip", Stretch(1200, 1150, 1200, 1203, Mark(1203, "stage 'late' began at step 1,203")),
          sides(noisy(2.0), [9.0] * 3), NONE),
     "Not judged: 3 steps after it are too few to tell from, because stage 'late' began at step 1,203."),
    ("a lease that is too short", Case("set_clip", Stretch(1200, 1150, 1200, 1205), sides(noisy(2.0), [9.0] * 5), NONE),
     "Not judged: 5 steps after it are too few to tell from."),
    ("too little before it", Case("set_clip", Stretch(1200, 1197, 1200, 1250), sides([1.0] * 3, noisy(2.0)), NONE),
     "Not judged: the 3 steps before it are too few to compare with."),
    ("weights that changed, of a total that broke now and then and is below zero",
     general("go_to_stage", sides([*noisy(2.0, n=44), *[nan] * 6], [-each for each in noisy(2.0)]), by_weights=None),
     "Not judged: the weights changed, and what they make of a total that is not positive cannot be told."),
    ("nothing is measured", general("set_clip", NONE), "Not judged: 50 steps after it are too few to tell from."),
]  # fmt: skip


@pytest.mark.parametrize(("case", "words"), [each[1:] for each in UNDECIDED], ids=[each[0] for each in UNDECIDED])
def test_what_cannot_be_told_is_no_effect_and_says_why(case: Case, words: str) -> None:
    effect = judge(case)
    assert (effect.verdict, effect.decided, effect.text) == ("no effect", False, words)


def test_an_alert_that_ended_is_enough_where_a_lease_was_short() -> None:
    few = Case("set_clip", Stretch(1200, 1150, 1200, 1205), sides(noisy(2.0), [9.0] * 5), NONE, alerts=OVER)
    assert judge(few).text == "The total went from 2.01 to 9 in 5 steps, the alert ended at step 1,230: worked."


def test_what_cut_the_stretch_short_is_said() -> None:
    cut = Stretch(1200, 1150, 1200, 1230, Mark(1230, "command 8 (set_clip) was applied at step 1,230"))
    case = Case("set_clip", cut, sides(noisy(9.0), noisy(2.0, seed=1, n=30)), NONE)
    assert "in 30 steps (until command 8 (set_clip) was applied at step 1,230): worked." in judge(case).text


def test_the_numbers_are_medians() -> None:
    case = lowered(
        FELL, sides([*noisy(2.0, n=49), nan], [inf] * 50), grad_norm=sides([1.0] * 9, [2.0] * 9), alerts=OVER
    )
    numbers = judge(case).to_dict()["numbers"]
    assert numbers["share"]["aux"] == pytest.approx([np.median(noisy(0.71)), np.median(noisy(0.24, seed=1))])
    assert numbers["total"][0] == pytest.approx(np.median(noisy(2.0, n=49)))
    assert np.isnan(numbers["total"][1])
    assert (numbers["grad_norm"], numbers["alerts"], numbers["critical"]) == ([1.0, 2.0], [1, 0], [1, 0])
    assert numbers["not_finite"] == [1, 50]


@pytest.mark.parametrize("broken", [0.12, 0.48, 0.5, 1.0])
@pytest.mark.parametrize("level", [1e-6, 0.876, 40.0])
@pytest.mark.parametrize("alerts", [Alerts(), FIRED, OVER])
@pytest.mark.parametrize("kind", ["go_to_stage", "set_lr_scale", "set_clip", "hold_stage"])
def test_what_was_not_finite_and_is_has_worked_unless_it_rose_from_a_level_that_was_known(
    kind: str, alerts: Alerts, level: float, broken: float
) -> None:
    before = np.where(np.arange(50) < 50 * broken, nan, noisy(2.0)).tolist()
    after = [nan, *noisy(level, n=49, seed=1)]
    is_rise = level > 2.0 and broken < 0.5 and alerts is not OVER
    assert judge(general(kind, sides(before, after), alerts=alerts)).verdict == ("worse" if is_rise else "worked")
    assert judge(general(kind, sides(after, before), alerts=replace(alerts, answered=None))).verdict == "worse"


def wandering(seed: int, correlation: float, spread: float) -> list[float]:
    """600 steps of a loss that falls by 0.1 % a step and wanders."""
    noise, found, at = np.random.default_rng(seed).standard_normal(600), list[float](), 0.0
    for step, each in enumerate(noise.tolist()):
        at = correlation * at + spread * np.sqrt(1 - correlation**2) * each
        found.append(float(3.0 * np.exp(at - 0.001 * step)))
    return found


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.8])
@pytest.mark.parametrize("spread", [0.02, 0.1, 0.5])
def test_a_command_that_does_nothing_is_nearly_never_said_to_do_something(correlation: float, spread: float) -> None:
    def of(run: list[float]) -> Effect:
        past = Samples(np.arange(650, 1200), np.array(run[:550]))
        return judge(general("set_clip", replace(sides(run[500:550], run[550:]), past=past)))

    verdicts = [of(wandering(seed, correlation, spread)).verdict for seed in range(200)]
    assert verdicts.count("no effect") >= 190, verdicts
