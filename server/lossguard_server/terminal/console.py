"""What the subcommands share: their options, a question to the server, and how an answer is printed.

Rules of this file:
- A refusal, whoever gives it, is one sentence and a hint on stderr and exit code 1.
- Tables are for people, `--json` for programs. Who reads a table copies names and ids from it: only prose is folded,
  nothing is cut, and where no terminal is, nothing is folded either.
"""

import json
import os
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from ..settings import default_data_dir
from .client import Client, Refused, own_client

T = TypeVar("T")
NOTHING = "none yet"
INDENT = "    "
UNBOUNDED = 1_000_000  # columns: more than any table has
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Data = Annotated[Path | None, typer.Option(help="The server's data folder.")]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, its beginning, or its name (newest first).")]
Why = Annotated[str, typer.Option(help="Why; kept in the audit trail.")]


def ask(data: Path | None, question: Callable[[Client], T]) -> T:
    """What the server answers. Raises typer.Exit."""
    client = guarded(lambda: own_client(data or default_data_dir(os.environ), os.environ))
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
    put(Console(), columns, [[cell(item.get(column)) for column in columns] for item in items])


def put(console: Console, heads: Sequence[str], rows: Sequence[Sequence[str]], prose: Collection[str] = ()) -> None:
    """A table, as wide as it must be. `prose`: the heads of columns that may be folded between words."""
    if not rows:
        console.print(NOTHING)
        return
    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for place, head in enumerate(heads):
        if head in prose:
            table.add_column(head)
        else:
            widest = max(cell_len(line) for row in (heads, *rows) for line in [*row[place].splitlines(), ""])
            table.add_column(head, no_wrap=True, min_width=widest)
    for row in rows:
        table.add_row(*map(Text, row))  # of a string rich would take [brackets] for markup
    needed = Measurement.get(console, console.options.update_width(UNBOUNDED), table)
    console.width = max(console.width, needed.minimum) if console.is_terminal else needed.maximum
    console.print(table)


def put_lines(console: Console, entries: Sequence[tuple[Sequence[str], Sequence[str]]]) -> None:
    """Of each entry one line of facts, in columns, and under it its sentences, a line each."""
    if not entries:
        console.print(NOTHING)
    widths = [max(map(cell_len, column)) for column in zip(*(facts for facts, _ in entries), strict=True)]
    for facts, sentences in entries:
        padded = [fact + " " * (width - cell_len(fact)) for fact, width in zip(facts, widths, strict=True)]
        line(console, "  ".join(padded).rstrip())
        for sentence in filter(None, sentences):
            line(console, INDENT + sentence)


def line(console: Console, text: str) -> None:
    """One line, however long; nothing in it is markup."""
    console.print(Text(text), soft_wrap=True)


def cell(value: object) -> str:
    """A value, as a table shows it."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
