"""A component that is gated is no part of the graph; what is left has the bits it would have alone."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import lossguard as lg
from helpers import events, points
from lossguard.protocol.messages import Command
from lossguard.weights import DeviceWeights
from tiny_training import Training, batches

VALUES = {"ce": 1.0, "aux": 0.1, "reg": 1e-7}


def losses(leaf: Tensor) -> dict[str, Tensor]:
    return {"ce": leaf.exp().mean(), "aux": (leaf * 37).square().sum(), "reg": (leaf * 0).log().sum()}


def gated(*names: str, **kwargs: Any) -> DeviceWeights:
    weights = DeviceWeights(list(VALUES), VALUES, **kwargs)
    weights.update({name: 0.0 if name in names else value for name, value in VALUES.items()}, frozenset(names))
    return weights


def test_nothing_of_a_gated_component_reaches_the_total_or_a_gradient() -> None:
    leaf = torch.linspace(-1, 1, 9).requires_grad_()
    given = losses(leaf)
    assert not given["reg"].isfinite()
    total = gated("reg").total(given)
    total.backward()
    alone = torch.linspace(-1, 1, 9).requires_grad_()
    by_hand = VALUES["ce"] * losses(alone)["ce"] + VALUES["aux"] * losses(alone)["aux"]
    by_hand.backward()
    assert torch.equal(total, by_hand)
    assert leaf.grad is not None
    assert alone.grad is not None
    assert torch.equal(leaf.grad, alone.grad)


def test_a_weight_of_zero_is_no_gate() -> None:
    weights = DeviceWeights(list(VALUES), {**VALUES, "reg": 0.0})
    assert weights.total(losses(torch.linspace(-1, 1, 9).requires_grad_())).isnan()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_where_all_are_gated_the_total_is_a_zero_whose_backward_gives_zeros(dtype: torch.dtype) -> None:
    parameters = [torch.nn.Parameter(torch.full((3,), math.inf)), torch.nn.Parameter(torch.ones(2))]
    parameters[1].requires_grad_(False)
    leaf = torch.linspace(-1, 1, 9, dtype=dtype).requires_grad_()
    total = gated(*VALUES, reached=lambda: parameters).total(losses(leaf))
    assert (total.item(), total.shape, total.dtype) == (0.0, (), dtype)
    total.backward()
    assert leaf.grad is None
    assert parameters[1].grad is None
    assert parameters[0].grad is not None
    assert torch.equal(parameters[0].grad, torch.zeros(3))


def test_without_parameters_and_without_gradients_the_zero_can_be_used_too() -> None:
    gated(*VALUES).total(losses(torch.ones(3).requires_grad_())).backward()
    assert not gated(*VALUES).total(losses(torch.ones(3))).requires_grad
    with torch.no_grad():
        assert gated(*VALUES).total(losses(torch.ones(3).requires_grad_())).item() == 0.0


def test_where_ranks_add_up_gradients_every_parameter_has_one() -> None:
    seen, hidden = torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(3))
    given = {"ce": seen.square().sum(), "aux": hidden.square().sum()}
    gated("aux", reached=lambda: [seen, hidden], is_reduced=True).total(given).backward()
    assert hidden.grad is not None
    assert torch.equal(hidden.grad, torch.zeros(3))
    assert seen.grad is not None
    assert torch.equal(seen.grad, torch.full((3,), 2.0))
    hidden.grad = None
    gated("aux", reached=lambda: [seen, hidden]).total({name: loss.clone() for name, loss in given.items()})
    assert hidden.grad is None, "alone, an optimizer leaves it as it is"


def test_what_is_wrong_with_a_gated_loss_is_said_all_the_same() -> None:
    with pytest.raises(lg.UnknownComponent):
        gated("aux").total({"aux": torch.ones(()), "auks": torch.ones(())})
    with pytest.raises(lg.NotAScalar):
        gated("aux").total({"ce": torch.ones(()), "aux": torch.ones(3)})


def close(training: Training, number: int, component: str, is_open: bool = False) -> None:
    assert training.run._loop.parts is not None
    command = Command(id=f"g{number}", number=number, kind="gate", args={"component": component, "open": is_open})
    training.run._loop.parts.controller.offer(command)


def test_a_gate_heals_a_run_whose_component_is_broken_and_goes_on_recording_it(spool_folder: Path) -> None:
    training = Training(spool_folder, bad_batches=range(5, 12))
    training.train(batches(12), after=lambda step: close(training, 1, "shape") if step == 7 else None)
    assert training.run.weights == {"fit": 1.0, "shape": 0.0}
    found = points(training.finish())
    told = training.finish()
    (applied,) = [event for event in events(told, "command") if event.data["state"] == "applied"]
    first = applied.step
    trips = [event.step for event in events(told, "trip")]
    assert trips
    assert max(trips) < first
    raw = dict(found["loss/shape"])
    assert all(math.isnan(raw[step]) or math.isinf(raw[step]) for step in range(first, 12) if step in raw)
    assert max(raw) >= first
    assert all(math.isfinite(value) for step, value in found["loss/total"] if step >= first)
    assert [value for step, value in found["weight/shape"] if step >= first] == [0.0] * (max(raw) - first + 1)


def test_all_gated_a_training_stands_still_and_a_grad_scaler_takes_it(spool_folder: Path) -> None:
    training = Training(spool_folder)
    close(training, 1, "fit")
    close(training, 2, "shape")
    scaler = torch.amp.GradScaler("cpu")
    for batch in training.run.steps(batches(3)):
        total = training.run.total(training.losses(batch))
        scaler.scale(total).backward()
        scaler.step(training.optimizer)
        scaler.update()
        training.optimizer.zero_grad()
        assert total.item() == 0.0
    training.finish()
