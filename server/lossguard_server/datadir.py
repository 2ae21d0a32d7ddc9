"""The data folder: its lock, its tokens, and the note by which the same user's trainers find the server.

Rules of this file: the folder is 0700 and every file in it that is made here 0600; a file that others read is replaced,
never rewritten, so that nobody ever reads half of it.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .errors import DataDirInUse, StartupError
from .services.tokens import new_secret

LOCK, TOKEN, NOTE = "lossguard.lock", "token", "server.json"


@dataclass(frozen=True)
class Note:
    """What server.json says. The token has scope ingest and nothing else."""

    url: str
    ingest_token: str
    pid: int


@contextlib.contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """The folder, made if need be, for this process alone. Raises DataDirInUse, StartupError."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        data_dir.chmod(0o700)
        lock = os.open(data_dir / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartupError(f"The data folder {data_dir} cannot be used: {error.strerror}.") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise DataDirInUse(f"It is {data_dir}.") from error
    try:
        yield
    finally:
        os.close(lock)  # the file stays: unlinking it would let two servers lock two different files of one name


def admin_token(data_dir: Path) -> str:
    """The folder's admin token, made at the first start."""
    path = data_dir / TOKEN
    with contextlib.suppress(FileNotFoundError):
        if kept := path.read_text().strip():
            return kept
    token = new_secret()
    _replace(path, token + "\n")
    return token


def read_note(data_dir: Path) -> Note | None:
    """What the last server left; None when there is none, or it cannot be read."""
    try:
        found = json.loads((data_dir / NOTE).read_text())
        return Note(str(found["url"]), str(found["ingest_token"]), int(found["pid"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_note(data_dir: Path, note: Note) -> None:
    """Leave the server's address and ingest token for trainers of the same user."""
    _replace(data_dir / NOTE, json.dumps(note.__dict__) + "\n")


def _replace(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        beside.unlink()
    file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(file, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(beside, path)
