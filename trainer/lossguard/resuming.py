"""What a checkpoint carries of a run, so that its next life goes on under the same plan.

Rules of this file: pure; plain data that JSON and torch.save take alike. What cannot be one raises ConfigError with
what is wrong, before training.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .curriculum import Curriculum
from .errors import ConfigError
from .operations import as_list, read
from .protocol.frames import MAX_STEP
from .protocol.messages import Operation
from .schedule import Schedule

VERSION = 1
WAIT_S = 5.0  # for what the server offers again: it answers within milliseconds, unless it is gone
ATTEMPTS = 1 << 31  # a server takes no more
TICK_S = 0.1  # of which ATTEMPTS are 6.8 years; no two lives begin within one
_WHERE = "the state given to lossguard"


@dataclass(frozen=True)
class Life:
    """One process's part in a run: `attempt` grows from each to the next. `began_s`: the run's first, epoch seconds."""

    run: str
    attempt: int
    began_s: float

    def state(self, step: int, schedule: Schedule, applied_upto: int) -> dict[str, Any]:
        """For a checkpoint of the state before `step`."""
        return {
            "version": VERSION,
            "run": self.run,
            "attempt": self.attempt,
            "began_s": self.began_s,
            "step": step,
            "operations": [as_list(each) for each in schedule.plan.operations],
            "applied_upto": applied_upto,
        }


@dataclass(frozen=True)
class Resumed:
    """A checkpoint's state, read. `applied_upto`: the highest number of a command that was settled by then."""

    life: Life
    step: int
    operations: tuple[Operation, ...]
    applied_upto: int

    def next_attempt(self, now_s: float) -> int:
        """Of a life that goes on from it; higher than that of every earlier one, from whatever checkpoint it began.

        A life that began from the same checkpoint has the same `attempt` before it: so the time says which is later.
        """
        passed = int((now_s - self.life.began_s) / TICK_S)
        return max(self.life.attempt + 1, passed if passed < ATTEMPTS else 0)

    def to_data(self) -> dict[str, Any]:
        """The data of the `resume` event."""
        return {
            "step": self.step,
            "operations": [as_list(each) for each in self.operations],
            "applied_upto": self.applied_upto,
        }


def read_state(state: object, curriculum: Curriculum) -> Resumed:
    """Raises ConfigError for what `run.state_dict()` cannot have given, or gave of another curriculum."""
    if not isinstance(state, Mapping):
        raise ConfigError(f"{_WHERE} is {repr(state)[:60]}; give what run.state_dict() returned.")
    if state.get("version") != VERSION:
        raise ConfigError(
            f"{_WHERE} has version {repr(state.get('version'))[:40]}; this lossguard reads {VERSION}: "
            f"give what run.state_dict() returned, or install a newer lossguard."
        )
    run, began_s = state.get("run"), state.get("began_s")
    if not isinstance(run, str) or not 0 < len(run) <= 512:
        raise ConfigError(f"{_WHERE} names the run {repr(run)[:60]}; an id is a text.")
    if isinstance(began_s, bool) or not isinstance(began_s, int | float) or not abs(began_s) < 1e12:
        raise ConfigError(f"{_WHERE} has began_s {repr(began_s)[:60]}; it is a time in seconds.")
    numbers = {name: _whole(state, name) for name in ("attempt", "step", "applied_upto")}
    stages = [stage.name for stage in curriculum.stages]
    operations = read(state.get("operations"), curriculum.components, stages, _WHERE)
    life = Life(run, numbers["attempt"], float(began_s))
    return Resumed(life, numbers["step"], operations, numbers["applied_upto"])


def _whole(state: Mapping[str, object], name: str) -> int:
    value = state.get(name)
    if type(value) is not int or not 0 <= value <= MAX_STEP:
        raise ConfigError(f"{_WHERE} has {name} {repr(value)[:60]}; it is a whole number from 0.")
    return value
