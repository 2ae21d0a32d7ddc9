"""Commands on the trainer's side: what is allowed, and their application at a step boundary.

Rules of this file:
- The server is treated as hostile: a command is a known kind with checked arguments within the script's own bounds, or
  it is rejected with a reason that reaches the page.
- `offer` runs in the link thread and only queues; `apply` runs in the training thread, at a boundary, in number order.
- A command is applied at most once: an id that was seen is ignored. (Not its number: a server that was restored from
  a backup counts again from an older one.)
"""

import math
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import ConfigError
from .protocol.messages import COMMAND_KINDS, DETAIL_STEPS_MAX, Command, ControlsSpec
from .schedule import Schedule

PAUSE_MAX_S = 6 * 3600.0  # idle accelerators are taken away by many clusters within hours
_WAKE_S = 1.0  # how often a paused trainer looks at the clock; commands wake it at once

Report = Callable[[Command, int, dict[str, Any]], None]
RaiseDetail = Callable[[int, int, str], int]  # (step, steps, reason) -> last step of full detail
RollBack = Callable[[int | None, str], tuple[int, int] | None]  # (before, command) -> (from, to), or no snapshot


@dataclass(frozen=True)
class Controls:
    """What an operator may do to this run.

    `kinds`: allowed kinds of command (all by default; () forbids control). `weight_bounds`: (low, high) a component;
    without one, from 0 to ten times the highest planned weight, at least 1. `pause_max_s`: a pause ends by itself then.
    `detail_on_alert`: for so many steps everything is recorded when an alert fires (0: never).
    """

    weight_bounds: Mapping[str, tuple[float, float]] | None = None
    kinds: tuple[str, ...] = COMMAND_KINDS
    pause_max_s: float = PAUSE_MAX_S
    detail_on_alert: int = 0

    def __post_init__(self) -> None:
        if unknown := [kind for kind in self.kinds if kind not in COMMAND_KINDS]:
            raise ConfigError(f"lg.Controls allows {unknown[0]!r}; known kinds are {', '.join(COMMAND_KINDS)}.")
        if not isinstance(self.detail_on_alert, int) or not 0 <= self.detail_on_alert <= DETAIL_STEPS_MAX:
            raise ConfigError(
                f"lg.Controls got detail_on_alert={self.detail_on_alert!r}; it is a number of steps from 0."
            )
        for component, bounds in (self.weight_bounds or {}).items():
            if not _are_bounds(bounds):
                raise ConfigError(f"lg.Controls bounds {component!r} by {bounds!r}; give finite (low, high).")

    def spec(self, schedule: Schedule) -> ControlsSpec:
        """The controls as they cross the wire, with the bounds of every component."""
        curriculum, given = schedule.curriculum, self.weight_bounds or {}
        if unknown := [name for name in given if name not in curriculum.components]:
            known = ", ".join(curriculum.components)
            raise ConfigError(f"lg.Controls bounds {unknown[0]!r}, which no stage declares; declared are {known}.")
        bounds = {
            name: (float(given[name][0]), float(given[name][1]))
            if name in given
            else (0.0, max(1.0, 10 * curriculum.highest_weight(name)))
            for name in curriculum.components
        }
        return ControlsSpec(list(self.kinds), bounds, self.detail_on_alert)


class Rejected(Exception):
    """The command cannot be applied; the text is the reason."""


class Controller:
    """Holds the commands between their arrival and their boundary."""

    def __init__(
        self,
        schedule: Schedule,
        spec: ControlsSpec,
        pause_max_s: float,
        report: Report,
        clock: Callable[[], float],
        tell: Callable[[int, str], None] = lambda step, text: None,
        raise_detail: RaiseDetail = lambda step, steps, reason: step + steps - 1,
        roll_back: RollBack = lambda before, command: None,
    ) -> None:
        self.paused = False
        self._raise_detail, self._roll_back_to = raise_detail, roll_back
        self.stopping = False
        self._schedule, self._spec, self._report = schedule, spec, report
        self._pause_max_s, self._clock, self._tell = pause_max_s, clock, tell
        self._queue: deque[Command] = deque()
        self._wake = threading.Event()
        self._seen: set[str] = set()
        self._paused_at_s = 0.0
        self._before: dict[str, tuple[str, float | None, float | None]] = {}
        self._kinds: dict[str, Callable[[Command, int], dict[str, Any]]] = {
            "pause": self._pause,
            "resume": self._resume,
            "stop": self._stop,
            "set_weight": self._set_weight,
            "revert": self._revert,
            "instrument": self._instrument,
            "rollback": self._rollback,
        }

    def offer(self, command: Command) -> None:
        """Queue a command; a repeat is dropped. Called by the link thread."""
        if command.id in self._seen:
            return
        self._seen.add(command.id)
        self._report(command, -1, {"state": "received"})
        self._queue.append(command)
        self._wake.set()

    def apply(self, step: int) -> bool:
        """Apply what has arrived at the boundary before `step`; stay while paused. False when the run must stop."""
        step = self._apply_queued(step)
        while self.paused and not self.stopping:
            self._wake.wait(_WAKE_S)
            self._wake.clear()
            step = self._apply_queued(step)
            if self.paused and self._clock() - self._paused_at_s > self._pause_max_s:
                self.paused = False
                self._tell(step, f"the pause ended by itself after {self._pause_max_s:g} s, as the script asks for")
        return not self.stopping

    def hold(self, step: int, reason: str) -> None:
        """Pause without a command: the script asked for it."""
        if not self.paused:
            self.paused = True
            self._paused_at_s = self._clock()
            self._tell(step, f"paused: {reason}")

    def _apply_queued(self, step: int) -> int:
        """Apply what is queued; returns the coming step, which a rollback sets back."""
        while self._queue:
            command = self._queue.popleft()
            try:
                result = self._run(command, step)
            except Rejected as rejection:
                self._report(command, step, {"state": "rejected", "reason": str(rejection)})
            else:
                self._report(command, step, {"state": "applied", **result})
                if command.kind == "rollback":
                    step = int(result["new"])
        return step

    def _run(self, command: Command, step: int) -> dict[str, Any]:
        if command.kind not in self._spec.kinds:
            raise Rejected(f"this training script does not allow {command.kind!r}")
        return self._kinds[command.kind](command, step)

    def _pause(self, command: Command, step: int) -> dict[str, Any]:
        was, self.paused = self.paused, True
        self._paused_at_s = self._clock()
        return {"old": "paused" if was else "running", "new": "paused"}

    def _resume(self, command: Command, step: int) -> dict[str, Any]:
        was, self.paused = self.paused, False
        return {"old": "paused" if was else "running", "new": "running"}

    def _stop(self, command: Command, step: int) -> dict[str, Any]:
        self.stopping = True
        return {"old": "paused" if self.paused else "running", "new": "stopped"}

    def _set_weight(self, command: Command, step: int) -> dict[str, Any]:
        component, value = _text(command.args, "component"), _number(command.args, "value")
        if component not in self._schedule.curriculum.components:
            raise Rejected(f"this run has no component {component!r}")
        low, high = self._spec.weight_bounds[component]
        if not low <= value <= high:
            raise Rejected(f"{value!r} is outside the bounds [{low:g}, {high:g}] of {component!r}")
        return self._put(command.id, component, value, step)

    def _revert(self, command: Command, step: int) -> dict[str, Any]:
        target = _text(command.args, "command")
        if target not in self._before:
            raise Rejected(f"no set_weight {target!r} was applied in this process")
        component, before, after = self._before[target]
        if self._schedule.override_of(component) != after:
            raise Rejected(f"the weight of {component!r} was changed again since; revert the later change first")
        return self._put(command.id, component, before, step)

    def _instrument(self, command: Command, step: int) -> dict[str, Any]:
        steps = _step(command.args, "steps")
        if not 1 <= steps <= DETAIL_STEPS_MAX:
            raise Rejected(f"argument 'steps' must lie between 1 and {DETAIL_STEPS_MAX}, not {steps}")
        return {"old": None, "new": self._raise_detail(step, steps, f"command {command.id}")}

    def _rollback(self, command: Command, step: int) -> dict[str, Any]:
        before = _step(command.args, "before_step") if "before_step" in command.args else None
        moved = self._roll_back_to(before, command.id)
        if moved is None:
            when = "" if before is None else f" before step {before}"
            raise Rejected(f"there is no healthy snapshot{when}")
        return {"old": moved[0], "new": moved[1]}

    def _put(self, command_id: str, component: str, override: float | None, step: int) -> dict[str, Any]:
        before, old = self._schedule.override_of(component), self._schedule.weight(component, step)
        self._schedule.override(component, override)
        self._before[command_id] = (component, before, override)
        return {"old": old, "new": self._schedule.weight(component, step), "component": component}


def _are_bounds(bounds: object) -> bool:
    if not isinstance(bounds, tuple | list) or len(bounds) != 2:
        return False
    low, high = bounds
    return isinstance(low, int | float) and isinstance(high, int | float) and -math.inf < low <= high < math.inf


def _text(args: Mapping[str, Any], key: str) -> str:
    value = args.get(key)
    if not isinstance(value, str):
        raise Rejected(f"argument {key!r} must be a text, not {value!r}")
    return value


def _number(args: Mapping[str, Any], key: str) -> float:
    value = args.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Rejected(f"argument {key!r} must be a finite number, not {value!r}")
    return float(value)


def _step(args: Mapping[str, Any], key: str) -> int:
    value = args.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise Rejected(f"argument {key!r} must be a whole number from 0, not {value!r}")
    return value
