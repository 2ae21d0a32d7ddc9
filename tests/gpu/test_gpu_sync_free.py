"""A step under full instrumentation never makes the host wait for the device."""

from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from torch import nn

import lossguard as lg
from helpers import events, isolate, points, spooled
from lossguard.protocol.messages import Command
from lossguard.ring import SLOTS
from on_gpu import NEEDS_CUDA, syncs_are_errors

pytestmark = NEEDS_CUDA
DEVICE = "cuda"
WARM, STEPS = 3, 50


def world(fused: bool = True, **kwargs: object) -> tuple[lg.Run, nn.Sequential, torch.optim.Optimizer]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 64)).to(DEVICE)
    opt = torch.optim.AdamW(net.parameters(), lr=1e-3, fused=fused)
    curriculum = lg.Curriculum(
        lg.Stage("a", weights={"fit": 1.0, "size": lg.ramp(0.0, 0.1, 20)}),
        lg.Stage("b", start=WARM + 25, weights={"fit": 1.0, "size": 0.5}),
    )
    run = lg.init(mode="offline", model=net, optimizer=opt, curriculum=curriculum, **kwargs)  # type: ignore[arg-type]
    return run, net, opt


def step(run: lg.Run, net: nn.Sequential, opt: torch.optim.Optimizer, x: torch.Tensor, clips: bool) -> torch.Tensor:
    assert run.boundary()
    out = run.shared(net(x))
    run.count("positive", x > 0)
    loss = run.total(fit=(out - x).square().mean(), size=out.abs().mean())
    run.matrix("gram", out.T @ out / len(x))
    run.log({"mean": out.mean(), "host": 0.5})
    loss.backward()
    if clips:
        run.clip_grad_norm_(0.1)
    opt.step()
    opt.zero_grad()
    return loss.detach()


@pytest.mark.parametrize("guard", ["auto", "observe"])
@pytest.mark.parametrize("clips", [True, False], ids=["its clipping", "the optimizer's hook"])
def test_no_step_waits_for_the_device(clips: bool, guard: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(monkeypatch, tmp_path)
    run, net, opt = world(fused=guard == "auto", guard=guard, activations=True)
    assert set(run.guard.values()) == {"device" if guard == "auto" else "observe"}
    run.instrument(WARM + STEPS)
    x = torch.randn(32, 64, device=DEVICE)
    losses = [step(run, net, opt, x, clips) for _ in range(WARM)]  # libraries start up, the ring pins its slots
    with syncs_are_errors():
        for at in range(STEPS):
            if at == 10:  # a weight that is changed while the run goes on
                assert run._loop.parts is not None
                args = {"component": "size", "value": 0.25}
                run._loop.parts.controller.offer(Command(id="c", number=1, kind="set_weight", args=args))
            losses.append(step(run, net, opt, x, clips))
    run.finish()
    assert run._shield.failures == 0  # an error of the debug mode would have been swallowed there
    found = points(spooled(tmp_path / "spool"))
    steps = list(range(WARM + STEPS))
    assert found["loss/total"] == [(at, loss.item()) for at, loss in zip(steps, losses, strict=True)]
    for name in ("grad_norm/total", "grad_norm/0", "matrix/gram/spec", "mean", "host", "lr", "weight/size"):
        assert [at for at, _ in found[name]] == steps, name
    assert ("clip_coef" in found) == clips
    weights = dict(found["weight/size"])
    assert weights[WARM + 9] == pytest.approx(0.06)
    assert weights[WARM + 11] == weights[steps[-1]] == 0.25


def test_a_weight_changed_in_flight_belongs_to_its_step_and_to_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host runs ahead of the device: what is queued before the change must still see the old weight."""
    isolate(monkeypatch, tmp_path)
    plan = [float(i % 7) for i in range(60)]
    stages = [lg.Stage(f"s{i}", start=i, weights={"x": weight}) for i, weight in enumerate(plan)]
    run = lg.init(mode="offline", curriculum=lg.Curriculum(*stages))
    busy = torch.randn(2048, 2048, device=DEVICE)
    one = torch.ones((), device=DEVICE)
    totals = []
    with syncs_are_errors():
        for _ in run.steps(range(len(plan))):
            busy = (busy @ busy).clamp_(-1, 1)  # the device falls behind
            totals.append(run.total(x=one))
    assert torch.stack(totals).tolist() == plan
    run.finish()
    assert [value for _, value in points(spooled(tmp_path / "spool"))["loss/total"]] == plan
    assert len(plan) > SLOTS


def test_a_bad_step_is_skipped_without_a_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(monkeypatch, tmp_path)
    run, net, opt = world()
    good, bad = torch.randn(32, 64, device=DEVICE), torch.full((32, 64), torch.nan, device=DEVICE)
    for _ in range(WARM):
        step(run, net, opt, good, clips=True)
    before = [p.detach().clone() for p in net.parameters()]
    with syncs_are_errors():
        step(run, net, opt, bad, clips=True)
        after = [p.detach().clone() for p in net.parameters()]
        step(run, net, opt, good, clips=True)
    assert all(map(torch.equal, before, after))
    assert not all(map(torch.equal, after, net.parameters()))
    run.finish()
    (trip,) = events(spooled(tmp_path / "spool"), "trip")
    assert (trip.step, trip.data["mode"], trip.data["action"]) == (WARM, "device", "skipped")


def test_an_evaluation_does_not_wait_for_the_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(monkeypatch, tmp_path)
    run, net, opt = world()
    x = torch.randn(32, 64, device=DEVICE)
    for at in range(WARM + 10):
        with syncs_are_errors() if at >= WARM else nullcontext():
            step(run, net, opt, x, clips=True)
            with run.evaluating(), torch.no_grad():
                for _ in range(SLOTS + 2):  # more batches than rows that may be in flight
                    out = net(x)
                    run.total(fit=(out - x).square().mean(), size=out.abs().mean())
                    run.matrix("gram", out.T @ out / len(x))
                    run.count("positive", x > 0)
                    run.log({"mean": out.mean(), "host": 0.5})
    run.finish()
    found = points(spooled(tmp_path / "spool"))
    assert run._evaluation._shield.failures == run._evaluation._watch_shield.failures == 0
    for name in ("loss/total", "matrix/gram/fro", "count/positive", "mean", "host"):
        assert [step_at for step_at, _ in found[f"eval/{name}"]] == list(range(WARM + 10)), name
