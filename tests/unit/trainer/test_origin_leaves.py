"""A traced step is the same step, and nothing is left of the trace behind it."""

import copy
import gc
import pickle
import threading
from collections.abc import Callable, Iterator
from typing import NoReturn

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend
from torch.nn.modules import module as torch_module
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from lossguard.origin.trace import OriginTrace


def left_behind(*modules: nn.Module) -> list[str]:
    """What of a trace is still there."""
    kinds = ("forward_hooks", "forward_pre_hooks", "forward_hooks_always_called", "backward_hooks")
    hooks = [getattr(torch_module, f"_global_{kind}") for kind in kinds]
    hooks += [getattr(module, f"_{kind}") for module in modules for kind in kinds]
    stance = torch._dynamo.eval_frame._stance.stance
    return [
        *("a hook" for each in hooks if each),
        *("a mode" for _ in _get_current_dispatch_mode_stack()),
        *([] if stance == "default" else [stance]),
    ]


def test_nothing_is_left_after_a_step() -> None:
    net = nn.Linear(1, 1)
    with OriginTrace(net):
        assert left_behind(net) == ["a hook", "a hook", "a hook", "a mode", "force_eager"]
    assert left_behind(net) == []


def test_a_copy_of_the_model_made_within_a_step_is_free_of_it() -> None:
    net = nn.Sequential(nn.Linear(1, 1))
    with OriginTrace(net):
        copied, pickled = copy.deepcopy(net), pickle.loads(pickle.dumps(net))
    assert net(torch.ones(1, 1)) == copied(torch.ones(1, 1)) == pickled(torch.ones(1, 1))


class Failing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise KeyError("the user's own")


def test_nothing_is_left_after_an_exception_in_the_step() -> None:
    net = nn.Sequential(nn.Linear(2, 2), Failing())
    with pytest.raises(KeyError, match="own"), OriginTrace(net):
        net(torch.ones(1, 2))
    assert left_behind(net, *net) == []


def test_a_module_that_was_left_by_an_exception_has_been_left() -> None:
    net = nn.Sequential(nn.Linear(2, 2), Failing())
    with OriginTrace(net) as trace:
        with pytest.raises(KeyError):
            net(torch.ones(1, 2))
        loss = torch.zeros(1).log()
    birth = trace.birth_of(loss)
    assert birth is not None
    assert birth.module == ""


def steps(trace: OriginTrace) -> Iterator[int]:
    with trace:
        yield 0


def test_in_a_generator_whose_body_runs_between() -> None:
    trace = OriginTrace(None)
    for _ in steps(trace):
        torch.zeros(1).log()
    assert len(trace.births) == 1
    assert left_behind() == []


def test_in_a_generator_whose_body_fails() -> None:
    def loop() -> None:
        for _ in steps(OriginTrace(None)):
            raise ValueError("user")

    with pytest.raises(ValueError, match="user"):
        loop()
    gc.collect()
    assert left_behind() == []


def test_a_trace_that_cannot_begin_leaves_nothing() -> None:
    class Stubborn(nn.Linear):
        def register_forward_hook(self, *_: object, **__: object) -> NoReturn:  # type: ignore[override]
            raise TypeError("no hooks")

    net = nn.Sequential(nn.ReLU(), Stubborn(1, 1))
    with pytest.raises(TypeError, match="no hooks"):
        OriginTrace(net).__enter__()
    assert left_behind(net, *net) == []


def test_leaving_twice_and_leaving_from_another_thread() -> None:
    trace = OriginTrace(None)
    trace.__enter__()
    other = threading.Thread(target=trace.__exit__, args=(None, None, None))
    other.start()
    other.join()
    torch.zeros(1).log()
    assert trace.births == []  # silenced, though the mode can only be taken away by its own thread
    assert left_behind() == ["a mode"]
    trace.__exit__(None, None, None)
    assert left_behind() == []


def train(watched: bool, autocast: bool) -> list[Tensor]:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.1, batch_first=True)
    net = nn.Sequential(nn.Linear(8, 16), layer, nn.BatchNorm1d(5), nn.Linear(16, 1))
    x = torch.randn(4, 5, 8)
    found: list[Tensor] = []
    trace = OriginTrace(net) if watched else torch.enable_grad()
    with trace, torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        for _ in range(2):
            loss = net(x).float().square().mean()
            loss.backward()
            found += [loss.detach(), *(p.grad.clone() for p in net.parameters() if p.grad is not None)]
    return [*found, *net.buffers(), torch.get_rng_state()]


@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "bfloat16"])
def test_no_bit_differs(autocast: bool) -> None:
    plain, traced = train(False, autocast), train(True, autocast)
    assert len(plain) == len(traced)
    assert all(map(torch.equal, plain, traced))


def test_a_compiled_model_is_traced_in_eager_and_not_recompiled() -> None:
    class Root(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.square().sum(-1).sqrt()

    torch._dynamo.reset()
    net = nn.Sequential(nn.Linear(4, 4), Root())
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(net, backend=counter)

    def step() -> Tensor | None:
        net.zero_grad()
        compiled(torch.ones(2, 4) * float(net[0].bias.any())).sum().backward()
        return net[0].weight.grad

    for _ in range(2):
        step()
    compiled_frames = counter.frame_count
    assert compiled_frames > 0
    with torch.no_grad():
        net[0].weight.zero_()
        net[0].bias.zero_()
    with OriginTrace(compiled) as trace:
        grad = step()
        assert grad is not None
        birth = trace.birth_of(grad)
    assert birth is not None
    assert (birth.op, birth.phase, birth.module, birth.backward_of) == ("aten.div", "backward", "1", "aten.sqrt")
    for _ in range(3):
        step()
    assert counter.frame_count == compiled_frames
    torch._dynamo.reset()


def test_the_trace_keeps_no_memory_of_tensors() -> None:
    trace = OriginTrace(None)
    with trace:
        x = torch.zeros(1000).log()
    storage = x.untyped_storage()
    uses: Callable[[int], int] = torch._C._storage_Use_Count
    before = uses(storage._cdata)
    del trace
    gc.collect()
    assert uses(storage._cdata) == before
