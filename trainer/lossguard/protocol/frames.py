"""Columns of numbers to frames and back.

Rules of this file: values are little-endian float64 and never touch a Python float on the way, so every bit pattern
(NaN payloads, -0.0, denormals) survives; nothing is believed before sizes and checksum agree.
"""

import struct
import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .errors import BadFrame
from .messages import Frame

Steps = npt.NDArray[np.int64]
Columns = npt.NDArray[np.float64]

MAX_STEP = (1 << 53) - 1  # a step is also a JavaScript number


def pack_frame(seq: int, steps: Steps, series: Sequence[int], columns: Columns, time_s: float = 0.0) -> Frame:
    """A frame of n steps: `steps` [n], increasing; `columns` [len(series), n]."""
    n = len(steps)
    first_step = int(steps[0])
    consecutive = n == 1 or (int(steps[-1]) - first_step == n - 1 and bool(np.all(np.diff(steps) == 1)))
    packed_steps = b"" if consecutive else np.ascontiguousarray(steps, dtype="<i8").tobytes()
    values = np.ascontiguousarray(columns, dtype="<f8").tobytes()
    ids = list(series)
    return Frame(
        seq=seq,
        first_step=first_step,
        n=n,
        series=ids,
        values=values,
        steps=packed_steps,
        time_s=time_s,
        crc=checksum(seq, first_step, n, ids, values, packed_steps),
    )


def unpack_frame(frame: Frame) -> tuple[Steps, Columns]:
    """(steps [n] int64, columns [len(series), n] float64). Raises BadFrame when anything disagrees."""
    n, width = frame.n, len(frame.series)
    if n < 1 or width < 1:
        raise BadFrame(f"It has {n} steps of {width} series.")
    if len(frame.values) != 8 * n * width:
        raise BadFrame(f"It has {len(frame.values)} bytes of values where {8 * n * width} are due.")
    if frame.steps and len(frame.steps) != 8 * n:
        raise BadFrame(f"It has {len(frame.steps)} bytes of steps where {8 * n} are due.")
    if not 0 <= frame.first_step <= MAX_STEP + 1 - n:
        raise BadFrame(f"Its first step is {frame.first_step}; steps lie between 0 and 2^53 - 1.")
    if len(set(frame.series)) != width or min(frame.series) < 0 or max(frame.series) >= 1 << 32:
        raise BadFrame("Its series ids repeat, or are not unsigned 32-bit numbers.")
    if not 0 < frame.seq < 1 << 63:
        raise BadFrame(f"Its sequence number is {frame.seq}.")
    if checksum(frame.seq, frame.first_step, n, frame.series, frame.values, frame.steps) != frame.crc:
        raise BadFrame("Its checksum does not match: it was damaged on the way.")
    return _steps_of(frame), np.frombuffer(frame.values, dtype="<f8").reshape(width, n)


def checksum(seq: int, first_step: int, n: int, series: Sequence[int], values: bytes, steps: bytes) -> int:
    """CRC-32 of a frame's content: any single flipped bit changes it."""
    head = struct.pack(f"<QqI{len(series)}I", seq, first_step, n, *series)
    return zlib.crc32(steps, zlib.crc32(values, zlib.crc32(head)))


def _steps_of(frame: Frame) -> Steps:
    if not frame.steps:
        return np.arange(frame.first_step, frame.first_step + frame.n, dtype=np.int64)
    steps = np.frombuffer(frame.steps, dtype="<i8").astype(np.int64)
    # compared, not subtracted: a difference of two int64 wraps around
    if int(steps[0]) != frame.first_step or int(steps[-1]) > MAX_STEP or bool(np.any(steps[1:] <= steps[:-1])):
        raise BadFrame("Its steps do not increase from its first step.")
    return steps
