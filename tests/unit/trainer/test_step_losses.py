"""What one step's losses become: alone, accumulated, of two players, beside a look at validation data."""

import pytest
import torch
from torch import Tensor

from lossguard.step_losses import StepLosses, copies


def values(losses: StepLosses) -> dict[str, float]:
    return {
        name: value
        for series, tensor in losses.series()
        for name, value in zip(series, tensor.reshape(-1).tolist(), strict=True)
    }


def call(losses: StepLosses, total: float, graph: bool = True, **given: float) -> None:
    tensor: Tensor = torch.tensor(total, requires_grad=graph)
    losses.add({name: torch.tensor(value) for name, value in given.items()}, tensor)


def test_one_call_is_recorded_as_it_is() -> None:
    losses = StepLosses()
    call(losses, 3.0, a=1.0, b=2.0)
    assert values(losses) == {"loss/a": 1.0, "loss/b": 2.0, "loss/total": 3.0}


def test_micro_batches_become_their_mean_and_the_bad_one_is_told() -> None:
    losses = StepLosses()
    for total in (1.0, torch.nan, 3.0):
        call(losses, total, a=total)
    found = values(losses)
    assert [i for i in range(3) if found[f".micro/{i}"] != found[f".micro/{i}"]] == [1]
    assert found["loss/a"] != found["loss/a"]
    losses.clear()
    for total in (1.0, 3.0):
        call(losses, total, a=total)
    assert values(losses)["loss/a"] == 2.0


def test_two_players_add_up() -> None:
    losses = StepLosses()
    call(losses, 1.0, discriminator=1.0)
    call(losses, 5.0, generator=5.0)
    assert values(losses)["loss/total"] == 6.0


def test_a_look_without_a_graph_does_not_count_beside_training() -> None:
    losses = StepLosses()
    call(losses, torch.nan, graph=False, a=torch.nan)
    call(losses, 2.0, a=2.0)
    assert values(losses) == {"loss/a": 2.0, "loss/total": 2.0}
    assert [float(total) for total in losses.totals()] == [2.0]


def test_alone_it_counts() -> None:
    losses = StepLosses()
    call(losses, 4.0, graph=False, a=4.0)
    assert values(losses) == {"loss/a": 4.0, "loss/total": 4.0}


def test_no_step_no_series() -> None:
    assert StepLosses().series() == []


def test_what_is_changed_in_place_afterwards_was_recorded_as_it_was() -> None:
    losses = StepLosses()
    part, total, half = torch.tensor(2.0), torch.tensor(4.0, requires_grad=True), torch.tensor(1.5).bfloat16()
    losses.add({"a": part, "half": half}, total)  # of two kinds
    losses.add({"a": part, "half": half}, total)
    with torch.no_grad():
        for each in (part, total, half):
            each /= 4
    assert values(losses) == {"loss/a": 2.0, "loss/half": 1.5, "loss/total": 4.0, ".micro/0": 4.0, ".micro/1": 4.0}


def test_values_of_one_kind_are_copied_at_once() -> None:
    given = [torch.tensor([1.0], requires_grad=True), torch.tensor(2.0)]
    kept = copies(given)
    assert [(each.shape, each.requires_grad, each.item()) for each in kept] == [((), False, 1.0), ((), False, 2.0)]
    assert kept[0].untyped_storage().data_ptr() == kept[1].untyped_storage().data_ptr()
    assert not {each.data_ptr() for each in kept} & {each.data_ptr() for each in given}


def test_two_players_are_no_micro_batches() -> None:
    losses = StepLosses()
    call(losses, 1.0, discriminator=1.0)
    call(losses, torch.nan, generator=torch.nan)
    assert not any(name.startswith(".micro/") for name in values(losses))


@pytest.mark.parametrize("order", [("cpu", "meta"), ("meta", "cpu")])
def test_a_micro_batch_on_the_host_goes_to_the_device(order: tuple[str, str]) -> None:
    losses = StepLosses()
    for device in order:
        losses.add({"a": torch.ones((), device=device)}, torch.ones((), device=device, requires_grad=True))
    assert {tensor.device.type for _, tensor in losses.series()} == {"meta"}
