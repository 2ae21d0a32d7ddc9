"""The planned weights are a function of the declared stages and the step."""

import pytest

from lossguard.protocol.messages import RampSpec, StageSpec
from lossguard.protocol.stages import planned_weights, stage_index

STAGES = [
    StageSpec("ce only", 0, {"ce": 1.0}),
    StageSpec("both", 100, {"ce": 1.0, "aux": RampSpec(0.0, 0.5, 10)}),
    StageSpec("late", 200, {"aux": 0.5}),
]


@pytest.mark.parametrize(("step", "index"), [(-1, None), (0, 0), (99, 0), (100, 1), (199, 1), (200, 2), (10**9, 2)])
def test_the_stage_is_the_last_that_has_started(step: int, index: int | None) -> None:
    assert stage_index(STAGES, step) == index


@pytest.mark.parametrize(
    ("step", "ce", "aux"),
    [(0, 1.0, 0.0), (100, 1.0, 0.0), (105, 1.0, 0.25), (110, 1.0, 0.5), (150, 1.0, 0.5), (200, 0.0, 0.5)],
)
def test_weights_follow_constants_and_ramps(step: int, ce: float, aux: float) -> None:
    assert planned_weights(STAGES, ["ce", "aux"], step) == {"ce": ce, "aux": aux}


def test_nothing_is_planned_where_nothing_is_declared() -> None:
    assert stage_index([], 5) is None
    assert planned_weights([], ["ce"], 5) == {}
