"""Where the training stands, and what happens at a step boundary.

Rules of this file: the order at a boundary is: close the step, judge what arrived, replay if a step tripped, take a
snapshot, obey commands, fetch the next batch, begin the step. Half-accumulated gradients are never at a boundary.
Each part runs in a shield, so that none stops the training or another part.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from .buffer import Note
from .errors import ConfigError
from .link import Status
from .loading import End, Loading
from .protocol import names
from .ranks import Alone, Ranks, Wants
from .recovery import Parts, Recovery, Standing
from .shield import Shield
from .terms import Terms

if TYPE_CHECKING:
    from .instrument import Instrument
    from .replay import Replay

T = TypeVar("T")


class Loop:
    """The steps of one run."""

    def __init__(
        self,
        terms: Terms,
        add_note: Callable[[Note], None],
        shield: Shield,
        first_step: int,
        clock: Callable[[], float],
        ranks: Ranks | None = None,
    ) -> None:
        self.ranks = ranks or Alone()
        self.first_step, self.step = first_step, first_step - 1
        self.state = "running"
        self.recovery = Recovery(add_note, clock, shield.report)
        self.terms, self.schedule, self.lr_scale = terms, terms.schedule, terms.lr_scale
        self._shield = shield
        # each of its own: what fails in one must not switch off another
        self._keeper_shield, self._batch_shield = Shield(shield.report), Shield(shield.report)
        # never off: the other ranks wait for this one, and what was told as applied is in force
        self._command_shield, self._terms_shield = (Shield(shield.report, allowed=math.inf) for _ in range(2))
        self._boundary_at_s = time.perf_counter()
        self._data_wait_s = 0.0  # for all batches of the step
        self._fetched_s = 0.0  # for the first of them, which came before the step's clock began
        self._step_time_s = 0.0
        self.is_open, self._batches = False, 0
        self._rewound: object = None
        self.wants_rollback = False  # at the next boundary
        self._at_end = Standing()
        self.is_paced = False  # by run.steps or run.boundary: else steps are counted by the optimizer's
        self.is_through = True  # no run.steps is being looped over: the last one came to its end by itself

    # -- what a run asks ----------------------------------------------------------------------------------------

    @property
    def parts(self) -> Parts | None:
        """None in mode off, and after the run was turned off or has ended."""
        return self.recovery.parts

    @parts.setter
    def parts(self, parts: Parts | None) -> None:
        self.recovery.parts = parts
        self._at_end = Standing()  # also of one that has ended: a newer run measures its optimizers now

    @property
    def replay(self) -> "Replay | None":
        """The replay that is being made."""
        return self.recovery.replay

    @property
    def weights(self) -> dict[str, float]:
        """The weight of every component in force now; in a replay those of the step that is replayed."""
        replay = self.replay
        with self._terms_shield("the weights in force"):
            return self.schedule.weights_at(max(self.step, self.first_step) if replay is None else replay.kept.step)
        return dict(self.terms.now.weights)

    @property
    def stage(self) -> str:
        """The name of the stage in force; "" before the first step."""
        return self.terms.stage

    @property
    def instrument(self) -> "Instrument | None":
        """What measures; None when nothing does, or does no more."""
        return None if self.parts is None or self._shield.broken else self.parts.instrument

    @property
    def guard_modes(self) -> dict[str, str]:
        """How each optimizer is guarded, or was when the run ended; empty when nothing is."""
        return self._standing.modes

    @property
    def _standing(self) -> Standing:
        parts = self.parts
        return self._at_end if parts is None else parts.standing()

    def status(self) -> Status:
        """For the heartbeat; asked for by the link thread."""
        state, step, standing = self.state, self.step, self._standing
        if standing.is_paused and state == "running":  # it stands before the coming step
            state, step = "paused", step + 1
        age_s = time.perf_counter() - self._boundary_at_s
        return Status(state, max(step, self.first_step), age_s, standing.snapshot_step, standing.detail_until)

    # -- the loop -----------------------------------------------------------------------------------------------

    def iterate(self, loader: Iterable[T], accumulate: int) -> Iterator[T]:
        """The batches of `loader`, `accumulate` of them a step; ends early when the run is stopped."""
        if accumulate < 1:
            raise ConfigError(f"run.steps got accumulate={accumulate!r}; it is a number of micro-batches from 1.")
        loading = Loading(loader, accumulate, is_counted=self.ranks.count > 1)
        self.is_through = False
        while True:
            self.close()
            yield from self._replayed()
            self.ranks.expect(loading.steps_left)
            if not self._arrive(loader):
                self.is_through = True
                return
            if self._rewound is not None:
                state, self._rewound = self._rewound, None
                loading.rewind(state, self._keeper_shield)
            batch, wait_s = (End(), 0.0) if self.ranks.ends else loading.first()
            if isinstance(batch, End):
                self.is_through = True
                self.ranks.leave()
                return
            self._enter(wait_s)
            self._keep(batch)
            yield batch
            for more, wait_s in loading.rest():
                self._data_wait_s += wait_s
                self._keep(more)
                yield more

    def boundary(self, batch: object = None) -> bool:
        """The manual form of one turn of `iterate`. False means stop."""
        self.close()
        if self.parts is not None:
            self.recovery.replay_beside(self.step + 1)
        if not self._arrive(None):
            return False
        self._enter(0.0)
        if batch is not None:
            self._keep(batch)
        return True

    def turn_over(self) -> None:
        """An optimizer steps again, and no step has begun: in a loop without `steps` and `boundary` one begins here."""
        if not self.is_paced:
            self.close()
            self._enter(0.0)

    def close(self) -> None:
        """The step that is open is over; nothing when none is."""
        if not self.is_open:
            return
        self.is_open = False
        instrument = self.instrument
        busy_s = time.perf_counter() - self._boundary_at_s
        self._step_time_s = busy_s + self._fetched_s
        if instrument is None:
            return
        with self._shield("boundary"):
            if self.replay is None:
                for component, weight in self.terms.now.weights.items():
                    instrument.add_host(names.weight(component), weight)
            instrument.add_host("step_time_s", self._step_time_s)
            instrument.add_host("data_wait_s", self._data_wait_s)
            if self.replay is None:
                instrument.close_step(self.step)
            else:
                instrument.close_quietly(self.step)

    def end(self) -> None:
        """The loop is over: everything on its way is waited for; model, batches and snapshots are let go."""
        self.recovery.leave_replay()  # one left by an error, with its generator still held by a traceback
        self.close()
        self.recovery.end_replay()
        with self._shield("the end of the ranks' talk"):
            self.ranks.end()
        if self.parts is None:
            return
        with self._shield("the end"):
            self.parts.instrument.harvest(wait=True)
            self.parts.replays.give_up()
        with self._shield("the end"):
            standing = self._standing
            self.turn_off()
            self._at_end = standing
        self._rewound = None

    def turn_off(self) -> None:
        """Take the hooks off and measure nothing more. Touches no device, takes no lock."""
        parts, self.parts = self.parts, None
        self.lr_scale.detach()
        if parts is not None:
            parts.instrument.detach()

    # -- at a boundary ------------------------------------------------------------------------------------------

    def _arrive(self, loader: object) -> bool:
        """Snapshot and commands before the next step; False when the run must stop."""
        if self.parts is None:
            return not self._at_end.is_stopping
        if self.parts.controller.stopping:  # by a command; an end told as "stopped" does not stop a loop
            return False
        with self._keeper_shield("snapshots"):
            if not self._keeper_shield.broken:
                self.parts.keeper.at_boundary(self.step + 1, self._step_time_s, loader)
        going_on = True
        with self._command_shield("commands"):
            wants, self.wants_rollback = Wants.ROLLBACK if self.wants_rollback else Wants.NOTHING, False
            going_on = self.parts.controller.apply(self.step + 1, wants)
            self.recovery.hear(self.step, self.ranks)
        if not going_on:
            self.state = "stopped"
        return going_on

    def _enter(self, data_wait_s: float) -> None:
        self.step += 1
        self._data_wait_s = self._fetched_s = data_wait_s
        with self._terms_shield("the terms of a step, which are those of the step before"):
            self.terms.enter(self.step, None if self.replay is None else self.replay.kept.step)
        if (instrument := self.instrument) is not None:
            with self._shield("the start of a step"):
                instrument.lr_scale = self.terms.now.lr_scale
                instrument.detail.at_step(self.step)
                instrument.guard.begin_step()
        if self.parts is not None:
            self.parts.replays.begin(self.step, self.terms.now.weights, self.terms.now.gated)
        self.is_open = True
        self._boundary_at_s = time.perf_counter()

    def _keep(self, batch: object) -> None:
        if self.parts is None:
            return
        with self._batch_shield("keeping a batch"):
            if not self._batch_shield.broken:
                self.parts.replays.batch(batch)
        self.parts.instrument.frame.batch(self.step, self._batches)
        self._batches += 1

    # -- replay and rollback ------------------------------------------------------------------------------------

    def _replayed(self) -> Iterator[Any]:
        """The batches of a tripped step once more, as a step of its own whose update is skipped as well."""
        coming, recovery = self.step + 1, self.recovery
        if self.instrument is None or recovery.replay_beside(coming) or recovery.begin_replay(coming) is None:
            return
        self._enter(0.0)
        try:
            yield from recovery.batches_again()
        finally:  # also when the loop is left within its body
            recovery.leave_replay()
            self.close()
            recovery.end_replay()

    def roll_back(self, before: int | None, command: str | None) -> tuple[int, int] | None:
        """Go back in place to a healthy snapshot; (from step, to step), or None when there is none."""
        came_from = self.step + 1
        restored = self.recovery.roll_back(came_from, before, command)
        if restored is None:
            return None
        self.step, self._rewound = restored.step - 1, restored.loader_state
        self.schedule.roll_back(came_from, restored.step)
        return came_from, restored.step

    def start_at(self, step: int) -> None:
        """Before the first step: the steps begin there."""
        self.first_step, self.step = step, step - 1
