"""Imports files of other tools: each run in them is read, then sent as a finished run.

Rules of this file: a file is read to its end before anything of it is sent, so that a bad one leaves nothing behind.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lossguard.protocol.names import fault_in

from ..client import Refused
from ..sending import send_stream
from .csv_files import read_csv
from .json_lines import read_jsonl
from .points import BadFile, Found
from .stream import ImportedStream
from .tensorboard import MARK, read_tensorboard

CSV, JSONL, TENSORBOARD = FORMATS = ("csv", "jsonl", "tensorboard")
_FORMAT_BY_SUFFIX = {".csv": CSV, ".tsv": CSV, ".jsonl": JSONL, ".ndjson": JSONL}


@dataclass(frozen=True)
class Wishes:
    """What was asked for. None: found out from the file."""

    project: str
    name: str | None = None
    format: str | None = None
    step_column: str | None = None


@dataclass(frozen=True)
class Imported:
    """What became of one run."""

    run: str
    project: str
    name: str
    file: str
    series: int
    points: int
    sent_messages: int
    skipped: int
    repeated: int
    unordered: int
    remarks: list[str]

    def line(self) -> str:
        """For people."""
        said = [f"{self.file}: run {self.run} ({self.project}/{self.name}), {self.series} series, {self.points} points"]
        if not self.sent_messages:
            said.append("all of it was there already")
        if self.skipped:
            said.append(f"{self.skipped} values that are no numbers were left out")
        if self.repeated:
            said.append(f"{self.repeated} points of a step that comes again gave way to the last")
        if self.unordered:
            said.append(f"{self.unordered} points out of order were sorted")
        return "; ".join([*said, *self.remarks])


def import_files(
    files: Sequence[Path], wishes: Wishes, url: str, token: str, told: Callable[[str], None]
) -> Iterator[Imported]:
    """What became of each run of each file, when it is stored. Raises Refused at the first that cannot be."""
    for what, text in (("project", wishes.project), ("name", wishes.name)):
        if text is not None and (fault := fault_in(text)) is not None:
            raise Refused(f"{text[:80]!r} cannot be a {what}: {fault}.")
    for file in files:
        told(f"reading {file}")
        for found in _read(file, wishes):
            yield _send(found, wishes, url, token, told)


def _read(file: Path, wishes: Wishes) -> Iterator[Found]:
    try:
        match _format(file, wishes.format):
            case "csv":
                yield read_csv(file, wishes.name or file.stem, wishes.step_column)
            case "jsonl":
                yield read_jsonl(file, wishes.name or file.stem, wishes.step_column)
            case _:
                # of a folder that is bad in part nothing is sent
                yield from list(read_tensorboard(file, wishes.name))
    except OSError as error:
        raise BadFile(str(file), None, f"It cannot be read ({error.strerror or error}).") from error


def _format(file: Path, given: str | None) -> str:
    if given is not None:
        if given not in FORMATS:
            raise Refused(f"There is no format {given!r}.", f"Give --format {'|'.join(FORMATS)}.")
        return given
    file.stat()  # an absent file is absent, whatever its name
    if file.is_dir() or MARK in file.name:
        return TENSORBOARD
    found = _FORMAT_BY_SUFFIX.get(file.suffix.lower())
    if found is None:
        raise Refused(f"{str(file)!r} does not say which format it is.", f"Give --format {'|'.join(FORMATS)}.")
    return found


def _send(found: Found, wishes: Wishes, url: str, token: str, told: Callable[[str], None]) -> Imported:
    name = found.name.encode(errors="replace").decode()
    if (fault := fault_in(name)) is not None:
        raise BadFile(found.file, None, f"{name[:80]!r} cannot name a run: {fault}.", "Give it one with --name.")
    # two folders of one log may hold the same points; a copy of a file under another name is the same run
    key = f"{wishes.project}\0{wishes.name or ''}\0{name.partition('/')[2]}"
    ended_s = found.last_s or Path(found.file).stat().st_mtime  # when nothing says so, the file was written until then
    stream = ImportedStream(replace(found, file=Path(found.file).name, last_s=ended_s), wishes.project, name, key)
    sent = send_stream(stream, url, token, lambda stored: told(f"{found.file}: {100 * stored // len(stream)} %"))
    told("")
    return Imported(
        run=stream.hello.run,
        project=wishes.project,
        name=name,
        file=found.file,
        series=len(found.series),
        points=found.points,
        sent_messages=sent,
        skipped=found.skipped,
        repeated=found.repeated,
        unordered=found.unordered,
        remarks=list(found.remarks),
    )
