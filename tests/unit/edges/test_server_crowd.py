"""How many connections there may be, who has to go, and how often a full process says so."""

import asyncio
import logging
import resource
from typing import Any

import pytest

from lossguard_server.crowd import (
    LEAST_CONNECTIONS,
    MOST_CONNECTIONS,
    OUT_OF_DESCRIPTORS,
    RESERVED,
    SAID_EVERY_S,
    Crowd,
    Seldom,
    most_connections,
    raise_descriptor_limit,
)
from lossguard_server.listener import Server, listening_socket


class FakeConnection:
    """What a crowd sees of a connection."""

    def __init__(self, crowd: Crowd, everybody: set[Any], is_idle: bool = True) -> None:
        self.connections, self.is_idle, self.is_cut, self._crowd = everybody, is_idle, False, crowd
        everybody.add(self)

    def cut(self) -> None:
        self.is_cut = True
        self.connections.discard(self)
        self._crowd.left(self)  # type: ignore[arg-type]


def test_the_idle_one_that_came_first_makes_room_and_the_new_one_goes_when_nobody_is_idle() -> None:
    crowd, everybody = Crowd(3), set[Any]()
    asks, first, second = (FakeConnection(crowd, everybody, is_idle) for is_idle in (False, True, True))
    for known in (asks, first, second):
        crowd.came(known)  # type: ignore[arg-type]
    assert len(everybody) == 3
    third = FakeConnection(crowd, everybody)
    crowd.came(third)  # type: ignore[arg-type]
    assert [known.is_cut for known in (asks, first, second, third)] == [False, True, False, False]
    second.is_idle = third.is_idle = False
    fourth = FakeConnection(crowd, everybody)
    crowd.came(fourth)  # type: ignore[arg-type]
    assert [known.is_cut for known in (asks, second, third, fourth)] == [False, False, False, True]


def test_the_one_that_has_been_idle_longest_makes_room_not_the_one_that_came_first() -> None:
    crowd, everybody = Crowd(2), set[Any]()
    polls, silent, new = (FakeConnection(crowd, everybody) for _ in range(3))
    everybody.discard(new)
    crowd.came(polls)  # type: ignore[arg-type]
    crowd.came(silent)  # type: ignore[arg-type]
    crowd.answered(polls)  # type: ignore[arg-type]
    everybody.add(new)
    crowd.came(new)  # type: ignore[arg-type]
    assert [known.is_cut for known in (polls, silent, new)] == [False, True, False]
    crowd.left(polls)  # type: ignore[arg-type]
    crowd.answered(polls)  # type: ignore[arg-type]
    assert list(crowd._plain) == [new], "who has left does not come back"


async def test_a_connection_that_was_answered_is_idle_from_then_on() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 204})
            await send({"type": "http.response.body"})

    ready = asyncio.Event()
    with listening_socket("127.0.0.1", 0) as listener:
        server = Server(app, ready.set, nothing)
        serving, address = asyncio.create_task(server.serve(sockets=[listener])), listener.getsockname()
        async with asyncio.timeout(10):
            await ready.wait()
            reader, polls = await asyncio.open_connection(*address)
            [first] = await connected(server, 1)
            _, silent = await asyncio.open_connection(*address)
            _, second = await connected(server, 2)
            polls.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 204")
            assert await connected(server, 2) == [second, first]
            polls.close()
            silent.close()
            server.should_exit = True
            await serving


async def nothing() -> None:
    """No socket is to be drained."""


async def connected(server: Server, count: int) -> list[Any]:
    while len(server._crowd._plain) < count:
        await asyncio.sleep(0.01)
    return list(server._crowd._plain)


def test_sockets_count_and_are_never_cut() -> None:
    crowd, everybody = Crowd(3), {"socket 1", "socket 2", "socket 3"}
    new = FakeConnection(crowd, everybody)
    crowd.came(new)  # type: ignore[arg-type]
    assert new.is_cut
    assert len(everybody) == 3


@pytest.mark.parametrize(
    ("descriptors", "expected"),
    [(64, LEAST_CONNECTIONS), (128, 128 - RESERVED), (1_024, 1_024 - RESERVED), (1 << 20, MOST_CONNECTIONS)],
)
def test_a_part_of_the_descriptors_is_kept_for_files(descriptors: int, expected: int) -> None:
    assert most_connections(descriptors) == expected


def test_the_limit_is_raised_to_what_is_allowed() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, before[1]), before[1]))
        assert raise_descriptor_limit() == resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= min(512, before[1])
        assert before[1] <= 512 or raise_descriptor_limit() > 512
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_what_repeats_is_said_once_a_minute_with_a_count() -> None:
    now_s = [100.0]
    seldom = Seldom(OUT_OF_DESCRIPTORS, lambda: now_s[0])

    def logged(line: str) -> str | None:
        record = logging.LogRecord("asyncio", logging.ERROR, "", 0, line, (), None)
        return record.getMessage() if seldom.filter(record) else None

    said = [logged(f"{OUT_OF_DESCRIPTORS}\nsocket: <...>") for _ in range(500)]
    assert [line for line in said if line] == [
        "socket.accept() out of system resource: new connections wait until some are closed (0 more such lines)"
    ]
    assert logged("something else") == "something else"
    now_s[0] += SAID_EVERY_S
    assert "(499 more such lines)" in (logged(OUT_OF_DESCRIPTORS) or "")
    assert logged(OUT_OF_DESCRIPTORS) is None
