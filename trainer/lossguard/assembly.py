"""Puts together what measures, guards and remembers a training loop.

Rules of this file: composition only; torch is here, which is why init imports it late.
"""

import logging
import time
from dataclasses import dataclass

import torch

from .activations import Activations
from .arrivals import Arrivals
from .buffer import Note, Row, SampleBuffer
from .detail import Detail
from .freeze_frame import FreezeFrame
from .grad_norms import GradNorms
from .gradients import ComponentGradients
from .guard.guard import Guard, GuardOptions
from .identity import world_size
from .instrument import Instrument
from .loop import Loop
from .replay import ReplayFunction, Replays
from .shield import Shield
from .snapshots.keeper import Keeper, NoSnapshots, SnapshotKeeper
from .snapshots.state import TrainingState
from .step_losses import StepLosses
from .wishes import Wishes

log = logging.getLogger("lossguard")

LATE_STEPS = 3  # steps whose batches are kept where a trip is learned late: a GPU runs one or two behind its host


@dataclass
class Watching:
    """The parts of a loop that need torch."""

    instrument: Instrument
    replays: Replays
    keeper: Keeper
    model: torch.nn.Module | None
    replay_function: ReplayFunction | None

    @property
    def keeps_snapshots(self) -> bool:
        """False where a rollback has nothing to go back to."""
        return not isinstance(self.keeper, NoSnapshots)


def measuring(buffer: SampleBuffer, loop: Loop, shield: Shield, wishes: Wishes) -> Watching:
    """Attach to a model and its optimizers."""
    model, optimizers = wishes.model, wishes.optimizers
    grads, losses = GradNorms(model, optimizers, wishes.groups), StepLosses()
    # ranks that judge for themselves would part: one skips, the others do not (until they agree, nobody skips)
    mode = "observe" if wishes.guard == "auto" and world_size() > 1 else wishes.guard
    guard = Guard(GuardOptions(mode, wishes.on_trip), optimizers, model, grads, losses.totals, shield)
    guard.before_update = lambda optimizer: loop.recovery.before_update()
    detail = Detail(lambda step, data: buffer.add_note(Note("detail", step, time.time(), data)))
    frame = FreezeFrame(
        grads.parameters, lambda at, series, values: buffer.add_row(Row(at, series, values, time.time()))
    )
    instrument = Instrument(
        Arrivals(buffer.add_row, buffer.add_note, time.time, loop.recovery.tripped),
        grads,
        losses,
        guard,
        optimizers,
        detail,
        frame,
        ComponentGradients(loop.schedule.curriculum.components, lambda: detail.is_full),
        Activations(model, wishes.activations, lambda: True),
        wishes.scaler,
    )
    if model is not None and not wishes.activations:

        def on_demand(full: bool) -> None:
            # hooks that are added now fire in eager mode only: code that was compiled before does not see them
            instrument.activations.detach()
            instrument.activations = Activations(model, full, lambda: True)

        detail.changed = on_demand
    function = wishes.replay if callable(wishes.replay) else None
    keep = LATE_STEPS if guard.has_device_mode and _on_accelerator(grads) else 1
    replays = Replays(
        bool(wishes.replay), keep, lambda step, data: buffer.add_note(Note("origin", step, time.time(), data))
    )
    return Watching(instrument, replays, _keeper(wishes), model, function)


def _keeper(wishes: Wishes) -> Keeper:
    if wishes.snapshots is None or wishes.model is None or not wishes.optimizers:
        return NoSnapshots()
    state = TrainingState(wishes.model, list(wishes.optimizers), wishes.scheduler, wishes.scaler)
    return SnapshotKeeper(
        wishes.snapshots, state, time.perf_counter, tell=lambda text: log.warning("lossguard: %s", text)
    )


def _on_accelerator(grads: GradNorms) -> bool:
    return any(device.type != "cpu" for device in grads.devices())
