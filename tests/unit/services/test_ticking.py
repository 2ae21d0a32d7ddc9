"""One service that fails neither ends the others nor fills the log."""

import asyncio
from collections.abc import Awaitable

import pytest

from lossguard_server.services import ticking
from lossguard_server.services.ticking import Ticking


async def test_a_fault_of_one_is_said_once_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    called: list[str] = []
    faults: list[Exception | None] = [ValueError("bad"), ValueError("bad"), KeyError("worse"), None, ValueError("bad")]

    def broken() -> None:
        called.append("broken")
        if (fault := faults.pop(0)) is not None:
            raise fault

    async def slow() -> None:
        await asyncio.sleep(0)
        broken()

    for tick in (broken, slow):
        called.clear()
        caplog.clear()
        faults[:] = [ValueError("bad"), ValueError("bad"), KeyError("worse"), None, ValueError("bad")]
        watch = Ticking({"the broken one": tick, "the other": lambda: called.append("other")})
        for _ in range(5):
            await watch.once()
        assert called == ["broken", "other"] * 5
        told = [(record.getMessage(), repr(record.exc_info[1])) for record in caplog.records if record.exc_info]
        assert [fault for _, fault in told] == ["ValueError('bad')", "KeyError('worse')", "ValueError('bad')"]
        assert told[0][0] == "the broken one failed, and is tried again"


async def test_who_ends_it_ends_what_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    def waiting() -> Awaitable[None]:
        async def wait() -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        return wait()

    monkeypatch.setattr(ticking, "TICK_S", 0.0)
    running = asyncio.create_task(Ticking({"waiting": waiting}).run())
    await asyncio.wait_for(begun.wait(), 10)
    running.cancel()
    await asyncio.wait_for(ended.wait(), 10)
