"""`lossguard preflight`: what each stage of a training would make of its losses, before anything is trained.

Rules of this file: the look is the trainer's package's, in a process of its own, as of the demo; its output and its
exit code are passed on. No server is asked, and none is needed.
"""

import importlib.util
import subprocess
import sys
from typing import Annotated

import typer

USAGE, INTERRUPTED = 2, 130

Target = Annotated[str, typer.Argument(help="A training script that calls lossguard.init, or a scenario of the demo.")]
Batches = Annotated[int, typer.Option(min=1, help="How many calls of run.total; accumulation makes several a step.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def preflight(context: typer.Context, target: Target, batches: Batches = 4, as_json: AsJson = False) -> None:
    """Look at a training's first batches: would a stage blow up? Nothing is trained.

    Options that are not listed, and all behind --, go to the script. Exit codes: 0 no stage would blow up, 1 one would,
    2 usage, or no report.
    """
    if importlib.util.find_spec("torch") is None:
        print("A preflight runs the training's losses; torch is not installed.", file=sys.stderr)
        raise typer.Exit(USAGE)
    own = ["--batches", str(batches), *(["--json"] if as_json else [])]
    command = [sys.executable, "-m", "lossguard.preflight", *own, target, "--", *context.args]
    try:
        raise typer.Exit(subprocess.run(command, check=False).returncode)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def add_to(app: typer.Typer) -> None:
    """Put the subcommand on the app."""
    app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(preflight)
