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


async def test_who_is_kept_going_begins_again_after_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ticking, "AGAIN_S", 0.0)
    begun: list[int] = []

    async def fails_twice() -> None:
        begun.append(len(begun))
        if len(begun) < 3:
            raise ValueError("bad")

    await asyncio.wait_for(ticking.kept_going("it", fails_twice), 10)
    assert begun == [0, 1, 2]


async def test_who_is_kept_going_has_ended_when_it_is_cancelled() -> None:
    began, ended = asyncio.Event(), []

    async def waits() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("in order")

    keeping = asyncio.create_task(ticking.kept_going("it", waits))
    await asyncio.wait_for(began.wait(), 10)
    keeping.cancel()
    await asyncio.wait([keeping])
    assert (keeping.cancelled(), ended) == (True, ["in order"])
