"""R3: a stage is compared with what was predicted of it."""

import numpy as np
import pytest

from lossguard.protocol.messages import RampSpec
from lossguard_server.rules import stage_mismatch
from lossguard_server.rules.alert import AlertChange
from unit.rules.rule_world import Trace, noisy
from unit.rules.stage_world import curriculum, fired, same_for_every_cut, told, trained

RULE = stage_mismatch.rule()
START, N = 100, 220
STAGES = curriculum({"ce": 1.0}, {"ce": 1.0, "precursor": 0.01}, every=START)


def after(start: int, before: float, then: float, n: int = N, sigma: float = 0.05, seed: int = 1) -> np.ndarray:
    return noisy(np.where(np.arange(n) < start, before, then), n, sigma, seed)


def changes_of(trace: Trace) -> list[AlertChange]:
    return told(trace, STAGES, RULE)


def test_a_stage_whose_component_turns_out_otherwise_is_paged() -> None:
    """Predicted 2.2 + 0.01 * 10 = 2.3, got 9.2, because the raw loss is 700 once it counts."""
    trace = trained(STAGES, {"ce": noisy(2.2, N, 0.05), "precursor": after(START, 10.0, 700.0)})
    fire, end = changes_of(trace)
    assert fired([fire, end]) == [("fired", "loss/total", "critical"), ("resolved", "loss/total", "critical")]
    alert = fire.alert
    assert (alert.step, alert.last_step, alert.component) == (START, START + 4, "precursor")
    assert alert.message.startswith(
        "Stage 'stage 2' of step 100 did not do what was predicted: predicted 2.25, got 9.74."
    )
    assert alert.evidence["predicted"] == pytest.approx(2.3, rel=0.05)
    assert alert.blame is not None
    top = alert.blame["parts"][0]
    assert (top["component"], top["cause"]) == ("precursor", "loss")
    assert sum(part["percent"] for part in alert.blame["parts"]) == 100
    assert alert.remedy is not None
    assert alert.remedy["args"]["component"] == "precursor"
    assert end.alert.last_step == START + 19  # later it is no matter of the stage


def test_a_stage_that_stays_far_below_is_shown() -> None:
    """The component pays 0.05 where 7 was predicted: it is not what was evaluated before."""
    trace = trained(STAGES, {"ce": noisy(2.2, N, 0.05), "precursor": after(START, 700.0, 5.0)})
    assert fired(changes_of(trace))[0] == ("fired", "loss/total", "warning")


def test_what_a_person_sets_is_compared_too() -> None:
    trace = trained(
        curriculum({"ce": 1.0, "precursor": 0.0}), {"ce": noisy(2.2, N), "precursor": after(150, 10.0, 700.0)}
    )
    trace["weight/precursor"] = np.where(np.arange(N) < 150, 0.0, 0.01)
    trace["loss/total"] = trace["loss/ce"] + trace["weight/precursor"] * trace["loss/precursor"]
    fire, _ = changes_of(trace)
    assert fire.alert.message.startswith("The new weights of step 150 did not do")


def test_however_the_rows_are_cut_it_says_the_same() -> None:
    trace = trained(STAGES, {"ce": noisy(2.2, N, 0.05), "precursor": after(START, 10.0, 700.0)})
    assert same_for_every_cut(trace, STAGES, RULE)


# -- quiet ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("raw", [0.5, 100.0, 700.0, 7e6])
def test_a_stage_that_does_what_was_predicted_is_quiet_whatever_its_jump(raw: float) -> None:
    assert changes_of(trained(STAGES, {"ce": noisy(2.2, N, 0.05), "precursor": noisy(raw, N, 0.1, 1)})) == []


def test_a_component_that_learns_at_once_is_quiet() -> None:
    learned = 700.0 * np.exp(-np.maximum(np.arange(N) - START, 0) / 8.0)
    assert changes_of(trained(STAGES, {"ce": noisy(2.2, N, 0.05), "precursor": noisy(learned, N, 0.05, 1)})) == []


@pytest.mark.parametrize("written", [0.0, np.nan])
def test_a_component_that_was_not_evaluated_makes_no_prediction(written: float) -> None:
    trace = trained(STAGES, {"ce": noisy(2.2, N, 0.05), "precursor": noisy(700.0, N, 0.05, 1)})
    trace["loss/precursor"][:START] = written
    assert changes_of(trace) == []


def test_a_noisy_total_is_given_its_own_unit() -> None:
    """1.6 times what was predicted: far for a total that varies by 5 %, nothing for one that varies by half."""
    for sigma, count in ((0.05, 2), (0.5, 0)):
        losses = {"ce": noisy(2.2, N, sigma), "precursor": after(START, 10.0, 150.0, sigma=sigma)}
        assert len(changes_of(trained(STAGES, losses))) == count


@pytest.mark.parametrize("kind", ["linear", "cosine"])
def test_a_ramp_of_weights_is_quiet(kind: str) -> None:
    n, steps = 600, np.arange(600)
    declaration = curriculum({"ce": 1.0}, {"ce": 1.0, "precursor": RampSpec(0.0, 0.01, 300)}, every=START)
    trace = trained(declaration, {"ce": noisy(2.2, n, 0.05), "precursor": noisy(700.0, n, 0.05, 1)})
    if kind == "cosine":
        trace["weight/precursor"] = 0.005 * (1 - np.cos(np.pi * np.clip((steps - START) / 300, 0, 1)))
        trace["loss/total"] = trace["loss/ce"] + trace["weight/precursor"] * trace["loss/precursor"]
    assert told(trace, declaration, RULE) == []


def test_a_jump_without_a_move_is_no_matter_of_this_rule() -> None:
    trace = trained(STAGES, {"ce": after(50, 2.2, 9.0, seed=0), "precursor": noisy(10.0, N, 0.05, 1)})
    assert changes_of({name: values[:START] for name, values in trace.items()}) == []
