"""One file of a spool: appended to by its trainer, read by number.

Rules of this file:
- A record is one `write`; after it returns, it survives a kill of the process. What was written in part is taken back.
- Numbers and places of records are held for the segment that is written to and for the one that is read, no others.
- What is read back is checked (length, seq, CRC). What does not agree is a hole, with the numbers that it covers.
"""

import contextlib
import errno
import os
from array import array
from bisect import bisect_right
from dataclasses import dataclass, field
from pathlib import Path

from .protocol.gaps import filler
from .protocol.messages import MAX_MESSAGE_BYTES, Hello
from .protocol.spool_format import HEAD, Label, Scan, is_whole, skipped_to

# errors that say that the bytes are gone; any other (too many open files, no memory) may pass
_GONE = {errno.ENOENT, errno.EIO, errno.ENOTDIR, getattr(errno, "ESTALE", errno.ENOENT)}


@dataclass(frozen=True)
class Missing:
    """The messages first_seq..last_seq cannot be read from the spool."""

    first_seq: int
    last_seq: int


@dataclass
class Places:
    """Number and place of each record, as parallel arrays: 16 bytes a record."""

    seqs: "array[int]" = field(default_factory=lambda: array("Q"))
    offsets: "array[int]" = field(default_factory=lambda: array("Q"))

    def add(self, seq: int, offset: int) -> None:
        self.seqs.append(seq)
        self.offsets.append(offset)


@dataclass
class Segment:
    """The messages first_seq..last_seq. `fd` is open while it is written to; its lock says that the stream lives."""

    path: Path
    first_seq: int
    last_seq: int
    size: int
    fd: int = -1
    places: Places | None = None
    whose: tuple[Hello, Label] | None = None  # what it says of its stream
    is_defined: bool = False  # it has copies of the definitions before it
    thinned: int = 0  # how often
    is_spent: bool = False  # nothing is left in it that may be taken out
    is_damaged: bool = False

    def append(self, record: bytes, seq: int, last_seq: int) -> None:
        """Write a record that stands for seq..last_seq; seq 0: for none. Raises OSError, having written nothing."""
        written = os.write(self.fd, record)
        if written != len(record):
            os.ftruncate(self.fd, self.size)
            raise OSError(errno.ENOSPC, "the disk took only a part of a record")
        if seq:
            assert self.places is not None
            self.places.add(seq, self.size)
            self.last_seq = last_seq
        self.size += written

    def find(self, seq: int) -> bytes | Missing:
        """What goes out under this number. Raises OSError where it may be read another time."""
        try:
            if self.places is None:
                self.places = self._index()
            return self._find(self.places, seq)
        except OSError as error:
            if error.errno not in _GONE:
                raise
            self.is_damaged = True
            return Missing(seq, self.last_seq)

    def forget_places(self) -> None:
        """For a segment that is neither written nor read at present."""
        if self.fd < 0:
            self.places = None

    def shut(self) -> None:
        """Let the file go, and the lock on it."""
        fd, self.fd = self.fd, -1  # first, so that a fork in between does not close the number a second time
        if fd >= 0:
            os.close(fd)

    def drop(self, bad_folder: Path) -> None:
        """Delete the file; one with damage in it is kept among the bad ones, for somebody to look at."""
        self.shut()
        if self.is_damaged:
            with contextlib.suppress(OSError):
                bad_folder.mkdir(mode=0o700, exist_ok=True)
                self.path.rename(bad_folder / self.path.name)
                return
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _find(self, places: Places, seq: int) -> bytes | Missing:
        at = bisect_right(places.seqs, seq) - 1
        following = places.seqs[at + 1] if at + 1 < len(places.seqs) else self.last_seq + 1
        if at >= 0:
            found = places.seqs[at]
            payload = self._payload(found, places.offsets[at])
            last = None if payload is None else skipped_to(payload)
            if last is not None and seq <= last:
                return filler(seq)
            if payload is not None and found == seq and last is None:
                return payload
        self.is_damaged = True
        return Missing(seq, following - 1)

    def _payload(self, seq: int, offset: int) -> bytes | None:
        fd = self.fd if self.fd >= 0 else os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            head = os.pread(fd, HEAD.size, offset)
            length = HEAD.unpack(head)[0] if len(head) == HEAD.size else MAX_MESSAGE_BYTES + 1
            if length > MAX_MESSAGE_BYTES:
                return None
            payload = os.pread(fd, length, offset + HEAD.size)
            return payload if is_whole(head, payload, seq) else None
        finally:
            if fd != self.fd:
                os.close(fd)

    def _index(self) -> Places:
        places = Places()
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            for record in Scan(lambda at, count: os.pread(fd, count, at), os.fstat(fd).st_size):
                if record.seq > (places.seqs[-1] if places.seqs else 0):
                    places.add(record.seq, record.at)
        finally:
            os.close(fd)
        return places
