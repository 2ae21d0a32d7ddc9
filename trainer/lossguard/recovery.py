"""What follows a step that was not finite: it is told, explained by a replay, and taken back by a rollback.

Rules of this file: everything happens in the training thread, at a boundary. What fails here is swallowed, and neither
stops the training nor what else is measured.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .buffer import Note
from .controller import Controller
from .ranks import Ranks
from .shield import Shield

if TYPE_CHECKING:
    from .arrivals import Trip
    from .assembly import Watching
    from .random_states import RandomStates
    from .replay import Replay
    from .snapshots.keeper import Restored


RNG_REST_STEPS = 100
ECHO_STEPS = 3  # so late the ranks' own words come: one boundary, and one or two steps of a GPU
BUFFER_TRIPS_MAX = 5
BUFFERS_LEFT_ALONE = (
    "a buffer was NaN at five trips one after the other, and nothing else was; buffers are judged no more"
)
NOBODY_RESUMES = "on_trip='pause' goes on in mode offline, where nobody could resume"


@dataclass(frozen=True)
class Standing:
    """Of a loop's parts, in plain numbers: what is still asked for when they are gone. -1: none."""

    snapshot_step: int = -1
    detail_until: int = -1
    is_paused: bool = False
    is_stopping: bool = False
    watched: tuple[tuple[str, str], ...] = ()

    @property
    def modes(self) -> dict[str, str]:
        """How each optimizer is guarded."""
        return {f"{i} {name}": mode for i, (name, mode) in enumerate(self.watched)}


class Parts:
    """What a running loop is watched and steered by; made by lg.init."""

    def __init__(self, watching: "Watching", controller: Controller, on_trip: str) -> None:
        self.instrument, self.replays, self.keeper = watching.instrument, watching.replays, watching.keeper
        self.controller, self.on_trip, self.replay_function = controller, on_trip, watching.replay_function
        self.can_be_resumed = True  # False where no command can arrive: a pause would only lose time

    def standing(self) -> Standing:
        """Where they stand now. Touches no device, takes no lock."""
        newest = self.keeper.newest_step()
        return Standing(
            snapshot_step=-1 if newest is None else newest,
            detail_until=self.instrument.detail.until,
            is_paused=self.controller.paused,
            is_stopping=self.controller.stopping,
            watched=tuple((type(each.optimizer).__name__, each.mode) for each in self.instrument.guard.watched),
        )


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
        self._buffer_trips = 0
        self._tripped_at = -ECHO_STEPS - 1
        self._has_told_pause = False

    def tripped(self, trip: "Trip") -> None:
        """A step that was not finite has become known."""
        if (parts := self.parts) is None:
            return
        self._tripped_at = trip.step
        guard = parts.instrument.guard
        self._tell("trip", trip.step, trip.to_data("device" if guard.has_device_mode else "trip"))
        parts.keeper.unhealthy(trip.step)
        # ten kilobytes: once for a series of trips
        rng = parts.replays.random_before(trip.step) if trip.step >= self._next_rng_step else {}
        frame = parts.instrument.frame.flush(trip.step, rng)
        if frame is not None:
            self._tell("freeze_frame", trip.step, frame)
            self._next_rng_step = trip.step + RNG_REST_STEPS if rng else self._next_rng_step
        self._watch_buffers(trip)
        parts.replays.ask(trip)
        if parts.on_trip == "pause" and parts.can_be_resumed:
            parts.controller.hold(trip.step + 1, trip.text)
        elif parts.on_trip == "pause" and not self._has_told_pause:
            self._has_told_pause = True
            self._tell("error", trip.step, {"where": "pause", "message": NOBODY_RESUMES})

    def hear(self, step: int, ranks: Ranks) -> None:
        """Whether another rank tells that something of it is not finite. What this one saw too needs no second word."""
        if not ranks.is_first or (rank := ranks.bad_rank()) is None:
            return
        if step - self._tripped_at > ECHO_STEPS:
            self._tell("nonfinite", step, {"series": [], "rank": rank})

    def _watch_buffers(self, trip: "Trip") -> None:
        """A buffer that is NaN at every step is so on purpose: it must not hold up the training for ever."""
        self._buffer_trips = self._buffer_trips + 1 if trip.series == ("buffers",) else 0
        if self._buffer_trips == BUFFER_TRIPS_MAX and self.parts is not None:
            self.parts.instrument.guard.stop_judging_buffers()
            self._tell("error", trip.step, {"where": "guard", "message": BUFFERS_LEFT_ALONE})

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
        """The replay that the loop has to make as step `step`, or None. It is to be entered before it is made."""
        if (parts := self.parts) is None or self._shield.broken:
            return None
        replay = parts.replays.due(step)
        self.replay = None if replay is None or parts.replays.decline(replay) else replay
        return self.replay

    def batches_again(self) -> Iterator[Any]:
        """The batches of the replayed step, watched; ends early when it is given up."""
        if (replay := self.replay) is None or not self._enter_replay(replay):
            return
        for batch, random in replay.kept.batches:
            if self.replay is not replay or not self._set_random(replay, random):  # the run was ended within it
                return
            yield batch
        with self._shield("the end of a replay"):
            replay.saw_end()

    def _enter_replay(self, replay: "Replay") -> bool:
        """What it must not change is set aside; False when that failed."""
        if (parts := self.parts) is None:
            return False
        replay.has_failed = True
        with self._shield("the start of a replay"):
            replay.enter(parts.replays.steering)
            replay.has_failed = False
        return not replay.has_failed

    def _set_random(self, replay: "Replay", random: "RandomStates") -> bool:
        """The random states are those before a batch that comes again; False when that failed."""
        replay.has_failed = True
        with self._shield("the replay"):
            random.put_back()
            replay.has_failed = False
        return not replay.has_failed

    def leave_replay(self) -> None:
        """Put back what was set aside. The step that it was is still open."""
        if self.replay is not None:
            with self._shield("the end of a replay"):
                self.replay.leave()

    def end_replay(self) -> None:
        """The loop has made it, or was left within it."""
        self.leave_replay()
        replay, self.replay = self.replay, None
        if self.parts is not None and replay is not None:
            with self._shield("the end of a replay"):
                self.parts.replays.tell(replay)

    def replay_beside(self, step: int) -> bool:
        """Replay by the user's own function, if there is one; True when the loop has nothing to do."""
        parts = self.parts
        if parts is None or parts.replay_function is None:
            return False
        replay = parts.replays.due(step) if not self._shield.broken else None
        if replay is not None:
            replay.has_failed = True
            with self._shield("the replay"):
                parts.instrument.guard.begin_step()  # buffers that the bad batch broke, and no judged step put back
                replay.run(parts.replay_function, parts.replays.steering)
            with self._shield("the end of a replay"):
                parts.replays.tell(replay)
        return True

    # -- rollback -----------------------------------------------------------------------------------------------

    def newest_snapshot(self, before: int | None) -> int | None:
        """The step of the newest snapshot that a rollback may go to; what is still on its way is judged first."""
        if (parts := self.parts) is None:
            return None
        parts.instrument.harvest(wait=True)
        return parts.keeper.newest_step(before)

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
