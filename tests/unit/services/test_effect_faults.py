"""What a trainer tells may be anything: one command's fault is told of that command, and the others are judged."""

from math import nan
from pathlib import Path

import numpy as np
import pytest

from effects_world import AT, NAMES, world
from lossguard_server.services.effects.effects import RETRY_S
from lossguard_server.services.effects.evidence import Answer, Evidence
from lossguard_server.services.effects.robust import Samples, change, log_ratio, samples_needed


@pytest.mark.parametrize("new", [2**64 - 1, -(2**63), 2**53 + 2, -1])
def test_a_rollback_to_no_step_at_all_is_judged_where_it_was_told(tmp_path: Path, new: int) -> None:
    with world(tmp_path) as run:
        run.apply("rollback", old=AT + 100, new=new)
        run.train(AT, AT + 60)
        effect = run.effect()
        assert (effect["at_step"], effect["steps"]) == (AT, 50)


class Faulty:
    """Evidence that fails for one command."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence

    def look(self, command_id: str) -> Answer:
        if command_id == "c1":
            raise OverflowError("int too big to convert")
        return self.evidence.look(command_id)


def test_the_fault_of_one_command_is_logged_and_told_and_the_others_are_judged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with world(tmp_path) as run:
        run.apply("set_clip", args={"value": 1.0})
        run.apply(number=2)
        run.train(AT, AT + 60, weight=0.001)
        run.effects._evidence = Faulty(run.effects._evidence)  # type: ignore[assignment, arg-type]
        assert [each["id"] for each in run.tick()] == ["c2"]
        assert "command c1 of run r1 cannot be judged" in caplog.text
        run.store.clock.now_s += 1.0
        effect = run.effect()
        assert (effect["verdict"], effect["decided"], effect["at_step"]) == ("no effect", False, AT)
        assert effect["text"] == "Not judged: the server failed on it (OverflowError)."
        run.store.clock.now_s += RETRY_S
        assert run.tick() == []
        run.restart()
        assert run.tick() == [], "it is not tried again after a start"


def test_values_beside_a_tiny_usual_magnitude_are_compared() -> None:
    values = np.full(50, -1e308)
    values[:26] = -1e-310
    side = Samples(np.arange(50), values)
    found = change(side, Samples(np.arange(50, 100), values))
    assert found is not None
    assert np.isfinite([found.log_ratio, found.noise, found.low, found.high]).all()
    assert samples_needed(side) >= 0


@pytest.mark.parametrize(("one", "other", "ratio"), [(1e308, 1e-308, -1418.4), (1e-308, 1e308, 1418.4), (2.0, 2.0, 0)])
def test_a_ratio_that_is_no_number_has_a_logarithm(one: float, other: float, ratio: float) -> None:
    assert log_ratio(one, other) == pytest.approx(ratio, abs=0.1)


@pytest.mark.parametrize(("one", "other"), [(0.0, 1.0), (1.0, -1.0), (nan, 1.0), (1.0, float("inf"))])
def test_what_has_no_logarithm_has_none(one: float, other: float) -> None:
    assert log_ratio(one, other) is None


def test_weights_that_moved_alone_are_no_merit(tmp_path: Path) -> None:
    with world(tmp_path) as run:
        run.apply("scale_weights", args={"factor": 0.1})
        run.train(AT, AT + 60, weight=0.001)
        effect = run.effect()
        assert effect["verdict"] == "no effect"
        assert effect["text"].startswith("The total went from 9.")
        assert effect["text"].endswith("which the new weights alone explain: no effect.")


def test_losses_that_rise_beneath_lower_weights_are_worse(tmp_path: Path) -> None:
    with world(tmp_path) as run:
        run.apply("go_to_stage", args={"stage": "early"})
        run.train(AT, AT + 60, weight=0.001, ce=6.0)
        effect = run.effect()
        assert effect["verdict"] == "worse", "6.7 is less than 9.2, and more than the 2.9 of the weights alone"
        assert effect["text"].endswith("which is more than the new weights explain: worse.")


def negative(first: int, weight: float) -> np.ndarray:
    noise = np.random.default_rng(first).standard_normal((2, 60))
    losses = np.array([[-5.0], [-100.0]]) * np.exp(0.02 * noise)
    weights = np.array([[1.0], [weight]]) * np.ones_like(losses)
    total = (losses * weights).sum(axis=0)
    return np.array([total, total, *losses, *weights])[: len(NAMES)]


@pytest.mark.parametrize(("weight", "decided"), [(0.005, False), (0.02, False), (0.01, True)])
def test_new_weights_on_a_total_below_zero_are_not_judged(tmp_path: Path, weight: float, decided: bool) -> None:
    with world(tmp_path) as run:
        run.apply("set_clip", step=AT, args={"value": 1.0}, number=1)
        run.put(AT, AT + 60, negative(AT, 0.01))
        run.judge()
        run.tick()
        run.apply("scale_weights", step=AT + 60, args={"factor": 0.5}, number=2)
        run.put(AT + 60, AT + 120, negative(AT + 60, weight))
        run.judge()
        effect = run.effect()
        assert (effect["verdict"], effect["decided"]) == ("no effect", decided), effect["text"]
        assert effect["text"].startswith("Not judged: the weights changed") != decided
