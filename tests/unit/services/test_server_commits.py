"""Batches of many streams share transactions, and no fault."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session

from lossguard.protocol.codec import encode
from lossguard.protocol.messages import Sequenced
from lossguard_server.errors import (
    DatabaseDamaged,
    DiskFull,
    JournalDamaged,
    OutOfOrder,
    RunBeingDeleted,
    ServerError,
    StorageError,
    WriterClosed,
)
from lossguard_server.services.commits import Arrival, Commits, Outcome
from lossguard_server.services.stream import StreamState
from lossguard_server.store import journal, runs
from lossguard_server.store.journal import StreamHead
from store_world import Store, frame, opened_store, schema


class Held:
    """A writer that commits only when the test says so, or refuses."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.waiting: list[tuple[Callable[[Session], Any], Future[Any]]] = []
        self.transactions = 0

    def submit(self, operation: Callable[[Session], Any], size_bytes: int = 0) -> "Future[Any]":
        future: Future[Any] = Future()
        self.waiting.append((operation, future))
        return future

    async def commit(self, error: ServerError | None = None) -> None:
        """Commit what waits; the futures' owners are told."""
        waiting, self.waiting = self.waiting, []
        for operation, future in waiting:
            self.transactions += 1
            try:
                if error is not None:
                    raise error
                future.set_result(self.store.write(operation))
            except ServerError as refusal:
                future.set_exception(refusal)
        for _ in range(3):
            await asyncio.sleep(0)


def arrival(head: StreamHead, *messages: Sequenced) -> Arrival:
    state = StreamState(head.key, head.id)
    state.names[0] = "a"
    return Arrival(head.key, head.id, [state.check(message, encode(message)) for message in messages], None, 1.0)


def three_streams(store: Store) -> tuple[Held, Commits, list[StreamHead]]:
    held = Held(store)
    return held, Commits(held), [store.stream(run) for run in ("r1", "r2", "r3")]  # type: ignore[arg-type]


async def begun(commits: Commits, heads: Sequence[StreamHead]) -> "list[asyncio.Task[Outcome]]":
    """Each stream has brought its first message, and waits."""
    tasks = [asyncio.create_task(commits.store(arrival(head, schema(1, "a")))) for head in heads]
    await asyncio.sleep(0)
    return tasks


def last_seqs(store: Store) -> dict[str, int]:
    found = store.read(lambda session: [journal.streams(session, run) for run in ("r1", "r2", "r3")])
    return {head.key.run: head.last_seq for heads in found for head in heads}


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with opened_store(tmp_path) as opened:
        yield opened


async def test_what_comes_while_one_is_under_way_goes_together(store: Store) -> None:
    held, commits, heads = three_streams(store)
    [first] = await begun(commits, heads[:1])
    others = await begun(commits, heads[1:])
    await held.commit()
    assert first.done()
    assert not any(task.done() for task in others)
    await held.commit()
    assert [await task for task in (first, *others)] == [Outcome()] * 3
    assert (held.transactions, last_seqs(store)) == (2, {"r1": 1, "r2": 1, "r3": 1})


async def test_one_bad_batch_fails_alone(store: Store) -> None:
    held, commits, heads = three_streams(store)
    batches = [
        arrival(heads[0], schema(1, "a")),
        arrival(heads[1], frame(7, [0], [1.0])),
        arrival(heads[2], schema(1, "a")),
    ]
    tasks = [asyncio.create_task(commits.store(batch)) for batch in batches]
    await asyncio.sleep(0)
    for _ in range(3):
        await held.commit()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(each) for each in found] == [Outcome, OutOfOrder, Outcome]
    assert last_seqs(store) == {"r1": 1, "r2": 0, "r3": 1}


@pytest.mark.parametrize("error", [RunBeingDeleted(), JournalDamaged(), DatabaseDamaged(), StorageError()])
async def test_what_one_stream_has_met_refuses_no_other(store: Store, error: StorageError) -> None:
    held, commits, heads = three_streams(store)
    tasks = await begun(commits, heads)
    await held.commit()
    await held.commit(error)  # of those two that go together
    await held.commit()
    assert await asyncio.gather(*tasks) == [Outcome()] * 3


async def test_a_deleted_run_fails_alone(store: Store) -> None:
    held, commits, heads = three_streams(store)
    store.write(lambda session: runs.begin_delete(session, "r2"))
    while store.write(lambda session: runs.delete_some(session, "r2", 100))[1]:
        pass
    tasks = await begun(commits, heads)
    for _ in range(3):
        await held.commit()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(each) for each in found] == [Outcome, RunBeingDeleted, Outcome]


@pytest.mark.parametrize("error", [DiskFull(), WriterClosed()])
async def test_a_full_disk_is_everybodys_and_is_not_tried_one_by_one(store: Store, error: StorageError) -> None:
    held, commits, heads = three_streams(store)
    tasks = await begun(commits, heads)
    await held.commit(error)
    await held.commit(error)
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert found == [error] * 3
    assert held.transactions == 2


async def test_settled_waits_for_the_stream_s_own_batches(store: Store) -> None:
    held, commits, (first, second, _) = three_streams(store)
    [storing] = await begun(commits, [first])
    settled = asyncio.create_task(commits.settled(first.key))
    await asyncio.wait_for(commits.settled(second.key), 1)
    assert not settled.done()
    await held.commit()
    await asyncio.wait_for(settled, 1)
    await storing


async def test_a_caller_that_leaves_does_not_hold_up_the_next(store: Store) -> None:
    held, commits, (head, *_) = three_streams(store)
    [leaving] = await begun(commits, [head])
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    staying = asyncio.create_task(commits.store(arrival(head, frame(2, [0], [1.0]))))
    await asyncio.sleep(0)
    await held.commit()
    await held.commit()
    await staying
    assert last_seqs(store) == {"r1": 2, "r2": 0, "r3": 0}
