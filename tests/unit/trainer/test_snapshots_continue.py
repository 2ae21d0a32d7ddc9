"""After a rollback the training repeats itself bit for bit, and no part of the snapshot may be left out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR, ReduceLROnPlateau, SequentialLR, StepLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from lossguard.random_states import RandomStates
from lossguard.snapshots.keeper import SnapshotKeeper
from lossguard.snapshots.options import Snapshots
from lossguard.snapshots.ring import Copies, DeviceCopy, PlainCopy
from lossguard.snapshots.state import Own, Stateful, TrainingState
from lossguard.snapshots.tree import Region

STEPS, BACK_TO = 30, 10
BATCHES = [torch.randn(8, 12, generator=torch.Generator().manual_seed(step)) for step in range(STEPS)]

OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "AdamW": lambda params: torch.optim.AdamW(params, lr=1e-2),
    "SGD momentum": lambda params: torch.optim.SGD(params, lr=1e-2, momentum=0.9, nesterov=True),
    "Adam amsgrad": lambda params: torch.optim.Adam(params, lr=1e-2, amsgrad=True),
    "fused AdamW": lambda params: torch.optim.AdamW(params, lr=1e-2, fused=True),
    "AdamW, a tensor's rate": lambda params: torch.optim.AdamW(params, lr=torch.tensor(1e-2), foreach=False),
    "Adafactor": lambda params: torch.optim.Adafactor(params, lr=1e-2),
    "NAdam": lambda params: torch.optim.NAdam(params, lr=1e-2),
    "Rprop": lambda params: torch.optim.Rprop(params, lr=1e-2),
    "ASGD": lambda params: torch.optim.ASGD(params, lr=1e-2, t0=5),
}


def plateau(opt: torch.optim.Optimizer) -> ReduceLROnPlateau:
    return ReduceLROnPlateau(opt, patience=0, threshold=0.5, factor=0.9)


def chain(opt: torch.optim.Optimizer) -> SequentialLR:
    return SequentialLR(opt, [LambdaLR(opt, lambda step: 0.1 + step / 20), StepLR(opt, 3, 0.8)], milestones=[15])


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(12, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Dropout(0.3), nn.Linear(16, 12))
        self.register_buffer("seen", torch.zeros(()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.seen += x.abs().mean()
        return self.body(x + torch.as_tensor(np.random.normal(0, 0.01, x.shape), dtype=x.dtype)) / (1 + self.seen)


@dataclass
class World:
    """A training whose parts can be left out of its snapshots by name."""

    make_optimizer: Callable[[Any], torch.optim.Optimizer] = OPTIMIZERS["AdamW"]
    make_scheduler: Callable[[torch.optim.Optimizer], Any] = lambda opt: StepLR(
        opt, 7, 0.7
    )  # 7: step 30 is not in the phase of step 10
    left_out: str = ""
    every: int = 10
    copy: Callable[[], DeviceCopy] = PlainCopy
    losses: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        torch.manual_seed(3)
        np.random.seed(3)
        self.net = Net()
        self.opt = self.make_optimizer(self.net.parameters())
        self.scheduler = self.make_scheduler(self.opt)
        self.scaler = torch.amp.GradScaler("cpu", init_scale=4.0, growth_interval=4)
        self.ema = AveragedModel(self.net, multi_avg_fn=get_ema_multi_avg_fn(0.9))
        self.told: list[str] = []
        options = Snapshots(every=self.every, healthy_after=5, slots=3)
        copies = Copies(lambda device: self.copy())
        self.keeper = SnapshotKeeper(options, self.state(), lambda: 0.0, lambda: 1 << 40, self.told.append, copies)

    def state(self) -> TrainingState:
        own = Own(self.ema.state_dict, self.ema.load_state_dict)
        given: list[Stateful] = [] if self.left_out == "scheduler" else [self.scheduler]
        return TrainingState(
            nn.Module() if self.left_out == "model" else self.net,
            [] if self.left_out == "optimizer" else self.opt,
            given,
            None if self.left_out == "scaler" else self.scaler,
            None if self.left_out == "own" else own,
            (lambda: Forgetful.take()) if self.left_out == "rng" else RandomStates.take,
        )

    def train(self, first: int, last: int) -> None:
        for step in range(first, last):
            self.keeper.at_boundary(step, 0.1)
            self.step(step)

    def step(self, step: int) -> None:
        loss = self.net(BATCHES[step]).square().mean()
        self.scaler.scale(loss).backward()
        # the scale must matter to the bits: a loss that is nudged by it
        self.scaler.unscale_(self.opt)
        nn.utils.clip_grad_norm_(self.net.parameters(), 1.0 + self.scaler.get_scale() / 64)
        self.keeper.before_update()
        self.scaler.step(self.opt)
        self.scaler.update()
        self.opt.zero_grad()
        self.ema.update_parameters(self.net)
        self.scheduler.step(*([loss.item()] if isinstance(self.scheduler, ReduceLROnPlateau) else []))
        self.losses[step] = loss.item()

    def bits(self) -> list[bytes]:
        tensors = [*self.net.parameters(), *self.net.buffers(), *self.ema.parameters(), self.scaler._scale]
        states = [v for state in self.opt.state.values() for v in state.values() if isinstance(v, Tensor)]
        rates = [torch.as_tensor(group["lr"]) for group in self.opt.param_groups]
        return [t.detach().numpy().tobytes() for t in (*tensors, *states, *rates) if t is not None]


class LatestCopy(PlainCopy):
    """A device that is as late as it may be: what is copied beside training arrives right before the update."""

    def __init__(self) -> None:
        self.late: list[Region] = []

    def take(self, regions: Sequence[Region]) -> None:
        super().take([region for region in regions if not region.beside])
        self.late = [region for region in regions if region.beside]

    def is_in_flight(self) -> bool:
        return bool(self.late)

    def before_update(self) -> None:
        super().take(self.late)
        self.late = []


class Forgetful(RandomStates):
    def put_back(self) -> None:
        """The fault under test."""


def repeats(world: World) -> bool:
    """True when training from the rollback on gives the losses and the bits that it gave before."""
    world.train(0, STEPS)
    losses, bits = dict(world.losses), world.bits()
    restored = world.keeper.restore(before=BACK_TO + 1)
    assert restored is not None
    assert restored.step == BACK_TO
    assert world.told == []
    world.train(BACK_TO, STEPS)
    return world.losses == losses and world.bits() == bits


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_repeats_itself(name: str) -> None:
    assert repeats(World(OPTIMIZERS[name]))


@pytest.mark.parametrize("make", [plateau, chain], ids=["plateau", "a chain"])
def test_every_scheduler_repeats_itself(make: Callable[[torch.optim.Optimizer], Any]) -> None:
    assert repeats(World(make_scheduler=make))


def test_a_cycle_of_rate_and_momentum_repeats_itself() -> None:
    def sgd(params: Any) -> torch.optim.Optimizer:
        return torch.optim.SGD(params, lr=1e-2, momentum=0.9)

    assert repeats(World(sgd, lambda opt: OneCycleLR(opt, 0.1, total_steps=60)))


@pytest.mark.parametrize("part", ["model", "optimizer", "scheduler", "scaler", "own", "rng"])
def test_without_a_part_it_does_not(part: str) -> None:
    assert not repeats(World(left_out=part))


def test_a_copy_may_take_until_the_next_update() -> None:
    assert repeats(World(copy=LatestCopy))


def test_snapshots_change_no_bit_of_the_training() -> None:
    with_them, without = World(every=5), World(every=1000)
    with_them.train(0, STEPS)
    assert with_them.keeper.newest_step() == 20
    without = World(every=1000)
    for step in range(STEPS):
        without.step(step)
    assert (with_them.losses, with_them.bits()) == (without.losses, without.bits())


def test_the_same_snapshot_serves_twice() -> None:
    world = World()
    assert repeats(world)
    losses = dict(world.losses)
    for back_to in (20, 10):
        restored = world.keeper.restore(before=back_to + 1)
        assert restored is not None
        assert restored.step == back_to
        world.train(back_to, STEPS)
        assert world.losses == losses
