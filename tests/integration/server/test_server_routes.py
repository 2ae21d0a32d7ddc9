"""Every route of the app x every method x every scope: nothing opens that the table does not open."""

from pathlib import Path

import pytest
from fastapi.routing import APIRoute
from starlette.routing import Route, WebSocketRoute

from lossguard_server.edges.access import ANY, OPEN, ROUTES, SOCKET, TICKET
from lossguard_server.services.tokens import SCOPES, granted
from server_inside import Inside, running_server

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


def app_routes(inside: Inside) -> dict[str, set[str]]:
    """Every path of the app with its methods."""
    found: dict[str, set[str]] = {}
    for route in inside.assembly.app().routes:
        assert isinstance(route, APIRoute | Route | WebSocketRoute), f"{route} would escape this test"
        methods = {SOCKET} if isinstance(route, WebSocketRoute) else set(route.methods or ())
        found.setdefault(route.path, set()).update(methods)
    return found


async def test_the_table_and_the_app_have_the_same_routes(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        listed = {(method, path) for path, methods in app_routes(inside).items() for method in methods - {"HEAD"}}
        assert listed == set(ROUTES)


async def test_each_scope_opens_what_the_table_says(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        tokens = {scope: await inside.token(scope) for scope in SCOPES} | {None: None}
        wrong = []
        for path in [*app_routes(inside), "/nowhere", "/api/runs/r1/secret"]:
            for method in METHODS:
                for scope, token in tokens.items():
                    headers = {"Authorization": f"Bearer {token}"} if token else {"Authorization": ""}
                    address = path.replace("{run}", "r1").replace("{id}", "x").replace("{name}", "n")
                    status = (await inside.http.request(method, address, headers=headers)).status_code
                    if not is_right(status, expected(method, path, scope)):
                        wrong.append((method, path, scope, status))
        assert wrong == []


def expected(method: str, path: str, scope: str | None) -> str:
    """open, unauthorized, forbidden, or absent."""
    needed = ROUTES.get(("GET" if method == "HEAD" else method, path))
    if needed is None:
        return "absent"
    if needed == OPEN:
        return "open"
    if scope is None:
        return "unauthorized"
    return "open" if needed == ANY or needed in granted([scope]) else "forbidden"


def is_right(status: int, wanted: str) -> bool:
    # 404 and 422 of an open route: there is no such run, and the request had no body
    allowed = {"open": {200, 201, 204, 404, 422, 503}, "unauthorized": {401}, "forbidden": {403}, "absent": {404, 405}}
    return status in allowed[wanted]


def test_the_two_sockets_are_the_only_ones() -> None:
    assert {path: scope for (method, path), scope in ROUTES.items() if method == SOCKET} == {
        "/ws/live": TICKET,
        "/ws/trainer": "ingest",
    }


@pytest.mark.parametrize("path", ["/", "/api/runs", "/nowhere", "/api/docs", "/plotly.min.js"])
async def test_every_answer_carries_the_security_headers(tmp_path: Path, path: str) -> None:
    async with running_server(tmp_path) as inside:
        for headers in ({}, {"Authorization": ""}, {"Host": "evil.example"}):
            answer = await inside.http.get(path, headers=headers)
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert answer.headers["cross-origin-opener-policy"] == "same-origin"
            assert "cache-control" in answer.headers
            assert "server" not in answer.headers
