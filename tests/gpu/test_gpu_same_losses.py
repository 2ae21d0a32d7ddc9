"""On a GPU too: the same seed with and without lossguard has the same losses, bit for bit."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import lossguard as lg
from helpers import isolate
from on_gpu import NEEDS_CUDA

pytestmark = NEEDS_CUDA
DEVICE = "cuda"
STEPS = 50
WEIGHTS = {"fit": 1.0, "size": 0.1}

Loop = Callable[[nn.Module, torch.optim.Optimizer, list[Tensor], torch.dtype], list[Tensor]]


def train(loop: Loop, dtype: torch.dtype) -> tuple[list[Tensor], list[Tensor]]:
    torch.manual_seed(7)
    net = nn.Sequential(nn.Linear(48, 64), nn.GELU(), nn.Dropout(0.2), nn.Linear(64, 48)).to(DEVICE, dtype)
    opt = torch.optim.AdamW(net.parameters(), lr=1e-3)
    generator = torch.Generator(DEVICE).manual_seed(1)
    batches = [torch.randn(16, 48, device=DEVICE, generator=generator, dtype=dtype) for _ in range(STEPS)]
    return loop(net, opt, batches, dtype), [p.detach().clone() for p in net.parameters()]


def parts(net: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    out = net(x)
    return (out - x).float().square().mean(), out.float().abs().mean()


def by_hand(net: nn.Module, opt: torch.optim.Optimizer, batches: list[Tensor], dtype: torch.dtype) -> list[Tensor]:
    losses = []
    for x in batches:
        fit, size = parts(net, x)
        loss = WEIGHTS["fit"] * fit + WEIGHTS["size"] * size
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 0.1)
        opt.step()
        opt.zero_grad()
        losses.append(loss.detach())
    return losses


def with_lossguard(mode: str) -> Loop:
    def loop(net: nn.Module, opt: torch.optim.Optimizer, batches: list[Tensor], dtype: torch.dtype) -> list[Tensor]:
        losses = []
        with lg.init(mode=mode, model=net, optimizer=opt, losses=WEIGHTS) as run:
            for x in run.steps(batches):
                fit, size = parts(net, x)
                loss = run.total(fit=fit, size=size)
                run.matrix("gram", x.T @ x)
                loss.backward()
                run.clip_grad_norm_(0.1)
                opt.step()
                opt.zero_grad()
                losses.append(loss.detach())
        return losses

    return loop


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("mode", ["off", "offline"])
def test_no_bit_differs(mode: str, dtype: torch.dtype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(monkeypatch, tmp_path)
    losses, parameters = train(with_lossguard(mode), dtype)
    wanted_losses, wanted_parameters = train(by_hand, dtype)
    assert all(map(torch.equal, losses, wanted_losses))
    assert all(map(torch.equal, parameters, wanted_parameters))
