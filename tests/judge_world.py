"""A judge over a store, for tests: with rules of the test's own, or the real engine.

Rules of this file: what it tells lands in a list; everything that was asked of it is done when `done` returns.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from lossguard.protocol.messages import Declaration, Event
from lossguard_server.errors import StateUnreadable
from lossguard_server.rules import default_rules
from lossguard_server.rules.alert import Alert, AlertChange
from lossguard_server.rules.base import Rule
from lossguard_server.rules.incident import IncidentChange
from lossguard_server.services.findings import Findings, Tellers
from lossguard_server.services.judge import Judge
from lossguard_server.services.recall import Rules
from lossguard_server.store.rows import Rows
from store_world import Store

COLD = "cold:"


def new_judge(
    store: Store, rules: Rules, told: list[dict[str, Any]], incidents: list[dict[str, Any]] | None = None
) -> Judge:
    """`told` gets each alert that changed, `incidents` each incident."""
    clock = store.clock.of_services
    tellers = Tellers(told.append, (incidents if incidents is not None else []).append)
    findings = Findings(rules, store.writer, clock, tellers)
    return Judge(rules, lambda project, run_id: default_rules(), store.writer, store.reading, clock, findings)


def done(judge: Judge) -> None:
    """Wait until the judge has nothing to do; a page may put another one behind us."""
    while judge._thread.submit(lambda: bool(judge._waiting)).result(10):  # asked there, where no page is half done
        pass


def an_alert(alert_id: str, state: str = "firing", step: int = 0) -> Alert:
    return Alert(alert_id, "r1", "test", "a", None, "critical", state, step, step, 1.0, None, "m", {}, None, None)  # type: ignore[arg-type]


class Recorder:
    """Rules that note what they are shown, and find an alert in each value above 100."""

    def __init__(self, is_forgetful: bool = False) -> None:
        """`is_forgetful`: what was dumped is of another version, and cannot be loaded."""
        self.is_forgetful, self.switched_off = is_forgetful, list[str]()
        self.calls: list[tuple[str, Any]] = []
        self.open: dict[str, Alert] = {}
        self.steered_by: list[str] = []
        self.cold = False  # it went back, and was shown nothing since

    def declare(self, run_id: str, declaration: Declaration) -> None:
        self.calls.append(("declare", declaration.components))

    def steered(self, run_id: str, event: Event) -> None:
        self.steered_by.append(event.kind)

    def configure(self, run_id: str, rules: Sequence[Rule]) -> list[AlertChange]:
        return [AlertChange(an_alert(alert_id, "resolved"), "resolved") for alert_id in self.switched_off]

    def observe(self, run_id: str, parts: Sequence[Rows]) -> list[AlertChange]:
        changes = []
        for part in parts:
            self.calls += [("observe", step) for step in part.steps.tolist()]
            if (part.columns == -1.0).any():
                raise ZeroDivisionError("a fault in the rules")
            found = [an_alert(f"a{step}", step=step) for step in part.steps[(part.columns > 100).any(axis=0)].tolist()]
            self.open.update({alert.id: alert for alert in found})
            changes += [AlertChange(alert, "fired") for alert in found]
        return changes

    def flush(self, run_id: str) -> list[AlertChange]:
        self.calls.append(("flush", None))
        return []

    def tripped(self, run_id: str, step: int, data: Mapping[str, Any]) -> list[AlertChange]:
        self.calls.append(("tripped", step))
        return []

    def acknowledge(self, run_id: str, alert_id: str) -> AlertChange:
        return AlertChange(an_alert(alert_id, "acknowledged"), "acknowledged")

    def warm(self, run_id: str, parts: Sequence[Rows]) -> None:
        self.cold = False
        self.calls += [("warm", step) for part in parts for step in part.steps.tolist()]

    def restore(self, run_id: str, alerts: Sequence[Alert], incidents: Sequence[Mapping[str, Any]] = ()) -> None:
        self.calls.append(("restore", [alert.id for alert in alerts]))

    def news(self, run_id: str) -> list[IncidentChange]:
        return []

    def failed(self) -> list[dict[str, Any]]:
        return []

    def dump(self, run_id: str) -> bytes:
        return (COLD * self.cold + ",".join(sorted(self.open))).encode()

    def is_cold(self, run_id: str) -> bool:
        return self.cold

    def load(self, run_id: str, body: bytes) -> None:
        if self.is_forgetful:
            raise StateUnreadable()
        said = body.decode()
        self.cold = said.startswith(COLD)
        self.calls.append(("load", said.removeprefix(COLD)))

    def rewind(self, run_id: str, from_step: int, to_step: int) -> list[AlertChange]:
        self.cold = True
        self.calls.append(("rewind", (from_step, to_step)))
        gone = [self.open.pop(alert.id) for alert in list(self.open.values()) if alert.step >= to_step]
        return [AlertChange(an_alert(alert.id, "resolved", alert.step), "resolved") for alert in gone]

    def recent_alerts(self, run_id: str, rule: str) -> list[Alert]:
        return []

    def forget(self, run_id: str) -> None:
        self.calls.append(("forget", run_id))

    def amend(self, run_id: str, alert: Alert) -> AlertChange:
        return AlertChange(alert, "explained")


@contextmanager
def judging(store: Store, rules: Recorder) -> Iterator[tuple[Judge, list[dict[str, Any]]]]:
    """A judge, and what it told; everything that was asked of it is done when the block ends."""
    told: list[dict[str, Any]] = []
    judge = new_judge(store, rules, told)
    try:
        yield judge, told
        done(judge)
    finally:
        judge.close()
