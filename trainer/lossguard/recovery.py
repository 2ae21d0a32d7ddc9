"""What follows a step that was not finite: it is told, explained by a replay, and taken back by a rollback.

Rules of this file: everything happens in the training thread, at a boundary. What fails here is swallowed, and neither
stops the training nor what else is measured.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .buffer import Note
from .controls import Controller
from .shield import Shield

if TYPE_CHECKING:
    from .arrivals import Trip
    from .assembly import Watching
    from .replay import Replay
    from .snapshots.keeper import Restored


RNG_REST_STEPS = 100


class Parts:
    """What a running loop is watched and steered by; made by lg.init."""

    def __init__(self, watching: "Watching", controller: Controller, on_trip: str) -> None:
        self.instrument, self.replays, self.keeper = watching.instrument, watching.replays, watching.keeper
        self.model, self.replay_function = watching.model, watching.replay_function
        self.controller, self.on_trip = controller, on_trip


class Recovery:
    """Trips, replays and rollbacks of one loop."""

    def __init__(
        self, add_note: Callable[[Note], None], clock: Callable[[], float], report: Callable[[str, str], None]
    ) -> None:
        self.parts: Parts | None = None
        self.replay: Replay | None = None
        self._add_note, self._clock = add_note, clock
        self._shield = Shield(report)
        self._next_rng_step = 0

    def tripped(self, trip: "Trip") -> None:
        """A step that was not finite has become known."""
        if (parts := self.parts) is None:
            return
        guard = parts.instrument.guard
        self._tell("trip", trip.step, trip.to_data("device" if guard.has_device_mode else "trip"))
        parts.keeper.unhealthy(trip.step)
        # ten kilobytes: once for a series of trips
        rng = parts.replays.random_before(trip.step) if trip.step >= self._next_rng_step else {}
        frame = parts.instrument.frame.flush(trip.step, rng)
        if frame is not None:
            self._tell("freeze_frame", trip.step, frame)
            self._next_rng_step = trip.step + RNG_REST_STEPS if rng else self._next_rng_step
        parts.replays.ask(trip)
        if parts.on_trip == "pause":
            parts.controller.hold(trip.step + 1, trip.text)

    def before_update(self) -> bool:
        """An optimizer is about to step. False: it must not, because this is a replay."""
        if self.replay is not None:
            with self._shield("the replay"):
                self.replay.saw_gradients()
            return False
        if self.parts is not None:
            self.parts.keeper.before_update()
        return True

    # -- replay -------------------------------------------------------------------------------------------------

    def begin_replay(self, step: int) -> "Replay | None":
        """The replay that the loop has to make as step `step`, or None."""
        if self.parts is not None and not self._shield.broken:
            self.replay = self.parts.replays.due(step, self.parts.model)
        return self.replay

    def end_replay(self) -> None:
        """The loop has made it, or was left within it."""
        replay, self.replay = self.replay, None
        if self.parts is not None and replay is not None:
            with self._shield("the end of a replay"):
                self.parts.replays.tell(replay)

    def replay_beside(self, step: int) -> bool:
        """Replay by the user's own function, if there is one; True when the loop has nothing to do."""
        parts = self.parts
        if parts is None or parts.replay_function is None:
            return False
        replay = parts.replays.due(step, parts.model) if not self._shield.broken else None
        if replay is not None:
            guard = parts.instrument.guard
            with self._shield("the replay"):
                guard.begin_step()  # remembers the buffers
                replay.run(parts.replay_function, guard.put_back_buffers)
                parts.replays.tell(replay)
        return True

    # -- rollback -----------------------------------------------------------------------------------------------

    def roll_back(self, came_from: int, before: int | None, command: str | None) -> "Restored | None":
        """Go back in place to a healthy snapshot, and say so; None when there is none."""
        if (parts := self.parts) is None:
            return None
        parts.instrument.harvest(wait=True)  # what was measured belongs before the rollback
        restored = parts.keeper.restore(before)
        if restored is None:
            return None
        parts.replays.forget()
        self._next_rng_step = 0
        parts.instrument.frame.forget_from(restored.step)
        parts.instrument.guard.state_was_replaced()
        data = {
            "from": came_from,
            "to": restored.step,
            "command": command,
            "data_rewound": restored.loader_state is not None,
            "text": f"Rolled back in place from step {came_from} to {restored.step}, the newest healthy snapshot.",
        }
        self._tell("rollback", restored.step, data)
        return restored

    def _tell(self, kind: str, step: int, data: dict[str, Any]) -> None:
        self._add_note(Note(kind, step, self._clock(), data))
