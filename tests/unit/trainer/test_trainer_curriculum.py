"""Stages, ramps, and what cannot be meant so."""

import math
from collections.abc import Callable

import numpy as np
import pytest

import lossguard as lg
from lossguard.protocol.frames import MAX_STEP
from lossguard.protocol.messages import RampSpec, StageSpec

CURRICULUM = lg.Curriculum(
    lg.Stage("ce only", weights={"ce": 1.0}),
    lg.Stage("fragments", start=100, weights={"ce": 1, "spectrum": lg.ramp(0.0, 0.1, 50)}),
    lg.Stage("precursor", start=200, weights={"ce": 1.0, "spectrum": 0.15, "precursor": -0.01}),
)


@pytest.mark.parametrize(
    ("step", "stage", "weights"),
    [
        (-1, 0, {"ce": 1.0, "spectrum": 0.0, "precursor": 0.0}),
        (0, 0, {"ce": 1.0, "spectrum": 0.0, "precursor": 0.0}),
        (99, 0, {"ce": 1.0, "spectrum": 0.0, "precursor": 0.0}),
        (100, 1, {"ce": 1.0, "spectrum": 0.0, "precursor": 0.0}),
        (125, 1, {"ce": 1.0, "spectrum": 0.05, "precursor": 0.0}),
        (150, 1, {"ce": 1.0, "spectrum": 0.1, "precursor": 0.0}),
        (199, 1, {"ce": 1.0, "spectrum": 0.1, "precursor": 0.0}),
        (200, 2, {"ce": 1.0, "spectrum": 0.15, "precursor": -0.01}),
        (10**9, 2, {"ce": 1.0, "spectrum": 0.15, "precursor": -0.01}),
    ],
)
def test_weights_at_the_boundaries(step: int, stage: int, weights: dict[str, float]) -> None:
    assert CURRICULUM.stage_index(step) == stage
    assert CURRICULUM.weights_at(step) == weights
    assert CURRICULUM.components == ("ce", "spectrum", "precursor")


def test_a_ramp_is_exact_at_its_ends_and_between_them_everywhere() -> None:
    down = lg.ramp(0.3, 0.1, 7)
    assert (down.at(0), down.at(7), down.at(8)) == (0.3, 0.1, 0.1)
    values = [down.at(i) for i in range(8)]
    assert values == sorted(values, reverse=True)
    assert lg.ramp(0.0, 1.0, 1).at(0) == 0.0
    assert lg.ramp(0.0, 1.0, 1).at(1) == 1.0


def test_the_highest_weight_is_the_largest_magnitude_planned_anywhere() -> None:
    assert CURRICULUM.highest_weight("spectrum") == 0.15
    assert CURRICULUM.highest_weight("precursor") == 0.01
    assert lg.Curriculum(lg.Stage("a", weights={"x": lg.ramp(-3, 1, 5)})).highest_weight("x") == 3.0


def test_a_stage_crosses_the_wire_as_it_was_meant() -> None:
    assert CURRICULUM.stages[1].spec() == StageSpec("fragments", 100, {"ce": 1.0, "spectrum": RampSpec(0.0, 0.1, 50)})


def test_whole_numbers_of_other_types_are_numbers() -> None:
    stage = lg.Stage("a", start=np.int64(0), weights={"x": np.float64(0.5)})  # type: ignore[arg-type]
    assert (stage.start, type(stage.start), type(stage.weights["x"])) == (0, int, float)
    assert lg.Stage("b", start=1e4, weights={"x": 1}).start == 10_000  # type: ignore[arg-type]


def test_a_constant_plan_is_one_stage() -> None:
    assert lg.Curriculum.constant({"ce": 1, "aux": 0.1}).weights_at(5) == {"ce": 1.0, "aux": 0.1}


FAULTS: dict[str, tuple[Callable[[], object], str]] = {
    "no stage": (lambda: lg.Curriculum(), "takes at least one lg.Stage"),
    "no weights": (lambda: lg.Stage("a"), "Stage 'a' has no weights; name at least one component"),
    "first stage late": (
        lambda: lg.Curriculum(lg.Stage("a", start=5, weights={"x": 1})), "'a', starts at 5; it must start at 0"
    ),
    "stages out of order": (
        lambda: lg.Curriculum(*(lg.Stage(n, start=s, weights={"x": 1}) for n, s in [("a", 0), ("b", 9), ("c", 9)])),
        "Stage 'c' starts at 9, not after 'b' at 9",
    ),
    "one name twice": (
        lambda: lg.Curriculum(lg.Stage("a", weights={"x": 1}), lg.Stage("a", start=2, weights={"x": 1})),
        "Two stages have one name: a, a",
    ),
    "name empty": (lambda: lg.Stage("", weights={"x": 1}), "cannot be named '': it is empty"),
    "name no text": (lambda: lg.Stage(3, weights={"x": 1}), "cannot be named 3: it is not a text"),  # type: ignore[arg-type]
    "component with a newline": (lambda: lg.Stage("a", weights={"x\n": 1}), r"component 'x\\n': it contains a control"),
    "component no text": (lambda: lg.Stage("a", weights={1: 1.0}), "component 1: it is not a text"),  # type: ignore[dict-item]
    "component whose series is too long": (lambda: lg.Stage("a", weights={"x" * 500: 1}), "it has 513 bytes"),
    "component total": (lambda: lg.Stage("a", weights={"total": 1}), "that name is kept for the sum"),
    "weight NaN": (lambda: lg.Stage("a", weights={"x": math.nan}), "'x': a weight is a finite number, not nan"),
    "weight infinite": (lambda: lg.Stage("a", weights={"x": math.inf}), "a finite number, not inf"),
    "weight bool": (lambda: lg.Stage("a", weights={"x": True}), "a finite number, not True"),
    "weight text": (lambda: lg.Stage("a", weights={"x": "1"}), "a finite number, not '1'"),  # type: ignore[dict-item]
    "weight beyond float64": (lambda: lg.Stage("a", weights={"x": 10**400}), "a weight is a finite number"),
    "ramp of no steps": (lambda: lg.ramp(0, 1, 0), "a whole number of steps from 1, not 0"),
    "ramp of half a step": (lambda: lg.ramp(0, 1, 2.5), "a whole number of steps from 1, not 2.5"),  # type: ignore[arg-type]
    "ramp of text": (lambda: lg.ramp(0, 1, "5"), "a whole number of steps from 1, not '5'"),  # type: ignore[arg-type]
    "ramp made by hand": (lambda: lg.Stage("a", weights={"x": lg.Ramp(0.0, math.inf, 5)}), "lg.ramp end: .* not inf"),
    "ramp to NaN": (lambda: lg.ramp(0, math.nan, 5), "lg.ramp end: a weight is a finite number, not nan"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "text"), FAULTS.values(), ids=FAULTS.keys())
def test_what_cannot_be_meant_so_is_said_at_once(make: Callable[[], object], text: str) -> None:
    with pytest.raises(lg.ConfigError, match=text):
        make()


@pytest.mark.parametrize("start", [-1, 0.5, math.nan, math.inf, True, None, "0", MAX_STEP + 1, 10**400])
def test_a_start_is_a_step_number(start: object) -> None:
    with pytest.raises(lg.ConfigError, match="a start is a step number from 0"):
        lg.Stage("a", start=start, weights={"x": 1})  # type: ignore[arg-type]
