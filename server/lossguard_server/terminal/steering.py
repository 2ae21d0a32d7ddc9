"""The subcommands that steer a run: each gives it one command.

Rules of this file: parse, call, print. The server decides what is allowed.
"""

import json
import uuid
from pathlib import Path
from typing import Annotated, Any

import typer

from .client import Client, address
from .console import AsJson, Data, RunName, Why, ask


def pause(run: RunName, reason: Why = "", as_json: AsJson = False, data: Data = None) -> None:
    """Hold a run at its next step boundary."""
    _command(run, "pause", {}, reason, as_json, data)


def resume(run: RunName, reason: Why = "", as_json: AsJson = False, data: Data = None) -> None:
    """Let a paused run go on."""
    _command(run, "resume", {}, reason, as_json, data)


def stop(run: RunName, reason: Why = "", as_json: AsJson = False, data: Data = None) -> None:
    """End a run at its next step boundary."""
    _command(run, "stop", {}, reason, as_json, data)


def weight(
    run: RunName,
    component: Annotated[str, typer.Argument(help="The loss component.")],
    value: Annotated[float, typer.Argument(help="Its new weight.")],
    reason: Why = "",
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Set the weight of a loss component from the next step on."""
    _command(run, "set_weight", {"component": component, "value": value}, reason, as_json, data)


def revert(
    command: Annotated[str, typer.Argument(help="The id of a weight command.")],
    reason: Why = "",
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Put back what a weight command replaced."""
    run = ask(data, lambda client: client.run_of_command(command))
    _command(run, "revert", {"command": command}, reason, as_json, data)


def rollback(
    run: RunName,
    before: Annotated[
        int | None, typer.Option(min=0, metavar="STEP", help="Not to the newest snapshot: to the newest before STEP.")
    ] = None,
    reason: Why = "",
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Put a run back into its newest healthy snapshot; training goes on from there with new data."""
    _command(run, "rollback", {} if before is None else {"before_step": before}, reason, as_json, data)


def instrument(
    run: RunName,
    steps: Annotated[int, typer.Option(min=1, help="For how many steps; then back by itself.")],
    reason: Why = "",
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Record a run in full detail for some steps."""
    _command(run, "instrument", {"steps": steps}, reason, as_json, data)


def add_to(app: typer.Typer) -> None:
    """Put the subcommands on the app."""
    for command in (pause, resume, stop, weight, revert, rollback, instrument):
        app.command()(command)


def _command(run: str, kind: str, args: dict[str, Any], reason: str, as_json: bool, data: Path | None) -> None:
    def send(client: Client) -> Any:
        body = {"kind": kind, "args": args, "idempotency_key": uuid.uuid4().hex, "reason": reason}
        return client.post(address("runs", client.run_id(run), "commands"), body)

    sent = ask(data, send)
    if as_json:
        print(json.dumps(sent))
    else:
        print(f"{kind} is {sent['state']} as {sent['id']}")
