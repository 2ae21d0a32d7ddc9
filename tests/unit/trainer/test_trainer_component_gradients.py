"""Shares and cosines of the components' gradients, against numbers made by hand."""

import math
import weakref

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

import lossguard as lg
from lossguard.gradients import ComponentGradients, Weight, _compare

ONE = {"a": 1.0, "b": 1.0}


def measured(
    losses: dict[str, Tensor], shared: Tensor, weights: dict[str, Weight], scale: Tensor | None = None
) -> dict[str, float]:
    gradients = ComponentGradients(list(losses))
    gradients.share(shared)
    found = gradients.measure(0, losses, weights, scale)
    assert found is not None
    return dict(zip(found[0], found[1].tolist(), strict=True))


def activation(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed)).requires_grad_() * 1


def pulled(shared: Tensor, *directions: list[float]) -> dict[str, Tensor]:
    """Losses a, b, ... whose gradient at `shared` [n] is the direction given."""
    return {
        name: (shared * torch.tensor(d, dtype=shared.dtype)).sum() for name, d in zip("abcd", directions, strict=False)
    }


def test_shares_and_cosines_of_known_gradients() -> None:
    h = activation(2)
    found = measured(pulled(h, [3, 4], [4, 3], [-1, 0]), h, {"a": 1.0, "b": 0.5, "c": -2.5})
    assert found == pytest.approx({
        "grad_share/a": 0.5, "grad_share/b": 0.25, "grad_share/c": 0.25,
        "grad_cos/a|b": 0.96, "grad_cos/a|c": 0.6, "grad_cos/b|c": 0.8,
    })  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.complex64])
def test_against_the_gradients_one_by_one(dtype: torch.dtype) -> None:
    h = activation(5, 7, 3, dtype=dtype)
    half = h.mT  # a view: what is marked need not lie contiguously in memory
    losses = {"a": half.abs().square().mean(), "b": (half * half.flip(0)).abs().sum(), "c": half[0].abs().sum()}
    weights: dict[str, Weight] = {"a": 300.0, "b": torch.tensor(-0.25), "c": 1.0}
    g = {k: float(w) * torch.autograd.grad(losses[k], half, retain_graph=True)[0].flatten() for k, w in weights.items()}
    real = {k: (torch.view_as_real(v) if v.is_complex() else v).double().flatten() for k, v in g.items()}
    total = sum(v.norm() for v in real.values())
    wanted = {f"grad_share/{k}": (v.norm() / total).item() for k, v in real.items()}
    for a, b in (("a", "b"), ("a", "c"), ("b", "c")):
        wanted[f"grad_cos/{a}|{b}"] = torch.cosine_similarity(real[a], real[b], dim=0).item()
    assert measured(losses, half, weights) == pytest.approx(wanted, rel=1e-2 if dtype == torch.bfloat16 else 1e-5)


def test_a_component_of_weight_zero_has_no_share_and_a_direction() -> None:
    h = activation(2)
    found = measured(pulled(h, [1, 0], [-5, 0]), h, {"a": 1.0, "b": 0.0})
    assert found == {"grad_share/a": 1.0, "grad_share/b": 0.0, "grad_cos/a|b": -1.0}


def test_a_component_that_does_not_depend_on_it_has_no_share_and_no_angle() -> None:
    h = activation(2)
    apart = nn.Parameter(torch.ones(2))
    losses = {**pulled(h, [1, 2]), "b": apart.sum(), "c": torch.tensor(3.0), "d": (h * 0).sum()}
    found = measured(losses, h, dict.fromkeys(losses, 1.0))
    assert found.pop("grad_share/a") == 1.0
    assert set(found.values()) == {0.0}


@pytest.mark.parametrize("size", [1e-38, 1e-30, 1e30, 1e38])
def test_neither_tiny_nor_huge_gradients_leave_the_range(size: float) -> None:
    h = activation(2)
    found = measured(pulled(h, [3 * size, 0], [2 * size, 2 * size]), h, {"a": 1.0, "b": 3.0})
    assert found["grad_cos/a|b"] == pytest.approx(math.sqrt(0.5), rel=1e-5)
    assert found["grad_share/a"] == pytest.approx(3 / (3 + 6 * math.sqrt(2)), rel=1e-5)


def test_a_tiny_gradient_beside_a_huge_one_keeps_its_direction() -> None:
    h = activation(2)
    found = measured(pulled(h, [1e30, 1e30], [1e-30, 0]), h, ONE)
    assert found["grad_cos/a|b"] == pytest.approx(math.sqrt(0.5))
    assert found["grad_share/b"] == pytest.approx(1e-60 / math.sqrt(2))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_stays_with_its_component(bad: float) -> None:
    h = activation(2)
    found = measured(pulled(h, [3, 4], [bad, 0], [0, 5]), h, {**ONE, "c": 1.0})
    assert {name for name, value in found.items() if not math.isfinite(value)} == {
        "grad_share/b", "grad_cos/a|b", "grad_cos/b|c",
    }  # fmt: skip
    assert (found["grad_share/a"], found["grad_cos/a|c"]) == (0.5, pytest.approx(0.8))


def test_a_scaler_saves_gradients_in_half_precision_from_underflow() -> None:
    h = (torch.ones(4).requires_grad_() * 1).half()
    losses = {"a": (h.float() * 1e-9).sum(), "b": (h.float() * 3e-9).sum()}
    assert measured(losses, h, ONE)["grad_share/b"] == 0.0
    assert measured(losses, h, ONE, torch.tensor(65536.0))["grad_share/b"] == pytest.approx(0.75, rel=1e-2)


def test_autocast_does_not_compare_in_half_precision() -> None:
    h = activation(64)
    losses = {"a": h.sin().sum(), "b": h.exp().sum()}
    with torch.autocast("cpu", torch.bfloat16):
        inside = measured(losses, h, ONE)
    assert inside == measured(losses, h, ONE)


def test_the_turn_comes_at_the_first_step_and_then_every_tenth() -> None:
    full: list[int] = []
    gradients, turns = ComponentGradients(["a"], lambda: bool(full), every=10), list[int]()
    for step in range(3, 36):
        if step == 32:
            full.append(step)
        for _ in range(2):  # accumulated micro-batches: the first one is measured
            h = activation(2)
            assert gradients.share(h) is h
            if gradients.measure(step, pulled(h, [1, 1]), ONE) is not None:
                turns.append(step)
    assert turns == [3, 10, 20, 30, 32, 33, 34, 35]


def test_nothing_is_measured_without_a_mark_of_this_step_or_without_gradients() -> None:
    gradients = ComponentGradients(["a"], lambda: True)
    h = activation(2)
    assert gradients.measure(0, pulled(h, [1, 1]), ONE) is None
    gradients.share(h)
    assert gradients.measure(1, pulled(h, [1, 1]), ONE) is not None
    assert gradients.measure(2, pulled(h, [1, 1]), ONE) is None  # the mark is used up, its graph is let go
    gradients.share(h.detach())
    assert gradients.measure(3, pulled(h, [1, 1]), ONE) is None
    gradients.share(h)
    with torch.no_grad():
        assert gradients.measure(4, pulled(h, [1, 1]), ONE) is None
    assert gradients.off_reason is None


def test_a_mark_on_which_nothing_depends_is_said_and_forgiven() -> None:
    gradients = ComponentGradients(["a", "b"], lambda: True)
    h = activation(2)
    gradients.share(activation(3))
    assert gradients.measure(0, pulled(h, [1, 1], [1, 2]), ONE) is None
    assert gradients.off_reason is not None
    gradients.share(h)
    found = gradients.measure(1, {"b": pulled(h, [1, 1], [1, 2])["b"]}, ONE)
    assert found is not None
    assert (found[0], found[1].tolist(), gradients.off_reason) == (["grad_share/b"], [1.0], None)


def test_nothing_here_looks_at_a_value() -> None:
    with FakeTensorMode():
        assert _compare(torch.empty(3, 8), [1.0, torch.empty(()), -2.0]).shape == (6,)


def test_an_activation_that_no_losses_follow_is_let_go_with_its_step() -> None:
    net = torch.nn.Linear(3, 2)
    run = lg.init(mode="offline", model=net, optimizer=torch.optim.SGD(net.parameters(), lr=0.1))
    alive: list[weakref.ref[Tensor]] = []
    for _ in run.steps(range(3)):
        assert not any(each() is not None for each in alive)
        hidden = run.shared(net(torch.ones(4, 3)))
        alive.append(weakref.ref(hidden))
        hidden.sum().backward()
        del hidden
    run.finish()
