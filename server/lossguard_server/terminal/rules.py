"""The subcommands about rules and alerts: what judges a run, with which parameters, and whether it was right.

Rules of this file: parse, call, print. The server knows the rules and their bounds. What the command line itself says
wrong is wrong usage (exit code 2), before the server is asked.
"""

import json
import sys
import time
import tomllib
from collections.abc import Mapping
from datetime import datetime
from math import isfinite
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from .client import Client, Refused, address
from .console import AsJson, Data, RunName, ask, cell, line, put, put_lines

ENABLED = "enabled"
VERDICTS = {"true": "true", "false": "false", "none": None}
SILENCE_MAX_MINUTES = 7 * 24 * 60  # the server's bound
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="RULE.PARAMETER=VALUE", help="A number, or RULE.enabled=true|false; several times."),
]


def rules(
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="As they count in this run.")] = None,
    project: Annotated[str | None, typer.Option(help="As they count in this project.")] = None,
    sets: Sets = None,
    reset: Annotated[bool, typer.Option("--reset", help="Take back what was set here.")] = False,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Show the rules, their parameters and their precision; with --set or --reset, change them for a run or project."""

    changes = bool(sets) or reset
    if run is not None and project is not None:
        raise typer.BadParameter("Rules count in a run or in a project: give RUN or --project.")
    if changes and run is None and project is None:
        raise typer.BadParameter(
            "Rules are changed for a run or a project: name one; for all, write lossguard.toml.", param_hint="--set"
        )
    with_sets({}, sets or [])  # refused before anything is asked

    def work(client: Client) -> dict[str, Any]:
        path, named = _place(client, run, project)
        if not changes:
            return dict(client.get(path, **named))
        own = {} if reset else client.get(path, **named)["own"]
        return dict(client.put(path, with_sets(own, sets or []), **named))

    found = ask(data, work)
    print(json.dumps(found)) if as_json else _show(found)


def alerts(
    run: RunName,
    verdict: Annotated[
        tuple[str, str] | None,
        typer.Option("--verdict", metavar="ALERT true|false|none", help="Say whether an alert was right."),
    ] = None,
    silence: Annotated[
        tuple[str, float] | None,
        typer.Option(
            "--silence",
            metavar="ALERT MINUTES",
            help="Be notified of an alert no more for so long: up to 10,080 minutes, a week; 0 ends it.",
        ),
    ] = None,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """List a run's alerts, newest first; or say whether one was right."""
    said_of = None if verdict is None else _verdict(verdict[1])
    if silence is not None and not 0 <= silence[1] <= SILENCE_MAX_MINUTES:  # NaN is not between them
        raise typer.BadParameter(
            f"{silence[1]:g} minutes: it takes 0 to {SILENCE_MAX_MINUTES:,}, a week.", param_hint="--silence"
        )

    def work(client: Client) -> list[dict[str, Any]]:
        path = address("runs", client.run_id(run), "alerts")
        found: list[dict[str, Any]] = client.get(path)["items"]
        if verdict is None and silence is None:
            return found
        said: list[dict[str, Any]] = []
        if verdict is not None:
            where = address("alerts", _alert(found, verdict[0]), "verdict")
            said.append(client.post(where, {"verdict": said_of}))
        if silence is not None:
            where = address("alerts", _alert(found, silence[0]), "silence")
            said.append(client.post(where, {"minutes": silence[1]}))
        return said[-1:]

    found = ask(data, work)
    if as_json:
        print(json.dumps(found))
        return
    if verdict is not None or silence is None:
        put_lines(Console(), [_entry(alert, time.time()) for alert in found])
    if silence is not None:
        line(Console(), _silenced(found[-1], time.time()))


def with_sets(configuration: dict[str, Any], sets: list[str]) -> dict[str, Any]:
    """The configuration with `RULE.PARAMETER=VALUE` said on top of it. Raises BadParameter."""
    found = json.loads(json.dumps(configuration))
    for said in sets:
        key, is_said, value = said.partition("=")
        rule, is_named, parameter = key.strip().partition(".")
        if not (is_said and is_named and rule and parameter):
            raise _misset(said, "Write it as loss_jump.factor=2, or loss_jump.enabled=false.")
        if parameter == ENABLED:
            found.setdefault(rule, {})[ENABLED] = _switch(said, value.strip())
        else:
            found.setdefault(rule, {}).setdefault("parameters", {})[parameter] = _number(said, value.strip())
    return dict(found)


def from_toml(path: Path) -> tuple[dict[str, Any], bool]:
    """(the configuration of a file's [rules] tables, whether it has other tables as well). Raises Refused."""
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # no text, no TOML, too many digits; nested too deeply
        raise Refused(
            f"{path} cannot be read: {error}.", "Give a file with [rules.<rule>] tables; - is none."
        ) from None
    found: dict[str, Any] = {}
    tables = said.get("rules", {})
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise Refused(f"{path}: rules are tables.", "Write [rules.loss_jump], and factor = 2 in it.")
    for rule, table in tables.items():
        found[rule] = {ENABLED: table.pop(ENABLED)} if ENABLED in table else {}
        found[rule]["parameters"] = table
        if strange := [name for name, value in table.items() if isinstance(value, float) and not isfinite(value)]:
            raise Refused(f"{path}: {rule}.{strange[0]} is {table[strange[0]]}.", "A parameter is a finite number.")
    return found, bool(set(said) - {"rules"})


def add_to(app: typer.Typer) -> None:
    """Put the subcommands on the app."""
    app.command()(rules)
    app.command()(alerts)


def interval(precision: dict[str, Any]) -> str:
    """`3 of 4: 75 % (30 to 95 %)`; nothing where nobody said anything."""
    if precision["precision"] is None:
        return ""
    marked = precision["true"] + precision["false"]
    share, low, high = (f"{100 * precision[key]:.0f}" for key in ("precision", "low", "high"))
    return f"{precision['true']} of {marked}: {share} % ({low} to {high} %)"


def _place(client: Client, run: str | None, project: str | None) -> tuple[str, dict[str, str]]:
    """The path of the rules there, and its query."""
    if run is not None:
        return address("runs", client.run_id(run), "rules"), {}
    return (address("rules"), {}) if project is None else (address("project-rules"), {"project": project})


def _show(answer: dict[str, Any]) -> None:
    right = "right, by people's verdicts"
    rows: list[list[str]] = []
    for rule in answer["rules"] if "rules" in answer else answer["items"]:
        name = rule["name"] if rule["enabled"] else f"{rule['name']} (off)"
        first = [f"{rule['number']} {name}", "", rule["enabled_by"] if not rule["enabled"] else ""]
        rows.append([*first, "", "", "", interval(rule["precision"])])
        for entry in rule["parameters"]:
            numbers = [f"{entry[key]:g}" for key in ("low", "high")]
            set_by = "" if entry["set_by"] == "default" else entry["set_by"]
            rows.append([f"  {entry['name']}", f"{entry['value']:g}", set_by, *numbers, entry["unit"], ""])
    put(Console(), ("rule, parameter", "value", "set by", "from", "to", "unit", right), rows, (right,))
    for sentence in answer.get("ignored", []):
        print(f"This does not count: {sentence}", file=sys.stderr)


def _entry(alert: Mapping[str, Any], now_s: float) -> tuple[list[str], list[str]]:
    """An alert's line, and its message."""
    facts = [cell(alert.get(key)) for key in ("id", "severity", "state", "rule", "series", "step")]
    until_s = alert.get("silenced_until_s")
    marks = [
        f"judged {alert['verdict']}" if alert.get("verdict") else "",
        f"silenced until {_moment(until_s, now_s)}" if until_s is not None and until_s > now_s else "",
    ]
    return [*facts, ", ".join(filter(None, marks))], [cell(alert.get("message"))]


def _silenced(alert: Mapping[str, Any], now_s: float) -> str:
    until_s = alert.get("silenced_until_s")
    if until_s is None or until_s <= now_s:
        return f"{alert['id']} is told of again."
    return f"Nobody is told of {alert['id']} until {_moment(until_s, now_s)}."


def _moment(wall_s: float, now_s: float) -> str:
    """In this machine's time; with its day, unless that is today."""
    moment, now = (datetime.fromtimestamp(each_s).astimezone() for each_s in (wall_s, now_s))
    is_today = moment.date() == now.date()
    return moment.strftime("%H:%M" if is_today else "%Y-%m-%d %H:%M")


def _alert(found: list[dict[str, Any]], wanted: str) -> str:
    """The id of the run's alert that `wanted` is, or begins. Raises Refused."""
    ids = [str(alert["id"]) for alert in found if str(alert["id"]).startswith(wanted)]
    if wanted in ids:
        return wanted
    if len(ids) != 1:
        raise Refused(f"{len(ids)} alerts of the run begin with {wanted!r}.", "`lossguard alerts RUN` lists them.")
    return ids[0]


def _verdict(word: str) -> str | None:
    if word not in VERDICTS:
        raise typer.BadParameter(
            f"{word!r} is no verdict: say true, false, or none to take it back.", param_hint="--verdict"
        )
    return VERDICTS[word]


def _switch(said: str, word: str) -> bool:
    if word not in ("true", "false"):
        raise _misset(said, "A rule's enabled is true or false.")
    return word == "true"


def _number(said: str, word: str) -> float:
    try:
        number = float(word)
    except ValueError:
        raise _misset(said, "A parameter is a number.") from None
    if not isfinite(number):
        raise _misset(said, "A parameter is a finite number.")
    return number


def _misset(said: str, hint: str) -> typer.BadParameter:
    return typer.BadParameter(f"{said!r} sets nothing. {hint}", param_hint="--set")
