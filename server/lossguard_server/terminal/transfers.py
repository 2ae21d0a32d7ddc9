"""The subcommands that carry what is stored out and in: export, report, import, sync.

Rules of this file: parse, call, print. Progress goes to stderr, what a program may want to stdout.
"""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ..settings import default_data_dir
from .client import Refused, trainers_access
from .console import AsJson, Data, RunName, ask, guarded
from .exports import STDOUT, export, export_curriculum, format_of, report
from .importing.files import FORMATS, Wishes, import_files

Output = Annotated[
    str, typer.Option("-o", "--output", metavar="FILE", help="FILE.csv, .jsonl or .parquet; - is stdout.")
]


def export_run(
    run: RunName,
    output: Output,
    series: Annotated[list[str] | None, typer.Option(help="Only this series; may be given several times.")] = None,
    first: Annotated[int | None, typer.Option("--from", metavar="STEP", help="From this step on.")] = None,
    last: Annotated[int | None, typer.Option("--to", metavar="STEP", help="Up to this step.")] = None,
    form: Annotated[str | None, typer.Option("--format", help="csv, jsonl or parquet; else by the suffix.")] = None,
    curriculum: Annotated[
        bool, typer.Option("--curriculum", help="Not points: the curriculum with all that was changed, as JSON.")
    ] = False,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Write a run's points to a file: one row a step, one column a series; or the curriculum that it followed."""
    asked = {"series": series or [], "from": first, "to": last}
    if curriculum and (series or first is not None or last is not None or form is not None):
        raise typer.BadParameter("A curriculum is exported whole, as JSON: only -o goes with it.")
    if curriculum:
        done = ask(data, lambda client: export_curriculum(client, run, output))
    else:
        chosen = guarded(lambda: format_of(output, form))
        done = ask(data, lambda client: export(client, run, output, chosen, asked))
    if output != STDOUT:
        print(json.dumps(asdict(done)) if as_json else f"{done.bytes} bytes of run {done.run} are in {done.file}")


def report_run(
    run: RunName,
    output: Annotated[
        str | None,
        typer.Option("-o", "--output", metavar="FILE", help="FILE.html; - is stdout. report-RUN.html without it."),
    ] = None,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Write a report of a run: one HTML file with its story and its charts, which needs no server."""
    done = ask(data, lambda client: report(client, run, output))
    if done.file != STDOUT:
        print(json.dumps(asdict(done)) if as_json else f"the report of run {done.run} is in {done.file}")


def import_runs(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files, or folders of TensorBoard logs.")],
    project: Annotated[str, typer.Option(help="The project that the runs belong to.")] = "imported",
    name: Annotated[str | None, typer.Option(help="The run's name; else that of the file.")] = None,
    form: Annotated[str | None, typer.Option("--format", help=f"{', '.join(FORMATS)}; else by the suffix.")] = None,
    step_column: Annotated[str | None, typer.Option(help="The column or key that holds the step.")] = None,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Send what other tools logged to the server, as runs of their own. Importing a file again doubles nothing."""
    wishes = Wishes(project, name, form, step_column)

    def run_imports() -> None:
        url, token = trainers_access(data or default_data_dir(os.environ), os.environ)
        try:
            for done in import_files(files, wishes, url, token, _progress):
                print(json.dumps(asdict(done)) if as_json else done.line(), flush=True)
        finally:
            _progress("")

    guarded(run_imports)


def sync(
    folder: Annotated[Path | None, typer.Argument(metavar="DIR", help="The spool folder.")] = None, data: Data = None
) -> None:
    """Deliver the spools of trainers that ended before the server had everything."""
    from .sync import deliver_spools

    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    said = os.environ.get("LOSSGUARD_DIR")
    where = folder or (Path(os.path.expanduser(said)) if said else Path(state) / "lossguard" / "spool")

    def deliver() -> None:
        if folder is not None and not folder.is_dir():
            raise Refused(f"There is no folder {folder}.", "Name the LOSSGUARD_DIR of the trainer.")
        for line in deliver_spools(where, *trainers_access(data or default_data_dir(os.environ), os.environ)):
            print(line)

    guarded(deliver)


def add_to(app: typer.Typer) -> None:
    """Put the subcommands on the app."""
    app.command("export")(export_run)
    app.command("report")(report_run)
    app.command("import")(import_runs)
    app.command()(sync)


def _progress(what: str) -> None:
    """One line that is written over; nothing where nobody watches."""
    if sys.stderr.isatty():
        print(f"\r\033[K{what}", end="", file=sys.stderr, flush=True)
