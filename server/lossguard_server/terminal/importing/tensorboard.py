"""Reads TensorBoard's event files: scalars, in both ways that they are written.

Rules of this file:
- The `tensorboard` package gives the messages; the records around them are read here, because its own reader takes a
  damaged record for the end of the file.
- A folder is a run, with all of its event files in the order of their names; what a restart with `purge_step` took back
  is taken back.
"""

import importlib
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..client import Refused
from .points import BadFile, Collector, Found

MARK = "tfevents"  # every event file has it in its name
MAX_RECORD_BYTES = 1 << 30


def read_tensorboard(path: Path, name: str | None) -> Iterator[Found]:
    """A run for each folder that has event files; `name` None: called as the folders are. Raises BadFile, OSError."""
    parts = _Parts()
    for folder, files in _folders(path):
        into = Collector(str(folder if path.is_dir() else path))
        for file in files:
            _read(file, parts, into)
        own = (path.resolve() if path.is_dir() else path.resolve().parent).name or "tensorboard"
        below = "" if folder == path or not path.is_dir() else folder.relative_to(path).as_posix()
        base = own if name is None else name
        yield into.found(f"{base}/{below}" if below else base)


class _Parts:
    """What is used of the `tensorboard` package."""

    def __init__(self) -> None:
        """Raises Refused."""
        try:
            events: Any = importlib.import_module("tensorboard.compat.proto.event_pb2")
            tensors: Any = importlib.import_module("tensorboard.util.tensor_util")
            checksums: Any = importlib.import_module("tensorboard.compat.tensorflow_stub.pywrap_tensorflow")
            protobuf: Any = importlib.import_module("google.protobuf.message")
        except ImportError as error:
            raise Refused(
                f"TensorBoard's files need a package that is not installed ({error.name}).",
                "Install it with: pip install 'lossguard[tensorboard]'",
            ) from error
        self.event, self.session = events.Event, events.SessionLog
        self.array = tensors.make_ndarray
        self.crc = checksums.masked_crc32c
        self.fault = protobuf.DecodeError


def _folders(path: Path) -> list[tuple[Path, list[Path]]]:
    if not path.is_dir():
        return [(path.parent, [path])]
    found: dict[Path, list[Path]] = {}
    for file in sorted(path.rglob(f"*{MARK}*")):
        if file.is_file():
            found.setdefault(file.parent, []).append(file)
    if not found:
        raise BadFile(str(path), None, f"There is no event file in it (*{MARK}*).", "Name the folder that holds them.")
    return sorted(found.items())


def _read(file: Path, parts: _Parts, into: Collector) -> None:
    for at, record in _records(file, parts, into):
        try:
            event = parts.event.FromString(record)
        except parts.fault as error:
            raise BadFile(str(file), None, f"The record at byte {at} is no event ({error}).") from error
        if event.WhichOneof("what") == "session_log" and event.session_log.status == parts.session.START:
            if event.step > 0:
                into.cut(event.step)
        elif event.WhichOneof("what") == "summary":
            _take(event, file, parts, into)


def _take(event: Any, file: Path, parts: _Parts, into: Collector) -> None:
    for value in event.summary.value:
        if value.HasField("simple_value"):
            found = value.simple_value
        elif value.HasField("tensor") and (array := parts.array(value.tensor)).size == 1 and array.dtype.kind in "fiu":
            found = array.item()
        else:  # images, texts, histograms
            into.skipped += 1
            continue
        try:
            into.series(value.tag, None).add(into.step(event.step, None), float(found))
        except BadFile as error:
            raise BadFile(str(file), None, f"tag {value.tag[:80]!r}: {error.message}", error.hint) from error
        into.saw(event.wall_time)


def _records(file: Path, parts: _Parts, into: Collector) -> Iterator[tuple[int, bytes]]:
    """(offset, bytes) of each record: its length and the length's checksum, the bytes and theirs (TFRecord)."""
    at = 0
    with file.open("rb") as stream:
        while head := stream.read(12):
            if len(head) == 12:
                size_bytes, crc = struct.unpack("<QI", head)
                if parts.crc(head[:8]) != crc or size_bytes > MAX_RECORD_BYTES:
                    raise _damaged(file, at)
                record = stream.read(size_bytes + 4)
                if len(record) == size_bytes + 4:
                    if parts.crc(record[:-4]) != struct.unpack("<I", record[-4:])[0]:
                        raise _damaged(file, at)
                    yield at, record[:-4]
                    at += 16 + size_bytes
                    continue
            into.remarks.append(f"the last record of {file.name} is cut off and was left out")
            return


def _damaged(file: Path, at: int) -> BadFile:
    return BadFile(
        str(file), None, f"The record at byte {at} is damaged.", "Take an intact copy; nothing was sent of it."
    )
