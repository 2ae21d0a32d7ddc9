"""Columns of numbers to one small, checked block of bytes and back: the format that chunks and summaries share.

Rules of this file: pure, and exact to the bit.
- A block: version (its kind), count n, CRC-32, then zstd of the columns. The checksum covers all of it.
- An integer column: first value, stride, bytes a difference, then the n - 1 differences; none where all are equal, so
  consecutive steps cost nothing. Differences wrap around, so any int64 comes back.
- A float column: as float32 where that loses no bit (torch's losses), else float64; bytes of equal weight lie together.
- The decoder is total: whatever the bytes, it gives columns or raises ChunkDamaged.
"""

import struct
import zlib

import numpy as np
import numpy.typing as npt
import zstandard

from ...errors import ChunkDamaged

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

LEVEL = 3  # smaller than 1 by a hundredth at the same speed
MAX_COUNT = 4_096
_HEAD = struct.Struct("<BHI")  # version, count, checksum of what follows and of these two
_INTEGERS = np.dtype([("first", "<i8"), ("stride", "<i8"), ("width", "u1")])
_WIDTHS = (1, 2, 4, 8)


class Packer:
    """One thread's compressor; to make one costs as much as to pack a block."""

    def __init__(self) -> None:
        self._compress = zstandard.ZstdCompressor(level=LEVEL).compress
        self._decompress = zstandard.ZstdDecompressor().decompress

    def pack(self, version: int, ints: Ints, floats: Floats) -> bytes:
        """`ints` [r, n], `floats` [c, n], n from 1 to MAX_COUNT."""
        count = ints.shape[1]
        assert 1 <= count <= MAX_COUNT
        body = self._compress(_pack_integers(ints) + _pack_floats(floats))
        return _HEAD.pack(version, count, _checksum(version, count, body)) + body

    def unpack(self, data: bytes, version: int, rows: tuple[int, int]) -> tuple[Ints, Floats]:
        """(ints [rows[0], n], floats [rows[1], n]). Raises ChunkDamaged."""
        if len(data) < _HEAD.size:
            raise ChunkDamaged(f"It has {len(data)} bytes.")
        found, count, checksum = _HEAD.unpack_from(data)
        body = memoryview(data)[_HEAD.size :]
        if _checksum(found, count, body) != checksum:
            raise ChunkDamaged("Its checksum does not match.")
        if found != version or not 1 <= count <= MAX_COUNT:
            raise ChunkDamaged(f"It is of version {found} with {count} entries.")
        reader = _Reader(self._inflated(body, count * sum(rows) * 8 + rows[0] * _INTEGERS.itemsize + rows[1]))
        ints = _unpack_integers(reader, rows[0], count)
        floats = _unpack_floats(reader, rows[1], count)
        reader.end()
        return ints, floats

    def _inflated(self, body: memoryview, limit: int) -> bytes:
        try:
            if not 0 < zstandard.frame_content_size(body) <= limit:
                raise ChunkDamaged("Its size is not what its count says.")
            return self._decompress(body)
        except zstandard.ZstdError as error:
            raise ChunkDamaged(f"It cannot be unpacked: {error}.") from error


class _Reader:
    """Takes bytes from the front. Raises ChunkDamaged where there are too few, or too many in the end."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = memoryview(data), 0

    def take(self, size: int) -> memoryview:
        self._at += size
        if self._at > len(self._data):
            raise ChunkDamaged("It ends early.")
        return self._data[self._at - size : self._at]

    def end(self) -> None:
        if self._at != len(self._data):
            raise ChunkDamaged("It does not end where it should.")


def _checksum(version: int, count: int, body: bytes | memoryview) -> int:
    return zlib.crc32(body, version << 16 | count)


def _pack_integers(columns: Ints) -> bytes:
    heads = np.zeros(len(columns), _INTEGERS)
    heads["first"] = columns[:, 0]
    packed = []
    for head, column in zip(heads, columns, strict=True):
        differences = np.diff(column.view(np.uint64))  # unsigned: it wraps around, and so does the sum that undoes it
        if len(differences) and bool((differences != differences[0]).any()):
            largest = int(differences.max())
            head["width"] = width = next(width for width in _WIDTHS if largest < 1 << 8 * width)
            packed.append(_shuffled(differences.astype(f"<u{width}"), width))
        elif len(differences):
            head["stride"] = differences.view(np.int64)[0]
    return b"".join([heads.tobytes(), *packed])


def _unpack_integers(reader: _Reader, rows: int, count: int) -> Ints:
    heads = np.frombuffer(reader.take(rows * _INTEGERS.itemsize), _INTEGERS)
    found = heads["stride"].astype(np.uint64)[:, np.newaxis] * np.arange(count, dtype=np.uint64)
    for row, width in enumerate(heads["width"].tolist()):
        if width in _WIDTHS:
            differences = _unshuffled(reader.take((count - 1) * width), width).view(f"<u{width}")
            np.cumsum(differences, dtype=np.uint64, out=found[row, 1:])
        elif width != 0:
            raise ChunkDamaged(f"It has integers of {width} bytes.")
    found += heads["first"].astype(np.uint64)[:, np.newaxis]
    return found.view(np.int64)


def _pack_floats(columns: Floats) -> bytes:
    with np.errstate(all="ignore"):  # an overflow is an infinity, which is not the same bits
        narrow = columns.astype("<f4")
        is_narrow = (narrow.astype(np.float64).view(np.int64) == columns.view(np.int64)).all(axis=1)
    widths = np.where(is_narrow, 4, 8).astype(np.uint8).tobytes()
    return widths + _shuffled(narrow[is_narrow], 4) + _shuffled(columns[~is_narrow].astype("<f8", copy=False), 8)


def _unpack_floats(reader: _Reader, rows: int, count: int) -> Floats:
    widths = np.frombuffer(reader.take(rows), np.uint8)
    is_narrow = widths == 4
    if not bool((is_narrow | (widths == 8)).all()):
        raise ChunkDamaged(f"It has floats of {widths.max()} bytes.")
    found = np.empty((rows, count), np.float64)
    for mask, width in ((is_narrow, 4), (~is_narrow, 8)):
        if number := int(np.count_nonzero(mask)):
            data = _unshuffled(reader.take(number * count * width), width)
            with np.errstate(all="ignore"):
                found[mask] = data.view(f"<f{width}").reshape(number, count)
    return found


def _shuffled(values: npt.NDArray[np.generic], width: int) -> bytes:
    """First every lowest byte, then every second: sign and exponent, nearly always alike, come to lie together."""
    return np.ascontiguousarray(values).view(np.uint8).reshape(-1, width).T.tobytes()


def _unshuffled(data: memoryview, width: int) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(np.frombuffer(data, np.uint8).reshape(width, -1).T).reshape(-1)
