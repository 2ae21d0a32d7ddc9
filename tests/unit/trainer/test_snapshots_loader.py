"""Data goes on by default; with rewind_data the loader's position comes back too."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from lossguard.snapshots.keeper import Restored, SnapshotKeeper
from lossguard.snapshots.options import Snapshots
from lossguard.snapshots.state import TrainingState


class Loader:
    """Numbers from 0 on; its state is where it is."""

    def __init__(self) -> None:
        self.position = {"next": 0}

    def __iter__(self) -> Iterator[int]:
        while True:
            self.position["next"] += 1
            yield self.position["next"] - 1

    def state_dict(self) -> dict[str, int]:
        return self.position

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.position = dict(state)


def keeper_that_rewinds(told: list[str], rewinds: bool = True) -> SnapshotKeeper:
    net = nn.Linear(1, 1)
    options = Snapshots(every=10, healthy_after=5, rewind_data=rewinds)
    return SnapshotKeeper(options, TrainingState(net, []), lambda: 0.0, lambda: 1 << 40, told.append)


def walk(keeper: SnapshotKeeper, loader: Any, steps: range) -> list[int]:
    batches, seen = iter(loader), []
    for step in steps:
        keeper.at_boundary(step, 0.1, loader)
        seen.append(next(batches))
        keeper.before_update()
    return seen


@pytest.mark.parametrize("rewinds", [True, False])
def test_the_batches_after_a_rollback(rewinds: bool) -> None:
    told: list[str] = []
    keeper, loader = keeper_that_rewinds(told, rewinds), Loader()
    seen = walk(keeper, loader, range(18))
    restored = keeper.restore()
    assert restored == Restored(10, {"next": 10} if rewinds else None)
    if restored.loader_state is not None:
        loader.load_state_dict(restored.loader_state)  # type: ignore[arg-type]
    assert walk(keeper, loader, range(10, 18)) == (seen[10:] if rewinds else list(range(18, 26)))
    assert told == []


def test_what_is_handed_back_is_the_callers_to_change() -> None:
    keeper, loader = keeper_that_rewinds([]), Loader()
    walk(keeper, loader, range(18))
    for _ in range(2):
        restored = keeper.restore()
        assert restored is not None
        assert isinstance(restored.loader_state, dict)
        assert restored.loader_state.pop("next") == 10


@pytest.mark.parametrize(("loader", "what"), [([1] * 40, "a list has no state_dict"), (None, "no loader was given")])
def test_a_loader_that_cannot_is_told_once(loader: object, what: str) -> None:
    told: list[str] = []
    keeper = keeper_that_rewinds(told)
    for step in range(30):
        keeper.at_boundary(step, 0.1, loader)
    assert keeper.restore() == Restored(20, None)
    assert told == [f"rewind_data: {what}; a rollback will go on with new data."]


@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")  # torchdata 0.11 under torch 2.13
def test_a_real_stateful_loader() -> None:
    stateful = pytest.importorskip("torchdata.stateful_dataloader")
    keeper = keeper_that_rewinds([])
    loader = stateful.StatefulDataLoader(list(range(40)), batch_size=1, shuffle=True, generator=torch.Generator())
    batches, seen = iter(loader), []
    for step in range(18):
        keeper.at_boundary(step, 0.1, loader)
        seen.append(next(batches).item())
    restored = keeper.restore()
    assert restored is not None
    loader.load_state_dict(restored.loader_state)
    batches = iter(loader)
    assert [next(batches).item() for _ in range(8)] == seen[10:]
