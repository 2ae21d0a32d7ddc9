"""What happened to a run, in order: stages, incidents, alerts, commands with their verdicts, rollbacks, trips, gaps.

Rules of this file: pure. Order is that of time, because a rollback makes steps go back; trainer and server have clocks
of their own, so events keep the order in which they came. Trips in a row are one entry. Bounded: ENTRIES_MAX; warnings
go first.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import isfinite

from .record import Item, Record
from .story import heading_of
from .words import as_float, as_map, deed, plural, step, text

ENTRIES_MAX = 400
NEAR_STEPS = 20  # trips nearer than this are one


@dataclass(frozen=True)
class Entry:
    """`kind` is a word that a person reads; `tone`: "", "ok", "warning" or "critical"; `at_s` NaN: not known."""

    at_s: float
    step: int | None
    kind: str
    tone: str
    text: str
    weight: int = 1  # 0: left out first


def timeline_of(record: Record) -> tuple[list[Entry], int]:
    """The entries in order, and how many were left out."""
    every = [*_events(record.events), *_incidents(record), *_alerts(record), *_commands(record.commands)]
    kept = sorted(range(len(every)), key=lambda at: (-every[at].weight, at))[:ENTRIES_MAX]
    entries = [every[at] for at in sorted(kept)]
    return sorted(entries, key=lambda entry: entry.at_s if isfinite(entry.at_s) else 0.0), len(every) - len(entries)


def _events(events: Sequence[Item]) -> Iterator[Entry]:
    latest = 0.0
    for entry in _gathered([entry for event in events if (entry := _event(event)) is not None]):
        latest = max(latest, entry.at_s) if isfinite(entry.at_s) else latest
        yield replace(entry, at_s=latest)


def _event(event: Item) -> Entry | None:
    data, at, said = as_map(event["data"]), event["step"], text(as_map(event["data"]).get("text"))
    found = {
        "stage": ("stage", "", f"Stage {text(data.get('name'))} begins."),
        "gap": ("gap", "warning", _gap_words(data)),
        "error": ("fault", "warning", f"{text(data.get('where'))}: {text(data.get('message'))}"),
        "finish": ("end", "", f"The attempt ended: {text(data.get('state'))}."),
        "trip": ("trip", "warning" if data.get("action") == "skipped" else "critical", said),
        "origin": ("origin", "critical", said),
        "rollback": (
            "rollback", "", said or f"Back from step {step(data.get('from'))} to step {step(data.get('to'))}."
        ),
        "resume": ("resume", "", f"Went on from a checkpoint at step {step(at)}."),
        "detail": ("detail", "", f"Detail: {text(data.get('level'))}. {text(data.get('reason'))}"),
    }.get(event["kind"])  # fmt: skip
    if found is None:
        return None
    at_s = as_float(event["time_s"])
    return Entry(float("nan") if at_s is None else at_s, at, *found, weight=0 if event["kind"] == "detail" else 2)


def _gap_words(data: Item) -> str:
    reason = text(data.get("reason"))
    return f"Steps {step(data.get('from'))} to {step(data.get('to'))} may be missing{f': {reason}' if reason else ''}."


def _gathered(entries: Sequence[Entry]) -> Iterator[Entry]:
    """A run of trips is its first, with how many there were."""
    first: Entry | None = None
    last, count = 0, 0
    for entry in [*entries, None]:
        is_next = entry is not None and entry.kind == "trip" and first is not None
        if is_next and entry is not None and abs((entry.step or 0) - last) <= NEAR_STEPS:
            last, count = entry.step or 0, count + 1
            continue
        if first is not None:
            more = f" And {plural(count - 1, 'more trip')} up to step {step(last)}." if count > 1 else ""
            yield replace(first, text=f"{first.text}{more}")
            first = None
        if entry is not None and entry.kind == "trip":
            first, last, count = entry, entry.step or 0, 1
        elif entry is not None:
            yield entry


def _incidents(record: Record) -> Iterator[Entry]:
    for incident in record.incidents:
        tone = "critical" if incident["severity"] == "critical" else "warning"
        said = f"Incident, {tone}: {heading_of(record, incident)}."
        yield Entry(as_float(incident["opened_s"]) or 0.0, incident["first_step"], "incident", tone, said, 3)


def _alerts(record: Record) -> Iterator[Entry]:
    for alert in record.alerts:
        tone = "critical" if alert["severity"] == "critical" else "warning"
        judged = {"true": " A person called it right.", "false": " A person called it a false alarm."}
        said = f"{text(alert['message'])}{judged.get(text(alert.get('verdict')), '')}"
        yield Entry(as_float(alert["fired_s"]) or 0.0, alert["step"], "alert", tone, said, int(tone == "critical"))


def _commands(commands: Sequence[Item]) -> Iterator[Entry]:
    for command in commands:
        history = [as_map(each) for each in command["history"]]
        at_s = as_float(history[-1].get("at_s")) if history else command["created_s"]
        state = text(command["state"]).replace("_", " ")
        who = f" by {text(command['actor'])}"
        reason = f" because: {text(command['reason'])}" if command["reason"] else ""
        refusal = f" {text(command['refusal'])}" if command["refusal"] else ""
        effect = as_map(command["effect"])
        found = f" Effect: {text(effect.get('text'))}" if effect else ""
        tone = {"worked": "ok", "worse": "critical"}.get(text(effect.get("verdict")), "")
        said = f"{deed(command['kind'], command['args'])}: {state}{who}{reason}.{refusal}{found}"
        yield Entry(at_s or 0.0, command["step"], "command", tone, f"{said[:1].upper()}{said[1:]}", 3)
