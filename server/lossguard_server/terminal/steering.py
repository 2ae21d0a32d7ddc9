"""The subcommands that steer a run: each gives it one command, and says what became of it.

Rules of this file: parse, call, print. All of them are made of the table in verbs.py, with the same options. Whatever
goes wrong after the command was given, the command itself is printed: a person must be able to find it again.
"""

import inspect
import json
import sys
import uuid
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.console import Console

from .client import Client, address
from .console import AsJson, Data, Why, ask, line, put
from .following import APPLIED, CANCELLED, OPEN, Following, Seen
from .telling import effect, foreseen, foretold, told
from .verbs import VERBS, CommandName, Verb

Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Until it is applied or refused.")]
Timeout = Annotated[
    float | None, typer.Option(min=0, metavar="SECONDS", help="Wait no longer; the command goes on without it.")
]
Expires = Annotated[float | None, typer.Option(min=0, metavar="SECONDS", help="It is not applied later than this.")]
Expected = Annotated[
    int | None,
    typer.Option(
        "--expect-version", min=0, metavar="N", help="Refused if the run was steered since version N (see `schedule`)."
    ),
]
Key = Annotated[str | None, typer.Option(metavar="TEXT", help="The same key gives the same command: never two.")]
WaitEffect = Annotated[bool, typer.Option("--wait-effect", help="Wait for the verdict on its effect, too.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Give nothing: show what the last steps would have looked like.")
]


def cancel(command: CommandName, as_json: AsJson = False, data: Data = None) -> None:
    """Take a command back that has not gone out to its run yet."""

    def work(client: Client) -> Any:
        return client.post(address("commands", client.command(command)["id"], "cancel"), {})

    _print(Seen(ask(data, work)), as_json, (CANCELLED,))


def add_to(app: typer.Typer) -> None:
    """Put the subcommands on the app."""
    for verb in VERBS:
        app.command(verb.name, help=verb.does)(_subcommand(verb))
    app.command()(cancel)


def _subcommand(verb: Verb) -> Callable[..., None]:
    """What typer calls: it reads arguments and options from a signature."""

    def give(**said: Any) -> None:
        _give(verb, said)

    parameters = [*verb.parameters, *_SHARED, *(_JUDGED if verb.is_judged else []), *(_STEERING if verb.steers else [])]
    give.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    give.__annotations__ = {each.name: each.annotation for each in parameters}
    return give


def _option(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


_SHARED = [
    _option("reason", Why, ""),
    _option("wait", Wait, True),
    _option("timeout", Timeout, None),
    _option("expires", Expires, None),
    _option("expect_version", Expected, None),
    _option("key", Key, None),
    _option("as_json", AsJson, False),
    _option("data", Data, None),
]
_JUDGED = [_option("wait_effect", WaitEffect, False)]
_STEERING = [_option("dry_run", DryRun, False)]


def _give(verb: Verb, said: dict[str, Any]) -> None:
    args, data = verb.args(said), said["data"]
    if said.get("wait_effect") and not said["wait"]:
        raise typer.BadParameter("An effect is waited for, or nothing is: not both.", param_hint="--wait-effect")

    def work(client: Client) -> Any:
        if "command" in args:
            target = client.command(args["command"])
            run, args["command"] = target["run"], target["id"]
        else:
            run = client.run_id(said["run"])
        answer = client.post(address("runs", run, "commands"), _body(verb, args, said))
        return answer if said.get("dry_run") else _followed(client, answer, said)

    found = ask(data, work)
    if isinstance(found, Seen):
        _print(found, said["as_json"])
    elif said["as_json"]:
        print(json.dumps(found))
    else:
        _show_foreseen(found)


def _body(verb: Verb, args: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    body = {"kind": verb.kind, "args": args, "idempotency_key": said["key"] or uuid.uuid4().hex}
    more = {
        "reason": said["reason"] or None,
        "expires_in_s": said["expires"],
        "expect_version": said["expect_version"],
        "dry_run": said.get("dry_run") or None,
    }
    return body | {name: each for name, each in more.items() if each is not None}


def _followed(client: Client, command: dict[str, Any], said: dict[str, Any]) -> Seen:
    following = Following(client, said["timeout"])
    seen = following.until_settled(command) if said["wait"] else Seen(command)
    if said.get("wait_effect") and seen.trouble is None and seen.command["state"] == APPLIED:
        return following.until_judged(seen.command)
    return seen


def _print(seen: Seen, as_json: bool, good: tuple[str, ...] = (APPLIED, *OPEN)) -> None:
    """The command; then exit code 1 where its state is none of the good ones, or nobody knows. Raises typer.Exit."""
    command, trouble = seen.command, seen.trouble
    is_refused = command["state"] not in good
    console = Console()
    if as_json:
        print(json.dumps(command))
    else:
        for sentence in filter(None, (told(command), effect(command))):
            line(console, sentence)
    if trouble is not None:
        print(f"{trouble.message}\n{trouble.hint}".rstrip(), file=sys.stderr)
    elif as_json and is_refused:
        print(told(command), file=sys.stderr)
    if trouble is not None or is_refused:
        raise typer.Exit(1)


def _show_foreseen(answer: dict[str, Any]) -> None:
    console, rows = Console(), foreseen(answer)
    head, *below = foretold(answer)
    line(console, head)
    if rows:
        put(console, ("", "before", "after"), rows)
    for sentence in filter(None, below):
        line(console, sentence)
