"""Channels over HTTP: made, tried, changed, removed; and no secret leaves, but a webhook's once."""

import json
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlmodel import select
from starlette.responses import Response

from lossguard_server.edges.answers import on_server_error, on_validation_error
from lossguard_server.edges.channels import ChannelRoutes, add_routes
from lossguard_server.edges.gate import PRINCIPAL
from lossguard_server.errors import ServerError
from lossguard_server.services.notifying.assembly import Notifying
from lossguard_server.services.notifying.owing import owe_all
from lossguard_server.services.tokens import Principal
from lossguard_server.store import outbox
from lossguard_server.store.tables import AuditRow
from notify_world import Receiver, alerted_store, change, receiving
from store_world import Store

HOOK = "/hooks/T0PSECRET?key=s3cr3tvalue"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with alerted_store(tmp_path) as opened:
        yield opened


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture
async def http(store: Store) -> AsyncIterator[httpx.AsyncClient]:
    ids = iter(f"id{number}" for number in range(1_000))
    notifying = Notifying(
        store.writer, store.reading, store.clock.of_services, lambda: next(ids),
        public_url="http://lg/", allowed=["127.0.0.1"], environ=os.environ, version="0",
    )  # fmt: skip
    app = FastAPI()
    app.add_exception_handler(ServerError, on_server_error)
    app.add_exception_handler(RequestValidationError, on_validation_error)
    add_routes(app, ChannelRoutes(notifying.channels))

    @app.middleware("http")
    async def as_admin(request: Request, go_on: Any) -> Response:
        request.scope[PRINCIPAL] = Principal("admin", frozenset({"admin"}))
        return await go_on(request)  # type: ignore[no-any-return]

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        yield client
    await notifying._webhook.close()


def hook(receiver: Receiver, **changed: Any) -> dict[str, Any]:
    return {"name": "hook", "kind": "webhook", "url": f"{receiver.url}{HOOK}", **changed}


async def test_a_channel_lives_and_its_secret_is_told_once(http: httpx.AsyncClient, receiver: Receiver) -> None:
    quiet = {"from": "22:00", "to": "07:00", "zone": "Europe/Berlin", "nonfinite_breaks": True}
    made = (await http.post("/api/channels", json=hook(receiver, quiet=quiet, projects=["p"]))).json()
    assert made["secret"].startswith("whsec_")
    assert len(made["secret"]) > 40
    (listed,) = (await http.get("/api/channels")).json()["items"]
    assert listed == {**made, "secret": f"****{made['secret'][-4:]}"}
    assert listed["service"] == receiver.url
    assert listed["quiet"] == quiet
    body = {"name": "renamed", "kind": "webhook", "enabled": False}
    changed = (await http.put(f"/api/channels/{made['id']}", json=body)).json()
    assert (changed["name"], changed["enabled"], changed["quiet"]) == ("renamed", False, None)
    assert changed["secret"] == listed["secret"], "what is left out stays"
    assert (await http.delete(f"/api/channels/{made['id']}")).status_code == 204
    assert (await http.get("/api/channels")).json()["items"] == []
    for method, path in (("PUT", "/api/channels/x"), ("DELETE", "/api/channels/x"), ("POST", "/api/channels/x/test")):
        answer = await http.request(method, path, json=body)
        assert (answer.status_code, answer.json()["error"]) == (404, "unknown_channel")


async def test_a_test_says_exactly_what_the_other_side_said(
    http: httpx.AsyncClient, receiver: Receiver, store: Store
) -> None:
    made = (await http.post("/api/channels", json=hook(receiver, secret="my own secret"))).json()
    tested = (await http.post(f"/api/channels/{made['id']}/test")).json()
    assert (tested["delivered"], tested["status"], tested["said"]) == (True, 200, "HTTP 200 OK: thanks")
    receiver.answers[HOOK] = (403, {}, b'{"error": "s3cr3tvalue is wrong"}')
    tested = (await http.post(f"/api/channels/{made['id']}/test")).json()
    assert tested["said"] == 'HTTP 403 Forbidden: {"error": "**** is wrong"}'
    assert not tested["delivered"]
    first, second = (headers["Idempotency-Key"] for _, headers, _ in receiver.got)
    assert first != second
    assert json.loads(receiver.got[0][2])["event"] == "test"
    trail = store.read(lambda session: [(row.what, row.detail) for row in session.exec(select(AuditRow))])
    assert [what for what, _ in trail] == ["channel created", "channel tested", "channel tested"]
    assert not any(word in str(trail) for word in ("T0PSECRET", "s3cr3tvalue", "my own secret"))


@pytest.mark.parametrize("code", ["c0de", "a%2Fb1", "a+b1"])
async def test_a_short_code_in_the_address_is_not_told_again(
    http: httpx.AsyncClient, receiver: Receiver, code: str
) -> None:
    made = (await http.post("/api/channels", json=hook(receiver, url=f"{receiver.url}/hook?v=1&code={code}"))).json()
    receiver.answers[f"/hook?v=1&code={code}"] = (403, {}, f"1 {code} {unquote_plus(code)}".encode())
    tested = (await http.post(f"/api/channels/{made['id']}/test")).json()
    assert tested["said"] == "HTTP 403 Forbidden: 1 **** ****"


async def test_a_channel_that_is_changed_lets_go_what_it_holds(
    http: httpx.AsyncClient, receiver: Receiver, store: Store
) -> None:
    quiet = {"from": "00:00", "to": "23:59"}
    made = (await http.post("/api/channels", json=hook(receiver, quiet=quiet, projects=["p", "é" * 256]))).json()
    now_s = store.clock.of_services.wall_s()
    store.write(lambda session: owe_all(session, [change()], now_s))
    held = (await http.get("/api/notifications")).json()["items"]
    assert [item["state"] for item in held] == ["held"]
    assert held[0]["due_s"] > now_s
    body = {"name": "hook", "kind": "webhook"}
    assert (await http.put(f"/api/channels/{made['id']}", json=body)).status_code == 200
    assert (await http.get("/api/notifications")).json()["items"][0]["due_s"] == now_s


async def test_the_outbox_tells_what_became_of_each_and_no_secret(
    http: httpx.AsyncClient, receiver: Receiver, store: Store
) -> None:
    await http.post("/api/channels", json=hook(receiver))
    now_s = store.clock.of_services.wall_s()
    store.write(lambda session: owe_all(session, [change(), change("doubled", last_step=101)], now_s))
    listed = await http.get("/api/notifications", params={"limit": 5})
    items = {item["kind"]: item for item in listed.json()["items"]}
    assert {kind: item["state"] for kind, item in items.items()} == {"opened": "owed", "doubled": "held"}
    assert items["opened"]["channel_name"] == "hook"
    assert (items["opened"]["run"], items["opened"]["step"], items["opened"]["message"]) == ("r1", 100, "M.")
    assert not any(word in listed.text for word in ("T0PSECRET", "s3cr3tvalue", "whsec_"))
    await http.delete(f"/api/channels/{items['opened']['channel']}")
    assert {item["state"] for item in (await http.get("/api/notifications")).json()["items"]} == {"given_up"}
    assert store.read(lambda session: outbox.next_due_s(session)) is None


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"url": None}, "bad_channel"),
        ({"url": "ftp://T0PSECRET/"}, "bad_channel"),
        ({"url": "http://10.0.0.1/T0PSECRET"}, "address_refused"),
        ({"url": "http://2130706433/T0PSECRET"}, "address_refused"),
        ({"url": "syslog://T0PSECRET", "kind": "apprise"}, "bad_channel"),
        ({"secret": "T0P"}, "bad_request"),
        ({"name": ""}, "bad_request"),
        ({"name": "\ud800"}, "bad_request"),
        ({"kind": "pigeon"}, "bad_request"),
        ({"projects": ["\ud800"]}, "bad_request"),
        ({"projects": ["é" * 257]}, "bad_request"),
        ({"severity": "info"}, "bad_request"),
        ({"headers": {}}, "bad_request"),
        ({"quiet": {"from": "22:00", "to": "22:00"}}, "bad_request"),
        ({"quiet": {"from": "24:00", "to": "07:00"}}, "bad_request"),
        ({"quiet": {"from": "22:00", "to": "07:00", "zone": "Mars/Olympus"}}, "bad_request"),
        ({"quiet": {"from": "22:00", "to": "07:00", "zone": "../../etc/passwd"}}, "bad_request"),
        ({"quiet": {"from": "22:00", "to": "07:00", "zone": ""}}, "bad_request"),
        ({"quiet": {"to": "07:00"}}, "bad_request"),
    ],
)
async def test_what_makes_no_channel_is_refused_without_its_secrets(
    http: httpx.AsyncClient, receiver: Receiver, changed: dict[str, Any], error: str
) -> None:
    body = json.dumps({**hook(receiver), **changed})
    answer = await http.post("/api/channels", content=body, headers={"Content-Type": "application/json"})
    assert (answer.json()["error"], answer.status_code) == (error, 422), answer.text
    assert "T0P" not in answer.text
    assert "s3cr3t" not in answer.text
    assert (await http.get("/api/channels")).json()["items"] == []


async def test_a_channel_stays_of_its_kind(http: httpx.AsyncClient, receiver: Receiver) -> None:
    made = (await http.post("/api/channels", json=hook(receiver))).json()
    answer = await http.put(f"/api/channels/{made['id']}", json={"name": "x", "kind": "apprise"})
    assert answer.json()["error"] == "bad_channel"
    answer = await http.put(f"/api/channels/{made['id']}", json=hook(receiver, url="http://10.0.0.1/"))
    assert answer.json()["error"] == "address_refused"


async def test_the_trail_tells_what_was_changed_and_no_secret(
    http: httpx.AsyncClient, receiver: Receiver, store: Store
) -> None:
    made = (await http.post("/api/channels", json=hook(receiver))).json()
    path = f"/api/channels/{made['id']}"
    body = hook(receiver, severity="warning", projects=["p"], enabled=False)
    assert (await http.put(path, json={**body, "url": None})).status_code == 200
    assert (await http.put(path, json={**body, "url": f"{receiver.url}{HOOK}2", "name": "other"})).status_code == 200
    rows = store.read(lambda session: [(row.what, row.detail) for row in session.exec(select(AuditRow))])
    created, first, second = (json.loads(detail) for _, detail in rows)
    assert (created["after"]["severity"], created["after"]["enabled"]) == ("critical", True)
    assert first["before"] == created["after"]
    assert first["after"] == {**first["before"], "severity": "warning", "projects": ["p"], "enabled": False}
    assert "address changed" not in first
    assert (second["address changed"], second["before"]["name"], second["after"]["name"]) == ("yes", "hook", "other")
    told = json.dumps(rows)
    assert [secret for secret in ("PSECRET", "s3cr3t", made["secret"], "whsec_") if secret in told] == []
