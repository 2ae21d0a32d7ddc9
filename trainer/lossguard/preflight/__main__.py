"""`python -m lossguard.preflight denovo --variant log1p_x100`, or `... train.py -- --its --options`: look, then end.

Rules of this file: the training is a child process like any other, told by its environment to look only; its own output
goes to stderr, so that stdout is the report's. Exit codes: 0 no stage would blow up, 1 one would, 2 usage or no report,
130 interrupted.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..scenarios import SCENARIOS
from . import N_BATCHES
from .asked import BATCHES, FILE

BLOWS_UP, NO_REPORT, INTERRUPTED = 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Look at the target; print the report."""
    parser = _parser()
    words = list(sys.argv[1:] if arguments is None else arguments)
    # what stands behind a -- is the training's, whatever it looks like
    own, behind = (words[: words.index("--")], words[words.index("--") + 1 :]) if "--" in words else (words, [])
    given, passed = parser.parse_known_args(own)
    if given.batches < 1:
        parser.error(f"--batches is {given.batches}; it is a number from 1.")
    if given.target in SCENARIOS:
        command = ["-m", "lossguard.scenarios", given.target, *passed, *behind]
    elif Path(given.target).is_file():
        command = [given.target, *passed, *behind]
    else:
        parser.error(f"{given.target!r} is no file and no scenario; the scenarios are {', '.join(SCENARIOS)}.")
    with tempfile.TemporaryDirectory(prefix="lossguard-preflight-") as folder:
        file = Path(folder) / "report.json"
        environment = {**os.environ, BATCHES: str(given.batches), FILE: str(file)}
        try:
            code = subprocess.run([sys.executable, *command], env=environment, stdout=2, check=False).returncode
        except KeyboardInterrupt:
            return INTERRUPTED
        found = json.loads(file.read_bytes()) if file.exists() else None
    return _tell(found, code, given)


def _tell(found: dict[str, Any] | None, code: int, given: argparse.Namespace) -> int:
    if found is None:
        print(f"{given.target} ended with exit code {code} and made no total: there is no report.", file=sys.stderr)
        return NO_REPORT
    report = found["report"]
    print(json.dumps(report) if given.as_json else found["text"], flush=True)
    if report["batches"] < given.batches:
        text = f"{given.target} ended with exit code {code} after {report['batches']} of {given.batches} batches."
        print(text, file=sys.stderr)
    if not report["ok"]:
        return BLOWS_UP
    return NO_REPORT if code != 0 else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lossguard preflight",
        description=__doc__.splitlines()[0],
        epilog="All other options are the training's; behind -- also those that are named as these.",
        allow_abbrev=False,
    )
    parser.add_argument("target", help=f"a training script that calls lossguard.init, or {', '.join(SCENARIOS)}")
    calls = f"calls of run.total to look at; with accumulation they are fewer optimizer steps; default: {N_BATCHES}"
    parser.add_argument("--batches", type=int, default=N_BATCHES, metavar="N", help=calls)
    parser.add_argument("--json", dest="as_json", action="store_true", help="print JSON instead of a table")
    return parser


if __name__ == "__main__":
    sys.exit(main())
