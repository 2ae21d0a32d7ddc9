"""What lies behind and upon the curves of every chart: stage bands, and marks of alerts, commands, trips, rollbacks.

Rules of this file: pure; a mark says at which step and in a sentence what happened. What a rollback took off the curves
it takes off the bands; what an alert or a command was at a step that is no more is in the timeline only. Bounded:
MARKS_MAX, the worst kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from .record import Item, Record
from .words import as_map, deed, step, text

MARKS_MAX = 400
GONE = "rolled_back"
GLYPHS = {"alert": "▲", "command": "◆", "trip": "■", "rollback": "◀"}


@dataclass(frozen=True)
class Band:
    """A stage, as it came: `to` None is to the end."""

    start: int
    to: int | None
    name: str


@dataclass(frozen=True)
class Mark:
    """`kind` as in GLYPHS; `severity`: critical, warning, or none for what a person did."""

    step: int
    kind: str
    severity: str
    text: str


@dataclass(frozen=True)
class Overlay:
    """Bands in their order, marks by step."""

    bands: tuple[Band, ...]
    marks: tuple[Mark, ...]


def overlay_of(record: Record) -> Overlay:
    """Of all charts of the run."""
    marks = [*_alerts(record.alerts), *_commands(record.commands), *_events(record.events)]
    order = {"critical": 0, "warning": 1, "none": 1}
    kept = sorted(marks, key=lambda mark: order[mark.severity])[:MARKS_MAX]
    return Overlay(tuple(bands_of(record)), tuple(sorted(kept, key=lambda mark: mark.step)))


def bands_of(record: Record) -> list[Band]:
    """A stage that was held, or gone to, begins where the trainer says, not where it is declared."""
    begun = _begun(record.events)
    first = begun[0][0] if begun else record.last_step + 1
    declared = sorted((int(stage["start"]), text(stage["name"])) for stage in record.stages)
    found = [each for each in declared if each[0] < first] + begun
    ends = [*(start for start, _ in found[1:]), None]
    return [Band(start, ends[at], name) for at, (start, name) in enumerate(found)]


def _begun(events: Sequence[Item]) -> list[tuple[int, str]]:
    """A rollback or another attempt begins a stage once more: what was told of later steps is no more."""
    found: list[tuple[int, str]] = []
    for event in events:
        data = as_map(event["data"])
        to = data.get("to")
        if event["kind"] == "rollback" and isinstance(to, int):
            found = [each for each in found if each[0] < to]
        elif event["kind"] == "stage":
            found = [each for each in found if each[0] < event["step"]] + [(event["step"], text(data.get("name")))]
    return found


def _alerts(alerts: Sequence[Item]) -> list[Mark]:
    return [
        Mark(alert["step"], "alert", _severity(alert), f"step {step(alert['step'])}: {text(alert['message'])}")
        for alert in alerts
        if "rolled_back_to" not in as_map(alert["evidence"])
    ]


def _commands(commands: Sequence[Item]) -> list[Mark]:
    return [
        Mark(each["step"], "command", "none", f"step {step(each['step'])}: {deed(each['kind'], each['args'])}")
        for each in commands
        if each["state"] == "applied" and each["step"] is not None and each["kind"] != "rollback"
    ]


def _events(events: Sequence[Item]) -> list[Mark]:
    found: list[Mark] = []
    for event in events:
        data, at = as_map(event["data"]), event["step"]
        if event["kind"] == "rollback" and isinstance(to := data.get("to"), int):
            found = [mark for mark in found if mark.step < to]
            found.append(Mark(to, "rollback", "none", f"rolled back from step {step(data.get('from'))} to {step(to)}"))
        elif event["kind"] == "trip":
            is_harmless = data.get("action") == "skipped"
            said = text(data.get("text")) or "a step that was not finite"
            found.append(Mark(at, "trip", "warning" if is_harmless else "critical", f"step {step(at)}: {said}"))
    return found


def _severity(item: Item) -> str:
    return "critical" if item["severity"] == "critical" else "warning"
