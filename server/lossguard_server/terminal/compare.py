"""`lossguard compare`: two or more stored runs beside each other, and which of them to take.

Rules of this file: parse, call, print.
"""

import json
from typing import Annotated, Any

import typer
from rich.console import Console

from .client import Client, Refused
from .console import AsJson, Data, ask, line, put
from .telling import value

Item = dict[str, Any]
RUNS_MAX = 8
ANSWERS = {"yes": "yes", "no": "no", "unknown": "not known"}
Names = Annotated[
    list[str], typer.Argument(metavar="RUN RUN...", help="Ids or names; the others are compared with the first.")
]
AxisOption = Annotated[str, typer.Option(help="step, stage or time: what the runs are laid side by side by.")]


def compare(runs: Names, axis: AxisOption = "step", as_json: AsJson = False, data: Data = None) -> None:
    """Compare runs: where they part, which is better in what, what differs, and the decision tree's answer."""

    def work(client: Client) -> Item:
        ids = [client.run_id(run) for run in runs]
        if len(set(ids)) < 2 or len(ids) > RUNS_MAX:
            raise Refused(f"{len(set(ids))} different runs were named.", f"Name two to {RUNS_MAX}.")
        return dict(client.get("/api/compare", run=ids, axis=axis))

    found = ask(data, work)
    print(json.dumps(found)) if as_json else _show(found)


def add_to(app: typer.Typer) -> None:
    """Put the subcommand on the app."""
    app.command()(compare)


def _show(found: Item) -> None:
    console, names = Console(), {run["id"]: run["name"] for run in found["runs"]}
    line(console, f"{', '.join(names.values())}. {found['axis']['note']}")
    console.print()
    put(console, ("", *names.values(), "better", "why"), [_row(row, names) for row in found["verdict"]], prose=("why",))
    heads = ("where they part", *(names[run["id"]] for run in found["runs"][1:]))
    put(console, heads, [_parting(each) for each in found["parting"]], prose=heads[1:])
    for decision in found["decisions"]:
        _tree(console, decision, names)
    _config(console, found["config"], names)


def _row(row: Item, names: dict[str, str]) -> list[str]:
    cells = [cell["text"] if not cell["detail"] else f"{cell['text']}\n({cell['detail']})" for cell in row["cells"]]
    better = ", ".join(names[run] for run in row["winners"]) or "not known"
    winner = "equal" if row["equal"] else better
    return [row["title"], *cells, winner, row["why"]]


def _parting(each: Item) -> list[str]:
    return [each["label"], *(pair["text"] for pair in each["pairs"])]


def _tree(console: Console, decision: Item, names: dict[str, str]) -> None:
    console.print()
    line(console, f"{names[decision['run']]} instead of {names[decision['against']]}?")
    for node in decision["nodes"]:
        line(console, f"  {node['question']} {ANSWERS[node['answer']]}: {node['why']} -> {node['leads']}")
    line(console, f"  = {decision['text']}")
    for caution in decision["cautions"]:
        line(console, f"  ! {caution}")


def _config(console: Console, config: Item, names: dict[str, str]) -> None:
    console.print()
    rows = [
        [row["path"], *(value(row["values"][run]) if run in row["values"] else "absent" for run in names)]
        for row in config["rows"]
    ]
    line(console, f"What differs in their declarations ({config['same']} paths do not):")
    put(console, ("path", *names.values()), rows)
    if config["left_out"]:
        line(console, f"{config['left_out']} more are left out.")
