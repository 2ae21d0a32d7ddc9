"""The subcommand about policies: what the server may do by itself when an alert begins to fire.

Rules of this file: parse, call, print. The server knows the rules, the deeds and their bounds.
"""

import json
import sys
from typing import Annotated, Any

import typer
from rich.console import Console

from .client import Client, address
from .console import AsJson, Data, ask, put

DEEDS = "skip, lower_weight, hold_stage, checkpoint, pause or rollback"
OFF = {"do": "off"}
NOW = "now"


def policies(
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="As they are in force in this run.")] = None,
    project: Annotated[str | None, typer.Option(help="As they are in force in this project.")] = None,
    wish: Annotated[
        tuple[str, str, int] | None,
        typer.Option("--set", metavar="RULE DO BUDGET", help=f"DO: {DEEDS}; BUDGET: so often in a run, 1 to 100."),
    ] = None,
    severity: Annotated[
        str | None, typer.Option(help="With --set: act from this severity on, warning or critical (without it).")
    ] = None,
    pause_s: Annotated[
        float | None, typer.Option("--pause-s", help="With --set: at most one action in so many seconds; else 600.")
    ] = None,
    off: Annotated[
        list[str] | None, typer.Option("--off", metavar="RULE", help="Nothing by itself here, whoever set it.")
    ] = None,
    reset: Annotated[bool, typer.Option("--reset", help="Take back what was set here.")] = False,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Show what the server does by itself when an alert begins to fire; with --set, --off or --reset, change it."""
    changes = wish is not None or bool(off) or reset
    if run is not None and project is not None:
        raise typer.BadParameter("Policies are in force in a run or in a project: give RUN or --project.")
    if run is None and project is None and changes:
        raise typer.BadParameter("Policies are set for a run or a project: name one; for all, write lossguard.toml.")
    if wish is None and (severity is not None or pause_s is not None):
        raise typer.BadParameter("--severity and --pause-s say more of --set.")

    def work(client: Client) -> list[dict[str, Any]]:
        places = _places(client, run, project)
        if not changes:
            return [client.get(path, **named) for path, named in places]
        [(path, named)] = places
        own = {} if reset else client.get(path, **named)["own"]
        own |= {rule: OFF for rule in off or []} | _wished(wish, severity, pause_s)
        return [client.put(path, own, **named)]

    found = ask(data, work)
    if as_json:
        print(json.dumps(found if run is None and project is None else found[0]))
    else:
        _show(found)


def add_to(app: typer.Typer) -> None:
    """Put the subcommand on the app."""
    app.command()(policies)


def _places(client: Client, run: str | None, project: str | None) -> list[tuple[str, dict[str, str]]]:
    """The paths and queries of what is asked for; without a name, of every project."""
    if run is not None:
        return [(address("runs", client.run_id(run), "policies"), {})]
    names = [project] if project is not None else sorted({each["project"] for each in client.get("/api/runs")["items"]})
    return [(address("project-policies"), {"project": name}) for name in names]


def _wished(wish: tuple[str, str, int] | None, severity: str | None, pause_s: float | None) -> dict[str, Any]:
    if wish is None:
        return {}
    rule, deed, budget = wish
    more = {"severity": severity, "pause_s": pause_s}
    said = {"do": deed, "budget": budget, **{key: value for key, value in more.items() if value is not None}}
    return {rule: said}


def _show(found: list[dict[str, Any]]) -> None:
    rows = []
    for answer in found:
        for rule, policy in answer["policies"].items():
            used = answer["used"].get(rule, 0) if "used" in answer else ""
            rows.append(
                [answer["scope"], rule, policy["do"], str(policy["budget"]), str(used), policy["severity"],
                 f"{policy['pause_s']:g} s", policy["set_by"], _now(answer, rule)]
            )  # fmt: skip
    heads = ("where", "rule", "does", "budget", "used", "from", "at most once in", "set by", NOW)
    put(Console(), heads, rows, (NOW,))
    for answer in found:
        for sentence in answer["ignored"]:
            print(f"This does not count: {sentence}", file=sys.stderr)


def _now(answer: dict[str, Any], rule: str) -> str:
    """Why it does nothing at present."""
    said = [("refused", answer.get("refused", {})), ("waits", answer.get("waiting", {}))]
    return " ".join(f"{word}: {reasons[rule]}" for word, reasons in said if rule in reasons)
