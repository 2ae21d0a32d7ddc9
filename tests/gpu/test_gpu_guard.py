"""On a GPU: after a tripped step every bit is what it was, for fused, foreach and plain optimizers."""

import pytest
import torch
from torch import Tensor, nn

from lossguard.grad_norms import GradNorms
from lossguard.guard.guard import Guard, GuardOptions
from lossguard.shield import Shield
from on_gpu import NEEDS_CUDA

pytestmark = NEEDS_CUDA
DEVICE = "cuda"
CASES = {
    "fused AdamW": ("AdamW", {"fused": True}, "device"),
    "fused Adam amsgrad": ("Adam", {"fused": True, "amsgrad": True}, "device"),
    "fused SGD momentum": ("SGD", {"fused": True, "momentum": 0.9}, "device"),
    "fused Adagrad": ("Adagrad", {"fused": True}, "any"),
    "foreach AdamW": ("AdamW", {"foreach": True}, "trip"),
    "capturable AdamW": ("AdamW", {"capturable": True}, "trip"),
    "plain RMSprop": ("RMSprop", {"foreach": False}, "trip"),
}


def bits(net: nn.Module, optimizer: torch.optim.Optimizer) -> list[bytes]:
    found = [*net.state_dict().values()]
    for p in net.parameters():
        found += [value for value in optimizer.state.get(p, {}).values() if isinstance(value, Tensor)]
    return [value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() for value in found]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("fault", ["gradient", "loss", "buffer"])
def test_a_tripped_step_leaves_every_bit(case: str, fault: str) -> None:
    name, options, mode = CASES[case]
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 4)).to(DEVICE)
    try:
        optimizer: torch.optim.Optimizer = getattr(torch.optim, name)(net.parameters(), lr=0.05, **options)
    except RuntimeError as error:
        pytest.skip(f"torch {torch.__version__}: {error}")
    norms, totals, failures = GradNorms(net, [optimizer], None), list[Tensor](), list[str]()
    shield = Shield(lambda where, message: failures.append(message))
    guard = Guard(GuardOptions(), [optimizer], net, norms, lambda: totals, shield)
    assert mode in (guard.watched[0].mode, "any")
    for broken in (False, False, True, False):
        guard.begin_step()
        norms.clear()
        before = bits(net, optimizer)
        loss = net(torch.randn(8, 4, device=DEVICE)).square().mean()
        totals[:] = [loss.detach()]
        loss.backward()
        if broken and fault == "gradient":
            net[0].weight.grad.view(-1)[0] = torch.inf  # type: ignore[union-attr]
        elif broken and fault == "loss":
            totals[:] = [torch.full((), torch.nan, device=DEVICE)]
        elif broken:
            net[1].running_mean[0] = torch.nan  # type: ignore[index]
        optimizer.step()
        optimizer.zero_grad()
        assert (bits(net, optimizer) == before) == broken
    assert failures == []
