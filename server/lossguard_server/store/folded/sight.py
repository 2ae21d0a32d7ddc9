"""One snapshot of a run's series, folded and not: where their points lie, and the points themselves.

Rules of this file: everything goes in batches over all asked series; a series that lies in one part, as nearly all do,
costs a few look-ups. Where two shown points share a step the newer counts; such steps are found without reading.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from sqlmodel import Session

from lossguard.protocol.frames import Columns, Steps

from ..columns import StreamTail
from ..rows import joined_points, newest_of
from . import parts
from .blocks import Blocks
from .parts import Part
from .pyramid import Pyramid, Range
from .summaries import Entries, joined_entries, of_points

MAX_SPANS = 256  # over one another that are told apart by step; of more, every point is read
MERGED_POINTS = 1 << 20  # of steps that several spans have, in memory at once: 16 MB, and as much again to sort them
_NOT_FOLDED = 1 << 63  # newer than every part of its stream
_FEW = 64

Points = tuple[Steps, Columns]


@dataclass(frozen=True, slots=True)
class Span:
    """What is shown of a part, or what a stream has not folded yet, over the steps first to last.

    `order`: the larger, the newer. Where the part goes on behind `last_step`, that is a bound and not a point's step.
    """

    order: tuple[int, int]
    first_step: int
    last_step: int
    part: Part | None
    points: Points | None = None

    @property
    def is_cut(self) -> bool:
        return self.part is not None and self.last_step < self.part.last_step


@dataclass(frozen=True, slots=True)
class Piece:
    """Points over steps that no other piece has: a range of a part, or the points themselves."""

    count: int
    range: Range | None
    points: Points | None = None


@dataclass(frozen=True, slots=True)
class Size:
    """Points of a series, how many of them no entry stands for, and in how many ranges the others lie."""

    points: int
    loose: int
    ranges: int


@dataclass(frozen=True, slots=True)
class Located:
    """Where the points of some series lie: by name the spans that have a step in common, in order; `at`: the index in
    its part of each step at which a span begins or ends."""

    asked: Mapping[str, Sequence[Sequence[Span]]]
    at: Mapping[tuple[Part, int], int]

    def sizes(self) -> dict[str, "Size"]:
        """How much there is of each series; of points that share a step all count."""
        return {name: self._size(found) for name, found in self.asked.items()}

    def _size(self, found: Sequence[Sequence[Span]]) -> "Size":
        ranges = [together for together in found if len(together) == 1 and together[0].part is not None]
        points, in_ranges = _count(found, self.at), _count(ranges, self.at)
        return Size(points, points - in_ranges, len(ranges))

    def in_groups(self, points: int) -> Iterator["Located"]:
        """The same in groups of series: of points that share steps a group has at most so many, or is one series."""
        group: dict[str, Sequence[Sequence[Span]]] = {}
        size = 0
        for name, found in self.asked.items():
            shared = _count([together for together in found if len(together) > 1], self.at)
            if group and shared and size + shared > points:
                yield Located(group, self.at)
                group, size = {}, 0
            group[name], size = found, size + shared
        yield Located(group, self.at)


class Sight:
    """A snapshot; use it while its session is open. Everything raises ChunkDamaged, StorageError."""

    def __init__(self, session: Session, tails: Sequence[StreamTail], blocks: Blocks, scope: object) -> None:
        """`tails`: older attempts first. `scope`: as for Blocks."""
        self._session, self._tails = session, tails
        self._pyramid = Pyramid(blocks, session, scope)

    def spans(self, names: Collection[str] | None = None) -> dict[str, list[Span]]:
        """The spans of these series, or of all, those of a series in order of their first step."""
        found: dict[str, list[Span]] = {} if names is None else {name: [] for name in names}
        for number, tail in enumerate(self._tails):
            for part in self._parts(tail, names):
                below_step = parts.below_step(tail.segments, part.first_seq)
                if part.first_step < below_step:
                    last_step = min(part.last_step, below_step - 1)
                    span = Span((number, part.first_seq), part.first_step, last_step, part)
                    found.setdefault(part.name, []).append(span)
            for name in tail.names if names is None else found:
                steps, values = tail.series(name)
                if len(steps):
                    span = Span((number, _NOT_FOLDED), int(steps[0]), int(steps[-1]), None, (steps, values))
                    found.setdefault(name, []).append(span)
        for spans in found.values():
            spans.sort(key=lambda span: span.first_step)
        return found

    def extents(self) -> dict[str, tuple[int, int, int]]:
        """(first step, last step, count) of every series that has a point."""
        spans = {name: found for name, found in self.spans().items() if found}
        simple = {name: _extent(found) for name, found in spans.items()}
        others = {name: spans[name] for name, extent in simple.items() if extent is None}
        last_step = max((span.last_step for found in others.values() for span in found), default=0)
        for some in self.locate(others, 0, last_step).in_groups(MERGED_POINTS):
            for name, pieces in self.pieces(some).items():
                found = others[name]
                simple[name] = (found[0].first_step, self._last_step(found), sum(piece.count for piece in pieces))
        return {name: extent for name, extent in simple.items() if extent is not None}

    def ends(self, spans: Iterable[Sequence[Span]]) -> tuple[int, int]:
        """The first and the last step of these series; (0, -1) when they have no point."""
        found = [span for each in spans for span in each]
        return min((span.first_step for span in found), default=0), self._last_step(found)

    def last_step(self) -> int:
        """The last step that is shown of any series; -1 when there is none."""
        last = max((tail.last_step() for tail in self._tails), default=-1)
        cut: list[tuple[int, int]] = []
        for tail in self._tails:
            ids, seqs, firsts, lasts = tail.part_ends.T
            limits = np.array([segment.below_step for segment in tail.segments])
            edges = np.array([segment.up_to_seq for segment in tail.segments])
            below = limits[edges.searchsorted(seqs).clip(max=len(edges) - 1)]
            whole, cut_short = lasts < below, (firsts < below) & (lasts >= below)
            last = max(last, int(lasts[whole].max(initial=-1)))
            cut += zip(ids[cut_short].tolist(), below[cut_short].tolist(), strict=True)
        return self._last_of_cut([(number, below) for number, below in cut if below - 1 > last], last)

    def locate(self, spans: Mapping[str, Sequence[Span]], first_step: int, last_step: int) -> Located:
        """Where these series lie over [first_step, last_step]: at most the blocks at the ends of spans are read."""
        asked = {name: _disjoint(_within(found, first_step, last_step)) for name, found in spans.items()}
        wanted = [
            edge
            for found in asked.values()
            for together in found
            for span in together
            if span.part is not None
            for edge in ((span.part, span.first_step), (span.part, span.last_step + 1))
        ]
        return Located(asked, self._pyramid.find(wanted))

    def pieces(self, located: Located) -> dict[str, list[Piece]]:
        """What is shown of these series, in order of steps."""
        asked, at = located.asked, located.at
        # of one span a range is enough; where there are more their points are read, and the newest of each step taken
        overlaps = [together for found in asked.values() for together in found if len(together) > 1]
        read = iter(self._points_of([span for together in overlaps for span in together], at))
        merged = iter([newest_of([next(read) for _ in together]) for together in overlaps])
        answer: dict[str, list[Piece]] = {}
        for name, found in asked.items():
            made = [_piece(together[0], at) if len(together) == 1 else _of(next(merged)) for together in found]
            answer[name] = [piece for piece in made if piece.count]
        return answer

    def points(self, pieces: Mapping[str, Sequence[Piece]]) -> dict[str, Points]:
        """Every point of these pieces, in order of step."""
        read = iter(
            self._pyramid.points([each.range for found in pieces.values() for each in found if each.range is not None])
        )
        return {
            name: joined_points([next(read) if each.points is None else each.points for each in found])
            for name, found in pieces.items()
        }

    def entries(self, pieces: Mapping[str, tuple[Sequence[Piece], int]]) -> Iterator[tuple[str, Entries]]:
        """These pieces as entries of each series' level, in order of step; one series after the other."""
        ranges = [(each.range, level) for found, level in pieces.values() for each in found if each.range is not None]
        read = iter(self._pyramid.entries(ranges))
        for name, (found, _) in pieces.items():
            yield (
                name,
                joined_entries([next(read) if each.points is None else of_points(*each.points) for each in found]),
            )

    def _parts(self, tail: StreamTail, names: Collection[str] | None) -> list[Part]:
        if not len(tail.part_ends):
            return []
        if names is None:
            return parts.of_stream(self._session, tail.head.id)
        return parts.of_names(self._session, [tail.head.id], names)

    def _points_of(self, spans: Sequence[Span], at: Mapping[tuple[Part, int], int]) -> list[Points]:
        """The points of each span."""
        found = [_piece(span, at) for span in spans]
        read = iter(self._pyramid.points([piece.range for piece in found if piece.range is not None]))
        return [next(read) if piece.points is None else piece.points for piece in found]

    def _last_step(self, spans: Iterable[Span]) -> int:
        last, cut = -1, []
        for span in spans:
            if span.part is not None and span.is_cut:
                cut.append((span.part.id, span.last_step + 1))
            else:
                last = max(last, span.last_step)
        return self._last_of_cut([(number, below) for number, below in cut if below - 1 > last], last)

    def _last_of_cut(self, cut: Sequence[tuple[int, int]], last: int) -> int:
        """The last step of these parts below each one's limit, and at least `last`."""
        bound = max((below for _, below in cut), default=0) - 1
        for start in range(0, len(cut), _FEW):
            if last >= bound:
                break  # as good as always at once: what is cut had a point right before
            limits = dict(cut[start : start + _FEW])
            found = [(part, limits[part.id]) for part in parts.of_ids(self._session, list(limits))]
            at = self._pyramid.find(found)
            steps = self._pyramid.step_at([(part, at[part, below] - 1) for part, below in found])
            last = max(last, *steps)
        return last


def _extent(spans: Sequence[Span]) -> tuple[int, int, int] | None:
    """(first step, last step, count) where that is known without a look at the points."""
    if any(span.is_cut for span in spans) or any(one.last_step >= next_.first_step for one, next_ in pairwise(spans)):
        return None
    counts = [span.part.count if span.part else len(span.points[0]) if span.points else 0 for span in spans]
    return spans[0].first_step, spans[-1].last_step, sum(counts)


def _within(spans: Sequence[Span], first_step: int, last_step: int) -> list[Span]:
    """The spans over [first_step, last_step]."""
    return [
        span
        if first_step <= span.first_step and span.last_step <= last_step
        else replace(span, first_step=max(span.first_step, first_step), last_step=min(span.last_step, last_step))
        for span in spans
        if first_step <= last_step and span.first_step <= last_step and span.last_step >= first_step
    ]


def _disjoint(spans: Sequence[Span]) -> list[list[Span]]:
    """Steps that no two items share, in order; an item's spans all have its steps, older ones first."""
    found: list[list[Span]] = []
    cluster: list[Span] = []
    last_step = -1
    for span in spans:
        if cluster and span.first_step > last_step:
            found += _told_apart(cluster)
            cluster = []
        cluster.append(span)
        last_step = max(last_step, span.last_step)
    return found + _told_apart(cluster) if cluster else found


def _told_apart(cluster: list[Span]) -> list[list[Span]]:
    if len(cluster) == 1:
        return [cluster]
    cluster.sort(key=lambda span: span.order)
    if len(cluster) > MAX_SPANS:
        return [cluster]
    edges = sorted({edge for span in cluster for edge in (span.first_step, span.last_step + 1)})
    found = []
    for start, stop in pairwise(edges):
        has = [span for span in cluster if span.first_step <= start and span.last_step >= stop - 1]
        found.append([replace(span, first_step=start, last_step=stop - 1) for span in has])
    return found


def _count(found: Iterable[Sequence[Span]], at: Mapping[tuple[Part, int], int]) -> int:
    return sum(_piece(span, at).count for together in found for span in together)


def _piece(span: Span, at: Mapping[tuple[Part, int], int]) -> Piece:
    if span.part is not None:
        found = Range(span.part, at[span.part, span.first_step], at[span.part, span.last_step + 1])
        return Piece(len(found), found)
    assert span.points is not None
    steps, values = span.points
    start, stop = steps.searchsorted(span.first_step), steps.searchsorted(span.last_step, "right")
    return _of((steps[start:stop], values[start:stop]))


def _of(points: Points) -> Piece:
    return Piece(len(points[0]), None, points)
