"""What the guard must also get right: several optimizers, odd buffers, optimizers that lie, steps that raise."""

import math
from collections.abc import Callable

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


def is_broken(shadow: BufferShadow) -> bool:
    return any(not math.isfinite(sign) for sign in shadow.fault())


def test_a_buffer_that_is_infinite_is_no_fault_and_one_that_is_nan_from_the_start_neither() -> None:
    model = Buffers()
    model.register_buffer("unset", torch.tensor([torch.nan, 1.0]))
    shadow = BufferShadow(model)
    assert shadow.fault()
    assert not is_broken(shadow)
    model.mean.fill_(-torch.inf)  # a mask that is made in the first forward
    shadow.take()
    assert not is_broken(shadow)
    model.mean[0] = torch.nan
    assert is_broken(shadow)


def test_a_buffer_that_a_module_replaces_is_put_back_too() -> None:
    model = Buffers()
    shadow = BufferShadow(nn.Sequential(model))
    shadow.take()
    model.mean = torch.full((2,), torch.nan)
    assert is_broken(shadow)
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


def batch_norm_world(optimizer_of: Callable[[nn.Module], torch.optim.Optimizer]) -> tuple[Guard, GradNorms, nn.Module]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    optimizer = optimizer_of(net)
    guard, norms = guard_of(net, optimizer)
    return guard, norms, net


@pytest.mark.parametrize("fused", [True, False], ids=["device", "trip"])
def test_buffers_that_were_broken_without_a_judged_step_do_not_stop_the_training(fused: bool) -> None:
    """A NaN micro-batch, a GradScaler's skip, a user's own `continue`, a NaN validation batch in train mode."""
    guard, norms, net = batch_norm_world(lambda net: torch.optim.SGD(net.parameters(), lr=0.1, fused=fused))
    (optimizer,) = [each.optimizer for each in guard.watched]
    moved = 0
    for step in range(6):
        guard.begin_step()
        norms.clear()
        x = torch.full((4, 3), torch.nan) if step == 2 else torch.randn(4, 3)
        loss = net(x).square().mean()
        if step == 2:
            continue
        loss.backward()
        before = bits(*net.parameters())
        optimizer.step()
        optimizer.zero_grad()
        moved += bits(*net.parameters()) != before
    assert moved == 5
    assert all(bool(b.isfinite().all()) for b in net.buffers())


def test_a_buffer_that_is_nan_on_purpose_can_be_left_alone() -> None:
    model = Buffers()
    shadow = BufferShadow(model)
    model.mean[0] = torch.nan
    assert is_broken(shadow)
    shadow.stop_judging()
    assert not is_broken(shadow)
    shadow.take()
    assert torch.isnan(model.mean[0])


class Shapes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(2)
        self.register_buffer("adjacency", torch.eye(3).to_sparse())
        self.register_buffer("wide", torch.zeros(1).expand(5))
        self.register_buffer("grown", torch.zeros(2))
        self.register_buffer("gone", torch.zeros(2))
        self.register_buffer("none", None)
        self.register_buffer("empty", torch.zeros(0))
        self.register_buffer("turned", torch.zeros(2, 3).T)
        self.lazy = nn.LazyBatchNorm1d()


def test_buffers_that_cannot_be_copied_are_left_out_and_those_that_change_do_not_disturb_the_others() -> None:
    model = Shapes()
    shadow = BufferShadow(model)
    for change in (
        lambda: None,
        lambda: model.register_buffer("grown", torch.zeros(7)),
        lambda: delattr(model, "gone"),
        lambda: setattr(model, "none", torch.ones(3)),
        lambda: model.lazy(torch.ones(2, 3)),
        lambda: model.double(),
    ):
        shadow.take()
        kept = model.norm.running_mean.clone()  # type: ignore[union-attr]
        model.norm.running_mean.fill_(torch.nan)  # type: ignore[union-attr]
        change()  # within the step that trips
        if model.norm.running_mean.dtype == kept.dtype:  # type: ignore[union-attr]
            assert is_broken(shadow)
            shadow.put_back()
            assert torch.equal(model.norm.running_mean, kept)  # type: ignore[arg-type]


def test_a_gradient_that_nobody_steps_is_measured_and_not_judged() -> None:
    """An optimizer of the head alone, whose zero_grad never clears the backbone's NaN."""
    body, head = nn.Linear(2, 2), nn.Linear(2, 1)
    optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
    guard, norms = guard_of(nn.Sequential(body, head), optimizer)
    body.weight.grad = torch.full((2, 2), torch.nan)
    guard.begin_step()
    head(torch.ones(1, 2)).sum().backward()
    before = bits(head.weight)
    optimizer.step()
    assert bits(head.weight) != before
    (total, *_) = [values for names, values in norms.series() if names == ["grad_norm/total"]]
    assert torch.isnan(total)


def test_a_part_that_takes_anothers_place_is_judged() -> None:
    net = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    guard, _ = guard_of(net, optimizer)
    fresh = nn.Parameter(torch.ones(1, 2))
    optimizer.param_groups[0]["params"][0] = fresh
    guard.begin_step()
    (fresh * torch.nan).sum().backward()
    optimizer.step()
    assert torch.equal(fresh, torch.ones(1, 2))


def test_a_gradient_that_is_a_lazy_conjugate_is_judged() -> None:
    w = nn.Parameter(torch.ones(2, dtype=torch.complex64))
    optimizer = torch.optim.SGD([w], lr=0.1)
    shield = Shield()
    norms = GradNorms(None, [optimizer], None)
    guard = Guard(GuardOptions(), [optimizer], None, norms, list, shield)
    guard.begin_step()
    (torch.ones(2, dtype=torch.complex64) @ w.conj()).abs().backward()
    before = bits(torch.view_as_real(w))
    optimizer.step()
    assert shield.failures == 0
    assert bits(torch.view_as_real(w)) != before


def test_a_state_that_is_loaded_or_cleared_counts_as_missing() -> None:
    for forget in (lambda o: o.state.clear(), lambda o: o.load_state_dict({**o.state_dict(), "state": {}})):
        w = nn.Parameter(torch.ones(2))
        optimizer = torch.optim.SGD([w], lr=0.1, momentum=0.9, fused=True)
        norms = GradNorms(None, [optimizer], None)
        guard = Guard(GuardOptions(), [optimizer], None, norms, list, Shield())
        for scale in (1.0, 1.0, None, torch.nan):
            guard.begin_step()
            norms.clear()
            if scale is None:
                forget(optimizer)
                continue
            (w.sum() * scale).backward()
            optimizer.step()
            optimizer.zero_grad()
        assert not optimizer.state.get(w)


def test_one_group_without_state_does_not_make_the_others_wait() -> None:
    a, b = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([{"params": [a], "momentum": 0.9}, {"params": [b]}], lr=0.1, fused=True)
    norms = GradNorms(None, [optimizer], None)
    guard = Guard(GuardOptions(), [optimizer], None, norms, list, Shield())
    for _ in range(2):
        guard.begin_step()
        norms.clear()
        (a.sum() + b.sum()).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert guard.verdicts.skipped  # decided on the device


def test_gradients_are_there_again_after_a_skipped_step() -> None:
    w = nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([w], lr=0.1)
    guard = Guard(GuardOptions(), [optimizer], None, GradNorms(None, [optimizer], None), list, Shield())
    guard.begin_step()
    (w.sum() * torch.nan).backward()
    optimizer.step()
    assert torch.equal(w, torch.ones(2))
    assert w.grad is not None
    assert torch.isnan(w.grad).all()


def test_an_optimizer_that_steps_again_without_a_new_step_says_so() -> None:
    w = nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([w], lr=0.1)
    guard = Guard(GuardOptions(), [optimizer], None, GradNorms(None, [optimizer], None), list, Shield())
    again: list[int] = []
    guard.another_step = lambda: again.append(1)
    guard.begin_step()
    for _ in range(3):
        w.grad = torch.ones(2)
        optimizer.step()
    assert len(again) == 2


@pytest.mark.parametrize("clips", [False, True], ids=["bare", "clipped"])
@pytest.mark.parametrize("fused", [True, False], ids=["device", "trip"])
def test_a_gradient_at_the_address_and_version_of_one_already_stepped_on_is_judged(fused: bool, clips: bool) -> None:
    """Memory is used again: after zero_grad the next backward's gradients often lie where the last ones lay."""
    net = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, fused=fused)
    guard, norms = guard_of(net, optimizer)
    guard.begin_step()

    def step() -> None:
        if clips:
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)  # as run.clip_grad_norm_ does it
            norms.to_clip_by(whole_model=True)
            norms.clipped()
        optimizer.step()

    net(torch.ones(1, 2)).sum().backward()
    step()
    before = bits(net.weight, net.bias)
    assert net.weight.grad is not None
    net.weight.grad.data.fill_(torch.nan)  # .data has a version of its own: nothing tells that this is another one
    step()
    assert bits(net.weight, net.bias) == before
