"""Names and makes the files of a spool: its segments, and what a server refused.

Rules of this file: a name belongs to one stream and one process's life; under another's nothing is written. A file that
is locked says that its trainer lives.
"""

import contextlib
import errno
import logging
import os
import re
from pathlib import Path

from .complaints import WORDS_MAX
from .protocol.messages import Hello, Refusal
from .protocol.spool_format import SUFFIX

log = logging.getLogger("lossguard")

STEMS_MAX = 100  # restarts that repeat run, rank and attempt, of which nothing was delivered yet
BAD_FILES_MAX = 200  # two a message of at most 1 MiB: a server that refuses everything fills no disk
BAD_FULL = "full"  # the file that says so


class SpoolFiles:
    """The names of one stream's files in a folder."""

    def __init__(self, folder: Path, hello: Hello) -> None:
        self._folder = folder
        self._whose = f"{re.sub(r'[^A-Za-z0-9_-]', '_', hello.run)[:64]}-{hello.rank}-"
        self._stem = f"{self._whose}{hello.attempt}"

    def name(self, seq: int) -> str:
        """Of what begins with this message, without an ending."""
        return f"{self._stem}.{seq:020d}"

    def is_of_another_life(self, stem: str) -> bool:
        """Whether it names a stream of the same rank of the same run, and not this one."""
        attempt = stem.removeprefix(self._whose).rstrip("+")
        return stem.startswith(self._whose) and attempt.isdigit() and stem != self._stem

    def make(self, first_seq: int, head: bytes, is_first: bool) -> tuple[Path, int]:
        """A new segment, locked, with its header: (path, descriptor). `is_first`: of this life. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path, fd = self._new(first_seq, is_first)
        try:
            _lock(fd)
            if os.write(fd, head) != len(head):
                raise OSError("the disk took only a part of a header")
        except OSError:
            os.close(fd)
            path.unlink(missing_ok=True)
            raise
        return path, fd

    def _new(self, first_seq: int, is_first: bool) -> tuple[Path, int]:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        for _ in range(STEMS_MAX):
            path = self._folder / f"{self.name(first_seq)}{SUFFIX}"
            # another process's stream under our stem would be taken for a part of ours, and ours for a part of it
            if not is_first or not any(self._folder.glob(f"{self._stem}.*{SUFFIX}")):
                with contextlib.suppress(FileExistsError):
                    return path, os.open(path, flags, 0o600)
            if not is_first:
                break
            self._stem += "+"
        raise FileExistsError(f"{path} and its like exist already")


def keep_refused(folder: Path, name: str, payload: bytes, refusal: Refusal) -> None:
    """Write a refused message, and beside it why. Raises OSError, also where there are too many, which is said once."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if len(os.listdir(folder)) >= BAD_FILES_MAX:
        with contextlib.suppress(FileExistsError):
            os.close(os.open(folder / BAD_FULL, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            log.warning("lossguard: %s is full; no more messages that a server refuses are kept there.", folder)
        raise OSError(errno.EDQUOT, f"{folder} holds {BAD_FILES_MAX} files")
    words = f"{refusal.error[:WORDS_MAX]}: {refusal.message[:WORDS_MAX]}\n{refusal.hint[:WORDS_MAX]}\n"
    for ending, data in ((".msgpack", payload), (".txt", words)):
        fd = os.open(folder / (name + ending), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(data if isinstance(data, bytes) else data.encode(errors="replace"))


def _lock(fd: int) -> None:
    """Says that this segment's trainer lives; `lossguard sync` leaves locked ones alone."""
    try:
        import fcntl
    except ImportError:  # no such locks on this system
        return
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
