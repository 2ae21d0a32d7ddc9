"""Tells the hub and the judge what was committed, in the words of docs/protocol.md section 3.

Rules of this file: on the event loop's thread; a `run` message goes out at every change of state and, by `tick`, once a
second while something of it moves.
"""

from collections.abc import Callable
from typing import Any

from ..store.rows import Rows
from .clock import Clock
from .live import LiveRun
from .registry import Registry
from .viewing.hub import Hub
from .views import run_view, state_of

Told = Callable[[dict[str, Any]], None]

QUIET_AFTER_S = 2.0  # no frame for so long: what the rules still hold back is judged


class Broadcast:
    """The audience of services/ingest.py, and of commands and alerts."""

    def __init__(
        self,
        hub: Hub,
        registry: Registry,
        clock: Clock,
        wake: Callable[[str, int], None],
        settle_judge: Callable[[str], None],
        also_command: Told = lambda command: None,
    ) -> None:
        """`wake` is told what was committed: a run, and how many bytes; `also_command`, every change of a command."""
        self._hub, self._registry, self._clock = hub, registry, clock
        self._wake, self._settle_judge, self._also_command = wake, settle_judge, also_command
        self._states: dict[str, str] = {}
        self._settled_at_s: dict[str, float] = {}

    def points(self, run: LiveRun, rows: Rows) -> None:
        """Committed rows of rank 0."""
        self._hub.points(run.id, rows)

    def event(self, run: LiveRun, event: dict[str, Any]) -> None:
        """A committed event."""
        self._hub.notice(run.id, {"type": "event", "run": run.id, "event": event})

    def rewound(self, run: LiveRun) -> None:
        """The run went back: what viewers were told of its points holds no more. The event was told before."""
        self._hub.reload(run.id)
        self.run(run)

    def command(self, command: dict[str, Any]) -> None:
        """A command is in a new state."""
        self._hub.notice(command["run"], {"type": "command", "command": command})
        self._also_command(command)

    def declaration(self, run: LiveRun) -> None:
        """Stages or series changed."""
        self._hub.notice(run.id, {"type": "declaration", "run": run.id})

    def alert(self, alert: dict[str, Any]) -> None:
        """An alert is in a new state."""
        self._hub.notice(alert["run"], {"type": "alert", "alert": alert})
        if (run := self._registry.peek(alert["run"])) is not None:
            run.alert(alert)
            self.run(run)

    def incident(self, incident: dict[str, Any]) -> None:
        """An incident is in a new state."""
        self._hub.notice(incident["run"], {"type": "incident", "incident": incident})

    def run(self, run: LiveRun) -> None:
        """A run changed."""
        if self._registry.peek(run.id) is not run:  # deleted, while what it had brought was still on its way
            return
        if run.stored.deleted_s is not None:  # deleted for now: viewers were told that it is gone
            return
        view = run_view(run, self._clock.monotonic_s(), self._clock.wall_s())
        self._states[run.id] = view["state"]
        self._hub.run(view)

    def committed(self, run: LiveRun, size_bytes: int) -> None:
        """So much of the run is on disk."""
        self._wake(run.id, size_bytes)

    def forget(self, run_id: str) -> None:
        """The run was deleted."""
        self._states.pop(run_id, None)
        self._settled_at_s.pop(run_id, None)

    def tick(self) -> None:
        """Once a second: runs that move, and runs whose state changed by time alone (lost)."""
        now_s, wall_s = self._clock.monotonic_s(), self._clock.wall_s()
        for run in self._registry.loaded():
            if run.connections or state_of(run, now_s, wall_s) != self._states.get(run.id):
                self.run(run)
            self._settle_when_quiet(run, now_s)

    def _settle_when_quiet(self, run: LiveRun, now_s: float) -> None:
        if run.data_at_s is None or now_s - run.data_at_s < QUIET_AFTER_S:
            return
        if self._settled_at_s.get(run.id) != run.data_at_s:
            self._settled_at_s[run.id] = run.data_at_s
            self._settle_judge(run.id)
