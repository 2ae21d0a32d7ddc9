"""Puts together what measures, guards and remembers a training loop.

Rules of this file: composition only; torch is here, which is why init imports it late.
"""

import logging
import time
from contextlib import ExitStack
from dataclasses import dataclass

from torch.optim import Optimizer

from .activations import Activations
from .arrivals import Arrivals
from .buffer import Note, Row
from .detail import Detail
from .freeze_frame import FreezeFrame
from .grad_norms import GradNorms
from .gradients import ComponentGradients
from .guard.guard import Guard, GuardOptions
from .instrument import Instrument
from .loop import Loop
from .ranks import Ranks
from .ranks.pace import SharedCadence
from .ranks.sharing import NOT_SHARED, shares_gradients
from .replay import ReplayFunction, Replays
from .run import Telemetry
from .shield import Shield
from .snapshots.cadence import Cadence
from .snapshots.keeper import Keeper, NoSnapshots, SnapshotKeeper
from .snapshots.state import TrainingState
from .snapshots.steering import Steering
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
    replay_function: ReplayFunction | None

    @property
    def keeps_snapshots(self) -> bool:
        """False where a rollback has nothing to go back to."""
        return not isinstance(self.keeper, NoSnapshots)


def measuring(buffer: Telemetry, loop: Loop, shield: Shield, wishes: Wishes, world_size: int) -> Watching:
    """Attach to a model and its optimizers; no hook stays where that fails."""
    with ExitStack() as undo:
        watching = _attached(buffer, loop, shield, wishes, world_size, undo)
        undo.pop_all()
    return watching


def _attached(
    buffer: Telemetry, loop: Loop, shield: Shield, wishes: Wishes, world_size: int, undo: ExitStack
) -> Watching:
    model, optimizers = wishes.model, wishes.optimizers
    known = [optimizer for optimizer in optimizers if isinstance(optimizer, Optimizer)]
    grads, losses = GradNorms(model, optimizers, wishes.groups), StepLosses()
    guard = Guard(_guard_options(wishes, known, world_size), optimizers, model, grads, losses.totals, shield)
    undo.callback(guard.detach)
    guard.another_step = loop.turn_over
    guard.before_update = loop.recovery.before_update
    detail = Detail(lambda step, data: buffer.add_note(Note("detail", step, time.time(), data)))
    frame = FreezeFrame(
        grads.parameters, lambda at, series, values: buffer.add_row(Row(at, series, values, time.time()))
    )
    activations = Activations(model, wishes.activations, lambda: True)
    undo.callback(activations.detach)
    instrument = Instrument(
        Arrivals(buffer.add_row, buffer.add_note, time.time, loop.recovery.tripped),
        grads,
        losses,
        guard,
        known,
        detail,
        frame,
        ComponentGradients(loop.schedule.curriculum.components, lambda: detail.is_full),
        activations,
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
    # a step trips by the guard, or by a GradScaler that skips it: else no batch need be kept
    can_trip = guard.is_on or (wishes.scaler is not None and wishes.scaler.is_enabled())
    # the update of a replayed step is held back by a hook, which an optimizer of another kind does not have
    is_replayed = can_trip and bool(wishes.replay) and (function is not None or len(known) == len(optimizers))
    # a rank that alone runs a batch once more would wait for the others within its backward, for ever
    is_replayed = is_replayed and world_size == 1
    replays = Replays(
        is_replayed,
        keep,
        lambda step, data: buffer.add_note(Note("origin", step, time.time(), data)),
        Steering(known, wishes.scheduler, wishes.scaler),
        model,
        grads.named,
    )
    return Watching(instrument, replays, _keeper(wishes, loop.ranks), function)


def _guard_options(wishes: Wishes, optimizers: list[Optimizer], world_size: int) -> GuardOptions:
    """Ranks that judge for themselves would part: one skips, the others do not."""
    if world_size == 1 or wishes.guard != "auto":
        return GuardOptions(wishes.guard, wishes.on_trip)
    if len(optimizers) == len(wishes.optimizers) and shares_gradients(wishes.model, optimizers, world_size):
        return GuardOptions("auto", wishes.on_trip, by_gradients_alone=True)
    return GuardOptions("observe", wishes.on_trip, NOT_SHARED)


def _keeper(wishes: Wishes, ranks: Ranks) -> Keeper:
    if wishes.snapshots is None or wishes.model is None or not wishes.optimizers:
        return NoSnapshots()
    if not all(isinstance(optimizer, Optimizer) for optimizer in wishes.optimizers):
        log.warning("lossguard keeps no snapshots: an optimizer is no torch.optim.Optimizer.")
        return NoSnapshots()
    state = TrainingState(wishes.model, list(wishes.optimizers), wishes.scheduler, wishes.scaler)
    cadence = Cadence(wishes.snapshots) if ranks.count == 1 else SharedCadence(wishes.snapshots, ranks)
    tell = lambda text: log.warning("lossguard: %s", text)  # noqa: E731
    return SnapshotKeeper(wishes.snapshots, state, time.perf_counter, tell=tell, cadence=cadence)


def _on_accelerator(grads: GradNorms) -> bool:
    return any(device.type != "cpu" for device in grads.devices())
