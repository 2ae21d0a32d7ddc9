"""The one gate that every request and every socket passes before anything of the app sees it.

Rules of this file:
- Host first (DNS rebinding makes a foreign page same-origin, so an Origin check alone is no defence), then the route,
  then Origin, then the scope. Exact comparisons only: no patterns, no suffixes.
- A refused socket gets an HTTP answer and no handshake, save a refused ticket: a page can only read close codes.
- A request's body is read here, up to MAX_BODY_BYTES.
"""

from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lossguard.protocol import SUBPROTOCOL

from ..errors import (
    AccessError,
    BadRequest,
    HostRefused,
    MethodNotAllowed,
    MissingScope,
    NotThere,
    OriginRefused,
    ServerError,
    TooLarge,
    Unauthorized,
)
from ..services.tokens import Keyring, Principal, Tickets
from .access import ANY, OPEN, SOCKET, TICKET, Table
from .answers import refusal

MAX_BODY_BYTES = 64 << 10
LIVE_SUBPROTOCOL = "lossguard.live.1"
TICKET_PREFIX = "ticket."
TICKET_REFUSED = 4401
PRINCIPAL = "lossguard.principal"  # where the app finds who is asking, in the ASGI scope
SAFE_METHODS = ("GET", "HEAD")


class Gate:
    """ASGI middleware: deny by default."""

    def __init__(
        self,
        app: ASGIApp,
        table: Table,
        keyring: Keyring,
        tickets: Tickets,
        hosts: Iterable[str],
        origins: Iterable[str],
    ) -> None:
        self._app, self._table, self._keyring, self._tickets = app, table, keyring, tickets
        self._hosts, self._origins = frozenset(hosts), frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        try:
            scope[PRINCIPAL] = self._admit(scope)
            if scope["type"] == "http" and scope["method"] not in SAFE_METHODS:
                receive = _replayed(await _body(receive), receive)
        except _TicketRefused:
            await _refuse_ticket(scope, receive, send)
        except ServerError as error:
            await _refuse(error, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _admit(self, scope: Scope) -> Principal | None:
        """Who is let in. Raises ServerError."""
        headers = Headers(scope=scope)
        method = SOCKET if scope["type"] == "websocket" else scope["method"]
        shown = [host.lower() for host in headers.getlist("host")]
        if len(shown) != 1 or shown[0] not in self._hosts:
            raise HostRefused(f"It is {', '.join(shown)[:200] or 'missing'}.")
        found = self._table.find(scope["path"])
        if found is None:
            raise NotThere(f"It is {scope['path'][:200]}.")
        needed = found.scope(method)
        if needed is None:
            raise MethodNotAllowed(f"It is {method if method != SOCKET else 'a websocket'}.")
        self._check_origin(method, needed, headers)
        if needed == TICKET:
            return self._redeem(scope["subprotocols"])
        if needed == OPEN:
            return None
        if method == SOCKET and SUBPROTOCOL not in scope["subprotocols"]:
            raise BadRequest(f"The socket's subprotocol must be {SUBPROTOCOL}.", "Use a matching version of lossguard.")
        return self._authorise(needed, headers)

    def _check_origin(self, method: str, needed: str, headers: Headers) -> None:
        origins = headers.getlist("origin")
        if method == SOCKET and needed != TICKET and origins:
            raise OriginRefused("A trainer's socket takes no request from a browser.")
        if any(origin not in self._origins for origin in origins) or (needed == TICKET and not origins):
            raise OriginRefused(f"It is {', '.join(origins)[:200] or 'missing'}.")
        site = headers.get("sec-fetch-site")
        if method not in SAFE_METHODS and site not in (None, "same-origin", "none"):
            raise OriginRefused(f"The browser says {site[:80]}.")

    def _authorise(self, needed: str, headers: Headers) -> Principal:
        kind, _, secret = headers.get("authorization", "").partition(" ")
        principal = self._keyring.principal(secret.strip()) if kind.lower() == "bearer" and secret else None
        if principal is None:
            raise Unauthorized()
        if needed != ANY and needed not in principal.scopes:
            raise MissingScope(f"This needs the scope {needed!r}.")
        return principal

    def _redeem(self, subprotocols: list[str]) -> Principal:
        tickets = [word.removeprefix(TICKET_PREFIX) for word in subprotocols if word.startswith(TICKET_PREFIX)]
        principal = self._tickets.redeem(tickets[0]) if len(tickets) == 1 else None
        if principal is None or LIVE_SUBPROTOCOL not in subprotocols:
            raise _TicketRefused
        return principal


class _TicketRefused(AccessError):
    """The ticket is unknown, used or too old."""


async def _body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    size_bytes = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b""  # the client left
        parts.append(message.get("body", b""))
        size_bytes += len(parts[-1])
        if size_bytes > MAX_BODY_BYTES:
            raise TooLarge(f"At most {MAX_BODY_BYTES} bytes are taken.")
        if not message.get("more_body", False):
            return b"".join(parts)


def _replayed(body: bytes, receive: Receive) -> Receive:
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay


async def _refuse(error: ServerError, scope: Scope, receive: Receive, send: Send) -> None:
    # Starlette turns this into the answer to a websocket's handshake by itself
    await refusal(error)(scope, receive, send)


async def _refuse_ticket(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    chosen = LIVE_SUBPROTOCOL if LIVE_SUBPROTOCOL in scope["subprotocols"] else None
    await send({"type": "websocket.accept", "subprotocol": chosen, "headers": []})
    await send({"type": "websocket.close", "code": TICKET_REFUSED, "reason": "the ticket is unknown, used or too old"})
