"""An imported run as a trainer's stream: the same points give the same messages, always.

Rules of this file:
- Pure. The run's id is a hash of its points, and each message a function of them, so that what the server has of a
  stream is a prefix of what we would send: importing again sends the rest, or nothing.
- Whatever changes a message must change FORM, or a half-sent import of an older version would be completed wrongly.
- Messages are packed when they are asked for: the points are in memory once, not twice.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lossguard.protocol import names as series_names
from lossguard.protocol.codec import encode
from lossguard.protocol.frames import Columns, Steps, pack_frame
from lossguard.protocol.messages import Declaration, Event, Frame, Hello, Schema, Sequenced, SeriesSpec

from .points import Found

FORM = "lossguard import 1"
FRAME_VALUES = 1 << 15  # 256 KiB of a message's 1 MiB
FRAME_STEPS = 1 << 10  # groups of series take turns, so that the rules see a step's series close together
FRAME_SERIES = 1 << 13
SCHEMA_SERIES = 1 << 10  # names of 512 bytes

Making = Callable[[int], Sequenced]


@dataclass(frozen=True)
class _Group:
    """Series that share all of their steps: `ids`, `steps` [n], each id's values [n]."""

    ids: Sequence[int]
    steps: Steps
    values: Sequence[Columns]


class ImportedStream:
    """The messages of one run, numbered from 1."""

    def __init__(self, found: Found, project: str, name: str, key: str) -> None:
        """`key`: what tells this run from another one of the same points."""
        self.hello = Hello(run=run_id(found, key), project=project, name=name, sdk=FORM, started_at=found.first_s)
        self._making: list[Making] = [_declaration(found)]
        listed = list(found.series)
        for start in range(0, len(listed), SCHEMA_SERIES):
            self._making.append(_schema(listed, start))
        self._making += [_frame(group, start, height) for start, group, height in _frames(found)]
        self._making.append(_finish(found))

    def __len__(self) -> int:
        return len(self._making)

    def payload(self, seq: int) -> bytes:
        """Message `seq`, from 1 to len."""
        return encode(self._making[seq - 1](seq))


def run_id(found: Found, key: str) -> str:
    """The same for the same points, wherever they are read from."""
    digest = hashlib.sha256(f"{FORM}\0{key}".encode(errors="replace"))
    for name, (steps, values) in found.series.items():
        digest.update(f"\0{len(name)} {len(steps)} {name}".encode())
        digest.update(np.ascontiguousarray(steps, "<i8").tobytes())
        digest.update(np.ascontiguousarray(values, "<f8").tobytes())
    return digest.hexdigest()[:16]


def _declaration(found: Found) -> Making:
    components = [
        name.removeprefix("loss/")
        for name in found.series
        if name.startswith("loss/") and series_names.weight(name.removeprefix("loss/")) in found.series
    ]
    source = found.file.encode(errors="replace").decode()
    return lambda seq: Declaration(seq=seq, components=components[:1_000], config={"imported_from": source})


def _schema(listed: Sequence[str], start: int) -> Making:
    part = range(start, min(start + SCHEMA_SERIES, len(listed)))
    return lambda seq: Schema(seq=seq, series=[SeriesSpec(number, listed[number]) for number in part])


def _frames(found: Found) -> list[tuple[int, _Group, int]]:
    """(first row, group, rows) of each frame, in order of steps."""
    frames = []
    for group in _groups(found):
        height = max(1, min(FRAME_STEPS, FRAME_VALUES // len(group.ids)))
        frames += [(start, group, height) for start in range(0, len(group.steps), height)]
    return sorted(frames, key=lambda frame: int(frame[1].steps[frame[0]]))


def _groups(found: Found) -> list[_Group]:
    alike: dict[bytes, list[int]] = {}
    columns = list(found.series.values())
    for number, (steps, _) in enumerate(columns):
        alike.setdefault(hashlib.blake2b(np.ascontiguousarray(steps).tobytes()).digest(), []).append(number)
    return [
        _Group(part, columns[part[0]][0], [columns[number][1] for number in part])
        for ids in alike.values()
        for part in (ids[start : start + FRAME_SERIES] for start in range(0, len(ids), FRAME_SERIES))
    ]


def _frame(group: _Group, start: int, height: int) -> Making:
    part = slice(start, start + height)

    def frame(seq: int) -> Frame:
        values = np.stack([column[part] for column in group.values])
        return pack_frame(seq, group.steps[part], group.ids, values)

    return frame


def _finish(found: Found) -> Making:
    last = max(int(steps[-1]) for steps, _ in found.series.values())
    return lambda seq: Event(seq=seq, kind="finish", step=last, time_s=found.last_s, data={"state": "finished"})
