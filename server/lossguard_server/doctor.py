"""`lossguard doctor`: is what a data folder holds sound, and how large is it?

Rules of this file: it only reads, whether or not a server runs, unless it is asked to repair; then the folder must be
nobody else's. Exit code 0: sound; 1: something is wrong, and it is named.
"""

import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from . import datadir
from .errors import NoDatabase
from .services.clock import Clock
from .settings import default_data_dir
from .store.database import safe_driver
from .store.upkeep import ballast, examination, file_system, repair
from .store.upkeep.damage import Damage
from .store.upkeep.examination import Contents

_NEXT = "What is damaged is mended by `lossguard doctor --repair` while no server runs, and by the server's next start."
_ASIDE = ("before-", "damaged-")
SYSTEM_CLOCK = Clock(time.monotonic, time.time)


@dataclass
class Report:
    """What was found. Sizes in bytes; `findings` are sentences, and without any the folder is healthy."""

    data: str
    sqlite: str = ""
    file_system: str = ""
    database_bytes: int = 0
    wal_bytes: int = 0
    free_disk_bytes: int = 0
    ballast_bytes: int = 0
    put_aside: dict[str, int] = field(default_factory=dict)  # backups and damaged files: name -> bytes
    contents: Contents = field(default_factory=Contents)
    repaired: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)

    @property
    def is_healthy(self) -> bool:
        """True when nothing is wrong."""
        return not self.findings

    @property
    def bytes_a_point(self) -> float | None:
        """Of folded points, with their summaries; None without any."""
        points = self.contents.folded_points
        return self.contents.folded_bytes / points if points else None

    def to_dict(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {**asdict(self), "bytes_a_point": self.bytes_a_point, "healthy": self.is_healthy}


def examine(data_dir: Path, is_full: bool = False, clock: Clock = SYSTEM_CLOCK) -> Report:
    """Look at a data folder. Raises NoDatabase when there is nothing to look at, StartupError."""
    database = _database(data_dir)
    driver = safe_driver()
    report = Report(str(data_dir), driver.sqlite_version)
    report.database_bytes = database.stat().st_size
    report.wal_bytes = _size(database.with_name(database.name + "-wal"))
    report.ballast_bytes = _size(database.with_name(ballast.NAME))
    report.free_disk_bytes = ballast.free_bytes(data_dir)
    report.put_aside = {
        path.name: path.stat().st_size
        for path in sorted(data_dir.glob(f"{database.name}.*"))
        if path.name.removeprefix(f"{database.name}.").startswith(_ASIDE)
    }
    _look_at_disk(report, database)
    if Damage(database).is_marked():
        report.findings.append("The server met damage; its next start repairs the database.")
    try:
        report.contents = examination.examine(driver, database, clock.monotonic_s, is_full)
        report.findings += report.contents.findings
    except driver.Error as error:
        report.findings.append(f"The database cannot be read: {error}.")
    return report


def mend(data_dir: Path, clock: Clock = SYSTEM_CLOCK) -> list[str]:
    """Repair the folder's database; returns what was done, a sentence each. Raises StartupError."""
    database, driver = _database(data_dir), safe_driver()
    with datadir.locked(data_dir):
        if not examine(data_dir, True, clock).findings:
            return ["Nothing is wrong; nothing was done."]
        done = repair.repair(driver, database, Damage(database), clock.wall_s())
    return [f"{done.rows} rows were kept; the damaged file is {done.kept.name}.", *done.losses, *done.mended]


def doctor_command(data: Path | None, as_json: bool, full: bool, repair: bool) -> int:
    """Print what was found; returns the exit code. Raises StartupError."""
    data_dir = data or default_data_dir(os.environ)
    repaired = mend(data_dir) if repair else []
    report = examine(data_dir, full)
    report.repaired = repaired
    if as_json:
        print(json.dumps(report.to_dict(), indent=2))
    else:
        _print(report, Console())
    return 0 if report.is_healthy else 1


def _database(data_dir: Path) -> Path:
    database = data_dir / "lossguard.db"
    if not database.exists():
        raise NoDatabase(f"It is {data_dir}.")
    return database


def _look_at_disk(report: Report, database: Path) -> None:
    try:
        report.file_system = file_system.type_of(file_system.MOUNTS.read_text(), database.resolve())
    except OSError:
        report.file_system = "unknown"
    if file_system.is_network(report.file_system):
        report.findings.append(f"The folder is on a network file system ({report.file_system}).")
    if report.free_disk_bytes < ballast.MOST_BYTES:
        report.findings.append(f"The disk has {_in_words(report.free_disk_bytes)} left.")


def _print(report: Report, console: Console) -> None:
    of = report.contents
    rate = "no folded point yet" if report.bytes_a_point is None else f"{report.bytes_a_point:.1f} bytes a point"
    free = f"{of.free_pages:,} of {of.pages:,} pages are free"
    lines: list[tuple[str, str]] = [
        ("folder", f"{report.data} ({report.file_system}, {_in_words(report.free_disk_bytes)} free)"),
        ("SQLite", report.sqlite),
        ("database", f"{_in_words(report.database_bytes)}, revision {of.revision or 'unknown'}; {free}"),
        ("write-ahead log", _in_words(report.wal_bytes)),
        ("held back for a full disk", _in_words(report.ballast_bytes)),
        ("runs", f"{of.runs:,}"),
        ("folded points", f"{of.folded_points:,}, {rate}"),
        ("not folded yet", f"{of.backlog_frames:,} frames, {_in_words(of.backlog_bytes)}"),
        ("gaps", ", ".join(f"{run!r}: {count}" for run, count in of.gaps.items()) or "none"),
        ("put aside", ", ".join(f"{name} ({_in_words(size)})" for name, size in report.put_aside.items()) or "nothing"),
    ]
    _table(console, lines)
    _table(console, [(table.name, f"{table.rows:,} rows, {_in_words(table.size_bytes)}") for table in of.tables])
    for sentence in report.repaired:
        console.print(f"repaired: {sentence}", markup=False)
    for sentence in report.findings:
        console.print(f"wrong: {sentence}", markup=False, style="red")
    console.print("healthy" if report.is_healthy else f"not healthy. {_NEXT}", markup=False)


def _table(console: Console, rows: list[tuple[str, str]]) -> None:
    table = Table(show_header=False, box=None)
    for name, value in rows:
        table.add_row(Text(name), Text(value))  # names from the wire are no markup
    console.print(table)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _in_words(size_bytes: int) -> str:
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
