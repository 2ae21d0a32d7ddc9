"""What the subcommands share: their options, a question to the server, and how an answer is printed.

Rules of this file: a refusal, whoever gives it, is one sentence and a hint on stderr and exit code 1; tables are for
people, `--json` for programs.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from ..settings import default_data_dir
from .client import Client, Refused, own_client

T = TypeVar("T")
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Data = Annotated[Path | None, typer.Option(help="The server's data folder.")]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, its beginning, or its name (newest first).")]
Why = Annotated[str, typer.Option(help="Why; kept in the audit trail.")]


def ask(data: Path | None, question: Callable[[Client], T]) -> T:
    """What the server answers. Raises typer.Exit."""
    client = own_client(data or default_data_dir(os.environ), os.environ)
    try:
        return guarded(lambda: question(client))
    finally:
        client.close()


def guarded(action: Callable[[], T]) -> T:
    """The action's result; a refusal is printed. Raises typer.Exit."""
    from ..errors import ServerError

    try:
        return action()
    except (Refused, ServerError) as refused:
        print(refused.message, file=sys.stderr)
        if refused.hint:
            print(refused.hint, file=sys.stderr)
        raise typer.Exit(1) from None


def show(items: list[dict[str, Any]], columns: tuple[str, ...], as_json: bool) -> None:
    """The items, as a table of `columns` or as JSON."""
    if as_json:
        print(json.dumps(items))
        return
    table = Table(*columns)
    for item in items:
        table.add_row(*[_cell(item.get(column)) for column in columns])
    Console().print(table)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    # rich would take [brackets] in a run's name for markup
    return "" if value is None else str(value).replace("[", r"\[")
