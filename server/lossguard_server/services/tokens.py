"""Who may do what.

Rules of this file: a token is 256 random bits, kept only as its SHA-256; comparing takes equal time whatever matches.
A scope is granted by a token that has it or one that implies it; there is no other road.
"""

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlmodel import Session

from ..errors import BadRequest, StartupError, UnknownToken
from ..store import audit, tokens
from ..store.columns import Reading
from ..store.tokens import StoredToken
from ..store.writer import Writer
from .clock import Clock

INGEST, VIEW, CONTROL, ADMIN = "ingest", "view", "control", "admin"
_GRANTS = {
    INGEST: {INGEST},
    VIEW: {VIEW},
    CONTROL: {CONTROL, VIEW},
    ADMIN: {ADMIN, CONTROL, VIEW, INGEST},
}
SCOPES = tuple(_GRANTS)
ADMIN_ID = "admin"
TOKEN_BYTES = 32
TICKET_LIFE_S = 30.0
MAX_TICKETS = 1_000


@dataclass(frozen=True)
class Principal:
    """Who is asking: a token's id, and everything that it grants."""

    token_id: str
    scopes: frozenset[str]


def new_secret() -> str:
    """256 random bits, safe in a URL."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def digest(secret: str) -> bytes:
    """What is stored of a token."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def granted(scopes: Sequence[str]) -> frozenset[str]:
    """The scopes, and those that they imply."""
    return frozenset(grant for scope in scopes for grant in _GRANTS.get(scope, ()))


class Keyring:
    """Every token that is valid now. Owned by the event loop's thread."""

    def __init__(
        self, admin_token: str, writer: Writer, reading: Reading, clock: Clock, new_id: Callable[[], str]
    ) -> None:
        """Loads the stored tokens. `admin_token` is valid beside them, and is not stored here. Raises StartupError."""
        self._writer, self._clock, self._new_id = writer, clock, new_id
        self._admin = StoredToken(ADMIN_ID, ADMIN_ID, (ADMIN,), digest(admin_token), 0.0)
        with reading() as session:
            self._stored = {token.id: token for token in tokens.oldest_first(session)}
        self._check_admin(admin_token)

    def principal(self, secret: str) -> Principal | None:
        """Who shows this token; None for nobody."""
        shown, found = digest(secret), None
        for token in (self._admin, *self._stored.values()):
            if hmac.compare_digest(token.sha256, shown):
                found = Principal(token.id, granted(token.scopes))
        return found

    def listed(self) -> list[StoredToken]:
        """The stored tokens, oldest first."""
        return list(self._stored.values())

    async def create(self, name: str, scopes: Sequence[str], actor: str) -> tuple[StoredToken, str]:
        """A new token and its secret, which is not kept. Raises BadRequest, StorageError."""
        if not scopes or any(scope not in _GRANTS for scope in scopes):
            raise BadRequest(f"Its scopes are {', '.join(scopes)[:200] or 'none'}.", f"Choose of {', '.join(SCOPES)}.")
        secret, wall_s = new_secret(), self._clock.wall_s()
        token = StoredToken(self._new_id(), name, tuple(scopes), digest(secret), wall_s)

        def store(session: Session) -> None:
            tokens.add(session, token)
            audit.add(session, wall_s, actor, "token created", {"token": token.id, "scopes": list(scopes)}, None)

        await asyncio.wrap_future(self._writer.submit(store))
        self._stored[token.id] = token
        return token, secret

    async def delete(self, token_id: str, actor: str) -> None:
        """The token is valid no longer. Raises UnknownToken, StorageError."""
        if token_id not in self._stored:
            raise UnknownToken(f"It was asked for as {token_id[:80]!r}.")
        del self._stored[token_id]  # first: it must not be valid while the disk is slow
        wall_s = self._clock.wall_s()

        def store(session: Session) -> None:
            tokens.delete(session, token_id)
            audit.add(session, wall_s, actor, "token deleted", {"token": token_id}, None)

        await asyncio.wrap_future(self._writer.submit(store))

    def _check_admin(self, admin_token: str) -> None:
        # what is stored of a token goes first: nobody would be admin, and the page's address would open nothing
        found = self.principal(admin_token)
        if found is not None and ADMIN not in found.scopes:
            stored = self._stored[found.token_id]
            raise StartupError(
                f"Its admin token is the stored token {stored.name[:80]!r}, with the scope {', '.join(stored.scopes)}.",
                "It comes from LOSSGUARD_TOKEN, else from `token` in the data folder. Start the server without it; "
                "LOSSGUARD_TOKEN is for trainers and commands then.",
            )


class Tickets:
    """Single-use passes for the browser's socket, which cannot send an Authorization header."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` gives monotonic seconds."""
        self._clock = clock
        self._open: dict[bytes, tuple[Principal, float]] = {}

    def issue(self, principal: Principal) -> str:
        """A ticket that `principal` may use once within TICKET_LIFE_S."""
        now_s = self._clock()
        self._open = {key: entry for key, entry in self._open.items() if entry[1] > now_s}
        while len(self._open) >= MAX_TICKETS:
            del self._open[next(iter(self._open))]
        ticket = new_secret()
        self._open[digest(ticket)] = (principal, now_s + TICKET_LIFE_S)
        return ticket

    def redeem(self, ticket: str) -> Principal | None:
        """Who may come in with this ticket; None when it is unknown, used or too old."""
        principal, until_s = self._open.pop(digest(ticket), (None, 0.0))
        return principal if self._clock() < until_s else None
