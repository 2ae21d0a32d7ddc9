"""What a backtest found, beside what was found when the run was trained.

Rules of this file:
- Pure. Of an alert only what is compared and shown is kept: a storm of them must not fill the memory.
- Two alerts are the same finding when rule and series agree and they began at most NEAR_STEPS apart; each pairs once,
  the nearest first. Of a rule with one alert a run the series does not matter.
- Of both sides at most MOST_ALERTS are kept, from the first on. Where one side has more, both are compared up to the
  step before the first that is left out: else what is left out of one would be missing on the other.
- What a rollback undid lies on a branch that is not judged again, and is not compared.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ...rules.alert import Alert, AlertChange
from ...rules.base import Rule
from ...store.verdicts import FALSE, TRUE, Said, Tally
from ..engine import RULE_HEALTH
from ..verdicts import precision_of

NEAR_STEPS = 200
MOST_ALERTS = 10_000  # of a run that are kept


@dataclass(frozen=True)
class Fired:
    """An alert of the backtest."""

    rule: str
    series: str
    component: str | None
    severity: str
    step: int
    last_step: int
    resolved_step: int | None
    message: str

    @classmethod
    def of(cls, alert: Alert) -> "Fired":
        values = {name: getattr(alert, name) for name in cls.__dataclass_fields__}
        return cls(**values)


class Findings:
    """Takes what an engine says."""

    def __init__(self, first_step: int, most: int = MOST_ALERTS) -> None:
        """Alerts that began before `first_step` do not count: the rows there only taught the rules."""
        self._first_step, self._most = first_step, most
        self._by_id: dict[str, Fired] = {}
        self._dropped: set[str] = set()
        self.end: int | None = None  # the step before the first alert that was not kept
        self.failed: dict[str, dict[str, Any]] = {}

    @property
    def count(self) -> int:
        """How many alerts were kept."""
        return len(self._by_id)

    @property
    def left_out(self) -> int:
        """How many alerts were not kept."""
        return len(self._dropped)

    def take(self, changes: Iterable[AlertChange]) -> None:
        """The alerts as they are now."""
        for alert in (change.alert for change in changes):
            if alert.rule == RULE_HEALTH:
                said = alert.evidence.get("text", alert.message)
                self.failed.setdefault(alert.series, {"rule": alert.series, "said": said, "since_step": alert.step})
            elif alert.step < self._first_step or alert.id in self._dropped:
                continue
            elif alert.id in self._by_id or len(self._by_id) < self._most:
                self._by_id[alert.id] = Fired.of(alert)
            else:
                self.end = _earlier(self.end, alert.step - 1)
                if len(self._dropped) < self._most:
                    self._dropped.add(alert.id)

    def fired(self) -> list[Fired]:
        """In order of step."""
        return sorted(self._by_id.values(), key=lambda alert: (alert.step, alert.rule, alert.series))


@dataclass
class Counts:
    """Of one rule, or of all. `true`, `false`: alerts that people called so, and how many of them would fire again."""

    now: dict[str, int] = field(default_factory=lambda: {"critical": 0, "warning": 0})
    then: dict[str, int] = field(default_factory=lambda: {"critical": 0, "warning": 0})
    both: int = 0
    only_now: int = 0
    only_then: int = 0
    true: dict[str, int] = field(default_factory=lambda: {"marked": 0, "still": 0})
    false: dict[str, int] = field(default_factory=lambda: {"marked": 0, "still": 0})

    def add(self, other: "Counts") -> None:
        for mine, theirs in ((self.now, other.now), (self.then, other.then), (self.true, other.true)):
            _add(mine, theirs)
        _add(self.false, other.false)
        self.both, self.only_now = self.both + other.both, self.only_now + other.only_now
        self.only_then += other.only_then

    def to_dict(self) -> dict[str, Any]:
        """As answers carry it; `precision` is that of the verdicts, of the alerts that would fire again."""
        return {**asdict(self), "precision": precision_of(Tally(self.true["still"], self.false["still"]))}


@dataclass(frozen=True)
class Comparison:
    """`pairs`: (number in now, number in then). `end`: up to which step they are compared, where that is not all of
    them; `left_out`: how many lie after it, at least."""

    now: Sequence[Fired]
    then: Sequence[Said]
    pairs: Sequence[tuple[int, int]]
    end: int | None = None
    left_out: int = 0

    def counts(self) -> dict[str, Counts]:
        """By rule."""
        found: dict[str, Counts] = {}
        again = {j for _, j in self.pairs}
        both = {i for i, _ in self.pairs}
        for i, fired in enumerate(self.now):
            counts = found.setdefault(fired.rule, Counts())
            counts.now[fired.severity] += 1
            counts.both += i in both
            counts.only_now += i not in both
        for j, said in enumerate(self.then):
            counts = found.setdefault(said.alert["rule"], Counts())
            counts.then[said.alert["severity"]] += 1
            counts.only_then += j not in again
            for verdict, marks in ((TRUE, counts.true), (FALSE, counts.false)):
                marks["marked"] += said.verdict == verdict
                marks["still"] += said.verdict == verdict and j in again
        return found

    def shown(self, most: int) -> dict[str, Any]:
        """{alerts, stored, alerts_left_out}: each alert with the other that it pairs with; of each side the first."""
        of_now = {i: self.then[j].alert["id"] for i, j in self.pairs}
        again = {j for _, j in self.pairs}
        alerts = [{**asdict(fired), "then": of_now.get(i)} for i, fired in enumerate(self.now)]
        stored = [{**_brief(said), "now": j in again} for j, said in enumerate(self.then)]
        left_out = self.left_out + max(0, len(alerts) - most) + max(0, len(stored) - most)
        return {"alerts": alerts[:most], "stored": stored[:most], "alerts_left_out": left_out}


def against(
    findings: Findings,
    stored: Iterable[Said],
    span: tuple[int, int],
    rules: Sequence[Rule],
    most: int = MOST_ALERTS,
) -> Comparison:
    """All that was found beside all that is stored, as far as both are kept."""
    then, end, count = list[Said](), findings.end, findings.count + findings.left_out
    for said in stored:
        if _counts(said.alert, span):
            count += 1
            if len(then) < most:
                then.append(said)
            else:
                end = _earlier(end, said.alert["step"] - 1)
    now = [fired for fired in findings.fired() if end is None or fired.step <= end]
    found = compared(now, then, span if end is None else (span[0], end), rules)
    return replace(found, end=end, left_out=count - len(found.now) - len(found.then))


def compared(now: Sequence[Fired], stored: Sequence[Said], span: tuple[int, int], rules: Sequence[Rule]) -> Comparison:
    """`stored`: the run's alerts, of which those that began within `span` (first and last step) count."""
    then = [said for said in stored if _counts(said.alert, span)]
    single = frozenset(rule.name for rule in rules if rule.one_per_run)
    ours = _by_finding(((fired.rule, fired.series, fired.step) for fired in now), single)
    theirs = _by_finding(((s.alert["rule"], s.alert["series"], s.alert["step"]) for s in then), single)
    pairs = [pair for key, steps in ours.items() for pair in _paired(steps, theirs.get(key, []))]
    return Comparison(now, then, sorted(pairs))


def _counts(alert: Mapping[str, Any], span: tuple[int, int]) -> bool:
    is_undone = "rolled_back_to" in alert.get("evidence", {})
    return alert["rule"] != RULE_HEALTH and not is_undone and span[0] <= alert["step"] <= span[1]


def _by_finding(
    alerts: Iterable[tuple[str, str, int]], single: frozenset[str]
) -> dict[tuple[str, str], list[tuple[int, int]]]:
    """(step, number) in order, by rule and series."""
    found: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for number, (rule, series, step) in enumerate(alerts):
        found.setdefault((rule, "" if rule in single else series), []).append((step, number))
    return {key: sorted(steps) for key, steps in found.items()}


def _paired(ours: Sequence[tuple[int, int]], theirs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    candidates = []
    for step, i in ours:
        start = bisect_left(theirs, (step - NEAR_STEPS, -1))
        stop = bisect_right(theirs, (step + NEAR_STEPS, len(theirs) + max((j for _, j in theirs), default=0)))
        candidates += [(abs(at - step), i, j) for at, j in theirs[start:stop]]
    taken_i, taken_j, pairs = set[int](), set[int](), []
    for _, i, j in sorted(candidates):
        if i not in taken_i and j not in taken_j:
            taken_i.add(i)
            taken_j.add(j)
            pairs.append((i, j))
    return pairs


def _brief(said: Said) -> dict[str, Any]:
    keys = ("id", "rule", "series", "component", "severity", "step", "last_step", "resolved_step", "message")
    return {**{key: said.alert[key] for key in keys}, "verdict": said.verdict}


def _earlier(one: int | None, other: int) -> int:
    return other if one is None else min(one, other)


def _add(mine: dict[str, int], theirs: Mapping[str, int]) -> None:
    for key, value in theirs.items():
        mine[key] += value
