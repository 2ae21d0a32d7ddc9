"""What the guard must also get right: several optimizers, odd buffers, optimizers that lie, steps that raise."""

import pytest
import torch
from torch import Tensor, nn

from lossguard.grad_norms import GradNorms
from lossguard.guard.guard import Guard, GuardOptions
from lossguard.guard.probe import ability_of
from lossguard.guard.shadow import BufferShadow
from lossguard.shield import Shield


def guard_of(model: nn.Module, *optimizers: torch.optim.Optimizer) -> tuple[Guard, GradNorms]:
    norms = GradNorms(model, optimizers, None)
    return Guard(GuardOptions(), optimizers, model, norms, list, Shield()), norms


def bits(*tensors: Tensor) -> list[bytes]:
    return [t.detach().reshape(-1).view(torch.uint8).numpy().tobytes() for t in tensors]


@pytest.mark.parametrize("fused", [True, False], ids=["device", "trip"])
def test_after_one_optimizer_tripped_the_others_of_the_step_are_held_back(fused: bool) -> None:
    a, b = nn.Linear(2, 1), nn.Linear(2, 1)
    optimizers = [torch.optim.SGD(each.parameters(), lr=0.1, fused=fused) for each in (a, b)]
    guard, _ = guard_of(nn.ModuleList([a, b]), *optimizers)
    assert {each.mode for each in guard.watched} == {"device" if fused else "trip"}
    guard.begin_step()
    before = bits(b.weight, b.bias)
    for each, scale in ((a, torch.nan), (b, 1.0)):
        (each(torch.ones(1, 2)).sum() * scale).backward()
    for optimizer in optimizers:
        optimizer.step()
    assert bits(b.weight, b.bias) == before
    assert bool(a.weight.isfinite().all())


def test_state_that_a_rollback_took_away_counts_as_missing_again() -> None:
    net = nn.Linear(2, 1)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.1, fused=True)
    guard, norms = guard_of(net, optimizer)

    def step(scale: float) -> None:
        guard.begin_step()
        norms.clear()
        (net(torch.ones(1, 2)).sum() * scale).backward()
        optimizer.step()
        optimizer.zero_grad()

    step(1.0)
    step(1.0)
    optimizer.state.clear()
    guard.state_was_replaced()
    step(torch.nan)
    assert not optimizer.state


def test_what_a_step_that_raised_left_behind_is_taken_away() -> None:
    net = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, fused=True)
    guard, _ = guard_of(net, optimizer)

    def fail(*_: object) -> None:
        raise RuntimeError("the user's own")

    hook = optimizer.register_step_pre_hook(fail)
    guard.begin_step()
    net(torch.ones(1, 2)).sum().backward()
    with pytest.raises(RuntimeError, match="the user's own"):
        optimizer.step()
    hook.remove()
    assert hasattr(optimizer, "found_inf")
    guard.begin_step()
    assert not hasattr(optimizer, "found_inf")


def test_an_optimizer_that_only_says_that_it_skips_is_found_out() -> None:
    class Liar(torch.optim.RMSprop):
        _step_supports_amp_scaling = True

    optimizer = Liar([nn.Parameter(torch.ones(2))], lr=0.1)
    ability = ability_of(optimizer)
    assert (ability.skips_on_device, ability.note) == (False, "Liar did not skip in a trial")


def test_an_optimizer_that_cannot_be_tried_goes_by_trip() -> None:
    class Odd(torch.optim.SGD):
        def __init__(self, params: list[Tensor], must: int) -> None:
            super().__init__(params, lr=0.1, fused=True)

    ability = ability_of(Odd([nn.Parameter(torch.ones(2))], 3))
    assert not ability.skips_on_device
    assert "a trial of Odd failed" in ability.note


def test_an_optimizer_without_parameters_is_no_error() -> None:
    net = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, fused=True)
    guard, _ = guard_of(net, optimizer)
    guard.begin_step()
    optimizer.step()  # no gradient anywhere
    assert not guard.verdicts.bad


class Buffers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mask", torch.full((2, 2), -torch.inf))
        self.register_buffer("count", torch.tensor(3))
        self.register_buffer("table", torch.arange(5))
        self.register_buffer("mean", torch.zeros(2))
        self.register_buffer("huge", torch.full((3,), 1e38))
        self.mean: Tensor


def test_a_buffer_that_is_infinite_from_the_start_is_no_fault() -> None:
    shadow = BufferShadow(Buffers())
    assert shadow.fault() is not None
    assert float(shadow.fault()) == 0.0  # type: ignore[arg-type]


def test_a_buffer_that_a_module_replaces_is_put_back_too() -> None:
    model = Buffers()
    shadow = BufferShadow(nn.Sequential(model))
    shadow.take()
    model.mean = torch.full((2,), torch.nan)
    assert not torch.isfinite(shadow.fault())  # type: ignore[arg-type]
    shadow.put_back()
    assert torch.equal(model.mean, torch.zeros(2))
    model.mean = torch.full((2,), torch.nan)
    shadow.put_back_where(torch.tensor(False))
    assert torch.isnan(model.mean).all()
    shadow.put_back_where(torch.tensor(True))
    assert torch.equal(model.mean, torch.zeros(2))


def test_a_parameter_group_that_joins_later_is_judged() -> None:
    net, late = nn.Linear(2, 1), nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    guard, norms = guard_of(net, optimizer)
    optimizer.add_param_group({"params": [late], "lr": 0.1})
    guard.begin_step()
    ((late * torch.nan).sum() + net(torch.ones(1, 2)).sum()).backward()
    net.weight.grad, net.bias.grad = torch.ones(1, 2), torch.ones(1)
    before = bits(net.weight, late)
    optimizer.step()
    assert bits(net.weight, late) == before
    assert norms.parameters[-1] == "outside.2"


def test_parameters_outside_the_model_are_their_own_group_and_not_clipped() -> None:
    net, balance = nn.Linear(2, 1), nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([*net.parameters(), balance], lr=0.1)
    _, norms = guard_of(net, optimizer)
    (balance * 3 + net(torch.ones(1, 2)).sum()).sum().backward()
    total = norms.to_clip_by(whole_model=True)
    assert total is not None
    assert torch.equal(total, torch.nn.utils.get_total_norm([p.grad for p in net.parameters() if p.grad is not None]))
    norms.of(optimizer)
    series = {name: float(value) for names, values in norms.series() for name, value in zip(names, values, strict=True)}
    assert series["grad_norm/outside"] == 3.0
    assert series["grad_norm/total"] == pytest.approx(float(total.square() + 9) ** 0.5)
