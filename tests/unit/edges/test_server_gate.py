"""Nobody passes the gate without the right host, origin and token; what is refused never reaches the app."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from lossguard.protocol.numbers import dumps
from lossguard_server.edges.access import ROUTES, Table
from lossguard_server.edges.gate import MAX_BODY_BYTES, PRINCIPAL, Gate
from lossguard_server.services.tokens import Keyring, Tickets
from store_world import opened_store

HOST, ORIGIN = "127.0.0.1:5677", "http://127.0.0.1:5677"
AUTH = ("authorization", "Bearer admin-token")


class World:
    """A gate before an app that notes what reached it."""

    def __init__(self, keyring: Keyring) -> None:
        self.reached: list[Scope] = []
        self.bodies: list[bytes] = []
        self.tickets = Tickets(lambda: 0.0)
        self.gate = Gate(self.app, Table(ROUTES), keyring, self.tickets, [HOST], [ORIGIN])

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.reached.append(scope)
        if scope["type"] == "http":
            self.bodies.append((await receive()).get("body", b""))

    async def ask(
        self, method: str, path: str, *headers: tuple[str, str], host: str | None = HOST, body: bytes = b"",
        subprotocols: tuple[str, ...] = (),
    ) -> list[Message]:  # fmt: skip
        """What the gate itself sends; empty when the request reached the app."""
        sent: list[Message] = []
        chunks = [body[start : start + 10_000] for start in range(0, max(len(body), 1), 10_000)]
        kind = "websocket" if method == "SOCKET" else "http"
        all_headers = [*([("host", host)] if host is not None else []), *headers]

        async def receive() -> Message:
            return {"type": "http.request", "body": chunks.pop(0), "more_body": bool(chunks)}

        async def send(message: Message) -> None:
            sent.append(message)

        scope: Scope = {
            "type": kind,
            "path": path,
            "headers": [(name.encode(), value.encode()) for name, value in all_headers],
            "subprotocols": list(subprotocols),
            "extensions": {"websocket.http.response": {}},
            **({"method": method} if kind == "http" else {}),
        }
        await self.gate(scope, receive, send)
        return sent


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with opened_store(tmp_path) as store:
        yield World(Keyring("admin-token", store.writer, store.reading, store.clock.of_services, lambda: "id"))


def refused(sent: list[Message]) -> tuple[int, str]:
    """The refusal's status and error code."""
    assert sent[0]["type"].endswith("http.response.start")
    return sent[0]["status"], sent[1]["body"].decode().split('"')[3]


@pytest.mark.parametrize(
    "host", [None, "", "evil.example", "127.0.0.1", "127.0.0.1:80", "127.0.0.1:5677.evil.example", "localhost:5677"]
)
async def test_a_foreign_host_is_refused_even_for_the_page(world: World, host: str | None) -> None:
    for path in ("/", "/api/runs", "/nowhere"):
        assert refused(await world.ask("GET", path, AUTH, host=host)) == (403, "host_refused")
    assert refused(await world.ask("SOCKET", "/ws/trainer", AUTH, host=host)) == (403, "host_refused")
    assert world.reached == []


async def test_two_hosts_are_none(world: World) -> None:
    assert refused(await world.ask("GET", "/", ("host", "evil.example"))) == (403, "host_refused")
    assert refused(await world.ask("GET", "/", ("host", HOST))) == (403, "host_refused")


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "http://evil.example",
        ORIGIN + ".evil.example",
        "https://127.0.0.1:5677",
        ORIGIN + "/",
        "http://127.0.0.1",
    ],
)
async def test_a_foreign_origin_is_refused(world: World, origin: str) -> None:
    for method, path in (("POST", "/api/ticket"), ("DELETE", "/api/tokens/x"), ("GET", "/api/runs")):
        assert refused(await world.ask(method, path, AUTH, ("origin", origin))) == (403, "origin_refused")
    protocols = ("lossguard.live.1", f"ticket.{world.tickets.issue(object())}")  # type: ignore[arg-type]
    sent = await world.ask("SOCKET", "/ws/live", ("origin", origin), subprotocols=protocols)
    assert refused(sent) == (403, "origin_refused")
    assert world.reached == []


@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything"])
async def test_a_browser_that_says_cross_site_changes_nothing(world: World, site: str) -> None:
    sent = await world.ask("POST", "/api/ticket", AUTH, ("sec-fetch-site", site))
    assert refused(sent) == (403, "origin_refused")
    assert await world.ask("POST", "/api/ticket", AUTH, ("sec-fetch-site", "same-origin"), ("origin", ORIGIN)) == []
    assert await world.ask("GET", "/", ("sec-fetch-site", site)) == [], "a link to the page is fine"


@pytest.mark.parametrize("origin", [ORIGIN, "null", "http://evil.example"])
async def test_a_trainer_has_no_origin(world: World, origin: str) -> None:
    sent = await world.ask("SOCKET", "/ws/trainer", AUTH, ("origin", origin), subprotocols=("lossguard.1",))
    assert refused(sent) == (403, "origin_refused")
    assert await world.ask("SOCKET", "/ws/trainer", AUTH, subprotocols=("lossguard.1",)) == []
    assert len(world.reached) == 1


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        ((), (401, "unauthorized")),
        ((("authorization", ""),), (401, "unauthorized")),
        ((("authorization", "Bearer "),), (401, "unauthorized")),
        ((("authorization", "Bearer wrong"),), (401, "unauthorized")),
        ((("authorization", "Basic admin-token"),), (401, "unauthorized")),
        ((("cookie", "token=admin-token"),), (401, "unauthorized")),
    ],
)
async def test_no_token_no_entry(world: World, shown: tuple[Any, ...], expected: tuple[int, str]) -> None:
    assert refused(await world.ask("GET", "/api/runs", *shown)) == expected
    assert refused(await world.ask("SOCKET", "/ws/trainer", *shown, subprotocols=("lossguard.1",))) == expected
    assert world.reached == []


async def test_a_ticket_opens_the_live_socket_once(world: World) -> None:
    who = world.gate._keyring.principal("admin-token")
    assert who is not None
    protocols = ("lossguard.live.1", f"ticket.{world.tickets.issue(who)}")
    assert await world.ask("SOCKET", "/ws/live", ("origin", ORIGIN), subprotocols=protocols) == []
    assert world.reached[0][PRINCIPAL] == who
    sent = await world.ask("SOCKET", "/ws/live", ("origin", ORIGIN), subprotocols=protocols)
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.close"]
    assert sent[1]["code"] == 4401
    sent = await world.ask("SOCKET", "/ws/live", AUTH, ("origin", ORIGIN), subprotocols=("lossguard.live.1",))
    assert sent[1]["code"] == 4401, "a token is no ticket"
    sent = await world.ask("SOCKET", "/ws/live", subprotocols=protocols)
    assert refused(sent) == (403, "origin_refused"), "a browser always says where it comes from"


async def test_another_subprotocol_is_said(world: World) -> None:
    sent = await world.ask("SOCKET", "/ws/trainer", AUTH, subprotocols=("lossguard.9",))
    assert refused(sent) == (422, "bad_request")


async def test_a_body_is_bounded_and_arrives_whole(world: World) -> None:
    body = dumps({"x": "y" * 30_000})
    assert await world.ask("POST", "/api/ticket", AUTH, body=body) == []
    assert world.bodies == [body]
    assert refused(await world.ask("POST", "/api/ticket", AUTH, body=b"z" * (MAX_BODY_BYTES + 1))) == (413, "too_large")
    assert len(world.reached) == 1


async def test_an_unlisted_route_and_method_do_not_exist(world: World) -> None:
    assert refused(await world.ask("GET", "/docs", AUTH)) == (404, "not_found")
    assert refused(await world.ask("PUT", "/api/runs", AUTH)) == (405, "method_not_allowed")
    assert refused(await world.ask("SOCKET", "/api/runs", AUTH)) == (405, "method_not_allowed")
    assert world.reached == []
