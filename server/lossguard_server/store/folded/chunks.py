"""Points of one series to bytes and back.

Rules of this file: pure. Every bit pattern of a float64 comes back as it was; what does not decode is ChunkDamaged.
"""

from dataclasses import dataclass

import numpy as np

from lossguard.protocol.frames import Columns, Steps

from ...errors import ChunkDamaged
from .packing import Packer

CHUNK_POINTS = 1_024
_VERSION = 1


@dataclass(frozen=True)
class Chunk:
    """`steps` [n] int64, strictly increasing; `values` [n] float64; n from 1 to CHUNK_POINTS."""

    steps: Steps
    values: Columns

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def size_bytes(self) -> int:
        return self.steps.nbytes + self.values.nbytes


def encode_chunk(packer: Packer, steps: Steps, values: Columns) -> bytes:
    """The points as a block."""
    assert 1 <= len(steps) <= CHUNK_POINTS
    return packer.pack(_VERSION, steps[np.newaxis], values[np.newaxis])


def decode_chunk(packer: Packer, data: bytes) -> Chunk:
    """The points of a block. Raises ChunkDamaged, whatever the bytes."""
    ints, floats = packer.unpack(data, _VERSION, (1, 1))
    steps = ints[0]
    if len(steps) > CHUNK_POINTS or bool(np.any(steps[1:] <= steps[:-1])):
        raise ChunkDamaged("Its steps do not increase.")
    return Chunk(steps, floats[0])
