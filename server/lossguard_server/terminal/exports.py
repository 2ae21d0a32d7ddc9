"""Brings an export or a report from the server into a file, or to stdout.

Rules of this file: a file has its name when it is complete, and not before: it is written beside and renamed, and a
broken download leaves nothing.
"""

import json
import os
import re
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from lossguard.protocol.numbers import jsonable

from .client import Client, Refused, address

FORMATS = ("csv", "jsonl", "parquet")
CURRICULUM, REPORT = "curriculum", "report"
STDOUT = "-"
_FORMAT_BY_SUFFIX = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".pq": "parquet"}


@dataclass(frozen=True)
class Exported:
    """What was written. `file`: `-` for stdout. `format`: of points, or `curriculum`, or `report`."""

    run: str
    file: str
    format: str
    bytes: int


def format_of(output: str, given: str | None) -> str:
    """The format by what was given, else by the file's suffix. Raises Refused."""
    name = given if given is not None else _FORMAT_BY_SUFFIX.get(Path(output).suffix.lower(), "")
    if name not in FORMATS:
        what = f"There is no format {given!r}." if given is not None else f"{output!r} does not say which format it is."
        raise Refused(what, f"End the name in .csv, .jsonl or .parquet, or give --format {'|'.join(FORMATS)}.")
    return name


def export(client: Client, run: str, output: str, form: str, asked: dict[str, Any]) -> Exported:
    """Write the run's points to `output`. `asked`: series, from, to. Raises Refused."""
    run_id = client.run_id(run)
    with _written(output) as file:
        size_bytes = client.download(address("runs", run_id, "export"), file, format=form, **asked)
    return Exported(run_id, output, form, size_bytes)


def export_curriculum(client: Client, run: str, output: str) -> Exported:
    """Write what steered the run to `output`, as `lg.Curriculum.load` reads it. Raises Refused."""
    run_id = client.run_id(run)
    patch = client.get(address("runs", run_id, "curriculum"))
    text = json.dumps(jsonable(patch), indent=2).encode() + b"\n"
    with _written(output) as file:
        file.write(text)
    return Exported(run_id, output, CURRICULUM, len(text))


def report(client: Client, run: str, output: str | None) -> Exported:
    """Write the run's report to `output`; None: a file of this folder, called after the run. Raises Refused."""
    run_id = client.run_id(run)
    file_name = output if output is not None else f"report-{safe_name(run_id)}.html"
    with _written(file_name) as file:
        size_bytes = client.download(address("runs", run_id, "report.html"), file)
    return Exported(run_id, file_name, REPORT, size_bytes)


def safe_name(run_id: str) -> str:
    """What a file may be called everywhere; an id is a text of the wire."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", run_id).strip("-")[:80] or "run"


@contextmanager
def _written(output: str) -> Iterator[BinaryIO]:
    """The file, which is there when it is whole. Raises Refused."""
    with _stdout() if output == STDOUT else _beside(Path(output)) as file:
        try:
            yield file
            file.flush()
        except OSError as error:
            raise Refused(f"{output} cannot be written: {error.strerror or error}.") from error


@contextmanager
def _stdout() -> Iterator[BinaryIO]:
    try:
        yield sys.stdout.buffer
    except Refused:
        # whoever read us is gone, or has half a file: the interpreter must not complain again at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise


@contextmanager
def _beside(target: Path) -> Iterator[BinaryIO]:
    if target.is_dir():
        raise Refused(f"{target} is a folder.", "Name a file in it.")
    part = target.with_name(f".{target.name[:100]}.{uuid.uuid4().hex}.part")
    try:
        with part.open("xb") as file:
            yield file
        part.replace(target)
    except OSError as error:
        raise Refused(f"{target} cannot be written: {error.strerror or error}.") from error
    finally:
        with suppress(OSError):  # where it could not be made it cannot be removed either
            part.unlink(missing_ok=True)
