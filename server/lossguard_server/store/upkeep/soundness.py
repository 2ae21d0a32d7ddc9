"""Whether a stored message or block is still what was stored, by what it means.

Rules of this file: pure. SQLite has no checksums: bytes that changed within a row are only found here.
"""

from collections.abc import Callable, Sequence

from lossguard.protocol import BadFrame, BadMessage
from lossguard.protocol.codec import decode_sequenced
from lossguard.protocol.frames import unpack_frame
from lossguard.protocol.messages import Frame

from ...errors import ChunkDamaged
from ..folded.blocks import block_size, entries_of
from ..folded.chunks import decode_chunk
from ..folded.packing import Packer
from ..folded.parts import Part
from ..folded.summaries import decode_entries
from .salvage import IsSound, Row


def is_sound_message(columns: Sequence[str]) -> IsSound:
    """Whether a row of the journal still holds the message with its number."""
    at_seq, at_payload = columns.index("seq"), columns.index("payload")

    def is_sound(row: Row) -> bool:
        try:
            message = decode_sequenced(row[at_payload])
            if isinstance(message, Frame):
                unpack_frame(message)
            return bool(message.seq == row[at_seq])
        except (BadMessage, BadFrame, TypeError):
            return False

    return is_sound


def is_sound_chunk(columns: Sequence[str]) -> IsSound:
    """Whether a row still holds points."""
    return _decodes(columns, decode_chunk)


def is_sound_summary(columns: Sequence[str]) -> IsSound:
    """Whether a row still holds entries."""
    return _decodes(columns, decode_entries)


def summaries_of(part: Part) -> dict[tuple[int, int], int]:
    """The blocks that a part's pyramid has: (level, number) -> its entries."""
    due: dict[tuple[int, int], int] = {}
    level = 1
    while count := entries_of(part, level):
        size = block_size(level)
        due |= {(level, start // size): min(size, count - start) for start in range(0, count, size)}
        level += 1
    return due


def _decodes(columns: Sequence[str], decode: Callable[[Packer, bytes], object]) -> IsSound:
    packer, at = Packer(), columns.index("data")

    def is_sound(row: Row) -> bool:
        try:
            decode(packer, row[at])
        except (ChunkDamaged, TypeError):
            return False
        return True

    return is_sound
