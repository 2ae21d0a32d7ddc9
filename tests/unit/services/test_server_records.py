"""The database from the event loop: what is written is there, what fails is said, and the loop goes on meanwhile."""

import asyncio
import threading
from pathlib import Path

import pytest

from lossguard_server.errors import WriterClosed
from lossguard_server.services.records import Records
from lossguard_server.store import audit
from store_world import opened_store


async def test_what_is_written_is_read_and_neither_on_the_loop_s_thread(tmp_path: Path) -> None:
    threads: list[int] = []
    with opened_store(tmp_path) as store:
        records = Records(store.writer, store.reading)
        await records.write(lambda session: threads.append(threading.get_ident()))
        await records.write(lambda session: audit.add(session, 1.0, "alice", "told", {}, "r1"))
        [found] = await records.read(
            lambda session: (threads.append(threading.get_ident()), audit.newest_first(session, "r1"))[1]
        )
    assert found["what"] == "told"
    assert threading.get_ident() not in threads


async def test_the_loop_goes_on_while_it_waits(tmp_path: Path) -> None:
    going_on = threading.Event()
    with opened_store(tmp_path) as store:
        records = Records(store.writer, store.reading)
        both = asyncio.gather(
            records.write(lambda session: going_on.wait(10)), records.read(lambda session: going_on.wait(10))
        )
        asyncio.get_running_loop().call_soon(going_on.set)
        assert await both == [True, True]


async def test_what_cannot_be_written_is_raised(tmp_path: Path) -> None:
    with opened_store(tmp_path) as store:
        store.writer.close()
        with pytest.raises(WriterClosed):
            await Records(store.writer, store.reading).write(lambda session: None)
