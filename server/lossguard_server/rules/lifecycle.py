"""The life of an alert: when a run of verdicts becomes an alert, and when it is over.

    INACTIVE --hit--> PENDING --enough hits--> FIRING --calm long enough--> RESOLVED --cool-down over--> INACTIVE
                                               ^   |                           |
                                     worsens   |   v seen by a person          | hits again within the cool-down
                                             ACKNOWLEDGED                      +-> FIRING, the same alert (no storm)

    A rollback to before the first step that counted against it ends any of them.

Rules of this file:
- What may follow what is TABLE; a pair that is not listed raises IllegalTransition.
- Only steps that say something about the alert's series count, towards its firing as towards its calm.
- An alert that grows from warning to critical fires again, also when it was acknowledged: it is not what was seen.
- PENDING is never told to anybody.
"""

from dataclasses import dataclass
from enum import Enum

from .base import Hold, Severity

RESOLVE_AFTER = 20  # calm steps
COOL_DOWN = 100  # steps after its end in which the same finding is the same alert


class State(Enum):
    """Where one finding of one rule about one series stands."""

    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class Event(Enum):
    """What a judged step, or a person, says about it."""

    HIT = "hit"  # counts against it, not enough yet
    CONFIRM = "confirm"  # counts against it, and that is enough
    WORSEN = "worsen"  # ... for the first time as critical
    CALM = "calm"
    CLEAR = "clear"  # calm, and for long enough
    ACKNOWLEDGE = "acknowledge"
    UNDO = "undo"  # the run went back to before it began


S, E = State, Event
TABLE: dict[tuple[State, Event], State] = {
    (S.INACTIVE, E.HIT): S.PENDING,
    (S.INACTIVE, E.CONFIRM): S.FIRING,
    (S.INACTIVE, E.CALM): S.INACTIVE,
    (S.PENDING, E.HIT): S.PENDING,
    (S.PENDING, E.CONFIRM): S.FIRING,
    (S.PENDING, E.CALM): S.PENDING,
    (S.PENDING, E.CLEAR): S.INACTIVE,
    (S.PENDING, E.UNDO): S.INACTIVE,
    (S.FIRING, E.HIT): S.FIRING,
    (S.FIRING, E.CONFIRM): S.FIRING,
    (S.FIRING, E.WORSEN): S.FIRING,
    (S.FIRING, E.CALM): S.FIRING,
    (S.FIRING, E.CLEAR): S.RESOLVED,
    (S.FIRING, E.ACKNOWLEDGE): S.ACKNOWLEDGED,
    (S.FIRING, E.UNDO): S.RESOLVED,
    (S.ACKNOWLEDGED, E.HIT): S.ACKNOWLEDGED,
    (S.ACKNOWLEDGED, E.CONFIRM): S.ACKNOWLEDGED,
    (S.ACKNOWLEDGED, E.WORSEN): S.FIRING,
    (S.ACKNOWLEDGED, E.CALM): S.ACKNOWLEDGED,
    (S.ACKNOWLEDGED, E.CLEAR): S.RESOLVED,
    (S.ACKNOWLEDGED, E.UNDO): S.RESOLVED,
    (S.RESOLVED, E.HIT): S.RESOLVED,
    (S.RESOLVED, E.CONFIRM): S.FIRING,
    (S.RESOLVED, E.CALM): S.RESOLVED,
    (S.RESOLVED, E.CLEAR): S.INACTIVE,
    (S.RESOLVED, E.UNDO): S.INACTIVE,
}

OPEN = frozenset({State.FIRING, State.ACKNOWLEDGED})


class IllegalTransition(Exception):
    """This cannot happen to an alert in this state."""

    def __init__(self, state: State, event: Event) -> None:
        super().__init__(state, event)
        self.state, self.event = state, event

    def __str__(self) -> str:
        return f"{self.__doc__} It is {self.state.value}, and was told to {self.event.value}."


def advance(state: State, event: Event) -> State:
    """The state after `event`. Raises IllegalTransition."""
    try:
        return TABLE[state, event]
    except KeyError:
        raise IllegalTransition(state, event) from None


@dataclass
class Condition:
    """One finding's counters. `hits` and `critical_hits` are the last `span` judged steps, newest in bit 0."""

    state: State = State.INACTIVE
    severity: Severity | None = None
    first_step: int = 0  # the first step that counted against it
    last_step: int = 0  # the last one
    span: int = 1
    hits: int = 0
    critical_hits: int = 0
    calm: int = 0  # judged steps since the last hit

    def against(self, step: int, severity: Severity, hold: Hold) -> Event:
        """A judged step that counts against it; says what that amounts to and moves on."""
        if self.state in (State.INACTIVE, State.RESOLVED) and not self.hits:
            self.first_step = step
        self.span = max(self.span, hold.of)
        self._shift(hit=True, critical=severity is Severity.CRITICAL)
        self.last_step, self.calm = step, 0
        confirmed = _confirmed(self.hits, hold)
        is_critical = severity is Severity.CRITICAL and _confirmed(self.critical_hits, hold)
        worsens = self.state in OPEN and is_critical and self.severity is not Severity.CRITICAL
        event = Event.WORSEN if worsens else Event.CONFIRM if confirmed else Event.HIT
        if event is Event.WORSEN or (event is Event.CONFIRM and self.state not in OPEN):
            self.severity = Severity.CRITICAL if is_critical else Severity.WARNING
        self.state = advance(self.state, event)
        return event

    def sustained(self, step: int) -> Event:
        """A judged step that only keeps an open alert open; elsewhere it is as if it had not been."""
        if self.state in OPEN:
            self._shift(hit=True, critical=False)
            self.last_step, self.calm = step, 0
        return Event.CALM

    def calmly(self) -> Event:
        """A judged step that does not count against it."""
        self._shift(hit=False, critical=False)
        self.calm += 1
        limit = {State.PENDING: self.hits == 0, State.RESOLVED: self.calm >= RESOLVE_AFTER + COOL_DOWN}
        event = Event.CLEAR if limit.get(self.state, self.state in OPEN and self.calm >= RESOLVE_AFTER) else Event.CALM
        self.state = advance(self.state, event)
        return event

    def acknowledge(self) -> None:
        """A person has seen it. Raises IllegalTransition unless it fires."""
        self.state = advance(self.state, Event.ACKNOWLEDGE)

    def undo(self) -> None:
        """The run went back to before it began. Raises IllegalTransition where nothing has counted against it."""
        self.state = advance(self.state, Event.UNDO)

    def _shift(self, hit: bool, critical: bool) -> None:
        mask = (1 << self.span) - 1
        self.hits = (self.hits << 1 | hit) & mask
        self.critical_hits = (self.critical_hits << 1 | critical) & mask


def _confirmed(hits: int, hold: Hold) -> bool:
    return (hits & ((1 << hold.of) - 1)).bit_count() >= hold.need
