"""On a GPU the backward runs in threads of the device: the trace must follow it there."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack
from torch.utils.checkpoint import checkpoint

from lossguard.origin.report import component_gradients_bad, find_origin
from lossguard.origin.trace import OriginTrace
from on_gpu import NEEDS_CUDA

pytestmark = NEEDS_CUDA
DEVICE = "cuda"


class Root(nn.Module):
    def __init__(self, checkpoints: bool) -> None:
        super().__init__()
        self.checkpoints = checkpoints

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = checkpoint(root, x, use_reentrant=True) if self.checkpoints else root(x)
        return out


def root(x: Tensor) -> Tensor:
    return x.square().sum(-1).sqrt()


@pytest.mark.parametrize("checkpoints", [False, True], ids=["plain", "reentrant checkpoint"])
def test_a_gradient_born_in_a_devices_thread_has_its_op_module_and_line(checkpoints: bool) -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.Identity(), Root(checkpoints)).to(DEVICE)
    with torch.no_grad():
        net[0].weight.zero_()
        net[0].bias.zero_()
    with OriginTrace(net) as trace:
        losses = {"fit": net[0].weight.square().sum(), "root": net(torch.ones(2, 4, device=DEVICE)).sum()}
        component = None if checkpoints else component_gradients_bad(losses, list(net.parameters()))
        (losses["fit"] + losses["root"]).backward()
    grads = {name: p.grad for name, p in net.named_parameters() if p.grad is not None}
    origin = find_origin(trace, losses, grads, component)
    assert origin is not None
    assert origin.birth is not None
    birth = origin.birth
    assert (birth.op, birth.phase, birth.backward_of) == ("aten.div", "backward", "aten.sqrt")
    assert birth.where.startswith("test_gpu_origin.py:")
    assert birth.where.endswith(" in root")
    if not checkpoints:  # what a checkpoint recomputes outside of any module's call has no path
        assert (origin.component, birth.module) == ("root", "2")
    assert _get_current_dispatch_mode_stack() == []


def test_masks_and_healthy_steps_have_no_birth() -> None:
    layer = nn.TransformerEncoderLayer(64, 4, 128, batch_first=True, device=DEVICE)
    mask = nn.Transformer.generate_square_subsequent_mask(13, device=DEVICE)
    x = torch.randn(3, 13, 64, device=DEVICE)
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        with OriginTrace(layer) as trace, torch.autocast(DEVICE, dtype, enabled=dtype is not torch.float32):
            layer(x, src_mask=mask).float().square().mean().backward()
            layer(x, src_mask=mask, is_causal=True).float().square().mean().backward()
        assert trace.births == []


def test_an_overflow_of_float16() -> None:
    net = nn.Linear(8, 8, device=DEVICE)
    with OriginTrace(net) as trace, torch.autocast(DEVICE, torch.float16):
        out = net(torch.full((2, 8), 6e4, device=DEVICE))
        loss = (out * out).float().mean()
    birth = trace.birth_of(loss)
    assert birth is not None
    assert birth.value == "inf"


def train(watched: bool) -> list[Tensor]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 16), nn.Dropout(0.2), nn.GELU(), nn.Linear(16, 1)).to(DEVICE)
    x = torch.randn(4, 8, device=DEVICE)
    trace = OriginTrace(net) if watched else torch.enable_grad()
    with trace:
        loss = net(x).square().mean()
        loss.backward()
    return [loss.detach(), *(p.grad for p in net.parameters() if p.grad is not None), torch.cuda.get_rng_state()]


def test_no_bit_differs() -> None:
    assert all(map(torch.equal, train(False), train(True)))
