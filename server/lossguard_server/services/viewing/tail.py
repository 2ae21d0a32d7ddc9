"""The end of one run as its viewers are told it: the newest messages, and the newest value of each series.

Rules of this file: pure. Points and notices (alerts, commands, events, declarations) are counted apart, because notices
overtake points on their way to a viewer. A message is encoded once for each distinct wish.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from ...store.rows import Rows
from . import messages as viewer_messages
from .messages import Wanted, chosen, points_body
from .ring import Ring

# 60 series at 50 steps/s are 24 kB/s in 30 messages/s: a minute by count, three by bytes. A laptop that changes its
# network is back within seconds.
POINTS_HELD, POINTS_HELD_BYTES = 2_048, 4 << 20
NOTICES_HELD, NOTICES_HELD_BYTES = 512, 1 << 20
LAYOUTS_KEPT = 256  # distinct sets of series that come together; a run has a handful


@dataclass
class _Layout:
    """Series that come together."""

    places: dict[str, int]
    newest: Rows  # one step


class Newest:
    """The newest value of each series."""

    def __init__(self) -> None:
        self._layouts: dict[tuple[str, ...], _Layout] = {}  # the newest last

    def note(self, rows: Rows) -> dict[str, int]:
        """Take the last row; returns the places of the series in `rows`."""
        layout = self._layouts.pop(rows.names, None)
        places = {name: index for index, name in enumerate(rows.names)} if layout is None else layout.places
        # copied, because a view would hold the whole block
        self._layouts[rows.names] = _Layout(
            places, Rows(rows.steps[-1:].copy(), rows.names, rows.columns[:, -1:].copy())
        )
        if len(self._layouts) > LAYOUTS_KEPT:
            del self._layouts[next(iter(self._layouts))]
        return places

    def rows(self, wanted: Wanted, is_inverse: bool = False) -> Iterator[Rows]:
        """One row a layout, the newest first; a series stands in one of them. `is_inverse`: all but the wanted."""
        seen: set[str] = set()
        for layout in reversed(self._layouts.values()):
            at = [
                index
                for name, index in layout.places.items()
                if (wanted is None or (name in wanted) is not is_inverse) and name not in seen
            ]
            if at:
                seen.update(layout.newest.names[index] for index in at)
                yield chosen(layout.newest, at)

    def clear(self) -> None:
        """The values are of an older branch."""
        self._layouts.clear()


@dataclass(frozen=True)
class Told:
    """One departure of points: its number, and what each distinct wish gets of it."""

    number: int
    rows: Rows
    places: dict[str, int]


@dataclass
class Tail:
    """One run. `base`: numbers begin behind it."""

    run_id: str
    base: int
    points: Ring[Rows] = field(init=False)
    notices: Ring[bytes] = field(init=False)
    newest: Newest = field(default_factory=Newest)
    _conflated: dict[Wanted, tuple[int, tuple[bytes, ...]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.points = Ring(self.base, POINTS_HELD, POINTS_HELD_BYTES)
        self.notices = Ring(self.base, NOTICES_HELD, NOTICES_HELD_BYTES)

    @property
    def is_empty(self) -> bool:
        """Nothing was told yet."""
        return self.points.number == self.notices.number == self.base

    def tell(self, rows: Rows) -> Iterator[Told]:
        """Points leave: their parts, each with its number."""
        for part in viewer_messages.parts(rows):
            places = self.newest.note(part)
            yield Told(self.points.add(part, viewer_messages.size_bytes(part)), part, places)

    def encoded(self, told: Told, wanted: Wanted) -> bytes | None:
        """The message for those who want that; None when nothing of it is theirs."""
        if wanted is None:
            return points_body(self.run_id, told.rows)
        at = [told.places[name] for name in wanted if name in told.places]
        return points_body(self.run_id, chosen(told.rows, at)) if at else None

    def replayed(self, rows: Rows, wanted: Wanted) -> bytes | None:
        """A held part, for one who comes back."""
        at = [index for index, name in enumerate(rows.names) if wanted is None or name in wanted]
        return points_body(self.run_id, chosen(rows, at)) if at else None

    def conflated(self, wanted: Wanted) -> tuple[bytes, ...]:
        """The newest value of each wanted series, as few messages as there are distinct steps and sets."""
        number, messages = self._conflated.get(wanted, (-1, ()))
        if number != self.points.number:
            messages = self._encode_newest(wanted, is_inverse=False)
            self._forget_conflated()
            self._conflated[wanted] = (self.points.number, messages)
        return messages

    def others(self, wanted: Wanted) -> tuple[bytes, ...]:
        """The newest value of each series that is not wanted."""
        return self._encode_newest(wanted, is_inverse=True)

    def rewind(self) -> None:
        """What was told of points holds no more."""
        self.points.clear()
        self.newest.clear()
        self._conflated.clear()

    def skip(self, blocks: list[Rows]) -> None:
        """Points that nobody is told of singly: who wants them loads them."""
        self.points.clear()
        for rows in blocks:
            for part in viewer_messages.parts(rows):
                self.newest.note(part)

    def _encode_newest(self, wanted: Wanted, is_inverse: bool) -> tuple[bytes, ...]:
        found = self.newest.rows(wanted, is_inverse)
        return tuple(
            points_body(self.run_id, part, is_conflated=True) for rows in found for part in viewer_messages.parts(rows)
        )

    def _forget_conflated(self) -> None:
        """Of other numbers, which nobody asks for again."""
        now = self.points.number
        self._conflated = {wanted: entry for wanted, entry in self._conflated.items() if entry[0] == now}
