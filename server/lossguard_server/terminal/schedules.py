"""The subcommands that show what steers a run: what is in force and what will change by itself, and what was commanded.

Rules of this file: parse, call, print.
"""

import json
from typing import Annotated, Any

import typer
from rich.console import Console

from .client import Client, address
from .console import NOTHING, AsJson, Data, RunName, ask, line, put, put_lines
from .following import OPEN
from .telling import args, entry, value

Item = dict[str, Any]
Open = Annotated[bool, typer.Option("--open", help="Only those that are neither applied nor refused yet.")]


def schedule(run: RunName, as_json: AsJson = False, data: Data = None) -> None:
    """Show what is in force in a run: stages, weights, what will begin or end by itself, and what was changed."""

    def work(client: Client) -> Item:
        return dict(client.get(address("runs", client.run_id(run), "schedule")))

    found = ask(data, work)
    print(json.dumps(found)) if as_json else _show(found)


def commands(run: RunName, only_open: Open = False, as_json: AsJson = False, data: Data = None) -> None:
    """List a run's commands, newest first: the life of each, and its effect."""

    def work(client: Client) -> list[Item]:
        found: list[Item] = client.get(address("runs", client.run_id(run), "commands"))["items"]
        return [item for item in found if not only_open or item["state"] in OPEN]

    found = ask(data, work)
    print(json.dumps(found)) if as_json else put_lines(Console(), [entry(item) for item in found])


def add_to(app: typer.Typer) -> None:
    """Put the subcommands on the app."""
    app.command()(schedule)
    app.command()(commands)


def _show(found: Item) -> None:
    console = Console()
    line(console, _clock(found))
    if found["stages"]:
        put(
            console, ("stage", "starts at", "begins at step"), [_stage(found, at) for at in range(len(found["stages"]))]
        )
    for heading, rows in (
        ("in force", _in_force(found)),
        ("to come", _to_come(found)),
        ("changed by", _changed(found)),
    ):
        line(console, f"{heading}: {NOTHING if not rows else ''}".rstrip())
        put_lines(console, [(row, ()) for row in rows]) if rows else None


def _clock(found: Item) -> str:
    held = found["held"]
    until = held.get("until") if isinstance(held, dict) else None
    what = "runs" if not held else "is held" if until is None else f"is held until step {until}"
    return f"version {found['version']}; the curriculum's clock {what}, at {value(found['position'])}"


def _stage(found: Item, at: int) -> list[str]:
    stage, position = found["stages"][at], found["position"]
    is_past = position is not None and stage["start"] <= position
    later = found["stages"][at + 1 :]
    is_now = is_past and not any(position >= each["start"] for each in later)
    begins = "now" if is_now else "" if is_past else "not while held"
    return [stage["name"], str(stage["start"]), begins if stage["begins_at"] is None else str(stage["begins_at"])]


def _in_force(found: Item) -> list[list[str]]:
    rows = [[f"weight of {name}", value(weight)] for name, weight in found["weights"].items()]
    gated = [[f"gate of {name}", "closed"] for name in found.get("gated") or ()]
    others = (("lr_scale", "learning rates times", 1.0), ("clip", "gradients clipped to", None))
    more = [[text, value(found[name])] for name, text, usual in others if found.get(name, usual) != usual]
    return rows + gated + more


def _to_come(found: Item) -> list[list[str]]:
    """A change is a step, and what is known of it."""
    rows = []
    for change in found["changes"]:
        if not isinstance(change, dict):
            rows.append([f"step {change}"])
            continue
        said = change.get("text") or args({name: each for name, each in change.items() if name != "step"})
        rows.append([f"step {change['step']}", said])
    return rows


def _changed(found: Item) -> list[list[str]]:
    rows = []
    for each in found["operations"]:
        holds = "" if each.get("in_force", True) else "not in force"
        rows.append([f"step {each['step']}", each["id"], each["kind"], args(each["args"]), holds])
    return rows
