"""lg.preflight on a small model: what it measures, and that it leaves everything as it was."""

import copy
import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import lossguard as lg
from lossguard.random_states import RandomStates

Losses = Callable[[Tensor], dict[str, Tensor]]


def a_model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1))


def batches(count: int = 3) -> list[Tensor]:
    return [torch.randn(6, 4, generator=torch.Generator().manual_seed(seed)) for seed in range(count)]


def noisy(model: nn.Module) -> Losses:
    """Everything that a look could disturb: it draws, changes modes, buffers and a buffer's home."""

    def losses(batch: Tensor) -> dict[str, Tensor]:
        random.random()
        np.random.rand()
        model.train()
        said = model(batch)
        model[3].eval()
        model[1].running_mean = model[1].running_mean + 1.0
        return {"ce": said.square().mean(), "aux": 100 * said.abs().mean()}

    return losses


def bits(tensor: Tensor) -> bytes:
    return tensor.detach().numpy().tobytes()


def test_nothing_is_left_behind() -> None:
    model = a_model()
    model.eval()
    model[1].running_var[0] = math.nan
    model[0].weight.grad = torch.full_like(model[0].weight, 0.25)
    buffers = dict(model.named_buffers())
    before = {name: bits(each) for name, each in model.state_dict().items()}
    states = RandomStates.take()
    lg.preflight(noisy(model), batches(), model=model, weights={"ce": 1.0, "aux": 0.01})
    assert {name: bits(each) for name, each in model.state_dict().items()} == before
    assert all(each is buffers[name] for name, each in model.named_buffers())  # the same tensors, not copies
    assert not any(module.training for module in model.modules())
    assert [p.grad is None for p in model.parameters()] == [False, *[True] * 5]
    assert torch.equal(model[0].weight.grad, torch.full_like(model[0].weight, 0.25))
    after = RandomStates.take()
    assert (after.python, after.as_hex()) == (states.python, states.as_hex())
    assert np.array_equal(after.numpy[1], states.numpy[1])
    assert after.numpy[2:] == states.numpy[2:]


def test_an_error_of_the_losses_leaves_everything_as_it_was_too() -> None:
    model, seen = a_model(), noisy
    before = {name: bits(each) for name, each in model.state_dict().items()}

    def broken(batch: Tensor) -> dict[str, Tensor]:
        seen(model)(batch)
        raise ValueError("the losses'")

    with pytest.raises(ValueError, match="the losses'"):
        lg.preflight(broken, batches(), model=model)
    assert {name: bits(each) for name, each in model.state_dict().items()} == before


def test_values_and_gradients_are_those_of_a_backward_pass() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    model[2].bias.requires_grad_(False)

    def losses(batch: Tensor) -> dict[str, Tensor]:
        said = model(batch)
        return {"ce": said.square().mean(), "aux": 100 * said.abs().mean()}

    with torch.no_grad():  # as a script may call it
        report = lg.preflight(losses, batches(), model=model, weights={"ce": 1.0, "aux": 0.01})
    raws, norms = [], []
    for batch in batches():
        twin = copy.deepcopy(model)
        aux = 100 * twin(batch).abs().mean()
        (0.01 * aux).backward()
        raws.append(aux.item())
        squares = [p.grad.double().square().sum().item() for p in twin.parameters() if p.grad is not None]
        norms.append(sum(squares) ** 0.5)
    aux = report.components[1]
    assert (aux.raw, aux.low, aux.high) == (sorted(raws)[1], min(raws), max(raws))
    assert report.stages[0].rows[1].grad_norm == pytest.approx(sorted(norms)[1], rel=1e-5)
    assert set(aux.groups) == {"0", "2"}


def test_groups_are_those_of_init() -> None:
    model = a_model()
    report = lg.preflight(lambda x: {"ce": model(x).mean()}, batches(), model=model, groups={"body": ["0", "1"]})
    ce = report.components[0]
    assert set(ce.groups) == {"body", "other"}
    assert ce.grad_norm is not None
    assert 0 < max(ce.groups.values()) <= ce.grad_norm


def test_a_gradient_whose_square_overflows_float32_is_a_number() -> None:
    model = nn.Linear(4, 1)
    report = lg.preflight(lambda x: {"ce": 1e25 * model(x).mean()}, batches(), model=model)
    assert report.components[0].grad_norm == pytest.approx(1e25, rel=1.0)
    assert not report.ok


def test_what_is_not_finite_is_counted_and_the_rest_still_measured() -> None:
    model, given = nn.Linear(4, 1), batches(4)
    given[2] = given[2] * math.nan
    report = lg.preflight(lambda x: {"ce": model(x).mean()}, given, model=model)
    ce = report.components[0]
    assert (ce.seen, ce.nonfinite, ce.grad_nonfinite, math.isfinite(ce.raw)) == (4, 1, 1, True)
    assert not report.ok


@pytest.mark.parametrize("connected", [True, False])
def test_a_detached_loss_is_the_one_that_is_named(connected: bool) -> None:
    model = nn.Linear(2, 1)

    def losses(batch: Tensor) -> dict[str, Tensor]:
        said = model(batch).square().mean() + 2.0
        with torch.set_grad_enabled(connected):
            aux = model(batch).square().mean() + 3.0
        return {"ce": said, "aux": aux}

    report = lg.preflight(losses, [torch.ones(4, 2)] * 3, model=model, weights={"ce": 1.0, "aux": 0.4})
    kinds = [(found.kind, found.component) for found in report.stages[0].findings]
    assert kinds == ([] if connected else [("no_gradient", "aux")])
    assert [each.grad_zero for each in report.components] == [0, 0 if connected else 3]


def test_no_model_no_graph_and_numbers_are_looked_at_all_the_same() -> None:
    report = lg.preflight(lambda x: {"ce": x.mean() + 3, "aux": 0.0}, batches(9), n_batches=2)
    assert report.batches == 2
    assert [each.grad_norm for each in report.components] == [None, None]
    assert report.notes == ("No gradients were measured, because no trainable parameters are known.",)


def test_a_graph_that_goes_back_only_once_costs_the_gradients_and_nothing_else() -> None:
    class Once(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: object, grad: Tensor) -> Tensor:
            raise RuntimeError("only by .backward()\nand more")

    model = nn.Linear(4, 1)
    report = lg.preflight(lambda x: {"ce": Once.apply(model(x).square().mean())}, batches(), model=model)
    assert report.notes == ("Gradients could not be measured in this training: only by .backward()",)
    assert report.components[0].grad_norm is None
    assert report.ok


@pytest.mark.parametrize(
    ("losses", "more", "said"),
    [
        (lambda x: {"ce": x}, {}, r"'ce' has the shape \[6, 4\]"),
        (lambda x: x.mean(), {}, "returned a Tensor"),
        (lambda x: {"b": x.mean()}, {"weights": {"ce": 1.0}}, "'b', which no stage declares; declared are ce"),
        (lambda x: {"ce": x.mean()}, {"n_batches": 0}, "n_batches=0"),
        (lambda x: {}, {}, "no batch, or no loss"),
        (lambda x: {"ce": x.mean()}, {"model": "it"}, "a model of type str"),
        (lambda x: {}, {"weights": {"a": 1.0}, "curriculum": lg.Curriculum.constant({"a": 1.0})}, "not both"),
    ],
)
def test_what_cannot_be_meant_so_is_said(losses: Losses, more: dict[str, Any], said: str) -> None:
    with pytest.raises(lg.ConfigError, match=said):
        lg.preflight(losses, batches(), **more)
