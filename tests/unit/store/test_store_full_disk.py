"""On a full disk what is small goes on and data are refused at once; when there is room they are taken again."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlmodel import Session

from lossguard_server.errors import DiskFull
from lossguard_server.store import raw, runs
from lossguard_server.store.runs import StoredRun
from lossguard_server.store.upkeep import ballast as ballast_module
from lossguard_server.store.upkeep.ballast import Ballast
from lossguard_server.store.writer import PROBE_S, Writer
from processes import until
from store_world import Store, opened_store

PIECE = 40_000


class OurBallast(Ballast):
    """A ballast of which a test says whether it finds room; giving it back makes room in the database's file."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, most_bytes=1 << 16)
        self.has_room, self.tries, self.drops = True, 0, 0

    def make(self) -> bool:
        self.tries += 1
        return self.has_room and super().make()

    def drop(self) -> None:
        self.drops += 1
        super().drop()


class World:
    """A store whose file may not grow beyond what `allow` says, as if the disk were full."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.clock = store, store.clock
        self.ballast = OurBallast(folder / "ballast")
        monotonic_s = store.clock.of_services.monotonic_s
        store.writer.close()
        self.writer = store.writer = Writer(store.database.writer_engine, monotonic_s, lambda: None, self.ballast)
        until(self.ballast.is_there, "the ballast is made at the start", 10)

    def allow(self, pages: int) -> None:
        def limit(session: Session) -> None:
            there = session.connection().exec_driver_sql("PRAGMA page_count").scalar_one()
            session.connection().exec_driver_sql(f"PRAGMA max_page_count={there + pages}")

        self.store.write(limit)

    def data(self, name: str) -> str:
        """Store data; the name's length makes it large."""
        run = StoredRun(name, "p", "x" * PIECE, 1.0, 1.0, 1, 0, None)
        return self.writer.submit(lambda session: runs.open_run(session, run).id, PIECE).result(10)

    def small(self, name: str) -> str:
        run = StoredRun(name, "p", "n", 1.0, 1.0, 1, 0, None)
        return self.writer.submit(lambda session: runs.open_run(session, run).id).result(10)

    def tick(self, seconds: float = 0.0) -> None:
        self.clock.now_s += seconds
        self.writer.tick()
        self.store.write(lambda session: None)  # the writer has come to it


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with opened_store(tmp_path) as opened:
        yield World(opened, tmp_path)


def test_what_is_small_goes_on_and_data_come_again_by_themselves(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.data("before")
    world.allow(pages=2)
    world.ballast.has_room = False
    with pytest.raises(DiskFull):
        world.data("first")
    assert not world.ballast.is_there(), "its room is there for what is small"
    assert world.writer.trouble == "The server's disk is full; nothing of this is stored."
    world.small("command")
    world.allow(pages=1_000)  # room in the file, which nobody has looked for yet
    with pytest.raises(DiskFull):
        world.data("refused at once")
    world.tick(PROBE_S)
    with pytest.raises(DiskFull):
        world.data("the ballast finds no room")
    world.ballast.has_room = True
    world.tick(PROBE_S)
    assert (world.writer.trouble, world.ballast.is_there()) == (None, True)
    world.data("after")
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.WARNING], (
        "once an episode, and over"
    )
    stored = {run.id for run in world.store.read(runs.newest_first)}
    assert stored == {"before", "command", "after"}


def test_the_disk_is_left_in_peace_between_probes(world: World) -> None:
    world.allow(pages=2)
    world.ballast.has_room = False
    with pytest.raises(DiskFull):
        world.data("first")
    tried = world.ballast.tries
    for _ in range(10):
        world.tick(PROBE_S / 10 - 0.001)
    assert world.ballast.tries == tried
    for _ in range(3):
        world.tick(PROBE_S)
    assert world.ballast.tries == tried + 3


def test_the_first_small_one_that_finds_no_room_is_tried_again_in_that_of_the_ballast(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.ballast, "drop", lambda: (world.ballast.path.unlink(), limits.append(1_000)))
    limits: list[int] = [0]

    def command(session: Session) -> str:
        there = session.connection().exec_driver_sql("PRAGMA page_count").scalar_one()
        session.connection().exec_driver_sql(f"PRAGMA max_page_count={there + limits[-1]}")
        return runs.open_run(session, StoredRun("command", "p", "x" * PIECE, 1.0, 1.0, 1, 0, None)).id

    world.ballast.has_room = False
    assert world.writer.submit(command).result(10) == "command"
    assert world.writer.trouble is not None


def test_room_is_held_back_only_where_as_much_stays_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = Ballast(tmp_path / "ballast", most_bytes=1 << 20)
    monkeypatch.setattr(ballast_module, "free_bytes", lambda _: (2 << 20) - 1)
    assert (held.make(), held.is_there()) == (False, False)
    monkeypatch.setattr(ballast_module, "free_bytes", lambda _: 2 << 20)
    assert (held.make(), held.is_there()) == (True, True)
    assert held.path.stat().st_blocks * 512 >= 1 << 20, "blocks, not a hole"
    assert held.path.stat().st_mode & 0o777 == 0o600
    held.drop()
    held.drop()
    assert not held.is_there()


def test_a_ballast_that_finds_no_room_is_not_fatal_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    held = Ballast(tmp_path / "ballast")
    assert (held.make(), list(tmp_path.iterdir())) == (False, [])
    assert Ballast(tmp_path / "no" / "such" / "folder").make() is False


def test_a_server_that_stops_gives_the_room_back(world: World) -> None:
    world.writer.close()
    assert not world.ballast.is_there()


def test_a_shared_memory_file_that_cannot_grow_is_a_full_disk_and_a_failed_fsync_is_not() -> None:
    def failure(code: int) -> Exception:
        error = Exception("disk I/O error")
        error.sqlite_errorcode = code  # type: ignore[attr-defined]
        return error

    assert raw.is_full(failure(raw.SQLITE_FULL))
    assert raw.is_full(failure(10 | (19 << 8)))  # SQLITE_IOERR_SHMSIZE
    assert not raw.is_full(failure(10 | (4 << 8)))  # SQLITE_IOERR_FSYNC
    assert not raw.is_full(None)
