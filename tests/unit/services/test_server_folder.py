"""The folder folds what is worth it, what is quiet and what an earlier server left, and survives what fails."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlmodel import Session

from helpers import soon
from lossguard_server.errors import DiskFull, ReadTimeout
from lossguard_server.services.folder import FOLD_BATCHES, FOLD_BYTES, QUIET_S, RETRY_S, Folder
from lossguard_server.store import journal
from lossguard_server.store.folded import folding
from lossguard_server.store.journal import StreamHead
from store_world import Store, frame, opened_store, schema


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened_store(tmp_path) as opened:
        yield opened


@pytest.fixture
def folder(store: Store) -> Iterator[Folder]:
    opened = Folder(store.writer, store.reading, store.clock.of_services)
    yield opened
    opened.close()


def filled(store: Store, run: str = "r1", judged_seq: int = 3) -> StreamHead:
    stream = store.stream(run)
    store.append(stream, schema(1, "a"), frame(2, [0], [1.0]), frame(3, [1], [2.0]))
    store.write(lambda session: journal.set_judged(session, stream.id, judged_seq))
    return stream


def folded_seq(store: Store, stream: StreamHead) -> int:
    head = store.read(lambda session: journal.head(session, stream.id))
    assert head is not None
    return head.folded_seq


def later(store: Store, folder: Folder, by_s: float) -> None:
    store.clock.now_s += by_s
    folder.tick()


def idle(folder: Folder) -> bool:
    """Everything that was begun is over."""
    folder._thread.submit(lambda: None).result(10)
    return not any(run.is_queued for run in folder._runs.values())


@pytest.mark.parametrize(("size_bytes", "batches"), [(FOLD_BYTES, 1), (10, FOLD_BATCHES)])
def test_what_is_worth_it_is_folded_at_once(store: Store, folder: Folder, size_bytes: int, batches: int) -> None:
    stream = filled(store)
    for _ in range(batches - 1):
        folder.wake("r1", size_bytes)
    folder.tick()
    assert idle(folder)
    assert folded_seq(store, stream) == 0, "not enough"
    folder.wake("r1", size_bytes)
    folder.tick()
    soon(lambda: folded_seq(store, stream) == 3, "folded")


def test_a_little_waits_until_the_run_is_quiet(store: Store, folder: Folder) -> None:
    stream = filled(store)
    for _ in range(4):
        folder.wake("r1", 100)
        later(store, folder, QUIET_S - 1)
        assert idle(folder)
        assert folded_seq(store, stream) == 0, "it goes on"
    later(store, folder, 1)
    soon(lambda: folded_seq(store, stream) == 3, "folded")
    soon(lambda: not folder._runs, "and forgotten: nothing is left of it")


def test_what_is_not_judged_yet_is_looked_at_again(store: Store, folder: Folder) -> None:
    stream = filled(store, judged_seq=2)
    folder.wake("r1", FOLD_BYTES)
    folder.tick()
    soon(lambda: folded_seq(store, stream) == 2 and idle(folder), "as far as it is judged")
    store.write(lambda session: journal.set_judged(session, stream.id, 3))
    later(store, folder, QUIET_S)
    soon(lambda: folded_seq(store, stream) == 3, "the rest")


def test_after_a_start_everything_is_folded_that_an_earlier_server_left(store: Store, folder: Folder) -> None:
    streams = [filled(store, run) for run in ("r1", "r2", "r3")]
    folder.catch_up()
    folder.tick()
    soon(lambda: all(folded_seq(store, stream) == 3 for stream in streams), "all three")


def test_runs_take_turns(store: Store, folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    streams = [filled(store, run) for run in ("r1", "r2")]
    passes: list[int] = []
    real = folding.plan

    def a_message_a_pass(session: Session, stream_id: int, page_bytes: int) -> folding.Plan | None:
        passes.append(stream_id)
        return real(session, stream_id, page_bytes=1)

    monkeypatch.setattr(folding, "plan", a_message_a_pass)
    folder.catch_up()
    folder.tick()
    soon(lambda: all(folded_seq(store, stream) == 3 for stream in streams), "both")
    assert passes == [streams[0].id, streams[1].id] * 3


def test_what_fails_is_told_once_and_tried_again(
    store: Store, folder: Folder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stream, other = filled(store), filled(store, "r2")
    real, failing = folding.store, [True]

    def full(session: Session, folded: folding.Fold) -> bool:
        if failing and folded.stream_id == stream.id:
            raise DiskFull()
        return real(session, folded)

    monkeypatch.setattr(folding, "store", full)
    with caplog.at_level(logging.WARNING):
        folder.catch_up()
        folder.tick()
        soon(lambda: folded_seq(store, other) == 3, "one run's trouble is not another's")
        soon(lambda: idle(folder), "the first try")
        later(store, folder, RETRY_S - 1)
        assert idle(folder)
        later(store, folder, 1)
        soon(lambda: idle(folder), "the second try")
    assert [record.message for record in caplog.records] == [f"folding run r1 waits: {DiskFull()}"]
    failing.clear()
    later(store, folder, RETRY_S)
    soon(lambda: folded_seq(store, stream) == 3, "folded")


def test_a_damaged_stream_is_told_once_and_does_not_stop_the_others_of_its_run(
    store: Store, folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    first = filled(store)
    later_one = store.stream("r1", attempt=1)
    store.append(later_one, schema(1, "a"), frame(2, [0], [1.0]))
    store.write(lambda session: journal.set_judged(session, later_one.id, 2))
    spoil = text("UPDATE journal SET payload = x'00' WHERE seq = 3")
    store.write(lambda session: session.connection().execute(spoil) and None)
    folder.catch_up()
    folder.tick()
    soon(lambda: folded_seq(store, later_one) == 2 and idle(folder), "the newer attempt")
    store.append(later_one, frame(3, [1], [2.0]))
    store.write(lambda session: journal.set_judged(session, later_one.id, 3))
    later(store, folder, RETRY_S)
    soon(lambda: folded_seq(store, later_one) == 3 and idle(folder), "and what it brings afterwards")
    assert folded_seq(store, first) == 0
    (told,) = [record.message for record in caplog.records if "waits" in record.message]
    assert "It is message 3" in told


def test_a_reader_that_fails_or_a_fault_of_ours_does_not_end_it(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stream, errors = filled(store), [ReadTimeout(), ValueError("a fault")]

    @contextmanager
    def reading() -> Iterator[Session]:
        if errors:
            raise errors.pop(0)
        with store.reading() as session:
            yield session

    folder = Folder(store.writer, reading, store.clock.of_services)
    folder.wake("r1", FOLD_BYTES)
    for _ in range(3):
        later(store, folder, RETRY_S)
        soon(lambda: idle(folder), "a try")
    folder.close()
    assert folded_seq(store, stream) == 3


def test_close_waits_for_the_pass_in_hand_and_begins_no_other(store: Store, folder: Folder) -> None:
    stream = filled(store)
    folder.close()
    folder.wake("r1", FOLD_BYTES)
    folder.tick()
    folder.close()
    assert folded_seq(store, stream) == 0
