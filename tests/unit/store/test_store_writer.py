"""The writer commits together what waits together, loses nothing, and fails only what is at fault."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from sqlmodel import Session

from lossguard_server.errors import StorageError, UnknownRun, WriterClosed
from lossguard_server.store import runs
from lossguard_server.store.runs import StoredRun
from store_world import Store, opened_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened_store(tmp_path) as opened:
        yield opened


def adds_run(number: int, name: str = "n"):
    run = StoredRun(f"r{number}", "p", name, 1.0, 1.0, 1, 0, None)
    return lambda session: runs.open_run(session, run).id


def stored_ids(store: Store) -> list[str]:
    return sorted(run.id for run in store.read(runs.newest_first))


def test_a_result_comes_after_its_commit(store: Store) -> None:
    assert store.writer.submit(adds_run(1)).result(10) == "r1"
    assert stored_ids(store) == ["r1"]


def test_what_waits_together_is_committed_together(store: Store) -> None:
    commits: list[int] = []
    event.listen(store.database.writer_engine, "commit", lambda connection: commits.append(1))
    entered, release = threading.Event(), threading.Event()
    first = store.writer.submit(lambda session: (adds_run(99)(session), entered.set(), release.wait(10)))
    entered.wait(10)
    futures = [store.writer.submit(adds_run(number)) for number in range(20)]
    release.set()
    assert [future.result(10) for future in [first, *futures]][1:] == [f"r{number}" for number in range(20)]
    assert len(commits) == 2, "one for the operation that came alone, one for the twenty that waited"


def test_a_bad_operation_fails_alone(store: Store) -> None:
    def refuses(session: Session) -> None:
        adds_run(99)(session)
        raise UnknownRun("none")

    def breaks(session: Session) -> None:
        adds_run(98)(session)
        raise KeyError("a fault of ours")

    entered, release = threading.Event(), threading.Event()
    store.writer.submit(lambda session: (entered.set(), release.wait(10)))
    entered.wait(10)
    futures = [store.writer.submit(op) for op in (adds_run(1), refuses, adds_run(2), breaks, adds_run(3))]
    release.set()
    assert [futures[index].result(10) for index in (0, 2, 4)] == ["r1", "r2", "r3"]
    assert isinstance(futures[1].exception(10), UnknownRun)
    assert isinstance(futures[3].exception(10), KeyError)
    assert stored_ids(store) == ["r1", "r2", "r3"]


def test_closing_commits_what_waits_and_refuses_what_comes_later(store: Store) -> None:
    futures = [store.writer.submit(adds_run(number)) for number in range(50)]
    store.writer.close()
    assert [future.result(0) for future in futures] == [f"r{number}" for number in range(50)]
    with pytest.raises(WriterClosed):
        store.writer.submit(adds_run(51)).result(0)
    assert (store.database.path.parent / "lossguard.db-wal").stat().st_size == 0, "the last checkpoint folds the WAL"


def test_nothing_is_written_after_an_io_error(store: Store) -> None:
    def fails(session: Session) -> None:
        driver_error = Exception("disk I/O error")
        driver_error.sqlite_errorcode = 10 | (4 << 8)  # type: ignore[attr-defined]  # SQLITE_IOERR_FSYNC
        raise OperationalError("COMMIT", None, driver_error)

    with pytest.raises(StorageError):
        store.write(fails)
    with pytest.raises(StorageError):
        store.write(adds_run(1))
    assert stored_ids(store) == []
    assert store.broken == [True], "the roof is told, once"
