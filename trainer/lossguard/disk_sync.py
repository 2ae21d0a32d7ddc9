"""A thread that asks the disk to keep what was written, because that may take seconds and heartbeats must go on.

Rules of this file: it opens a file anew for each sync: a descriptor of its own holds no lock, so that neither a fork
nor a segment that is shut meanwhile gets in the way. Started early, for Python 3.12 forbids new threads at shutdown;
where there is no thread, the caller waits for the disk itself.
"""

import contextlib
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue

log = logging.getLogger("lossguard")


class DiskSync:
    """Syncs files in the order in which they are asked for. One caller."""

    def __init__(self) -> None:
        self._asked = self._done = 0
        self._work: SimpleQueue[Path | Callable[[], None] | None] = SimpleQueue()
        self._failed: set[Path] = set()
        self._has_complained = False
        self._named: Path | None = None  # the last file whose name is on the disk too
        self._thread = threading.Thread(target=self._run, name="lossguard-disk", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        with contextlib.suppress(RuntimeError):  # no more threads: the caller's own will do
            self._thread.start()

    def stop(self) -> None:
        """End when all that was asked for is done; returns at once."""
        self._work.put(None)

    def ask(self, path: Path) -> int:
        """Put `path` and its name in its folder on the disk; returns the number to ask `is_done` for."""
        self._asked += 1
        if self._thread.is_alive():
            self._work.put(path)
        else:
            self._sync(path)
        return self._asked

    def then(self, call: Callable[[], None]) -> None:
        """Call it, in the disk's thread, when all that was asked for before is answered."""
        if self._thread.is_alive():
            self._work.put(call)
        else:
            call()

    def is_done(self, number: int) -> bool:
        """True when the disk has answered that one, with or without success."""
        return self._done >= number

    def has_failed(self, path: Path) -> bool:
        """True, once, when the disk refused the last time that `path` was asked for."""
        with contextlib.suppress(KeyError):
            self._failed.remove(path)
            return True
        return False

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            if callable(work):
                work()
            else:
                self._sync(work)

    def _sync(self, path: Path) -> None:
        try:
            _ask_for(path, os.O_RDONLY, getattr(os, "fdatasync", os.fsync))
            if path != self._named:
                _ask_for(path.parent, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0), os.fsync)
                self._named = path
        except FileNotFoundError:
            pass  # acknowledged and deleted meanwhile
        except OSError as error:
            self._failed.add(path)
            if not self._has_complained:
                self._has_complained = True
                log.warning(
                    "lossguard cannot make the disk keep %s (%s); after a power cut the last data may be missing.",
                    path.parent,
                    error,
                )
        finally:
            self._done += 1


def _ask_for(path: Path, flags: int, sync: Callable[[int], None]) -> None:
    fd = os.open(path, flags | os.O_CLOEXEC)
    try:
        sync(fd)
    finally:
        os.close(fd)
