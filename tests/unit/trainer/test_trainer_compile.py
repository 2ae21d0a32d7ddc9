"""Under torch.compile: the number of graphs stays what it was, and so do the bits."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend

import lossguard as lg

STEPS = 200
WEIGHTS = {"fit": 1.0, "size": 0.1}


@pytest.fixture(autouse=True)
def fresh_compiler() -> None:
    torch._dynamo.reset()


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(6, 16), nn.GELU(), nn.Dropout(0.1), nn.Linear(16, 16))
        self.head = nn.Linear(16, 6)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.encoder(x))
        return out


def train(folder: Path, how: str, watched: bool, steps: int = STEPS) -> tuple[list[bytes], int]:
    """The bits of losses and weights, and the number of graphs that were compiled."""
    torch.manual_seed(4)
    net = Net()
    opt = torch.optim.AdamW(net.parameters(), lr=1e-2)
    generator = torch.Generator().manual_seed(1)
    batches = [torch.randn(8, 6, generator=generator) for _ in range(steps)]
    curriculum = lg.Curriculum(
        lg.Stage("a", weights={"fit": 1.0, "size": lg.ramp(0.0, 0.1, 50)}),
        lg.Stage("b", start=100, weights={"fit": 1.0, "size": 0.3}),
    )
    run = lg.init(
        mode="offline" if watched else "off", dir=folder, model=net, optimizer=opt, curriculum=curriculum,
        activations=watched and how != "activations off",
    )  # fmt: skip
    counter = CompileCounterWithBackend("aot_eager")
    forward = net if how == "eager" else torch.compile(net, backend=counter)
    trace = []
    for x in run.steps(batches):
        out = forward(x)
        loss = run.total(fit=(out - x).square().mean(), size=out.abs().mean())
        loss.backward()
        run.clip_grad_norm_(0.5)
        opt.step()
        opt.zero_grad()
        trace.append(loss.detach())
    run.finish(timeout_s=5)
    tensors = [*trace, *(p.detach() for p in net.parameters())]
    return [t.reshape(-1).view(torch.uint8).numpy().tobytes() for t in tensors], counter.frame_count


@pytest.mark.parametrize("how", ["eager", "compiled"])
def test_watched_and_unwatched_have_the_same_bits(tmp_path: Path, how: str) -> None:
    assert train(tmp_path, how, watched=True)[0] == train(tmp_path, how, watched=False)[0]


def test_a_watched_model_compiles_into_one_graph_however_its_weights_change(tmp_path: Path) -> None:
    assert train(tmp_path, "compiled", watched=False, steps=120)[1] == 1
    assert train(tmp_path, "activations off", watched=True, steps=120)[1] == 1
    torch._dynamo.reset()
    assert train(tmp_path, "compiled", watched=True, steps=120)[1] == 1


def test_a_total_within_compiled_code_sees_each_new_weight_without_a_new_graph(tmp_path: Path) -> None:
    run = lg.init(mode="offline", dir=tmp_path, losses=WEIGHTS)
    counter = CompileCounterWithBackend("aot_eager")
    weights = run._device_weights
    x = torch.ones(())
    weights.total({"fit": x, "size": x})

    @torch.compile(backend=counter)
    def total(fit: Tensor, size: Tensor) -> Tensor:
        return weights.total({"fit": fit, "size": size})

    totals = []
    for step in range(5):
        weights.update({"fit": 1.0, "size": float(step)})
        totals.append(float(total(x, x)))
    assert totals == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert counter.frame_count == 1
    run.finish(timeout_s=5)
