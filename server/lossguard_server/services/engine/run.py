"""One run under judgement: its rows become windows, windows become findings, findings become alerts.

Rules of this file:
- The outcome depends on the order of the rows, never on how they were cut into batches, and never on the clock.
- A rule that raises is isolated: it is reported once a run, as an alert of the rule `rule_health`, its memory is
  emptied, and the others go on. It has not said that its alerts are over: they stay open, and say so after a while.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np

from lossguard.protocol.codec import decode_sequenced, encode
from lossguard.protocol.messages import Declaration

from ...rules.alert import Alert, AlertChange
from ...rules.base import AT_ONCE, Finding, Hits, Rule, Severity
from ...rules.base import Memory as RuleMemory
from ...rules.first_bad import FirstBad, Signals
from ...rules.incident import IncidentChange
from ...rules.incidents import FirstBadOf, Incidents, nothing
from ...rules.lifecycle import Condition, Event, State
from ...rules.memory import Memory
from ...rules.moment import Moment
from ...rules.tuning import tuned, tuning_of
from ...rules.window import BUFFERS, Mask, Window
from ...store.rows import Rows
from .faults import Faults
from .intake import Intake
from .ledger import SERIES, Ledger
from .rows import RowBuffer
from .watches import Happening, Key, Watch, happenings

ENGINE, FIRST_BAD = "engine", "first_bad"  # of what rule_health may speak beside rules

_log = logging.getLogger(__name__)


class Run:
    """Not thread-safe; its rows come in the order of the commits."""

    def __init__(self, run_id: str, rules: Sequence[Rule], clock: Callable[[], float]) -> None:
        self.run_id, self.rules, self._gallery = run_id, tuple(rules), tuple(rules)
        self.declaration = Declaration(seq=0)
        self.ledger = Ledger(run_id, clock, [rule.name for rule in rules if rule.one_per_run])
        self.incidents = Incidents(run_id)
        self._news: list[IncidentChange] = []
        self._has_gone_back = False
        self._faults = Faults()
        self._forget_rows()

    def _forget_rows(self) -> None:
        self.memory = Memory()
        self.memory.declare(self.declaration)
        self._intake = Intake(self.memory)
        self._rule_memories: dict[str, RuleMemory] = {}
        self._first_bad, self._signals = FirstBad(), RuleMemory()
        self._step = 0

    def declare(self, declaration: Declaration) -> None:
        """What the run is made of; a later one replaces it."""
        self.declaration = declaration
        self.memory.declare(declaration)
        self.incidents.declare(self.memory.schedule)

    def configure(self, rules: Sequence[Rule]) -> list[AlertChange]:
        """These judge from the next row on; what others found is over."""
        before = {rule.name: rule.parameters for rule in self.rules}
        self.rules = tuple(rules)
        names = {rule.name for rule in rules}
        same = {rule.name for rule in rules if before.get(rule.name) == rule.parameters}
        # what was remembered for other parameters may not fit these
        self._rule_memories = {name: kept for name, kept in self._rule_memories.items() if name in same}
        return self._grouped(self.ledger.retire(lambda rule: rule in names, self._step), self.memory.samples, nothing)

    # -- rows to windows ----------------------------------------------------------------------------------------------

    def observe(self, parts: Sequence[Rows], is_last: bool = False) -> list[AlertChange]:
        """Judge rows; with `is_last` also a step that still waits for more of its values."""
        changes: list[AlertChange] = []
        for page in self._intake.pages(parts, is_last):
            try:
                for window in self.memory.windows(page, self.ledger.remedies):
                    changes += self._judge(window)
            except Exception as error:  # noqa: BLE001, the roof of rule isolation: the run must not fall silent
                changes += self._broke(ENGINE, int(page.steps[0]), error)
                self._forget_rows()
        return changes + self._outgrown()

    def warm(self, parts: Sequence[Rows]) -> None:
        """Learn rows without judging them."""
        for page in self._intake.pages(parts):
            self._step = int(page.steps[-1])
            for window in self.memory.windows(page):
                self._first_bad.observe(window, self._signals)
        if self._has_gone_back:
            self.incidents.goes_on(self.memory.samples)
            self._has_gone_back = False

    def _outgrown(self) -> list[AlertChange]:
        """Say once that the run has more series than are judged."""
        if not self._intake.gallery.is_full:
            return []
        told = self.ledger.report(SERIES, self._step, self._intake.gallery.said())
        return self._grouped(told, self.memory.samples, nothing)

    # -- windows to alerts --------------------------------------------------------------------------------------------

    def _judge(self, window: Window) -> list[AlertChange]:
        self._step = int(window.steps[-1])
        changes, found = list[AlertChange](), list[tuple[int, int, Happening]]()
        signals = self._signals_of(window, changes)
        for order, rule in enumerate(self.rules):
            found += [(each.row, order, each) for each in self._ask(rule, window, changes)]
        found.sort(key=lambda item: (item[0], item[1], item[2].key))
        groups = [(row, [each for _, _, each in group]) for row, group in groupby(found, key=lambda item: item[0])]
        changes = self._grouped(changes, _sample(window, 0), nothing)
        done = 0
        for row, group in groups:
            self._news += self.incidents.follow(window, done, row)
            done = row
            moment = Moment(window, row)
            told = [change for happening in group for change in self._tell(happening, moment)]
            first_bad = nothing if signals is None else partial(signals.at, row)
            changes += self._grouped(told, _sample(window, row), first_bad)
        self._news += self.incidents.follow(window, done, len(window.steps))
        self.ledger.tidy()
        return changes

    def _signals_of(self, window: Window, changes: list[AlertChange]) -> Signals | None:
        try:
            return self._first_bad.observe(window, self._signals)
        except Exception as error:  # noqa: BLE001, the roof of rule isolation: what was first is worth less than that it is
            self._first_bad, self._signals = FirstBad(), RuleMemory()
            changes += self._broke(FIRST_BAD, int(window.steps[0]), error)
            return None

    def _grouped(self, changes: list[AlertChange], sample: int, first_bad: FirstBadOf) -> list[AlertChange]:
        """The changes of one row, each alert with its incident."""
        if not changes:
            return []
        taken = self.incidents.take(changes, sample, first_bad)
        self._news += taken.incidents
        for change in taken.alerts:
            self.ledger.assign(change.alert)
        return list(taken.alerts)

    def news(self) -> list[IncidentChange]:
        """What changed about the run's incidents since this was asked last."""
        news, self._news = self._news, []
        return news

    def _ask(self, rule: Rule, window: Window, changes: list[AlertChange]) -> list[Happening]:
        """What the rule finds; nothing of one that breaks: it has not said that its findings are over."""
        try:
            with np.errstate(all="ignore"):  # overflows and NaN are findings here, not accidents
                hits = rule.judge(window, rule.parameters, self._rule_memories.setdefault(rule.name, {}))
                found = self._happenings(rule, hits, window)
        except Exception as error:  # noqa: BLE001, the roof of rule isolation: one broken rule must not blind the others
            changes += self._broke(rule.name, int(window.steps[0]), error, len(window.steps))
            return []
        if self._faults.judged(rule.name, len(window.steps)):
            changes += self.ledger.recovered(rule.name, self._step)
        return found

    def _broke(self, rule: str, step: int, error: Exception, rows: int = 0) -> list[AlertChange]:
        """`rows`: so many it could not judge."""
        self._rule_memories[rule] = {}
        told = self.ledger.report(rule, step, f"{type(error).__name__}: {error}")
        if told:  # once, not at each window
            _log.error("rule %s failed in run %s at step %d", rule, self.run_id, step, exc_info=error)
        failed = self._faults.failed(rule, rows)
        return told + self.ledger.doubt(rule, failed, self._step) if failed else told

    def _happenings(self, rule: Rule, hits: Sequence[Hits], window: Window) -> list[Happening]:
        by_key: dict[Key, list[Hits]] = {key: [] for key in self.ledger.watches if key[0] == rule.name}
        for each in hits:
            if len(each.rows):
                by_key.setdefault(self.ledger.key_of(rule.name, each.series), []).append(each)
        found: list[Happening] = []
        for key, own in by_key.items():
            watch = self.ledger.watches.get(key)
            if watch is None:
                watch = self.ledger.watches[key] = Watch(own[0].series, Condition())
            # a finding that is about now one series, now another is over when whole rows are calm
            carries = window.whole if rule.one_per_run else _carries(window, watch.series)
            found += happenings(key, watch.condition, own, carries, window.steps)
        return found

    def _tell(self, happening: Happening, moment: Moment) -> list[AlertChange]:
        key, hits = happening.key, happening.hits
        if hits is None and happening.condition.state is State.INACTIVE:  # its cool-down is over: the next is another
            self.ledger.forget(key)
            return []
        if hits is None:
            return [self.ledger.end(key, happening.condition, moment.step)] if self.ledger.has_fired(key) else []
        try:
            with np.errstate(all="ignore"):
                finding, told = hits.explain(happening.row), list[AlertChange]()
        except Exception as error:  # noqa: BLE001, the roof of rule isolation: it found something, and cannot say what
            told = self._broke(key[0], moment.step, error)
            message = f"{key[0]} fired on {hits.series} at step {moment.step}, and could not say more."
            finding = Finding(message, f"{type(error).__name__}: {error}")
        event = happening.event if self.ledger.has_fired(key) else Event.CONFIRM
        return [*told, self.ledger.write(key, hits.series, finding, event, happening.condition, moment.curve)]

    def tripped(self, step: int, data: Mapping[str, Any]) -> list[AlertChange]:
        """What the rules say of a trip itself. Nothing grows calmer: that takes a row."""
        changes: list[AlertChange] = []
        for rule in self.rules:
            try:
                finding = rule.judge_trip(step, data, self.memory.schedule)
                if finding is not None:
                    changes += self._tell_trip(rule, step, finding)
            except Exception as error:  # noqa: BLE001, the roof of rule isolation
                changes += self._broke(rule.name, step, error)
        first_bad = partial(self._first_bad.now, self._signals, self.memory.names)
        return self._grouped(changes, self.memory.samples, first_bad)

    def said(self, change: AlertChange) -> AlertChange:
        """A person, or a replayed step, said something of an alert: its incident tells it too."""
        return self._grouped([change], self.memory.samples, nothing)[0]

    def _tell_trip(self, rule: Rule, step: int, finding: Finding) -> list[AlertChange]:
        key = self.ledger.key_of(rule.name, BUFFERS)
        watch = self.ledger.watches.setdefault(key, Watch(BUFFERS, Condition()))
        was_open = watch.is_open
        event = watch.condition.against(step, Severity.CRITICAL, AT_ONCE)
        if was_open and event is not Event.WORSEN:
            return []
        return [self.ledger.write(key, BUFFERS, finding, event, watch.condition, lambda series: [])]

    # -- going back, and restarts -------------------------------------------------------------------------------------

    def rewind(self, from_step: int, to_step: int) -> list[AlertChange]:
        """What began at `to_step` or later is over; the memory is empty, and is to be warmed."""
        changes = self.observe([], is_last=True)
        changes += self._grouped(self.ledger.rewind(from_step, to_step), self.memory.samples, nothing)
        self._news += self.incidents.rewind(to_step, self.memory.samples)
        self._forget_rows()
        self._has_gone_back = True
        return changes

    @property
    def is_cold(self) -> bool:
        """It went back, and is to be warmed."""
        return self._has_gone_back

    def restore(self, alerts: Sequence[Alert], incidents: Sequence[Mapping[str, Any]]) -> None:
        """Alerts and incidents of before go on where they were, after `warm`."""
        for alert in alerts:
            self.ledger.restore(alert)
        for incident in incidents:
            own = [alert for alert in alerts if alert.incident == incident["id"]]
            self._news += self.incidents.restore(incident, own, self.memory.samples)

    def dump(self) -> dict[str, Any]:
        """All that is known, as arrays and plain values."""
        return {
            "declaration": encode(self.declaration),
            "memory": self.memory.dump(),
            "buffer": self._intake.buffer.dump(),
            "rules": self._rule_memories,
            "tuning": tuning_of(self._gallery, self.rules),
            "faults": self._faults.dump(),
            "ledger": self.ledger.dump(),
            "incidents": self.incidents.dump(),
            "signals": self._signals,
            "step": self._step,
            "is_cold": self._has_gone_back,
        }

    def load(self, data: Mapping[str, Any]) -> None:
        """What `dump` gave."""
        declaration = decode_sequenced(data["declaration"])
        if not isinstance(declaration, Declaration):
            raise ValueError("there is no declaration")
        self.declare(declaration)
        self.memory = Memory.load(data["memory"], self.declaration)
        self._intake = Intake(self.memory, RowBuffer.load(data["buffer"]))
        self._faults = Faults.load(data["faults"])
        self._rule_memories, self.rules = dict(data["rules"]), tuned(self._gallery, data["tuning"])
        self.ledger.load(data["ledger"])
        self.incidents.load(data["incidents"])
        self._signals = dict(data["signals"])
        self._step, self._has_gone_back = data["step"], data["is_cold"]


def _sample(window: Window, row: int) -> int:
    """Rows with a total, up to and with this one."""
    return window.samples_before + int(window.whole[: row + 1].sum())


def _carries(window: Window, series: str) -> Mask:
    """[T]: the row says something about the series; a contribution is known where its raw loss is."""
    if series == BUFFERS:
        return window.whole  # a step of which no trip was told
    number = window.number(series)
    if number is None and series.startswith("contribution/"):
        number = window.number(f"loss/{series.removeprefix('contribution/')}")
    if number is None:
        return np.zeros(len(window.steps), np.bool_)
    return np.asarray(window.fresh[:, number] & ~window.excused[:, number])
