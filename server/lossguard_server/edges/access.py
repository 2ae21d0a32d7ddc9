"""Which scope opens which route: one table.

Rules of this file: deny by default. A route that is not in this table cannot be reached, whatever the app defines; a
test walks every route of the app, every method and every scope.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from ..services.tokens import ADMIN, CONTROL, INGEST, VIEW

OPEN = "open"  # no token: nothing of it is secret
ANY = "any"  # any valid token
TICKET = "ticket"  # a single-use ticket, shown as a subprotocol
SOCKET = "SOCKET"  # the method of a websocket

ROUTES: dict[tuple[str, str], str] = {
    ("GET", "/"): OPEN,
    ("GET", "/assets/{name}"): OPEN,
    ("GET", "/plotly.min.js"): OPEN,
    ("GET", "/healthz"): OPEN,
    ("GET", "/api/docs"): OPEN,
    ("GET", "/api/openapi.json"): OPEN,
    ("GET", "/api/me"): ANY,
    ("POST", "/api/ticket"): VIEW,
    ("GET", "/api/runs"): VIEW,
    ("GET", "/api/runs/{run}"): VIEW,
    ("GET", "/api/runs/{run}/series"): VIEW,
    ("GET", "/api/runs/{run}/points"): VIEW,
    ("GET", "/api/runs/{run}/export"): VIEW,
    ("GET", "/api/runs/{run}/report.html"): VIEW,
    ("GET", "/api/runs/{run}/stages"): VIEW,
    ("GET", "/api/runs/{run}/alerts"): VIEW,
    ("GET", "/api/runs/{run}/commands"): VIEW,
    ("GET", "/api/runs/{run}/events"): VIEW,
    ("GET", "/api/runs/{run}/audit"): VIEW,
    ("POST", "/api/runs/{run}/commands"): CONTROL,
    ("GET", "/api/commands/{id}"): VIEW,
    ("POST", "/api/commands/{id}/cancel"): CONTROL,
    ("GET", "/api/runs/{run}/schedule"): VIEW,
    ("GET", "/api/runs/{run}/curriculum"): VIEW,
    ("POST", "/api/alerts/{id}/acknowledge"): CONTROL,
    ("POST", "/api/alerts/{id}/verdict"): CONTROL,
    ("POST", "/api/alerts/{id}/silence"): CONTROL,
    ("GET", "/api/runs/{run}/incidents"): VIEW,
    ("GET", "/api/runs/{run}/blame"): VIEW,
    ("GET", "/api/rules"): VIEW,
    ("GET", "/api/rules/health"): VIEW,
    ("GET", "/api/project-rules"): VIEW,
    ("PUT", "/api/project-rules"): CONTROL,
    ("GET", "/api/runs/{run}/rules"): VIEW,
    ("PUT", "/api/runs/{run}/rules"): CONTROL,
    ("POST", "/api/runs/{run}/rules/preview"): VIEW,
    ("GET", "/api/project-policies"): VIEW,
    ("PUT", "/api/project-policies"): CONTROL,
    ("GET", "/api/runs/{run}/policies"): VIEW,
    ("PUT", "/api/runs/{run}/policies"): CONTROL,
    ("POST", "/api/backtest"): VIEW,
    ("GET", "/api/compare"): VIEW,
    ("GET", "/api/channels"): ADMIN,
    ("POST", "/api/channels"): ADMIN,
    ("PUT", "/api/channels/{id}"): ADMIN,
    ("DELETE", "/api/channels/{id}"): ADMIN,
    ("POST", "/api/channels/{id}/test"): ADMIN,
    ("GET", "/api/notifications"): VIEW,
    ("GET", "/api/tokens"): ADMIN,
    ("POST", "/api/tokens"): ADMIN,
    ("DELETE", "/api/tokens/{id}"): ADMIN,
    ("PATCH", "/api/runs/{run}"): CONTROL,
    ("DELETE", "/api/runs/{run}"): ADMIN,
    ("POST", "/api/runs/{run}/restore"): ADMIN,
    ("GET", "/api/sparks"): VIEW,
    (SOCKET, "/ws/live"): TICKET,
    (SOCKET, "/ws/trainer"): INGEST,
}


@dataclass(frozen=True)
class Found:
    """What the table says of a path: the scope each method needs."""

    scope_by_method: dict[str, str]

    def scope(self, method: str) -> str | None:
        """The scope that `method` needs here; None when it is not taken. HEAD is a GET without a body."""
        return self.scope_by_method.get("GET" if method == "HEAD" else method)


class Table:
    """The table, ready to look paths up."""

    def __init__(self, routes: dict[tuple[str, str], str]) -> None:
        self._exact: dict[str, dict[str, str]] = {}
        self._templates: list[tuple[list[str], dict[str, str]]] = []
        for template in dict.fromkeys(template for _, template in routes):
            methods = {method: scope for (method, path), scope in routes.items() if path == template}
            if "{" in template:
                self._templates.append((template.split("/"), methods))
            else:
                self._exact[template] = methods

    def find(self, path: str) -> Found | None:
        """What the table says of `path`; None for a path that is not in it."""
        if path in self._exact:
            return Found(self._exact[path])
        parts = path.split("/")
        for template, methods in self._templates:
            if len(template) == len(parts) and _matches(zip(template, parts, strict=True)):
                return Found(methods)
        return None


def _matches(pairs: Iterable[tuple[str, str]]) -> bool:
    return all(bool(part) if wanted.startswith("{") else part == wanted for wanted, part in pairs)
