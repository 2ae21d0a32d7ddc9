"""What is known of damage to the database's file: said once, kept over restarts.

Rules of this file: whoever meets damage reports it here, from any thread, and goes on with what is not damaged. The
marker beside the database makes the next start check and repair it before it is opened.
"""

import contextlib
import json
import logging
import os
import threading
from pathlib import Path

from lossguard.protocol import BadFrame, BadMessage

from ...errors import ChunkDamaged, JournalDamaged

MARKER = ".is-damaged"
MOST_TOLD = 100  # of a whole damaged disk nobody reads more; the repair names everything

log = logging.getLogger(__name__)


class Damage:
    """Of one database."""

    def __init__(self, database: Path) -> None:
        self._marker = database.with_name(database.name + MARKER)
        self._lock = threading.Lock()
        self._told: set[str] = set()
        self.found: str | None = None  # the first that this process met

    def report(self, detail: str) -> None:
        """The database is damaged; each detail is told once."""
        with self._lock:
            if detail in self._told or len(self._told) >= MOST_TOLD:
                return
            self._told.add(detail)
            self.found = self.found or detail
        log.error("the database is damaged: %s. The next start of the server repairs it.", detail)
        if self.is_marked():
            return
        try:
            self.mark({"detail": detail})
        except OSError as error:
            log.error("the damage could not be marked, the next start will not look for it: %s", error)

    def is_marked(self) -> bool:
        """True when this process or one before met damage that is not repaired."""
        return self._marker.exists()

    def marked(self) -> dict[str, str]:
        """What the marker says; nothing when there is none or it cannot be read."""
        try:
            said = json.loads(self._marker.read_text())
        except (OSError, ValueError):
            return {}
        return {str(key): str(value) for key, value in said.items()} if isinstance(said, dict) else {}

    def mark(self, said: dict[str, str]) -> None:
        """Leave the marker, or leave it saying something else. Raises OSError."""
        beside = self._marker.with_name(self._marker.name + ".new")
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as file:
            json.dump(said, file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._marker)

    def clear(self) -> None:
        """It is repaired."""
        with contextlib.suppress(FileNotFoundError):
            self._marker.unlink()


def is_certain(error: JournalDamaged) -> bool:
    """True when stored bytes were changed. What is only missing, or not known, may belong to a run that is being
    deleted while it is read."""
    return isinstance(error.__cause__, (BadMessage, BadFrame, ChunkDamaged))


class NoDamage:
    """For a writer whose database nobody looks after."""

    found: str | None = None

    def report(self, detail: str) -> None:
        """Logged where it is met."""
