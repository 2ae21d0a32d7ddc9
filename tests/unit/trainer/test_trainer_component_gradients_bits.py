"""Comparing the components' gradients leaves the user's own backward as it was: in its bits, and after a refusal."""

import shutil
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from lossguard.gradients import ComponentGradients
from unit.trainer.recomputing import Wrap, plainly, recomputed, recomputed_reentrantly

# torch warns about itself while it compiles
pytestmark = [
    pytest.mark.filterwarnings("ignore:The .grad attribute"),
    pytest.mark.filterwarnings("ignore::Warning:torch.*"),
]
WEIGHTS = {"fit": 1.0, "size": -0.5, "off": 0.0}
Heads = Callable[[Tensor], dict[str, Tensor]]


class Trunk(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Linear(8, 16), nn.Dropout(0.3), nn.Tanh(), nn.BatchNorm1d(16), nn.Linear(16, 16))


class LossHeads(nn.Module):
    """Three losses with dropout, each computed through `wrap`."""

    def __init__(self, wrap: Wrap) -> None:
        super().__init__()
        self.wrap = wrap
        self.fit, self.size = (nn.Sequential(nn.Linear(16, 16), nn.Dropout(0.4), nn.Sigmoid()) for _ in range(2))

    def forward(self, h: Tensor) -> dict[str, Tensor]:
        fit, size = self.wrap(self.fit, h), self.wrap(self.size, h)
        return {"fit": fit.square().mean(), "size": torch.softmax(size, -1).square().mean(), "off": fit.abs().mean()}


class World:
    """A seeded training of `steps` steps; what it computed, bit for bit."""

    def __init__(
        self,
        gradients: ComponentGradients | None,
        wrap: Wrap = plainly,
        compiled: Callable[[nn.Module], Heads] = lambda module: module,
        autocast: bool = False,
    ) -> None:
        torch.manual_seed(0)
        self.trunk, self.heads = Trunk(), LossHeads(wrap)
        self.call, self.gradients, self.autocast = compiled(self.heads), gradients, autocast
        self.parameters = [*self.trunk.parameters(), *self.heads.parameters()]
        self.opt = torch.optim.SGD(self.parameters, 0.1, momentum=0.9)
        self.measured: list[int] = []
        self.bits: list[Tensor] = []
        self.totals: list[float] = []

    def train(self, steps: int, first: int = 0) -> "World":
        for step in range(first, first + steps):
            with torch.autocast("cpu", torch.bfloat16, enabled=self.autocast):
                h = self.trunk(torch.randn(4, 8))
                if self.gradients is not None:
                    h = self.gradients.share(h)
                losses = self.call(h)
                total = sum((WEIGHTS[name] * loss for name, loss in losses.items()), torch.zeros(()))
                if self.gradients is not None and self.gradients.measure(step, losses, WEIGHTS) is not None:
                    self.measured.append(step)
            self.opt.zero_grad()
            total.backward()
            self.opt.step()
            self.totals.append(total.item())
            self.bits += [torch.get_rng_state(), *[p.grad.clone() for p in self.parameters if p.grad is not None]]
        return self


def same_bits(a: World, b: World) -> bool:
    for world in (a, b):
        world.bits += [*map(torch.clone, world.parameters), *world.trunk.buffers()]
    return a.totals == b.totals and len(a.bits) == len(b.bits) and all(map(torch.equal, a.bits, b.bits))


@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "autocast"])
@pytest.mark.parametrize("wrap", [plainly, recomputed])
def test_no_bit_differs(wrap: Wrap, autocast: bool) -> None:
    with_us = World(ComponentGradients(list(WEIGHTS), every=2), wrap, autocast=autocast).train(7)
    assert with_us.measured == [0, 2, 4, 6]
    assert same_bits(with_us, World(None, wrap, autocast=autocast).train(7))
    assert len(set(with_us.totals)) == 7


def test_a_checkpoint_that_refuses_is_asked_once_and_the_backward_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    gradients = ComponentGradients(list(WEIGHTS), lambda: True)
    with_us = World(gradients, recomputed_reentrantly).train(4)
    assert (with_us.measured, len(caplog.records)) == ([], 1)
    assert gradients.off_reason is not None
    assert "use_reentrant=True" in gradients.off_reason
    assert same_bits(with_us, World(None, recomputed_reentrantly).train(4))


def test_a_graph_that_refuses_halfway_is_not_used_up() -> None:
    """The first component's gradient is taken, the second's fails in the middle of its backward."""

    class Refuses(torch.autograd.Function):
        asked = 0

        @staticmethod
        def forward(ctx: object, x: Tensor) -> Tensor:
            return x * 1

        @staticmethod
        def backward(ctx: object, grad: Tensor) -> Tensor:  # type: ignore[override]
            Refuses.asked += 1
            if Refuses.asked == 2:
                raise RuntimeError("not twice")
            return grad

    def wrap(module: nn.Module, h: Tensor) -> Tensor:
        out: Tensor = module(Refuses.apply(torch.tanh(h)))  # type: ignore[no-untyped-call]
        return out

    gradients = ComponentGradients(list(WEIGHTS), lambda: True)
    with_us = World(gradients, wrap).train(3)
    assert gradients.off_reason == "RuntimeError: not twice"
    Refuses.asked = 100
    assert same_bits(with_us, World(None, wrap).train(3))


def test_heads_compiled_apart_from_the_trunk_are_compared() -> None:
    def compiled(module: nn.Module) -> Heads:
        return torch.compile(module, backend="aot_eager", fullgraph=True)

    with_us = World(ComponentGradients(list(WEIGHTS), every=2), compiled=compiled).train(5)
    assert with_us.measured == [0, 2, 4]
    assert same_bits(with_us, World(None, compiled=compiled).train(5))


def test_a_mark_inside_the_compiled_graph_of_its_losses_says_why_nothing_is_measured() -> None:
    world = World(ComponentGradients(list(WEIGHTS), lambda: True))
    assert world.gradients is not None
    whole = torch.compile(lambda x: (h := world.trunk(x), world.heads(h)), backend="aot_eager")
    h, losses = whole(torch.randn(4, 8))
    world.gradients.share(h)
    assert world.gradients.measure(0, losses, WEIGHTS) is None
    assert "compiled" in str(world.gradients.off_reason)
    sum(losses.values()).backward()


@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler: there is none here")
def test_inductor_is_compared_from_its_first_step_on_and_else_refuses_once() -> None:
    """Its backward gives its buffers away, unless it is first used by a backward that keeps the graph."""

    def compiled(module: nn.Module) -> Heads:
        torch._dynamo.reset()
        return torch.compile(module, backend="inductor")

    with torch._inductor.config.patch(force_disable_caches=True):
        early = World(ComponentGradients(list(WEIGHTS), every=10), compiled=compiled).train(4, first=8)
        assert early.measured == [8, 10]
        late = World(None, compiled=compiled)
        late.train(1, first=8)
        late.gradients = ComponentGradients(list(WEIGHTS), lambda: True)
        late.train(3, first=9)
    assert late.measured == []
    assert "donated" in str(late.gradients.off_reason)
    assert same_bits(early, late)
