"""Room that is held back for when the disk is full, so that what is small can still be written then.

Rules of this file: nothing here is fatal and nothing raises; a disk without room for ballast is a disk without ballast.
The file holds no data: losing it costs nothing.
"""

import contextlib
import os
from pathlib import Path

MOST_BYTES = 64 << 20
SHARE = 32  # of the file system, at most one part in so many
NAME = "ballast"


class Ballast:
    """One file of reserved blocks."""

    def __init__(self, path: Path, most_bytes: int = MOST_BYTES) -> None:
        self.path, self._most_bytes = path, most_bytes

    def is_there(self) -> bool:
        """True while room is held back."""
        return self.path.exists()

    def make(self) -> bool:
        """True when room is held back now. It is taken only where as much again stays free.

        A disk that is given its last bytes back would be full again with the next write.
        """
        if self.is_there():
            return True
        with contextlib.suppress(OSError):
            size_bytes, free_bytes = self._wanted()
            if free_bytes < 2 * size_bytes:
                return False
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                _reserve(descriptor, size_bytes)
                return True
            except OSError:
                self.drop()
            finally:
                os.close(descriptor)
        return False

    def drop(self) -> None:
        """Give the room back."""
        with contextlib.suppress(OSError):
            self.path.unlink()

    def _wanted(self) -> tuple[int, int]:
        """(bytes to hold back, bytes free)."""
        disk = os.statvfs(self.path.parent)
        return min(self._most_bytes, disk.f_blocks * disk.f_frsize // SHARE), free_bytes(self.path.parent)


class NoBallast:
    """For a database of which nobody says where there is room."""

    def make(self) -> bool:
        """Whether the disk has room is found out by writing."""
        return True

    def drop(self) -> None:
        """Nothing."""


def free_bytes(folder: Path) -> int:
    """What anybody may still write to the file system."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def _reserve(descriptor: int, size_bytes: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size_bytes)
        return
    block = b"\0" * (1 << 20)
    for start in range(0, size_bytes, len(block)):  # macOS
        os.write(descriptor, block[: size_bytes - start])
