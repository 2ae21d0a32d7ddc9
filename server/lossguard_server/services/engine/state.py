"""What the rules know of a run, as bytes: msgpack, arrays as their kind, shape and contents, then zstd.

Rules of this file: what another version wrote, or what is damaged, is refused; whoever reads it then starts anew.
"""

from typing import Any

import msgspec
import numpy as np
import zstandard

from ...errors.engine import StateUnreadable

VERSION = 2
_ARRAY = 1
_KINDS = ("<f8", "<i8", "|b1", "<u8", "<f4", "<i4")
MAX_BYTES = 256 << 20


def to_bytes(state: dict[str, Any]) -> bytes:
    """Plain values and arrays, whatever their nesting. Raises StateUnreadable for what cannot be read back."""
    try:
        packed = msgspec.msgpack.encode([VERSION, state], enc_hook=_packed)
    except (TypeError, ValueError, OverflowError) as error:
        raise StateUnreadable(f"It cannot be written: {error}") from error
    return zstandard.ZstdCompressor(level=1).compress(packed)


def from_bytes(body: bytes) -> dict[str, Any]:
    """What `to_bytes` packed. Raises StateUnreadable."""
    try:
        packed = zstandard.ZstdDecompressor().decompress(body, max_output_size=MAX_BYTES)
        version, state = msgspec.msgpack.decode(packed, ext_hook=_unpacked)
    except (zstandard.ZstdError, msgspec.MsgspecError, ValueError, TypeError) as error:
        raise StateUnreadable(str(error)) from error
    if version != VERSION or not isinstance(state, dict):
        raise StateUnreadable(f"It is of version {version}, this is {VERSION}.")
    return state


def _packed(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        contents = np.ascontiguousarray(value)
        head = msgspec.msgpack.encode([contents.dtype.str, list(contents.shape)])
        return msgspec.msgpack.Ext(_ARRAY, len(head).to_bytes(2, "little") + head + contents.tobytes())
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be stored.")


def _unpacked(code: int, data: memoryview) -> Any:
    if code != _ARRAY:
        raise ValueError(f"extension {code} is not known")
    size = int.from_bytes(data[:2], "little")
    kind, shape = msgspec.msgpack.decode(data[2 : 2 + size])
    if kind not in _KINDS:
        raise ValueError(f"arrays of {kind!r} are not known")
    return np.frombuffer(bytes(data[2 + size :]), dtype=kind).reshape(shape).copy()
