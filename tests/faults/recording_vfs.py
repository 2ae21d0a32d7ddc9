"""A SQLite VFS that writes down every write, sync, truncate and delete, and the disks that a power cut can leave.

The model of a disk: what was synced is there; of what was not, any subset is, in any order, and a write may be torn at
sectors of 512 bytes. Nothing else is ever changed (no lying disk, no bit rot). A file's creation lasts from its first
sync, a deletion from the sync of its folder.
Rules of this file: it rests on SQLite's own unix VFS, which does the work; the shared-memory index is memory and dies.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

SECTOR = 512


@dataclass(frozen=True)
class Write:
    """`data` at `offset` of a file."""

    file: str
    offset: int
    data: bytes


@dataclass(frozen=True)
class Truncate:
    """The file has `size` bytes from now on."""

    file: str
    size: int


@dataclass(frozen=True)
class Sync:
    """All that was written to the file is on the platter; with `folder` also which files there are."""

    file: str
    folder: bool = False


@dataclass(frozen=True)
class Delete:
    """The file is gone, for good when its folder is synced as well."""

    file: str
    is_synced: bool


@dataclass(frozen=True)
class Promise:
    """Not the disk's: from here on somebody relies on `what`."""

    what: Any


Act = Write | Truncate | Sync | Delete | Promise


class Recording:
    """A VFS by the name `name`; what files in it did is in `acts`, by their last name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.acts: list[Act] = []
        self._vfs = _Vfs(self)

    def promise(self, what: Any) -> None:
        """Somebody was told something."""
        self.acts.append(Promise(what))

    def close(self) -> None:
        """Take the VFS out of SQLite. Every connection on it must be closed."""
        self._vfs.unregister()


class _Vfs(apsw.VFS):
    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        super().__init__(recording.name, base="")

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        return _File(self.recording, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self.recording.acts.append(Delete(Path(filename).name, syncdir))
        super().xDelete(filename, syncdir)


class _File(apsw.VFSFile):
    def __init__(self, recording: Recording, name: Any, flags: list[int]) -> None:
        self._acts = recording.acts
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._name = Path(path).name if path else ""  # without a name: a temporary file, of no interest
        # SQLite syncs the folder together with the first sync of a log that it has made
        is_log = flags[0] & (apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL)
        self._syncs_folder = bool(is_log) and not Path(path).exists()
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        super().xWrite(data, offset)
        if self._name:
            self._acts.append(Write(self._name, offset, bytes(data)))

    def xTruncate(self, size: int) -> None:
        super().xTruncate(size)
        self._acts.append(Truncate(self._name, size))

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        self._acts.append(Sync(self._name, self._syncs_folder))
        self._syncs_folder = False


@dataclass
class Disk:
    """What is certain, and what is on its way. Play acts in order; ask for an image at any point."""

    certain: dict[str, bytearray] = field(default_factory=dict)
    pending: list[Write | Truncate | Delete] = field(default_factory=list)

    def play(self, act: Act) -> None:
        """One act further."""
        if isinstance(act, Delete) and act.is_synced:
            self.pending.append(act)
            self._settle(lambda other: other.file == act.file)
        elif isinstance(act, Sync):
            self._settle(lambda other: other.file == act.file or (act.folder and isinstance(other, Delete)))
        elif not isinstance(act, Promise):
            self.pending.append(act)

    def _settle(self, is_certain: Callable[[Write | Truncate | Delete], bool]) -> None:
        waiting, self.pending = self.pending, []
        for act in waiting:
            if is_certain(act):
                _apply(self.certain, act)
            else:
                self.pending.append(act)

    def image(self, chance: random.Random) -> dict[str, bytes]:
        """The files after a power cut now."""
        files = {name: bytearray(data) for name, data in self.certain.items()}
        share = chance.choice((0.0, 0.5, 0.9, 1.0))  # the extremes are the likeliest disks: none of it, all of it
        kept = [act for act in self.pending if chance.random() < share]
        if chance.random() < 0.5:
            chance.shuffle(kept)
        for act in kept:
            for part in _torn(act, chance):
                _apply(files, part)
        return {name: bytes(data) for name, data in files.items()}


def _torn(act: Write | Truncate | Delete, chance: random.Random) -> list[Write | Truncate | Delete]:
    """The act as it is, or some sectors of it."""
    if not isinstance(act, Write) or chance.random() < 0.7:
        return [act]
    first = -act.offset % SECTOR
    cuts = [0, *range(first, len(act.data), SECTOR)] if first else list(range(0, len(act.data), SECTOR))
    parts = [
        Write(act.file, act.offset + a, act.data[a:b]) for a, b in zip(cuts, [*cuts[1:], len(act.data)], strict=True)
    ]
    return [part for part in parts if chance.random() < 0.5]


def _apply(files: dict[str, bytearray], act: Write | Truncate | Delete) -> None:
    if isinstance(act, Delete):
        files.pop(act.file, None)
        return
    data = files.setdefault(act.file, bytearray())
    if isinstance(act, Truncate):
        del data[act.size :]
        data.extend(bytes(max(0, act.size - len(data))))
        return
    end = act.offset + len(act.data)
    data.extend(bytes(max(0, end - len(data))))
    data[act.offset : end] = act.data
