"""The learning rates are scaled while an optimizer steps, and are the script's own between two steps."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import lossguard as lg
from helpers import points
from lossguard.lr_scale import LrScale
from lossguard.protocol.messages import Command
from tiny_training import Training, batches


def parameter() -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.ones(3))


def step(optimizer: torch.optim.Optimizer, p: Tensor) -> None:
    p.grad = torch.ones(3)
    optimizer.step()


@pytest.mark.parametrize("rate", [0.1, torch.tensor(0.1)])
def test_a_step_is_made_with_the_scaled_rate_and_the_rate_is_as_it_was(rate: Any) -> None:
    p, twin = parameter(), parameter()
    optimizer = torch.optim.Adam([{"params": [p], "lr": rate}], foreach=False)
    scale = LrScale([optimizer])
    scale.attach()
    scale.set(0.3)
    for _ in range(5):
        step(optimizer, p)
        assert optimizer.param_groups[0]["lr"] is rate
    plain = torch.optim.Adam([twin], lr=rate * 0.3, foreach=False)
    for _ in range(5):
        step(plain, twin)
    assert torch.equal(p, twin)
    assert float(rate) == float(torch.tensor(0.1)) or rate == 0.1


def test_a_tensor_that_is_the_rate_of_two_groups_is_scaled_once() -> None:
    p, q, rate = parameter(), parameter(), torch.tensor(0.5)
    optimizer = torch.optim.SGD([{"params": [p]}, {"params": [q]}], lr=rate, foreach=False)
    scale = LrScale([optimizer])
    scale.attach()
    scale.set(0.5)
    q.grad = torch.ones(3)
    step(optimizer, p)
    assert (p[0].item(), q[0].item(), rate.item()) == (0.75, 0.75, 0.5)


@pytest.mark.parametrize("kind", ["lambda", "cosine", "cycle"])
def test_a_scheduler_computes_what_it_would_have_computed(kind: str) -> None:
    def rates(scaled: bool) -> list[float]:
        p = parameter()
        optimizer = torch.optim.SGD([p], lr=0.1)
        scheduler: Any = {
            "lambda": lambda: torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: 0.9**n),
            "cosine": lambda: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20),
            "cycle": lambda: torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.5, total_steps=20, cycle_momentum=False),
        }[kind]()
        scale = LrScale([optimizer])
        scale.attach()
        scale.set(0.25 if scaled else 1.0)
        found = []
        for _ in range(19):
            step(optimizer, p)
            scheduler.step()
            found.append(float(optimizer.param_groups[0]["lr"]))
        return found

    assert rates(True) == rates(False)


def test_a_step_that_fails_leaves_no_scaled_rate_behind() -> None:
    p = parameter()
    optimizer = torch.optim.SGD([p], lr=0.1)
    scale = LrScale([optimizer])
    scale.attach()
    scale.set(0.5)

    def broken() -> float:
        raise OSError("in the closure")

    with pytest.raises(OSError, match="closure"):
        optimizer.step(broken)
    assert optimizer.param_groups[0]["lr"] == 0.05
    scale.set(0.5)  # the next boundary
    assert optimizer.param_groups[0]["lr"] == 0.1
    step(optimizer, p)
    assert optimizer.param_groups[0]["lr"] == 0.1


def test_hooks_come_off_and_an_optimizer_outlives_its_run() -> None:
    p = parameter()
    optimizer = torch.optim.SGD([p], lr=1.0)
    scale = LrScale([optimizer, object()])
    scale.attach()
    scale.attach()
    assert len(optimizer._optimizer_step_pre_hooks) == 1
    scale.set(0.5)
    del scale  # nobody holds it: nothing is scaled any more
    step(optimizer, p)
    assert p[0].item() == 0.0
    other = LrScale([optimizer])
    other.attach()
    other.detach()
    assert len(optimizer._optimizer_step_pre_hooks) == 1
    assert not LrScale([object()]).is_possible


def order(run: lg.Run, number: int, kind: str, **args: Any) -> None:
    assert run._loop.parts is not None
    run._loop.parts.controller.offer(Command(id=f"c{number}", number=number, kind=kind, args=args))


@pytest.mark.parametrize("fused", [False, True])
def test_a_run_is_trained_and_recorded_with_the_scaled_rate_also_beside_skipped_steps(
    spool_folder: Path, fused: bool
) -> None:
    training = Training(spool_folder, bad_batches=[6], fused=fused, replay=False, snapshots=False)
    order(training.run, 1, "set_lr_scale", value=0.5, lease_steps=5)
    seen = []
    training.train(batches(10), after=lambda step: seen.append(training.optimizer.param_groups[0]["lr"]))
    rates = dict(points(training.finish())["lr"])
    assert seen == [0.01] * 10
    assert list(rates.values()) == [0.005] * 5 + [0.01] * (len(rates) - 5)


def test_a_guard_that_raises_leaves_the_rate_as_it_was(spool_folder: Path) -> None:
    training = Training(spool_folder, bad_batches=[3], on_trip="raise", replay=False, snapshots=False)
    order(training.run, 1, "set_lr_scale", value=0.5)
    with pytest.raises(lg.NonFiniteStep):
        training.train(batches(10))
    assert training.optimizer.param_groups[0]["lr"] == 0.01
    training.finish()


def test_clipping_to_an_operators_norm(spool_folder: Path) -> None:
    training = Training(spool_folder, snapshots=False)
    norms: list[float] = []

    def look(step: int) -> None:
        if step == 2:
            order(training.run, 1, "set_clip", value=1e-3)
        if step == 5:
            order(training.run, 2, "revert", command="c1")

    for batch in training.run.steps(batches(9)):
        training.one(batch)
        training.run.clip_grad_norm_(1.0)
        norms.append(
            float(torch.nn.utils.get_total_norm([p.grad for p in training.model.parameters() if p.grad is not None]))
        )
        training.optimizer.step()
        training.optimizer.zero_grad()
        look(training.run.step)
    training.finish()
    assert [norm <= 1.001e-3 for norm in norms] == [False] * 3 + [True] * 3 + [False] * 3
