"""One incident while it lasts: its alerts, what is known of its cause, and what was last told of its size.

Rules of this file:
- Bounded: of each rule the alert that began first may be the headline; ids of alerts that are over are kept for some
  time only, because those may fire again.
- What may be the cause is taken until 200 samples after the first symptom; later alerts are what came of it.
- Three warnings that fire within 50 samples are as bad as a page (R9 of the research report), and the cause's text says
  which they were. Three of one rule are one finding about three series (an overfit model's losses); and of what is no
  matter of a blow-up (step time, memory, plateaus) any number stays a warning.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .alert import Alert, SeverityName
from .attribution import SYMPTOMS, Cause, Facts, cause_of, headline, symptom_step
from .first_bad import entry, in_order, unblended
from .window import BUFFERS

DepthOf = Callable[[str], int]  # of a series: Schedule.depth_of

WARNING, FORETOLD, CRITICAL, STOP = 1, 2, 3, 4
LEVELS: dict[int, SeverityName] = {WARNING: "warning", FORETOLD: "critical", CRITICAL: "critical", STOP: "critical"}
ALERTS_TOLD = 200
GATHERED, GATHER_SAMPLES = 3, 50  # so many warnings within so many samples
ENDED_KEPT = 1_000
_FORETELLING = frozenset({"look_ahead"})  # its step is not one at which its series was off


def level_of(alert: Alert) -> int:
    """How bad it is, finer than its severity: that what was foretold has come is worth telling, and so is the end."""
    if alert.severity != "critical":
        return WARNING
    return STOP if alert.rule == "nonfinite" else FORETOLD if alert.rule in _FORETELLING else CRITICAL


@dataclass
class Case:
    """Samples are counted in rows with a total; None: there is none."""

    id: str
    level: int
    first_step: int
    last_step: int
    opened_s: float
    last_sample: int  # at which an alert fired here last
    closed_sample: int | None = None
    symptom_sample: int | None = None  # at which the first symptom fired
    measured: float | None = None  # the headline's quantity when it was last told; None: to be measured
    facts: dict[str, Facts] = field(default_factory=dict)  # what may be the cause, by rule
    open: dict[str, str] = field(default_factory=dict)  # alerts that fire, by id: their rules
    ended: dict[str, None] = field(default_factory=dict)
    alerts: list[str] = field(default_factory=list)
    count: dict[str, int] = field(default_factory=dict)
    first_bad: list[dict[str, Any]] = field(default_factory=list)
    warned: list[list[Any]] = field(default_factory=list)  # the last 2 of each rule: [sample, alert, rule, words]
    gathered: str = ""  # what is said of the warnings that made it critical
    _cause: Cause | None = None

    @classmethod
    def begin(cls, case_id: str, alert: Alert, sample: int) -> "Case":
        """`raise_` it with the alert next."""
        return cls(case_id, level_of(alert), alert.step, alert.last_step, alert.fired_s, sample)

    @property
    def is_open(self) -> bool:
        return self.closed_sample is None

    @property
    def has_symptom(self) -> bool:
        """A symptom still fires."""
        return any(rule in SYMPTOMS for rule in self.open.values())

    @property
    def is_broken(self) -> bool:
        """The headline is that something is not finite, which has no double."""
        return self.top.rule == "nonfinite"

    @property
    def top(self) -> Facts:
        """The headline."""
        return headline(list(self.facts.values()))

    @property
    def component(self) -> str | None:
        """The component that is the cause, if one is."""
        return self.cause().component

    @property
    def symptom_step(self) -> int:
        """Where the first symptom began; where there is none, what was not only foretold; else the incident."""
        step = symptom_step(self.facts.values())
        come = [each.step for each in self.facts.values() if each.rule not in _FORETELLING]
        return min(come, default=self.first_step) if step is None else step

    @property
    def blame(self) -> dict[str, Any] | None:
        return next((each.blame for each in self._by_place() if each.blame), None)

    @property
    def remedy(self) -> dict[str, Any] | None:
        """Of what still fires, where anything does: what is over needs none. Where nothing fires, as in a closed
        incident, what it was: history, which the page offers only while the incident is open."""
        known = self._by_place()
        firing = [each for each in known if each.alert in self.open]
        return next((each.remedy for each in firing or known if each.remedy), None)

    def cause(self) -> Cause:
        if self._cause is None:
            known = [{**each, "lead_steps": self.symptom_step - each["step"]} for each in self.first_bad]
            cause = cause_of(self.top, self.blame, known)
            self._cause = replace(cause, text=f"{cause.text} {self.gathered}".rstrip())
        return self._cause

    def is_unfolding(self, sample: int, samples: int) -> bool:
        """What is found now may still be its cause."""
        return self.symptom_sample is None or sample - self.symptom_sample <= samples

    # -- what happens -------------------------------------------------------------------------------------------------

    def raise_(self, alert: Alert, sample: int, samples: int, depth_of: DepthOf = unblended) -> bool:
        """An alert fired, fired again or grew worse; False where it and the incident were open already."""
        is_news = alert.id not in self.open
        if is_news and alert.id not in self.ended:
            self.count[alert.rule] = self.count.get(alert.rule, 0) + 1
            self.alerts += [alert.id] if len(self.alerts) < ALERTS_TOLD else []
        self.ended.pop(alert.id, None)
        self.open[alert.id] = alert.rule
        self.closed_sample = None
        if is_news and alert.severity == "warning" and Facts.of(alert).is_of_blow_up:
            self._gather(alert, sample)
        self.level = max(self.level, level_of(alert))
        self.first_step, self.last_step = min(self.first_step, alert.step), max(self.last_step, alert.last_step)
        self.last_sample = max(self.last_sample, sample)
        if not self.facts or self.is_unfolding(sample, samples):
            self._consider(Facts.of(alert, depth_of(alert.series)))
            if alert.series != BUFFERS and alert.rule not in _FORETELLING:
                self.note([entry(alert.series, alert.step, self.symptom_step)], depth_of)
        if alert.rule in SYMPTOMS and self.symptom_sample is None:
            self.symptom_sample = sample
        return is_news

    def amend(self, alert: Alert, is_over: bool) -> None:
        """More is known of an alert, a person saw it, or it is over."""
        self.last_step = max(self.last_step, alert.last_step)
        for key, each in self.facts.items():
            if each.alert == alert.id:
                self.facts[key], self._cause = replace(Facts.of(alert, each.depth), severity=each.severity), None
        if is_over and self.open.pop(alert.id, None) is not None:
            self.ended[alert.id] = None

    def note(self, found: Sequence[Mapping[str, Any]], depth_of: DepthOf = unblended) -> None:
        """Series that are off; of one that is known the earlier step and the larger deviation stay."""
        known = {each["series"]: each for each in self.first_bad}
        for each in found:
            was = known.get(each["series"], each)
            sizes = [size for size in (was["deviation"], each["deviation"]) if size is not None]
            step, worst = min(was["step"], each["step"]), max(sizes, key=abs, default=None)
            known[each["series"]] = entry(each["series"], step, step, worst)
        self.first_bad, self._cause = in_order(list(known.values()), depth_of), None

    def close(self, sample: int) -> None:
        self.closed_sample = sample

    def shift(self, samples: int) -> None:
        """The count of samples begins elsewhere."""
        self.last_sample += samples
        self.warned = [[sample + samples, *more] for sample, *more in self.warned]
        self.closed_sample = None if self.closed_sample is None else self.closed_sample + samples
        self.symptom_sample = None if self.symptom_sample is None else self.symptom_sample + samples

    def shed(self) -> list[str]:
        """Alerts that are over for so long that they will not fire again."""
        old = list(self.ended)[: max(0, len(self.ended) - ENDED_KEPT)]
        for alert in old:
            del self.ended[alert]
        return old

    def _gather(self, alert: Alert, sample: int) -> None:
        kept = [each for each in self.warned if sample - each[0] < GATHER_SAMPLES and each[1] != alert.id]
        same = [each for each in kept if each[2] == alert.rule]
        if len(same) == GATHERED - 1:  # with it they would be three of one rule
            kept.remove(same[0])
        words = f"{alert.rule} of {alert.series} at step {alert.step}"
        self.warned = [*kept, [sample, alert.id, alert.rule, words]]
        if len(self.warned) >= GATHERED and self.level < FORETOLD:
            self.level, self._cause = FORETOLD, None
            of = ", ".join(each[3] for each in self.warned)
            self.gathered = f"Three warnings within {GATHER_SAMPLES} samples made it critical: {of}."

    def _consider(self, facts: Facts) -> None:
        key = f"{facts.rule} {facts.place}"
        was = self.facts.get(key)
        if was is None or facts.alert == was.alert or facts.order < was.order:
            self.facts[key], self._cause = facts, None

    def _by_place(self) -> list[Facts]:
        """The headline first."""
        top = self.top
        return [top, *sorted(self.facts.values(), key=lambda each: (each.place, each.order))]

    # -- kept over restarts -------------------------------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in _PLAIN}
        return {
            **values,
            "facts": {key: each.dump() for key, each in self.facts.items()},
            "open": dict(self.open),
            "ended": list(self.ended),
            "alerts": list(self.alerts),
            "count": dict(self.count),
            "first_bad": [dict(each) for each in self.first_bad],
            "warned": [list(each) for each in self.warned],
        }

    @classmethod
    def load(cls, data: Mapping[str, Any]) -> "Case":
        return cls(
            **{name: data[name] for name in _PLAIN},
            facts={key: Facts.load(each) for key, each in data["facts"].items()},
            open=dict(data["open"]),
            ended=dict.fromkeys(data["ended"]),
            alerts=list(data["alerts"]),
            count=dict(data["count"]),
            first_bad=[dict(each) for each in data["first_bad"]],
            warned=[list(each) for each in data["warned"]],
        )

    @classmethod
    def restored(cls, stored: Mapping[str, Any], alerts: Sequence[Alert], sample: int) -> "Case":
        """From what was told of it, and those of its alerts that still fire."""
        own = [alert for alert in alerts if alert.incident == stored["id"] and alert.state != "resolved"]
        head = stored["headline"]
        top = Facts(
            head["alert"], head["rule"], head["series"], head["component"], head["message"], stored["first_step"],
            stored["severity"], stored["blame"], stored["remedy"],
        )  # fmt: skip
        told = WARNING if stored["severity"] == "warning" else FORETOLD
        level = max([told, *(level_of(alert) for alert in own)])
        return cls(
            stored["id"], level, stored["first_step"], stored["last_step"], stored["opened_s"], sample,
            facts={f"{top.rule} {top.place}": top},
            open={alert.id: alert.rule for alert in own},
            symptom_sample=sample if any(rule in SYMPTOMS for rule in stored["count"]) else None,
            alerts=list(stored["alerts"]), count=dict(stored["count"]), first_bad=list(stored["first_bad"]),
        )  # fmt: skip


_PLAIN = ("id", "level", "first_step", "last_step", "opened_s", "last_sample", "closed_sample", "symptom_sample",
          "measured", "gathered")  # fmt: skip
