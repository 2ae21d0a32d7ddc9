"""The table finds a route by its template, and nothing that is not in it."""

import pytest

from lossguard_server.edges.access import ADMIN, CONTROL, OPEN, ROUTES, SOCKET, VIEW, Table

TABLE = Table(ROUTES)


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/", OPEN),
        ("HEAD", "/", OPEN),
        ("GET", "/assets/index-abc.js", OPEN),
        ("GET", "/api/runs", VIEW),
        ("GET", "/api/runs/r 1", VIEW),
        ("GET", "/api/runs/r1/points", VIEW),
        ("POST", "/api/runs/r1/commands", CONTROL),
        ("GET", "/api/runs/r1/commands", VIEW),
        ("DELETE", "/api/tokens/t1", ADMIN),
        ("POST", "/", None),
        ("GET", "/api/ticket", None),
        ("OPTIONS", "/api/runs", None),
        (SOCKET, "/api/runs", None),
        ("GET", "/ws/live", None),
    ],
)
def test_each_method_of_a_route_needs_its_scope(method: str, path: str, scope: str | None) -> None:
    found = TABLE.find(path)
    assert found is not None
    assert found.scope(method) == scope


@pytest.mark.parametrize(
    "path",
    ["", "//", "/api", "/api/", "/api/runs/", "/api/runs/r1/", "/api/runs//points", "/api/runs/r1/secret",
     "/assets/", "/assets/a/b", "/api/runs/r1/points/x", "/API/runs", "/docs", "/openapi.json"],
)  # fmt: skip
def test_what_is_not_in_the_table_does_not_exist(path: str) -> None:
    assert TABLE.find(path) is None
