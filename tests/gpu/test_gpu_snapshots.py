"""Snapshots on a GPU: no wait of the host, and the same bits after a rollback."""

import pytest
import torch
from torch import Tensor, nn

from lossguard.snapshots.keeper import SnapshotKeeper
from lossguard.snapshots.options import Snapshots
from lossguard.snapshots.state import TrainingState
from on_gpu import NEEDS_CUDA, syncs_are_errors

pytestmark = NEEDS_CUDA
DEVICE = "cuda"
STEPS = 40


class World:
    """A training with dropout, BatchNorm, a schedule and a gradient scaler, large enough for copies to take time."""

    def __init__(self, fused: bool, width: int = 1024) -> None:
        torch.manual_seed(7)
        layers = [nn.Linear(width, width), nn.BatchNorm1d(width), nn.GELU(), nn.Dropout(0.2)]
        self.net = nn.Sequential(*layers, nn.Linear(width, width)).to(DEVICE)
        self.opt = torch.optim.AdamW(self.net.parameters(), lr=1e-3, fused=fused)
        self.scheduler = torch.optim.lr_scheduler.StepLR(self.opt, 7, 0.7)
        self.scaler = torch.amp.GradScaler(DEVICE, init_scale=64.0, growth_interval=3)
        self.batches = [torch.randn(64, width, device=DEVICE) for _ in range(STEPS)]
        self.told: list[str] = []
        state = TrainingState(self.net, self.opt, self.scheduler, self.scaler)
        options = Snapshots(every=10, healthy_after=5, slots=3)
        self.keeper = SnapshotKeeper(options, state, lambda: 0.0, lambda: 1 << 40, self.told.append)
        self.losses: dict[int, Tensor] = {}

    def boundary(self, step: int) -> None:
        self.keeper.at_boundary(step, 0.1)

    def step(self, step: int) -> None:
        with torch.autocast(DEVICE, torch.float16):
            loss = self.net(self.batches[step]).float().square().mean()
        self.scaler.scale(loss).backward()
        self.keeper.before_update()
        self.scaler.step(self.opt)
        self.scaler.update()
        self.opt.zero_grad()
        self.scheduler.step()
        self.losses[step] = loss.detach()

    def train(self, first: int, last: int) -> None:
        for step in range(first, last):
            self.boundary(step)
            self.step(step)

    def tensors(self) -> list[Tensor]:
        states = [value for state in self.opt.state.values() for value in state.values()]
        return [*self.net.parameters(), *self.net.buffers(), *states]

    def settled(self) -> None:
        """A test may wait: until the copies are there, so that promotion does not depend on the machine's speed."""
        torch.cuda.synchronize()


@pytest.mark.parametrize("fused", [True, False])
def test_the_training_repeats_itself_bit_for_bit_in_the_same_memory(fused: bool) -> None:
    world = World(fused)
    for step in range(STEPS):
        world.settled()
        world.boundary(step)
        world.step(step)
    losses = {step: loss.item() for step, loss in world.losses.items()}
    addresses = [tensor.data_ptr() for tensor in world.tensors()]
    bits = [tensor.detach().cpu().numpy().tobytes() for tensor in world.tensors()]
    for back_to in (20, 10):
        restored = world.keeper.restore(before=back_to + 1)
        assert restored is not None
        assert restored.step == back_to
        world.train(back_to, STEPS)
        assert {step: loss.item() for step, loss in world.losses.items()} == losses
        assert [tensor.data_ptr() for tensor in world.tensors()] == addresses
        assert [tensor.detach().cpu().numpy().tobytes() for tensor in world.tensors()] == bits
    assert world.told == []


def test_neither_taking_nor_trusting_nor_restoring_waits_for_the_device() -> None:
    world = World(fused=True)
    for step in range(STEPS - 1):
        if step < 32:  # memory is pinned at the first takes
            world.boundary(step)
        else:
            world.settled()
            with syncs_are_errors():
                world.boundary(step)
        world.step(step)
    world.settled()
    with syncs_are_errors():
        assert world.keeper.restore() is not None
        world.keeper.at_boundary(100, 0.1)
        world.keeper.before_update()


def test_a_take_while_the_device_is_behind_has_the_bits_of_its_boundary() -> None:
    """The host runs ahead: the copy is queued long before the device gets there, and the update comes right after."""
    world = World(fused=True, width=4096)
    world.train(0, 10)
    world.settled()
    before = [tensor.detach().clone() for tensor in world.tensors()]
    world.settled()
    busy = torch.randn(4096, 4096, device=DEVICE)
    for _ in range(50):
        busy = (busy @ busy).clamp_(-1, 1)
    world.boundary(10)
    for step in range(10, 16):
        world.step(step)
    world.settled()
    world.boundary(16)
    assert world.keeper.newest_step() == 10
    assert world.keeper.restore() is not None
    assert all(map(torch.equal, world.tensors(), before))


def test_host_memory_is_pinned() -> None:
    world = World(fused=True)
    world.train(0, 2)
    blocks = [block for blocks in world.keeper._blocks for block in blocks._blocks]
    assert blocks
    assert all(block.is_pinned() for block in blocks)


def test_a_snapshot_that_is_not_finite_is_found_out_without_a_wait() -> None:
    world = World(fused=True)
    world.train(0, 10)
    with torch.no_grad():
        world.net[0].weight[5, 5] = float("nan")
    world.settled()
    world.keeper.at_boundary(10, 0.1)
    world.keeper.before_update()
    world.settled()
    with syncs_are_errors():
        world.keeper.at_boundary(15, 0.1)
    assert world.keeper.newest_step() == 0
    assert world.told == ["a snapshot was dropped before step 15: a parameter or an optimizer state is not finite."]
