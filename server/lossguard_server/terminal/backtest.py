"""`lossguard backtest`: what rules would have found in stored runs, as a table.

Rules of this file: parse, call, print. Progress goes to stderr; the server does the work.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from .client import Client, Refused, address
from .console import AsJson, Data, ask, guarded, line, put
from .rules import Sets, from_toml, interval, with_sets

SHOWN = 20  # alerts of a run
DEFAULTS = "-"


def backtest(
    rules: Annotated[
        str, typer.Argument(metavar="RULES", help=r"A TOML file with \[rules.<rule>]; - for the defaults.")
    ],
    runs: Annotated[list[str] | None, typer.Argument(metavar="RUN...", help="Ids or names of stored runs.")] = None,
    project: Annotated[str | None, typer.Option(help="Every run of this project.")] = None,
    sets: Sets = None,
    since: Annotated[int | None, typer.Option(min=0, metavar="STEP", help="Only from this step on.")] = None,
    own: Annotated[bool, typer.Option("--own", help="Change what counts in each run, not the defaults.")] = False,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Show what rules would have found in stored runs, and what of it was found when they were trained."""

    if not runs and project is None:
        raise typer.BadParameter(
            "There is no run to judge. RULES comes first (- for the defaults), then RUN... or --project."
        )
    said = with_sets(guarded(lambda: _rules(rules)), sets or [])

    def work(client: Client) -> dict[str, Any]:
        body = {"runs": _runs(client, runs or [], project), "rules": said, "over": "run" if own else "defaults"}
        return _result(client, body if since is None else {**body, "first_step": since})

    result = ask(data, work)
    print(json.dumps(result)) if as_json else show(result, Console())


def show(result: dict[str, Any], console: Console) -> None:
    """The result, for people."""
    _by_rule(result, console)
    if len(result["runs"]) > 1:
        _by_run(result, console)
    else:
        for run in result["runs"]:
            _alerts(run, console)
    for run in result["runs"]:
        for sentence in _limits(run):
            line(console, f"{run['run']}: {sentence}")
        for failed in run["failed"]:
            text = f"{failed['rule']} failed in {run['run']} at step {failed['since_step']}: {failed['said']}"
            line(console, text)
    if not result["complete"]:
        line(console, f"The time ({result['limit_s']:g} s) was over before the last run's end: this is what there was.")


def add_to(app: typer.Typer) -> None:
    """Put the subcommand on the app."""
    app.command()(backtest)


def _rules(given: str) -> dict[str, Any]:
    if given == DEFAULTS:
        return {}
    found, has_more = from_toml(Path(given))
    if has_more:
        print(f"Of {given} only [rules] counts in a backtest.", file=sys.stderr)
    return found


def _runs(client: Client, wanted: list[str], project: str | None) -> list[str]:
    found = [client.run_id(run) for run in wanted]
    if project is not None:
        found += [run["id"] for run in client.get("/api/runs")["items"] if run["project"] == project]
    if not found:
        raise Refused("There is no run to judge.", "Name runs, or a --project; `lossguard runs` lists them.")
    return found


def _result(client: Client, body: dict[str, Any]) -> dict[str, Any]:
    """Raises Refused."""
    try:
        for said in client.lines(address("backtest"), body):
            if "error" in said:
                raise Refused(said["error"]["message"], said["error"]["hint"])
            if "result" in said:
                return dict(said["result"])
            _progress(said["progress"])
    finally:
        _line("")
    raise Refused("The server ended the backtest without a result.", "Its log may say why.")


def _progress(now: dict[str, Any]) -> None:
    _line(f"run {now['number']} of {now['of']}: step {now['step']} of {now['last_step']}, {now['alerts']} alerts")


def _line(what: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{what}", end="", file=sys.stderr, flush=True)


def _by_rule(result: dict[str, Any], console: Console) -> None:
    found: list[list[str]] = []
    judged: list[list[str]] = []
    for name, counts in [*result["rules"].items(), ("all", result["total"])]:
        is_judged = counts["true"]["marked"] or counts["false"]["marked"]
        if name == "all" or any(_cells(counts)) or is_judged:
            found.append([name, *map(str, _cells(counts))])
        if is_judged:
            judged.append([name, _kept(counts["true"]), _kept(counts["false"]), interval(counts["precision"])])
    put(console, ("rule", *_HEADS), found)
    if judged:
        console.print()
        put(console, ("rule", "true alarms\nkept", "false alarms\nkept", "right, of those kept"), judged)


def _by_run(result: dict[str, Any], console: Console) -> None:
    rows: list[list[str]] = []
    for run in result["runs"]:
        steps = f"{run['first_step']} to {run['last_step']}" + ("" if run["complete"] else " (not all)")
        rows.append([run["run"], f"{run['project']}/{run['name']}", steps, *map(str, _cells(run["total"]))])
    put(console, ("run", "name", "steps", *_HEADS), rows)


_HEADS = ("critical", "warning", "in\ntraining", "both", "only\nnow", "only\nthen")


def _cells(counts: dict[str, Any]) -> list[int]:
    then = sum(counts["then"].values())
    now = counts["now"]
    return [now["critical"], now["warning"], then, counts["both"], counts["only_now"], counts["only_then"]]


def _kept(marks: dict[str, int]) -> str:
    return f"{marks['still']} of {marks['marked']}" if marks["marked"] else ""


def _limits(run: dict[str, Any]) -> list[str]:
    said = []
    if run["judged_to"] is not None:
        said.append(f"the rules have judged it up to step {run['judged_to']} so far; later rows are left out.")
    if run["compared_to"] is not None:
        said.append(f"it has too many alerts; both sides are compared up to step {run['compared_to']}.")
    return said


def _alerts(run: dict[str, Any], console: Console) -> None:
    new = [alert for alert in run["alerts"] if alert["then"] is None]
    gone = [alert for alert in run["stored"] if not alert["now"]]
    for title, found in (("only now", new), ("only when it was trained", gone)):
        if found:
            line(console, f"{title}:")
        for alert in found[:SHOWN]:
            line(console, f"  step {alert['step']}, {alert['rule']}, {alert['message']}")
        if len(found) > SHOWN:
            line(console, f"  and {len(found) - SHOWN} more")
