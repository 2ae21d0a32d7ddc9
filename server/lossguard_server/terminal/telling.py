"""How commands and what they change are told to people.

Rules of this file: pure, from the server's JSON to lines and rows. What is not finite is shown, and hides in no median.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from math import isfinite
from statistics import median
from typing import Any

from lossguard.protocol.numbers import number_from_json

Item = dict[str, Any]


def told(command: Item) -> str:
    """What became of a command, in a sentence."""
    what = f"{command['kind']} is {command['state'].replace('_', ' ')} as {command['id']}"
    if command["state"] != "applied":
        return f"{what}: {command['refusal']}" if command.get("refusal") else what
    ends = [
        f"; its {word} ends at step {command['step'] + command['args'][name]}"
        for name, word in (("ramp_steps", "ramp"), ("lease_steps", "lease"))
        if command["step"] is not None and name in command["args"]
    ]
    return f"{what} at step {command['step']}{_on_ranks(command)}{_change(command)}{''.join(ends)}"


def entry(command: Item) -> tuple[list[str], list[str]]:
    """A command's line, and below it why, what became of it, and what it did."""
    where = "" if command.get("step") is None else f"step {command['step']}{_on_ranks(command)}"
    facts = [f"{command['number']}", command["id"], command["kind"], args(command["args"]), command["state"], where]
    change = _change(command).removeprefix(": ")
    because = [f"because {command['reason']}" if command.get("reason") else "", _for_alert(command)]
    given = ", ".join(filter(None, [f"given by {command['actor']}", *because]))
    return [*facts, change], [given, life(command["history"]), command.get("refusal") or "", effect(command)]


def life(history: Sequence[Item]) -> str:
    """`queued 14:02:11, sent after 0.01 s, applied after 0.4 s`: each since the first."""
    if not history:
        return ""
    begun_s = history[0]["at_s"]
    moment = datetime.fromtimestamp(begun_s).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    later = [f"{each['state']} after {max(0.0, each['at_s'] - begun_s):.3g} s{_which(each)}" for each in history[1:]]
    return ", ".join([f"{history[0]['state']} {moment}", *later]).replace("_", " ")


def _which(entry: Item) -> str:
    """Of a change of state that a later attempt may repeat: at which step, and in which attempt."""
    step = entry.get("step", entry.get("at_step"))
    return ("" if step is None else f" at step {step}") + (
        f" in attempt {entry['attempt']}" if entry.get("attempt") else ""
    )


def effect(command: Item) -> str:
    """The verdict on a command; nothing where there is none."""
    found = command.get("effect")
    if not found:
        return ""
    return f"effect: {found['text']}"


def args(given: Item) -> str:
    """`component=ce value=0.1`."""
    return " ".join(f"{name}={value(each)}" for name, each in given.items())


def value(said: Any) -> str:
    """A value of a command's: a number, a text, a list, weights by component."""
    if said is None:
        return "none"
    if isinstance(said, bool):
        return "true" if said else "false"
    if isinstance(said, float):
        return f"{said:g}" if float(f"{said:g}") == said else repr(said)
    if isinstance(said, dict):
        return ", ".join(f"{name} {value(each)}" for name, each in said.items())
    return ",".join(map(value, said)) if isinstance(said, list) else str(said)


def foreseen(answer: Item) -> list[list[str]]:
    """Of a dry run the rows (what, before, after): the total, and each component's weight now and its share."""
    if answer["from"] is None:
        return []
    total, now = answer["total"], answer["now"]
    rows = [
        ["total, median", *(_number(_of(median, total[side])) for side in _SIDES)],
        ["total, largest", *(_number(_of(max, total[side])) for side in _SIDES)],
        [f"total, step {now['step']}", *(_number(_of(max, [now["total"][side]])) for side in _SIDES)],
    ]
    for component, share in answer["share"].items():
        weights = [_weight(now, component, side) for side in _SIDES]
        if len(set(weights)) > 1:
            rows.append([f"weight of {component}, step {now['step']}", *weights])
        rows.append([f"share of {component}, median", *(_percent(share[side]) for side in _SIDES)])
    return rows


def foretold(answer: Item) -> list[str]:
    """What is to be said of the rows: above them, and below."""
    if answer["from"] is None:
        return ["Nothing is given. There are no stored steps from which it could be computed."]
    left_out = answer.get("left_out")
    remark = f" {left_out} steps with a loss that is not stored are left out." if left_out else ""
    first = f"Nothing is given. Steps {answer['from']} to {answer['to']}, had it been in force:"
    return [first, f"{answer.get('text', '')}{remark}".strip()]


_SIDES = ("before", "after")


def _of(summary: Callable[[list[float]], float], values: Sequence[Any]) -> float | None:
    """Of what is finite; but the first that is not, where one is: a median would hide it."""
    found = [number_from_json(each) for each in values]
    broken = next((each for each in found if not isfinite(each)), None)
    return broken if broken is not None or not found else summary(found)


def _weight(now: Item, component: str, side: str) -> str:
    found = now["weight"].get(component, {}).get(side)
    return "" if found is None else value(number_from_json(found))


def _number(found: float | None) -> str:
    return "" if found is None else f"{found:.4g}"


def _percent(found: float | None) -> str:
    return "" if found is None else f"{100 * found:.2f} %"


def _on_ranks(command: Item) -> str:
    ranks = command.get("ranks")
    return "" if ranks is None else f" on {ranks} rank{'' if ranks == 1 else 's'}"


def _change(command: Item) -> str:
    old, new = command.get("old"), command.get("new")
    return "" if old is None and new is None else f": {value(old)} -> {value(new)}"


def _for_alert(command: Item) -> str:
    return f"for alert {command['alert']}" if command.get("alert") else ""
