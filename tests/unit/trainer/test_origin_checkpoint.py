"""Activation checkpointing runs a forward within the backward: what is born there is a forward's."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lossguard.origin.trace import OriginTrace


class Block(nn.Module):
    """Finite on its first call, log(0) when it is computed again; or a root whose slope is infinite at 0."""

    def __init__(self, act: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.linear, self.act = nn.Linear(2, 2), act

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.linear(x) * 0)


class Net(nn.Module):
    def __init__(self, block: Block, use_reentrant: bool, inner: bool) -> None:
        super().__init__()
        self.block, self.use_reentrant, self.inner = block, use_reentrant, inner

    def forward(self, x: Tensor) -> Tensor:
        part = self.block.forward if self.inner else self.block  # a function has no module hook of its own
        out: Tensor = checkpoint(part, x, use_reentrant=self.use_reentrant)
        return out.sum()


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_a_value_that_only_the_recompute_makes_is_a_forwards(use_reentrant: bool) -> None:
    calls: list[int] = []

    def act(x: Tensor) -> Tensor:
        calls.append(1)
        return (x + (1.0 if len(calls) == 1 else 0.0)).log().tanh()

    net = Net(Block(act), use_reentrant, inner=False)
    with OriginTrace(net) as trace:
        net(torch.ones(1, 2, requires_grad=True)).backward()
    assert len(calls) == 2
    first = trace.births[0]
    assert (first.op, first.phase, first.module) == ("aten.log", "forward", "block")
    assert first.where.endswith("in act")


@pytest.mark.parametrize("inner", [False, True], ids=["module", "function"])
@pytest.mark.parametrize("use_reentrant", [False, True])
def test_a_gradient_born_behind_a_checkpoint_is_a_backwards(use_reentrant: bool, inner: bool) -> None:
    def act(x: Tensor) -> Tensor:
        return x.sqrt()

    net = Net(Block(act), use_reentrant, inner)
    with OriginTrace(net) as trace:
        net(torch.ones(1, 2, requires_grad=True)).backward()
    birth = trace.birth_of(net.block.linear.weight.grad)
    assert birth is not None
    assert (birth.op, birth.phase, birth.backward_of) == ("aten.div", "backward", "aten.sqrt")
    assert birth.where.endswith("in act")
    assert birth.module == ("" if inner else "block")


def test_a_checkpointing_of_the_users_own() -> None:
    """No frame of torch's checkpoint is on the stack; the module that is entered within the backward tells."""

    class Again(torch.autograd.Function):
        @staticmethod
        def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor, block: nn.Module) -> Tensor:
            ctx.save_for_backward(x)
            ctx.block = block  # type: ignore[attr-defined]
            return torch.zeros_like(x)

        @staticmethod
        def backward(ctx: torch.autograd.function.FunctionCtx, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
            (x,) = ctx.saved_tensors  # type: ignore[attr-defined]
            with torch.enable_grad():
                ctx.block(x.detach())  # type: ignore[attr-defined]
            return grad / 0, None

    net = nn.Sequential(Block(torch.log))
    with OriginTrace(net) as trace:
        Again.apply(torch.ones(1, 2, requires_grad=True), net[0]).sum().backward()
    found = [(birth.op, birth.phase, birth.module) for birth in trace.births]
    assert found == [("aten.log", "forward", "0"), ("aten.div", "backward", "")]
