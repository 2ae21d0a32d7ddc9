"""Statistics of what modules put out, in every way in which a module is called."""

import math
from collections import OrderedDict

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend

from lossguard.activations import NOT_CALLED, Activations
from unit.trainer.recomputing import Wrap, plainly, recomputed, recomputed_reentrantly

# torch warns about itself while it compiles
pytestmark = [
    pytest.mark.filterwarnings("ignore:The .grad attribute"),
    pytest.mark.filterwarnings("ignore::Warning:torch.*"),
]


class Net(nn.Module):
    """Three blocks, each called through `wrap`; block `left_out` is not called; keeps what each block put out."""

    def __init__(self, wrap: Wrap = plainly) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Sequential(nn.Linear(8, 8), nn.Tanh()) for _ in range(3)])
        self.head = nn.Linear(8, 1)
        self.wrap, self.left_out = wrap, -1

    def forward(self, x: Tensor) -> Tensor:
        for i, block in enumerate(self.blocks):
            if i != self.left_out:
                x = x + self.wrap(block, x)
        out: Tensor = self.head(x)
        return out


def read(activations: Activations) -> dict[str, float]:
    found = activations.values()
    return {} if found is None else dict(zip(found[0], found[1].tolist(), strict=True))


def of(name: str, out: Tensor) -> dict[str, float]:
    wide = out.double()
    wanted = {"rms": wide.square().mean().sqrt(), "absmax": wide.abs().amax()}
    return {f"activation/{name}/{key}": pytest.approx(value.item(), rel=1e-6) for key, value in wanted.items()}


def expected(net: Net, x: Tensor) -> dict[str, float]:
    """By hand, without hooks, of the blocks that are called."""
    found: dict[str, float] = {}
    with torch.no_grad():
        for i, block in enumerate(net.blocks):
            if i == net.left_out:
                found |= {f"activation/blocks.{i}/{key}": NOT_CALLED for key in ("rms", "absmax")}
            else:
                out = block[1].forward(block[0].forward(x))  # type: ignore[index]
                found |= of(f"blocks.{i}", out)
                x = x + out
    return found


@pytest.mark.parametrize("wrap", [plainly, recomputed, recomputed_reentrantly])
def test_each_step_has_its_own_values_and_a_backward_changes_none(wrap: Wrap) -> None:
    net = Net(wrap)
    activations = Activations(net, True, lambda: True)
    for step in range(4):
        net.left_out = 1 if step == 2 else -1
        x = torch.randn(4, 8, requires_grad=True)
        wanted = expected(net, x)
        loss = net(x).sum()
        with torch.no_grad():  # were the blocks' second run looked at, it would be of other weights
            for parameter in net.parameters():
                parameter.data = parameter * 2
        loss.backward()
        assert read(activations) == wanted
    assert read(activations) == dict.fromkeys(wanted, NOT_CALLED)


def test_of_several_calls_in_a_step_the_last_one_counts() -> None:
    net = Net()
    activations = Activations(net, True, lambda: True)
    for x in torch.randn(3, 4, 8):
        net(x)
    assert read(activations) == expected(net, x)


@pytest.mark.parametrize("wrap", [plainly, recomputed])
def test_a_compiled_model_stays_one_graph(wrap: Wrap) -> None:
    net = Net(wrap)
    activations = Activations(net, True, lambda: True)
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(net, backend=counter, fullgraph=True)
    for step in range(6):
        for _ in range(2 if step == 3 else 1):
            x = torch.randn(4, 8)
            compiled(x).sum().backward()
        assert read(activations) == expected(net, x)
    assert counter.frame_count == 1
    net.left_out = 0
    compiled(x).sum().backward()
    assert read(activations) == expected(net, x)


def test_switching_makes_a_compiled_model_twice_and_no_more() -> None:
    net, is_on = Net(), [True]
    activations = Activations(net, True, lambda: is_on[0])
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(net, backend=counter, fullgraph=True)
    for on in [True, False] * 4:
        is_on[0] = on
        activations.values()
        compiled(torch.randn(4, 8)).sum().backward()
        assert bool(read(activations)) == on
    assert counter.frame_count == 2


def test_blocks_compiled_one_by_one_are_seen() -> None:
    net = Net()
    activations = Activations(net, True, lambda: True)
    for block in net.blocks:
        block.compile(backend="aot_eager")
    x = torch.randn(4, 8)
    net(x)
    assert read(activations) == expected(net, x)


def test_values_have_no_graph_and_training_has_the_same_bits() -> None:
    x, gradients = torch.randn(4, 8), []
    for patterns in (True, False):
        torch.manual_seed(0)
        net = Net(recomputed)
        activations = Activations(net, patterns, lambda: True)
        net(x).sum().backward()
        found = activations.values()
        assert found is None or not found[1].requires_grad
        gradients.append([p.grad for p in net.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True) if a is not None and b is not None)


def test_while_it_is_off_nothing_is_kept_and_nothing_old_comes_back() -> None:
    net, is_on = Net(), [True]
    activations = Activations(net, True, lambda: is_on[0])
    net(torch.randn(4, 8))
    is_on[0] = False
    assert read(activations)  # the step that ends here was still looked at
    net(torch.randn(4, 8))
    assert activations.values() is None
    is_on[0] = True
    assert activations.values() is None
    assert set(read(activations).values()) == {NOT_CALLED}


def test_evaluation_is_not_looked_at() -> None:
    net = Net()
    activations = Activations(net, True, lambda: True)
    x = torch.randn(4, 8)
    net(x)
    net.eval()
    net(torch.randn(4, 8))
    assert read(activations) == expected(net, x)


class Gives(nn.Module):
    """Gives what it is told."""

    def __init__(self, output: object) -> None:
        super().__init__()
        self.output = output

    def forward(self) -> object:
        return self.output


X = torch.tensor([3.0, -4.0])


@pytest.mark.parametrize(
    "output", [X, (X, None), [None, X], {"a": 1, "b": X}, OrderedDict(a=((X,),)), X.double(), X.half()]
)
def test_the_first_tensor_of_an_output_counts(output: object) -> None:
    model = nn.ModuleDict({"m": Gives(output)})
    activations = Activations(model, ["m"], lambda: True)
    model["m"]()
    assert read(activations) == {"activation/m/rms": pytest.approx(math.sqrt(12.5)), "activation/m/absmax": 4.0}


@pytest.mark.parametrize(
    "output", [None, 3, "x", (), torch.tensor([1, 2]), torch.zeros(0), torch.ones(2, dtype=torch.complex64)]
)
def test_an_output_without_real_numbers_is_left_out(output: object) -> None:
    model = nn.ModuleDict({"m": Gives(output)})
    activations = Activations(model, ["m"], lambda: True)
    assert model["m"]() is output
    assert set(read(activations).values()) == {NOT_CALLED}


def test_an_output_that_cannot_be_measured_is_said_once_and_never_raises(caplog: pytest.LogCaptureFixture) -> None:
    model = nn.ModuleDict({"m": Gives(torch.eye(2).to_sparse())})
    activations = Activations(model, ["m"], lambda: True)
    for _ in range(3):
        model["m"]()
    assert set(read(activations).values()) == {NOT_CALLED}
    assert [record.getMessage().startswith("lossguard leaves the module m alone") for record in caplog.records] == [
        True
    ]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_comes_out_as_what_it_is(bad: float) -> None:
    model = nn.ModuleDict({"m": Gives(torch.tensor([1.0, bad, 2.0]))})
    activations = Activations(model, ["m"], lambda: True)
    model["m"]()
    assert list(read(activations).values()) == pytest.approx([abs(bad)] * 2, nan_ok=True)


def test_half_precision_does_not_overflow_in_its_square() -> None:
    model = nn.ModuleDict({"m": Gives(torch.full((1000,), 60000.0, dtype=torch.float16))})
    activations = Activations(model, ["m"], lambda: True)
    model["m"]()
    assert list(read(activations).values()) == pytest.approx([60000.0] * 2, rel=1e-3)


def chosen(model: nn.Module, patterns: list[str] | bool) -> list[str]:
    activations = Activations(model, patterns, lambda: True)
    found = activations.values()
    return [] if found is None else [name.removesuffix("/rms").split("/")[1] for name in found[0][::2]]


def test_modules_are_chosen_by_name_and_by_glob(caplog: pytest.LogCaptureFixture) -> None:
    assert chosen(Net(), ["head", "blocks.1", "head"]) == ["head", "blocks.1"]
    assert chosen(Net(), ["blocks"]) == ["blocks.0", "blocks.1", "blocks.2"]
    assert chosen(Net(), ["blocks.*.0"]) == ["blocks.0.0", "blocks.1.0", "blocks.2.0"]
    assert (chosen(Net(), []), chosen(Net(), False)) == ([], [])
    assert caplog.records == []
    assert chosen(Net(), ["tail"]) == []
    assert "'tail'" in caplog.text


def test_the_blocks_are_the_members_of_lists_and_else_the_parts_of_the_model() -> None:
    assert chosen(Net(), True) == ["blocks.0", "blocks.1", "blocks.2"]
    assert chosen(nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Tanh())), True) == ["0", "1"]
    assert chosen(nn.Transformer(8, 2, 2, 1, 16), True) == ["encoder.layers.0", "encoder.layers.1", "decoder.layers.0"]
    assert chosen(nn.Bilinear(2, 2, 2), True) == []
    assert chosen(nn.TransformerEncoderLayer(8, 2, 16), True)[:2] == ["self_attn", "linear1"]


def test_a_wrapped_model_has_the_names_of_what_it_wraps() -> None:
    wrapped = nn.Module()
    wrapped.module = Net()
    assert chosen(wrapped, ["blocks.0"]) == ["blocks.0"]
    assert chosen(torch.compile(wrapped, backend="eager"), True) == ["blocks.0", "blocks.1", "blocks.2"]  # type: ignore[arg-type]


def test_without_a_model_or_after_detach_there_is_nothing() -> None:
    assert Activations(None, True, lambda: True).values() is None
    net = Net()
    activations = Activations(net, True, lambda: True)
    activations.detach()
    net(torch.randn(4, 8))
    assert activations.values() is None
    assert not any(module._forward_hooks for module in net.modules())
