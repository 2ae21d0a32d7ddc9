"""What a script allows: its checks, and what of it is declared."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

import lossguard as lg
from helpers import spooled
from lossguard.controls import Controls
from lossguard.protocol.messages import COMMAND_KINDS, ControlsSpec, Declaration
from lossguard.schedule import Schedule

CURRICULUM = lg.Curriculum(
    lg.Stage("a", weights={"ce": 1.0}),
    lg.Stage("b", start=10, weights={"ce": 1.0, "aux": lg.ramp(0.0, 0.4, 10)}),
)


@pytest.mark.parametrize(
    ("controls", "text"),
    [
        ({"kinds": ("pause", "explode")}, "allows 'explode'; known kinds are pause, resume, stop, set_weight, revert"),
        ({"weight_bounds": {"ce": (1, 0)}}, r"bounds 'ce' by \(1, 0\); give finite \(low, high\)"),
        ({"weight_bounds": {"ce": (0, math.inf)}}, "give finite"),
        ({"weight_bounds": {"ce": (math.nan, 1)}}, "give finite"),
        ({"weight_bounds": {"ce": (0,)}}, "give finite"),
        ({"weight_bounds": {"ce": ("0", "1")}}, "give finite"),
        ({"weight_bounds": {"ce": 5}}, "give finite"),
        ({"lr_scale_bounds": (-1, 1)}, r"lr_scale_bounds=\(-1, 1\); give finite \(low, high\) from 0"),
        ({"clip_bounds": (0, 1)}, r"clip_bounds=\(0, 1\); give finite \(low, high\) above 0"),
        ({"clip_bounds": (2, 1)}, "give finite"),
    ],
)
def test_controls_that_cannot_be_meant_so(controls: dict[str, Any], text: str) -> None:
    with pytest.raises(lg.ConfigError, match=text):
        Controls(**controls)


def test_bounds_of_an_unknown_component_are_refused() -> None:
    with pytest.raises(lg.ConfigError, match="bounds 'nope', which no stage declares; declared are ce, aux"):
        Controls(weight_bounds={"nope": (0, 1)}).spec(Schedule(CURRICULUM))


def test_every_component_has_bounds() -> None:
    spec = Controls(weight_bounds={"ce": (0.5, 2)}, clip_bounds=(1, 2)).spec(Schedule(CURRICULUM))
    assert spec.weight_bounds == {"ce": (0.5, 2.0), "aux": (0.0, 4.0)}
    assert (spec.kinds, spec.lr_scale_bounds, spec.clip_bounds) == (list(COMMAND_KINDS), (0.0, 10.0), (1.0, 2.0))
    assert Controls().spec(Schedule(lg.Curriculum.constant({"x": 0.001}))).weight_bounds == {"x": (0.0, 1.0)}


def declared(folder: Path, **init: Any) -> ControlsSpec:
    lg.init(mode="offline", dir=folder, **init).finish()
    (declaration,) = [message for message in spooled(folder) if isinstance(message, Declaration)]
    return declaration.controls


def test_what_nobody_could_do_is_not_declared(tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    nothing = set(COMMAND_KINDS) - set(declared(tmp_path / "a").kinds)
    assert nothing == {"rollback", "checkpoint", "set_lr_scale", "hold_stage", "release_stage", "go_to_stage"}
    everything = declared(
        tmp_path / "b", model=model, optimizer=optimizer, curriculum=CURRICULUM, checkpoint=lambda step: None
    )
    assert everything.kinds == list(COMMAND_KINDS)
