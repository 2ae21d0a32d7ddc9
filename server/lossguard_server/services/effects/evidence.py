"""What is known of a command's steps: a case for the verdict, or until when it has to wait.

Rules of this file:
- Only the steps around the command are read, however long the run is. What a run shows counts; where it went back over
  these steps, that is said and nothing is compared.
- It waits until the run has come far enough and the rules have seen these steps; a command that answers an alert waits
  for the alert's end for a while longer: an alert ends after 20 calm rows, and a rule that counts rows goes on hitting
  until those before the command are out of its sight.
- A run that is over is judged by what there is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from sqlmodel import Session

from lossguard.protocol import names as series_names
from lossguard.protocol.frames import MAX_STEP, Columns, Steps
from lossguard.protocol.steering import CLOCK_KINDS, GATE, REVERT, SCALE, SET, STEERING_KINDS

from ...store import alerts, commands, effects, journal, runs
from ...store.columns import VIEW_RANK, Reading
from ...store.commands import StoredCommand
from ...store.decoding import definitions_of
from ...store.effects import Place, StageBegun
from ..command_states import APPLIED
from ..contributions import Floats, Points, Table, contributions, series_of, shares, table_of
from .answers import alerts_around
from .robust import MIN_SAMPLES, Samples, log_ratio
from .stretch import SAMPLES_MAX, Mark, Stretch, cadence, length, stretch
from .verdict import ROLLBACK, Alerts, Case, Effect, Sides, judge

JUDGED_KINDS = (*STEERING_KINDS, ROLLBACK)
REACH_MAX = 50_000  # steps: of a series that is logged once in a thousand, 50 samples
# so long an open alert is waited for, or 4 stretches: `count` looks back 200, then come the calm ones
ALERT_ROWS = 250


@dataclass(frozen=True)
class Later:
    """The run has not come far enough: look again when it is at `step`."""

    step: int


@dataclass(frozen=True)
class Soon:
    """The rules have not seen these steps yet."""


@dataclass(frozen=True)
class Gone:
    """There is no such command any more, it has its verdict, or it was taken back."""


Answer = Effect | Later | Soon | Gone


class Source(Protocol):
    """What is asked of store.points.Points."""

    def last_step(self, run_id: str, names: Sequence[str]) -> int: ...

    def raw(
        self, run_id: str, names: Sequence[str], first_step: int | None, last_step: int | None
    ) -> dict[str, tuple[Steps, Columns]]: ...


@dataclass(frozen=True)
class _Known:
    """A command, and what the store says beside its points. `whose`: components whose weight it changes."""

    command: StoredCommand
    at_step: int
    whose: tuple[str, ...]
    is_clock: bool
    components: tuple[str, ...]
    others: Sequence[StoredCommand]
    stages: Sequence[StageBegun]
    place: Place | None
    is_over: bool

    def marks(self) -> list[Mark]:
        """What else happened: before it in time and in steps, or after it in both."""
        found = [mark for other in self.others if other.step is not None for mark in self._marks_of(other, other.step)]
        for stage in self.stages:
            if (stage.step > self.at_step) == stage.is_later:
                found.append(Mark(stage.step, f"stage {stage.name!r} began at step {stage.step:,}"))
        return found

    def _marks_of(self, other: StoredCommand, step: int) -> list[Mark]:
        found, name = list[Mark](), f"command {other.number} ({other.kind})"
        if (step > self.at_step) == (other.number > self.command.number):
            found.append(Mark(step, f"{name} was applied at step {step:,}"))
        for what in ("ramp", "lease"):
            if steps := other.args.get(f"{what}_steps"):
                found.append(Mark(step + steps, f"the {what} of {name} ended at step {step + steps:,}"))
        return found

    def undone(self, behind: int) -> str | None:
        """Why the steps since say nothing of it."""
        if self.place is not None and self.place.below_step < behind:
            return f"the run went back to step {self.place.below_step:,}, over the steps that would have told"
        met = [stage.name for stage in self.stages if stage.step == self.at_step and not self.is_clock]
        return f"stage {met[0]!r} began at the same step" if met else None


class Evidence:
    """Looks at commands. Thread-safe. Everything raises JournalDamaged, StorageError."""

    def __init__(self, reading: Reading, points: Source) -> None:
        self._reading, self._points = reading, points

    def look(self, command_id: str) -> Answer:
        """The verdict, or when to look again."""
        with self._reading() as session:
            known = _known(session, command_id)
        if known is None:
            return Gone()
        run_id, at_step = known.command.run, known.at_step
        past = self._past(known)
        span = stretch(at_step, known.command.args, _length(past, known), known.marks())
        undone = known.undone(span.behind)
        last = self._points.last_step(run_id, [series_names.TOTAL, *map(series_names.loss, known.components)])
        if undone is None and last < span.behind - 1 and not known.is_over:
            return Later(span.behind)
        if undone is not None:
            return judge(_case(known, span, past, Alerts(), undone))
        if last < span.behind - 1:
            span = _ended(span, last)
        with self._reading() as session:
            if known.place is not None and not effects.is_judged(session, known.place, min(span.behind, last + 1)):
                return Soon()
            found, patience = self._alerts(session, known, span, cadence(past[series_names.TOTAL][0]))
        if patience is not None and last < patience and not known.is_over:
            return Later(patience)
        since = self._points.raw(run_id, _series(known), at_step, span.behind - 1)
        return judge(_case(known, span, _joined(past, since), found, None))

    def _alerts(self, session: Session, known: _Known, span: Stretch, steps_a_row: int) -> tuple[Alerts, int | None]:
        """And, while the alert that it answers is open, the step up to which that is waited for."""
        patient = min(
            (mark.step for mark in known.marks() if mark.step > known.at_step),
            default=known.at_step + max(ALERT_ROWS * steps_a_row, 4 * (span.behind - known.at_step)),
        )
        patient = max(patient, span.behind)
        stored = alerts.newest_first(session, known.command.run)
        found = alerts_around(stored, known.command, known.at_step, span.behind, patient)
        is_open = found.answered is not None and found.answered.over_step is None
        return found, patient if is_open else None

    def _past(self, known: _Known) -> Points:
        """The samples before it, since something else was changed; of a series that comes rarely from further back."""
        since = max((mark.step for mark in known.marks() if mark.step < known.at_step), default=0)
        reach = SAMPLES_MAX
        while True:
            first = max(since, known.at_step - reach)
            points = self._points.raw(known.command.run, _series(known), first, known.at_step - 1)
            most = max((len(steps) for steps, _ in points.values()), default=0)
            if most >= MIN_SAMPLES or first == since or reach >= REACH_MAX:
                return points
            reach *= 10


def _known(session: Session, command_id: str) -> _Known | None:
    command = commands.get(session, command_id)
    if command is None or command.effect is not None or command.step is None:
        return None
    if command.state != APPLIED:  # a newer attempt goes on from before it: it is looked at when that has applied it
        return None
    run = runs.get(session, command.run)
    root = _root(session, command)
    at_step = _at_step(command, command.step)
    of_run = commands.in_states(session, command.run, (APPLIED,))
    others = [each for each in of_run if each.kind in JUDGED_KINDS and each.id != command.id]
    components = _components(session, command.run)
    return _Known(
        command=command,
        at_step=at_step,
        whose=tuple(name for name in _whose(root) if name in components),
        is_clock=root.kind in (*CLOCK_KINDS, ROLLBACK),
        components=components,
        others=others,
        stages=effects.stages_begun(session, command.run, command.id, at_step - REACH_MAX, at_step + REACH_MAX),
        place=effects.place_of(session, command.run, command.id),
        is_over=run is not None and run.finish is not None,
    )


def _at_step(command: StoredCommand, told_step: int) -> int:
    """A rollback is told at the step that it went back to, or where it came from: what it was is its `new`."""
    new = command.new  # what a trainer says: any number
    is_step = command.kind == ROLLBACK and type(new) is int and 0 <= new <= MAX_STEP
    return int(new) if is_step and new is not None else told_step


def _root(session: Session, command: StoredCommand) -> StoredCommand:
    """What a revert, or a revert of a revert, is about."""
    seen = {command.id}
    while command.kind == REVERT:
        target = commands.get(session, str(command.args.get("command")))
        if target is None or target.id in seen:
            break
        seen.add(target.id)
        command = target
    return command


def _whose(root: StoredCommand) -> list[str]:
    """Empty where it is everybody's, or nobody's."""
    if root.kind in (SET, GATE):
        return [str(root.args.get("component"))]
    return [str(name) for name in root.args.get("components") or ()] if root.kind == SCALE else []


def _components(session: Session, run_id: str) -> tuple[str, ...]:
    """As the newest attempt that says so declares them."""
    heads = [head for head in journal.streams(session, run_id) if head.key.rank == VIEW_RANK]
    for head in reversed(heads):
        if made := definitions_of(session, head.id, head.last_seq)[0]:
            return tuple(made[-1].components)
    return ()


def _joined(past: Points, since: Points) -> Points:
    return {name: (np.append(past[name][0], since[name][0]), np.append(past[name][1], since[name][1])) for name in past}


def _series(known: _Known) -> list[str]:
    return [series_names.TOTAL, series_names.GRAD_NORM_TOTAL, *series_of(known.components)]


def _length(past: Points, known: _Known) -> int:
    own = [Samples(*past[series_names.TOTAL])]
    if known.whose:
        own.append(_share(table_of(past, known.components), known.whose))
    return length(own)


def _case(known: _Known, span: Stretch, points: Points, found: Alerts, undone: str | None) -> Case:
    table = table_of(points, known.components)
    past = table.only(table.steps < span.at_step)
    before, after = (table.only(_within(table.steps, *ends)) for ends in _ends(span))
    old, new = _median_rows(before.weights), _median_rows(after.weights)
    by_weights = _by_weights(_median_rows(before.losses), old, new)
    return Case(
        kind=known.command.kind,
        stretch=span,
        total=_sides(points[series_names.TOTAL], span),
        grad_norm=_sides(points[series_names.GRAD_NORM_TOTAL], span),
        whose=" and ".join(known.whose),
        way=_way(known, old, new),
        share=Sides(*(_share(each, known.whose) for each in (before, after, past))) if known.whose else None,
        by_weights=by_weights,
        level=_level((before, after, past), old, new) if by_weights and known.command.kind != ROLLBACK else None,
        alerts=found,
        undone=undone,
    )


def _ended(span: Stretch, last: int) -> Stretch:
    """The run is over before the stretch is."""
    behind = max(span.at_step, last + 1)
    return replace(
        span,
        after_first=min(span.after_first, behind),
        behind=behind,
        cut_by=Mark(behind, f"the run ended at step {last:,}"),
    )


def _ends(span: Stretch) -> tuple[tuple[int, int], tuple[int, int]]:
    return (span.before_first, span.at_step), (span.after_first, span.behind)


def _within(steps: Steps, first: int, behind: int) -> Any:
    return (steps >= first) & (steps < behind)


def _sides(points: tuple[Steps, Columns], span: Stretch) -> Sides:
    steps, values = points
    wheres = [*(_within(steps, *ends) for ends in _ends(span)), steps < span.at_step]
    return Sides(*(Samples(steps[where], values[where]) for where in wheres))


def _share(table: Table, whose: Sequence[str]) -> Samples:
    """What these components hold together."""
    # one of weight 0 that is not finite, or missing, was gated: it took no part
    gated = table.has_weight & (table.weights == 0) & ~np.isfinite(table.losses)
    held = shares(contributions(table.losses, table.weights, gated))
    rows = [table.components.index(name) for name in whose]
    return Samples(table.steps, held[rows].sum(axis=0))


def _median_rows(values: Floats) -> list[float]:
    """Of each component; NaN where nothing is known."""
    known = [row[np.isfinite(row)] for row in values]
    return [float(np.median(row)) if len(row) else float("nan") for row in known]


def _way(known: _Known, old: Sequence[float], new: Sequence[float]) -> int:
    """-1: the weight was lowered, 1: it was raised."""
    if not known.whose:
        return 0
    k = known.components.index(known.whose[0])
    return int(np.nan_to_num(np.sign(abs(new[k]) - abs(old[k]))))


def _level(tables: Sequence[Table], old: Sequence[float], new: Sequence[float]) -> Sides | None:
    """The total at the new weights in the stretch before, the one after, and all that is before; None where that is too
    little, or has no logarithm."""
    rows = [k for k, each in enumerate(zip(old, new, strict=True)) if np.isfinite(each).all() and new[k] != 0]
    weights = np.array([new[k] for k in rows])[:, None]
    with np.errstate(over="ignore", invalid="ignore"):
        found = Sides(*(Samples(each.steps, (weights * each.losses[rows]).sum(axis=0)) for each in tables))
    sides = (found.before.finite(), found.after.finite())
    return found if all(each.is_enough and bool((each.values > 0).all()) for each in sides) else None


def _by_weights(losses: Sequence[float], old: Sequence[float], new: Sequence[float]) -> float | None:
    """What the new weights make of the total, the losses being as they were; None where it has no logarithm."""
    known = [k for k, each in enumerate(zip(losses, old, new, strict=True)) if np.isfinite(each).all()]
    if all(old[k] == new[k] for k in known):
        return 0.0
    return log_ratio(sum(losses[k] * old[k] for k in known), sum(losses[k] * new[k] for k in known))
