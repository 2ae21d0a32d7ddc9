"""A backtest's answer: whole or in lines; a refusal before the first page, and whatever happens the slot comes back."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from starlette.responses import Response

from lossguard_server import errors
from lossguard_server.edges.answers import on_server_error
from lossguard_server.edges.backtest_answer import LINES, answer
from lossguard_server.edges.reads import Reads

PAGES = [{"progress": {"step": 1}}, {"progress": {"step": 2}}, {"result": {"complete": True}}]


class World:
    """An app with one route, which answers with `said`."""

    def __init__(self, reads: Reads) -> None:
        self.said: Iterator[dict[str, Any]] = iter(PAGES)
        self.released = self.taken = 0
        self.app = FastAPI()
        self.app.add_exception_handler(errors.ServerError, on_server_error)

        async def handler(request: Request) -> Response:
            return await answer(request, reads, self._counted(), self.release)

        self.app.add_api_route("/", handler, methods=["POST"], response_model=None)

    def _counted(self) -> Iterator[dict[str, Any]]:
        for each in self.said:
            self.taken += 1
            yield each

    def release(self) -> None:
        self.released += 1

    async def ask(self, accept: str) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            return await http.post("/", headers={"Accept": accept})


@pytest.fixture
async def world() -> AsyncIterator[World]:
    reads = Reads()
    yield World(reads)
    reads.close()


def failing(pages: int) -> Iterator[dict[str, Any]]:
    yield from PAGES[:pages]
    raise errors.RunChanged("It went back.")


async def test_the_result_alone(world: World) -> None:
    found = await world.ask("application/json")
    assert (found.status_code, found.json(), world.released) == (200, {"complete": True}, 1)


async def test_a_line_a_page(world: World) -> None:
    found = await world.ask(f"{LINES}, application/json;q=0.5")
    assert found.headers["content-type"].startswith(LINES)
    assert [json.loads(line) for line in found.text.splitlines()] == PAGES
    assert world.released == 1


@pytest.mark.parametrize("accept", [LINES, "*/*"])
async def test_what_fails_at_once_is_a_refusal(world: World, accept: str) -> None:
    world.said = failing(0)
    found = await world.ask(accept)
    assert (found.status_code, found.json()["error"], world.released) == (409, "run_changed", 1)


async def test_what_fails_later_is_the_last_line_or_a_refusal(world: World) -> None:
    world.said = failing(2)
    last = json.loads((await world.ask(LINES)).text.splitlines()[-1])
    assert (last["error"]["error"], world.released) == ("run_changed", 1)
    world.said = failing(2)
    found = await world.ask("*/*")
    assert (found.status_code, world.released) == (409, 2)


@pytest.mark.parametrize("accept", [LINES, "*/*"])
async def test_who_goes_ends_it_and_frees_the_slot(world: World, accept: str) -> None:
    world.said = iter([{"progress": {"step": step}} for step in range(100_000)])
    messages = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        return messages.pop() if messages else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        pass

    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "http_version": "1.1",
             "headers": [(b"accept", accept.encode())]}  # fmt: skip
    await world.app(scope, receive, send)
    assert world.released == 1
    assert world.taken < 1_000


async def test_a_fault_frees_the_slot_too(world: World) -> None:
    def faulty() -> Iterator[dict[str, Any]]:
        yield PAGES[0]
        raise ZeroDivisionError

    world.said = faulty()
    assert (await world.ask("*/*")).status_code == 500
    assert world.released == 1


async def test_charts_do_not_wait_for_backtests_and_these_take_turns(world: World) -> None:
    going, order = threading.Event(), list[int]()

    def slow(number: int) -> Iterator[dict[str, Any]]:
        order.append(number)
        assert going.wait(10)
        yield {"result": {"complete": True}}

    reads = Reads()
    requests = [Request({"type": "http", "headers": []}) for _ in range(3)]
    asked = [asyncio.create_task(answer(each, reads, slow(i), world.release)) for i, each in enumerate(requests)]
    try:
        async with asyncio.timeout(5):
            assert await asyncio.gather(*(reads.run(lambda: 7) for _ in range(4))) == [7] * 4
        assert order == [0], "one page at a time"
    finally:
        going.set()
        await asyncio.gather(*asked)
        reads.close()
    assert order == [0, 1, 2]
