"""With a GradScaler: true norms, and a skip of its own is no alarm."""

from pathlib import Path

import pytest
import torch

import lossguard as lg
from helpers import events, points, spooled

STEPS = 8


def train(folder: Path, fused: bool, unscale: bool, overflow_at: int = -1, nan_at: int = -1) -> list[float]:
    """The true gradient norm of each step."""
    torch.manual_seed(0)
    net = torch.nn.Linear(4, 3)
    opt = torch.optim.Adam(net.parameters(), lr=0.01, fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=3)
    run = lg.init(
        "t", model=net, optimizer=opt, scaler=scaler, losses={"a": 1.0}, mode="offline", dir=folder, replay=False
    )
    norms = []
    for step in run.steps(range(STEPS)):
        loss = run.total(a=net(torch.randn(5, 4)).square().mean() * (torch.nan if step == nan_at else 1.0))
        scaler.scale(loss).backward()
        if step == overflow_at:
            net.weight.grad[0, 0] = torch.inf  # type: ignore[index]
        scale = scaler.get_scale()
        grads = [p.grad for p in net.parameters() if p.grad is not None]
        norms.append(float(torch.nn.utils.get_total_norm(grads)) / scale)
        if unscale:
            scaler.unscale_(opt)
            run.clip_grad_norm_(0.1)
        scaler.step(opt)
        scaler.update()
        opt.zero_grad()
    assert all(bool(p.isfinite().all()) for p in net.parameters())
    run.finish(timeout_s=5)
    return norms


@pytest.mark.parametrize("unscale", [False, True], ids=["scaled until the step", "unscaled and clipped"])
@pytest.mark.parametrize("fused", [False, True], ids=["plain", "fused"])
def test_the_norms_are_those_of_the_unscaled_gradients(spool_folder: Path, fused: bool, unscale: bool) -> None:
    norms = train(spool_folder, fused, unscale)
    found = points(spooled(spool_folder))
    assert [value for _, value in found["grad_norm/total"]] == pytest.approx(norms, rel=1e-5)
    assert [value for _, value in found["loss_scale"]][:4] == [1024.0, 1024.0, 2048.0, 2048.0]


@pytest.mark.parametrize(
    ("fused", "unscale"), [(True, False), (True, True), (False, True)], ids=["fused", "fused clipped", "plain clipped"]
)
def test_an_overflow_that_the_scaler_skips_is_no_alarm(spool_folder: Path, fused: bool, unscale: bool) -> None:
    train(spool_folder, fused, unscale, overflow_at=3)
    messages = spooled(spool_folder)
    assert events(messages, "trip") == []
    assert events(messages, "nonfinite") == []
    found = points(messages)
    assert [step for step, value in found["skipped"] if value] == [3]


@pytest.mark.parametrize("unscale", [False, True])
@pytest.mark.parametrize("fused", [False, True], ids=["plain", "fused"])
def test_a_loss_that_is_nan_is_one(spool_folder: Path, fused: bool, unscale: bool) -> None:
    train(spool_folder, fused, unscale, nan_at=3)
    messages = spooled(spool_folder)
    assert [event.step for event in events(messages, "nonfinite")] == [3]
    assert [(event.step, event.data["action"]) for event in events(messages, "trip")] == [(3, "skipped")]
    assert [step for step, value in points(messages)["skipped"] if value] == [3]


def test_a_scaler_that_is_off_is_none(spool_folder: Path) -> None:
    net = torch.nn.Linear(2, 1)
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    run = lg.init(model=net, optimizer=opt, scaler=scaler, mode="offline", dir=spool_folder)
    for _ in run.steps(range(2)):
        scaler.scale(run.total(loss=net(torch.ones(1, 2)).sum())).backward()
        scaler.step(opt)
        scaler.update()
    run.finish(timeout_s=5)
    assert "loss_scale" not in points(spooled(spool_folder))
