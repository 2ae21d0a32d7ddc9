"""What one step's losses become: alone, accumulated, of two players, beside a look at validation data."""

import torch
from torch import Tensor

from lossguard.step_losses import StepLosses


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
