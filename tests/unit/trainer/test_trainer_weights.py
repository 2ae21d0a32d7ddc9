"""The weighted sum: the bits of one written by hand, in memory that never moves."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

import lossguard as lg
from helpers import points, spooled
from lossguard.weights import DeviceWeights

VALUES = {"ce": 1.0, "aux": 0.1, "reg": 1e-7}


def losses(dtype: torch.dtype, seed: int) -> tuple[Tensor, dict[str, Tensor]]:
    """A leaf and three losses of it."""
    leaf = torch.randn(9, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)
    leaf.requires_grad_()
    return leaf, {"ce": leaf.exp().mean(), "aux": (leaf * 37).square().sum(), "reg": leaf.sin().abs().sum()}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("order", [["ce", "aux", "reg"], ["reg", "ce", "aux"], ["aux"]])
def test_the_total_and_its_gradients_have_the_bits_of_a_sum_by_hand(order: list[str], dtype: torch.dtype) -> None:
    weights = DeviceWeights(list(VALUES), VALUES)
    for seed in range(25):
        leaf, given = losses(dtype, seed)
        total = weights.total({name: given[name] for name in order})
        total.backward()
        by_hand_leaf, by_hand_given = losses(dtype, seed)
        by_hand = VALUES[order[0]] * by_hand_given[order[0]]
        for name in order[1:]:
            by_hand = by_hand + VALUES[name] * by_hand_given[name]
        by_hand.backward()
        assert (total.dtype, total.shape) == (dtype, ())
        assert torch.equal(total, by_hand)
        assert leaf.grad is not None
        assert by_hand_leaf.grad is not None
        assert torch.equal(leaf.grad, by_hand_leaf.grad)


def test_a_new_weight_is_written_into_the_old_memory() -> None:
    weights = DeviceWeights(["a", "b"], {"a": 1.0, "b": 2.0})
    single, double = torch.tensor(3.0), torch.tensor(3.0, dtype=torch.float64)
    weights.total({"a": single})
    weights.total({"a": double})
    before = {
        key: (vector.data_ptr(), [v.data_ptr() for v in views]) for key, (vector, views) in weights._vectors.items()
    }
    weights.update({"a": 5.0, "b": 7.0})
    assert weights.total({"a": single, "b": single}).item() == 36.0
    assert weights.total({"b": double}).item() == 21.0
    after = {
        key: (vector.data_ptr(), [v.data_ptr() for v in views]) for key, (vector, views) in weights._vectors.items()
    }
    assert after == before
    assert len(after) == 2


def test_weights_that_did_not_change_are_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = DeviceWeights(["a"], {"a": 1.0})
    weights.total({"a": torch.tensor(3.0)})
    written: list[Tensor] = []
    monkeypatch.setattr(weights, "_write", written.append)
    weights.update({"a": 1.0})
    assert written == []
    weights.update({"a": 1.5})
    assert len(written) == 1


def test_a_component_is_one_number_of_any_shape_or_type() -> None:
    weights = DeviceWeights(["a", "n"], {"a": 0.5, "n": 0.25})
    total = weights.total({"a": torch.tensor([[4.0]]), "n": torch.tensor(3)})
    assert (total.item(), total.shape) == (2.75, ())
    assert weights.total({"a": torch.tensor(math.nan)}).isnan()


def test_a_total_taken_without_gradients_does_not_spoil_a_later_one() -> None:
    weights = DeviceWeights(["a"], {"a": 0.5})
    with torch.inference_mode():  # a look at the validation loss before training
        assert weights.total({"a": torch.tensor(4.0)}).item() == 2.0
        weights.update({"a": 0.25})
    leaf = torch.tensor(4.0, requires_grad=True)
    weights.total({"a": leaf}).backward()
    assert leaf.grad == 0.25


def test_a_default_device_of_the_user_is_not_ours() -> None:
    weights = DeviceWeights(["a"], {"a": 0.5})
    with torch.device("meta"):
        assert weights.total({"a": torch.tensor(4.0, device="cpu")}).item() == 2.0
        weights.update({"a": 0.25})
        assert weights.total({"a": torch.tensor(4.0, device="cpu")}).item() == 1.0


def test_an_unknown_component_is_named_with_those_that_are_known() -> None:
    with pytest.raises(lg.UnknownComponent) as caught:
        DeviceWeights(["ce", "aux"], {"ce": 1.0, "aux": 1.0}).total({"auks": torch.tensor(1.0)})
    assert str(caught.value) == (
        "run.total got the component 'auks', which no stage declares; declared are ce, aux. "
        "Add it to a stage's weights (0 is allowed), or correct the name."
    )
    assert (caught.value.name, caught.value.known) == ("auks", ["ce", "aux"])
    assert isinstance(caught.value, KeyError)


@pytest.mark.parametrize("shape", [(2,), (0,), (3, 4)])
def test_a_loss_that_is_not_one_number_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(lg.NotAScalar) as caught:
        DeviceWeights(["ce"], {"ce": 1.0}).total({"ce": torch.zeros(shape)})
    assert f"'ce' with shape {list(shape)}; reduce it to one number" in str(caught.value)
    assert caught.value.shape == shape


def test_no_component_at_all_is_refused() -> None:
    with pytest.raises(TypeError, match="takes at least one component"):
        DeviceWeights(["ce"], {"ce": 1.0}).total({})


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_weighed_as_by_a_python_float(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    weights = {"a": 0.3, "b": 1.7e-5}
    device = DeviceWeights(list(weights), weights)
    for _ in range(200):
        given = torch.rand(2, generator=generator).mul(100).to(dtype)
        ours, theirs = given.clone().requires_grad_(), given.clone().requires_grad_()
        total = device.total({"a": ours[0], "b": ours[1]})
        expected = 0.3 * theirs[0] + 1.7e-5 * theirs[1]
        assert (total.dtype, total.item().hex()) == (dtype, expected.item().hex())
        total.backward()
        expected.backward()
        assert ours.grad is not None
        assert theirs.grad is not None
        assert ours.grad.tolist() == theirs.grad.tolist()


def test_a_weight_changed_before_a_late_backward_does_not_raise() -> None:
    device = DeviceWeights(["a"], {"a": 1.0})
    loss = torch.tensor(2.0, requires_grad=True)
    total = device.total({"a": loss})
    device.update({"a": 0.5})
    total.backward()


def test_a_loss_that_is_switched_off_may_be_a_python_number(spool_folder: Path) -> None:
    run = lg.init(mode="offline", losses={"a": 1.0, "b": 2.0})
    for _ in run.steps(range(10)):
        assert run.total(a=torch.tensor(3.0), b=0.0).item() == 3.0  # type: ignore[arg-type]
    run.finish()
    found = points(spooled(spool_folder))
    assert len(found["loss/b"]) == len(found["loss/total"]) == 10
