"""The report's first words: was the run healthy or what broke first, why, and what was done about it.

Rules of this file: pure; three sentences, made of what rules and effects said, never of more than they said.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from .catalogue import titles_of
from .record import Item, Record
from .words import as_map, deed, number, plural, step, text, title

WORKED = "worked"


@dataclass(frozen=True)
class Story:
    """`tone`: "ok", "warning" or "critical"; the sentences are plain text."""

    tone: str
    what: str
    why: str
    done: str


def story_of(record: Record) -> Story:
    """Of the whole run."""
    chief = chief_of(record.incidents)
    if chief is None:
        return _quiet(record)
    tone = "critical" if chief["severity"] == "critical" else "warning"
    return Story(tone, _what(record, chief), _why(record, chief), _done(record, chief))


def chief_of(incidents: Sequence[Item]) -> Item | None:
    """What broke first: of the critical ones the earliest, else of all."""
    order = sorted(incidents, key=lambda each: (each["severity"] != "critical", each["first_step"]))
    return order[0] if order else None


def heading_of(record: Record, incident: Item) -> str:
    """ "Contribution out of proportion: precursor"."""
    head = as_map(incident["headline"])
    rule, component = text(head.get("rule")), head.get("component")
    said = titles_of(record.rules).get(rule, title(rule))
    return said if component is None else f"{said}: {text(component)}"


def answers_to(record: Record, incident: Item) -> list[Item]:
    """The commands that were given because of one of its alerts."""
    own = {*incident["alerts"], *(alert["id"] for alert in record.alerts if alert["incident"] == incident["id"])}
    return [command for command in record.commands if command["alert"] in own]


def _quiet(record: Record) -> Story:
    steps = record.last_step + 1
    ended = text(record.run["state"])
    if ended == "crashed":
        what = f"The run crashed after {plural(steps, 'step')}, and no rule had found anything before."
        return Story("critical", what, "Nothing that was measured says why.", _deeds_alone(record))
    if not steps:
        return Story("ok", "Nothing was measured.", "There is no step to judge.", _deeds_alone(record))
    what = f"Healthy: no incident in {plural(steps, 'step')}."
    return Story("ok", what, f"Nothing has to be explained{_total_words(record)}.", _deeds_alone(record))


def _total_words(record: Record) -> str:
    total = next((line for chart in record.charts for line in chart.lines if line.series == "loss/total"), None)
    if total is None or not len(total.values):
        return ""
    return f"; the total went from {number(float(total.values[0]))} to {number(float(total.values[-1]))}"


def _what(record: Record, chief: Item) -> str:
    others = max(len(record.incidents), record.of.get("incidents", 0)) - 1
    more = f" {plural(others, 'more incident')} followed or went beside it." if others else ""
    first = "Broke first" if chief["severity"] == "critical" else "Nothing critical; first came"
    message = text(as_map(chief["headline"]).get("message"))
    return f"{first}, at step {step(chief['first_step'])}: {heading_of(record, chief)}. {message}{more}"


def _why(record: Record, chief: Item) -> str:
    cause, blame = text(as_map(chief["cause"]).get("text")), text(as_map(chief["blame"]).get("text"))
    origin = _origin_words(record, chief)
    said = [each.strip() for each in (cause, blame, origin) if each.strip()]
    return " ".join(said) or "The rules name no cause."


def _origin_words(record: Record, chief: Item) -> str:
    for alert in record.alerts:
        origin = as_map(as_map(alert["evidence"]).get("origin"))
        if alert["incident"] == chief["id"] and origin:
            return text(origin.get("text"))
    return ""


def _done(record: Record, chief: Item) -> str:
    applied = [command for command in record.commands if command["state"] == "applied"]
    answers = [command for command in answers_to(record, chief) if command["state"] == "applied"]
    later = [command for command in applied if (command["step"] or 0) >= chief["first_step"]]
    guarded = f" {_trips(record)}" if record.run["trips"] else ""
    chosen = _best(answers) or _best(later)
    if chosen is None:
        return f"Nobody stepped in.{guarded}" if not applied else f"{_deeds_alone(record)}"
    kind = deed(chosen["kind"], chosen["args"])
    effect = as_map(chosen["effect"])
    told = f": {text(effect.get('text'))}" if effect else "; what it did was not judged."
    others = f" {plural(len(applied) - 1, 'other command')} were applied." if len(applied) > 2 else (
        " 1 other command was applied." if len(applied) == 2 else "")  # fmt: skip
    return f"From step {step(chosen['step'])} on: {kind}{told}{others}{guarded}"


def _best(commands: Sequence[Item]) -> Item | None:
    """One that helped before one that was judged, before one that was applied; the last of these."""

    def weight(at: int) -> tuple[bool, bool, int]:
        effect = as_map(commands[at]["effect"])
        return effect.get("verdict") == WORKED and effect.get("decided") is not False, bool(effect), at

    return commands[max(range(len(commands)), key=weight)] if commands else None


def _deeds_alone(record: Record) -> str:
    applied = sum(command["state"] == "applied" for command in record.commands)
    guarded = f" {_trips(record)}" if record.run["trips"] else ""
    said = "Nobody stepped in." if not applied else f"{plural(applied, 'command')} applied, for no incident."
    return f"{said}{guarded}"


def _trips(record: Record) -> str:
    return f"The guard saw {plural(int(record.run['trips']), 'step')} that must not reach the weights."
