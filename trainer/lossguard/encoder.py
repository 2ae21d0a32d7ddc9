"""Rows and notes to numbered messages.

Rules of this file: no I/O, no clock. A series is named once, before the first frame that uses it. Rows with the same
names become one frame; an event closes the frames before it, so that the journal keeps cause before effect, and a row
closes the frames of other names that share a series with it, so that each series keeps its order.
"""

from collections.abc import Iterable

import numpy as np

from .buffer import Note, Row
from .protocol.frames import MAX_STEP, pack_frame
from .protocol.messages import Declaration, Event, Frame, Schema, Sequenced, SeriesSpec

VALUES_MAX = 32_768  # 256 KiB of values a frame: a quarter of the message limit
NAMES_MAX = 1_024  # names a schema: at 512 bytes each, half the message limit


class Encoder:
    """Numbers the messages of one stream: 1, 2, 3..."""

    def __init__(self) -> None:
        self.last_seq = 0
        self._ids: dict[str, int] = {}

    def declare(self, declaration: Declaration) -> Declaration:
        """The declaration with the next number; `seq` of the argument does not count."""
        fields = {name: getattr(declaration, name) for name in declaration.__struct_fields__}
        return Declaration(**{**fields, "seq": self._next()})

    def encode(self, items: Iterable[Row | Note]) -> list[Sequenced]:
        """The messages for `items`, in order."""
        messages: list[Sequenced] = []
        rows: dict[tuple[str, ...], list[Row]] = {}
        for item in items:
            if isinstance(item, Row):
                self._gather(rows, item, messages)
            else:
                self._flush(rows, messages)
                messages.append(
                    Event(seq=self._next(), kind=item.kind, step=item.step, time_s=item.time_s, data=item.data)
                )
        self._flush(rows, messages)
        return messages

    def _gather(self, rows: dict[tuple[str, ...], list[Row]], row: Row, messages: list[Sequenced]) -> None:
        if not row.names or not 0 <= row.step <= MAX_STEP:
            return
        if len(row.names) > VALUES_MAX:
            for at in range(0, len(row.names), VALUES_MAX):
                part = slice(at, at + VALUES_MAX)
                self._gather(rows, Row(row.step, row.names[part], row.values[part], row.time_s), messages)
            return
        if row.names not in rows:
            shared = set(row.names)
            for names in [names for names in rows if not shared.isdisjoint(names)]:
                messages.extend(self._frames(names, rows.pop(names)))
        group = rows.setdefault(row.names, [])
        if group and (group[-1].step >= row.step or (len(group) + 1) * len(row.names) > VALUES_MAX):
            messages.extend(self._frames(row.names, group))
            group = rows[row.names] = []
        group.append(row)

    def _flush(self, rows: dict[tuple[str, ...], list[Row]], messages: list[Sequenced]) -> None:
        for names, group in rows.items():
            messages.extend(self._frames(names, group))
        rows.clear()

    def _frames(self, names: tuple[str, ...], group: list[Row]) -> list[Sequenced]:
        messages: list[Sequenced] = []
        unnamed = [name for name in names if name not in self._ids]
        for at in range(0, len(unnamed), NAMES_MAX):
            messages.append(
                Schema(seq=self._next(), series=[self._name(name) for name in unnamed[at : at + NAMES_MAX]])
            )
        messages.append(self._frame(names, group))
        return messages

    def _frame(self, names: tuple[str, ...], group: list[Row]) -> Frame:
        steps = np.array([row.step for row in group], dtype=np.int64)
        columns = np.array([row.values for row in group], dtype=np.float64).T
        return pack_frame(self._next(), steps, [self._ids[name] for name in names], columns, group[-1].time_s)

    def _name(self, name: str) -> SeriesSpec:
        return SeriesSpec(self._ids.setdefault(name, len(self._ids)), name)

    def _next(self) -> int:
        self.last_seq += 1
        return self.last_seq
