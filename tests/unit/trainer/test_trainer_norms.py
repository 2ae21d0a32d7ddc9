"""Gradient norms against a reference, and groups by name."""

import math

import pytest
import torch

from lossguard import norms
from lossguard.instrument import _any


def gradients(dtype: torch.dtype, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes: list[tuple[int, ...]] = [(7, 5), (5,), (3, 4, 2), (), (1,), (64, 33)]
    return [torch.randn(shape, generator=generator).to(dtype) * 10.0 ** (i - 3) for i, shape in enumerate(shapes)]


def exact(grads: list[torch.Tensor]) -> list[float]:
    """Norms by the slow, exact way."""
    return [math.sqrt(math.fsum(x * x for x in g.double().flatten().tolist())) for g in grads]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_each_gradient_has_its_norm(dtype: torch.dtype) -> None:
    grads = gradients(dtype)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    each = norms.grad_norms(grads, wide)
    assert (each.shape, each.dtype) == ((6,), wide)
    assert each.tolist() == pytest.approx(exact(grads), rel=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_the_total_has_the_bits_of_torch(seed: int) -> None:
    params = [torch.zeros_like(g).requires_grad_() for g in gradients(torch.float32, seed)]
    for param, grad in zip(params, gradients(torch.float32, seed), strict=True):
        param.grad = grad
    ours = norms.total_norm(norms.grad_norms(gradients(torch.float32, seed)))
    assert torch.equal(ours, torch.nn.utils.clip_grad_norm_(params, 1.0))


def test_a_group_has_the_norm_of_all_its_gradients() -> None:
    grads = gradients(torch.float32)
    each = norms.grad_norms(grads)
    by_group = norms.group_norms(each, torch.tensor([0, 1, 0, 2, 2, 1]), 3)
    wanted = exact([torch.cat([grads[i].flatten() for i in of]) for of in ([0, 2], [1, 5], [3, 4])])
    assert by_group.tolist() == pytest.approx(wanted, rel=1e-6)
    assert by_group.square().sum().sqrt().item() == pytest.approx(norms.total_norm(each).item(), rel=1e-6)


def test_a_group_without_gradients_is_zero_and_a_large_norm_does_not_overflow() -> None:
    by_group = norms.group_norms(torch.tensor([3e19, 4e19]), torch.tensor([1, 1]), 3)
    assert by_group.tolist() == pytest.approx([0.0, 5e19, 0.0], rel=1e-6)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_stays_in_its_group_and_reaches_the_total(bad: float) -> None:
    grads = gradients(torch.float32)
    grads[2][1, 1, 1] = bad
    each = norms.grad_norms(grads)
    by_group = norms.group_norms(each, torch.tensor([0, 0, 1, 2, 2, 2]), 3)
    finite = [True, False, True]
    assert by_group.isfinite().tolist() == finite
    assert math.isnan(by_group[1].item()) == math.isnan(bad)
    assert math.isnan(norms.total_norm(each).item()) == math.isnan(bad)


NAMES = ["encoder.0.weight", "encoder.0.bias", "encoder_extra.weight", "head.out.weight", "temperature"]


def test_without_groups_the_first_part_of_a_name_is_the_group() -> None:
    assert norms.assign_groups(NAMES, None) == (["encoder", "encoder_extra", "head", "temperature"], [0, 0, 1, 2, 3])


@pytest.mark.parametrize(
    ("groups", "assigned"),
    [
        ({"backbone": "encoder.*", "head": "head.*"}, (["backbone", "head", "other"], [0, 0, 2, 1, 2])),
        ({"backbone": "encoder"}, (["backbone", "other"], [0, 0, 1, 1, 1])),
        ({"backbone": "encoder*"}, (["backbone", "other"], [0, 0, 0, 1, 1])),
        ({"all": ["encoder", "encoder_extra", "head", "temperature"]}, (["all"], [0] * 5)),
        ({"bias": "*.bias", "backbone": "encoder"}, (["bias", "backbone", "other"], [1, 0, 2, 2, 2])),
        ({"nothing": "decoder", "t": "temperature"}, (["t", "other"], [1, 1, 1, 1, 0])),
        ({}, (["other"], [0] * 5)),
    ],
)
def test_the_first_pattern_that_matches_wins(
    groups: dict[str, str | list[str]], assigned: tuple[list[str], list[int]]
) -> None:
    assert norms.assign_groups(NAMES, groups) == assigned


@pytest.mark.parametrize("order", [("cpu", "meta"), ("meta", "cpu")])
def test_tensors_of_two_devices_meet_where_no_copy_has_to_be_awaited(order: tuple[str, str]) -> None:
    assert norms.home_of([torch.ones(2, device=device) for device in order]).type == "meta"
    assert norms.home_of([torch.ones(2)]).type == "cpu"
    assert _any([torch.ones((), dtype=torch.bool, device=device) for device in order]).device.type == "meta"


WRAPPED = ["", "_orig_mod.", "module.", "_orig_mod.module.", "module._orig_mod."]


@pytest.mark.parametrize("prefix", WRAPPED)
def test_a_wrapper_changes_no_group(prefix: str) -> None:
    names = [f"{prefix}{name}" for name in ("encoder.0.weight", "encoder.0.bias", "head.weight")]
    assert norms.assign_groups(names, None) == (["encoder", "head"], [0, 0, 1])
    for given in (prefix, ""):  # a pattern in the wrapper's words, or in the model's
        groups = {"backbone": f"{given}encoder.*", "top": f"{given}head"}
        assert norms.assign_groups(names, groups) == (["backbone", "top"], [0, 0, 1])


def test_a_part_called_module_is_the_models_own_beside_another() -> None:
    names = ["module.0.weight", "module.1.weight", "head.weight"]
    assert norms.assign_groups(names, None) == (["module", "head"], [0, 0, 1])
    assert norms.assign_groups(names, {"m": "module.*"}) == (["m", "other"], [0, 0, 1])
    assert norms.clean_names(["blocks._orig_mod.0.weight", "_orig_mod.b"]) == ["blocks.0.weight", "b"]
    assert norms.clean_name("module._orig_mod.encoder.weight") == "encoder.weight"
