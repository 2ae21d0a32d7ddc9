"""Entries that stand for many points each: the levels of the pyramid over a series.

Rules of this file: pure. Nothing that a chart must not lose is lost: an entry keeps first, last and the extremes as
they are, and counts each kind of non-finite value. An entry of level k stands for 32^k points, all of them there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lossguard.protocol.frames import Columns, Steps

from ...errors import ChunkDamaged
from .packing import Floats, Ints, Packer

FAN_OUT = 32
# 256, 512 and 1,024 take 0.12, 0.08 and 0.06 us an entry to read; the last block, half full, is written again with each
# chunk, which makes 2, 4 and 8 bytes a point
BLOCK_ENTRIES = 512
_VERSION = 65
FIRST_STEP, LAST_STEP, NAN, POS_INF, NEG_INF, COUNT = range(6)
FIRST, MIN, MAX, LAST, MEAN = range(5)


@dataclass(frozen=True)
class Entries:
    """n entries: `ints` [6, n] first_step, last_step, counts of NaN, +Inf, -Inf and of all points; `floats` [5, n]
    first, min, max, last, mean. Min, max and mean are of the finite values, NaN where there is none.
    """

    ints: Ints
    floats: Floats

    def __len__(self) -> int:
        return int(self.ints.shape[1])

    @property
    def first_step(self) -> Steps:
        found: Steps = self.ints[FIRST_STEP]
        return found

    @property
    def last_step(self) -> Steps:
        found: Steps = self.ints[LAST_STEP]
        return found

    @property
    def size_bytes(self) -> int:
        return self.ints.nbytes + self.floats.nbytes

    def between(self, start: int, stop: int) -> "Entries":
        """Entries [start, stop)."""
        return Entries(self.ints[:, start:stop], self.floats[:, start:stop])


def joined_entries(blocks: Sequence[Entries]) -> Entries:
    """One after the other."""
    if len(blocks) == 1:
        return blocks[0]
    if not blocks:
        return Entries(np.empty((6, 0), np.int64), np.empty((5, 0), np.float64))
    return Entries(
        np.concatenate([block.ints for block in blocks], axis=1),
        np.concatenate([block.floats for block in blocks], axis=1),
    )


def of_points(steps: Steps, values: Columns) -> Entries:
    """Each point as an entry of its own. `steps` [n] increasing, `values` [n]."""
    ints = np.empty((6, len(steps)), np.int64)
    ints[FIRST_STEP] = ints[LAST_STEP] = steps
    ints[NAN], ints[POS_INF], ints[NEG_INF] = np.isnan(values), values == np.inf, values == -np.inf
    ints[COUNT] = 1
    floats = np.empty((5, len(steps)), np.float64)
    floats[FIRST] = floats[LAST] = values
    floats[MIN] = floats[MAX] = floats[MEAN] = np.where(np.isfinite(values), values, np.nan)
    return Entries(ints, floats)


def summarise(steps: Steps, values: Columns) -> Entries:
    """Level 1 of a whole number of groups of FAN_OUT points."""
    return merge(of_points(steps, values))


def merge(entries: Entries) -> Entries:
    """The next level of a whole number of groups of FAN_OUT entries."""
    assert len(entries) % FAN_OUT == 0
    return grouped(entries, np.arange(0, len(entries), FAN_OUT, dtype=np.int64))


def grouped(entries: Entries, starts: Ints) -> Entries:
    """One entry for each run of entries that begins at `starts` [m], increasing from 0."""
    ints, floats = entries.ints, entries.floats
    if len(starts) == 0:
        return joined_entries([])
    ends = np.append(starts[1:], ints.shape[1]) - 1
    new_ints = np.empty((6, len(starts)), np.int64)
    new_ints[FIRST_STEP], new_ints[LAST_STEP] = ints[FIRST_STEP, starts], ints[LAST_STEP, ends]
    new_ints[NAN:] = np.add.reduceat(ints[NAN:], starts, axis=1)
    new = np.empty((5, len(starts)), np.float64)
    new[FIRST], new[LAST] = floats[FIRST, starts], floats[LAST, ends]
    with np.errstate(all="ignore"):
        new[MIN] = np.fmin.reduceat(floats[MIN], starts)
        new[MAX] = np.fmax.reduceat(floats[MAX], starts)
        new[MEAN] = np.clip(_means(floats[MEAN], _finite(ints), _finite(new_ints), starts), new[MIN], new[MAX])
    return Entries(new_ints, new)


def encode_entries(packer: Packer, entries: Entries) -> bytes:
    """The entries as a block."""
    assert 1 <= len(entries) <= BLOCK_ENTRIES
    return packer.pack(_VERSION, entries.ints, entries.floats)


def decode_entries(packer: Packer, data: bytes) -> Entries:
    """The entries of a block. Raises ChunkDamaged, whatever the bytes."""
    entries = Entries(*packer.unpack(data, _VERSION, (6, 5)))
    first, last = entries.first_step, entries.last_step
    if len(entries) > BLOCK_ENTRIES or bool(np.any(last < first)) or bool(np.any(first[1:] <= last[:-1])):
        raise ChunkDamaged("Its steps do not increase.")
    return entries


def _finite(ints: Ints) -> Ints:
    found: Ints = ints[COUNT] - ints[NAN] - ints[POS_INF] - ints[NEG_INF]
    return found


def _means(means: Columns, counts: Ints, totals: Ints, starts: Ints) -> Columns:
    """The mean of the finite values of each group; NaN where there is none. For np.errstate(all="ignore")."""
    weighted = np.where(counts > 0, means, 0.0)
    divisor = np.maximum(totals, 1)
    found = np.add.reduceat(weighted * counts, starts) / divisor
    if not np.all(np.isfinite(found)):
        # the sum of values near the largest float overflows; the sum of their shares does not
        lengths = np.diff(starts, append=len(means))
        shares = np.add.reduceat(weighted * (counts / np.repeat(divisor, lengths)), starts)
        found = np.where(np.isfinite(found), found, shares)
    return np.where(totals > 0, found, np.nan)
