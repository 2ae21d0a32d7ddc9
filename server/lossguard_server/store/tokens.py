"""Tokens: queries. Only the SHA-256 of a token is ever stored."""

from dataclasses import dataclass

from sqlmodel import Session, col, select

from .tables import TokenRow


@dataclass(frozen=True)
class StoredToken:
    """Who may do what. `scopes` is a subset of ingest, view, control, admin."""

    id: str
    name: str
    scopes: tuple[str, ...]
    sha256: bytes
    created_s: float


def add(session: Session, token: StoredToken) -> None:
    """Store a token."""
    session.add(
        TokenRow(
            id=token.id,
            name=token.name,
            scopes=" ".join(token.scopes),
            sha256=token.sha256,
            created_s=token.created_s,
        )
    )


def oldest_first(session: Session) -> list[StoredToken]:
    """Every token."""
    rows = session.exec(select(TokenRow).order_by(col(TokenRow.created_s), col(TokenRow.id)))
    return [StoredToken(row.id, row.name, tuple(row.scopes.split()), row.sha256, row.created_s) for row in rows]


def delete(session: Session, token_id: str) -> bool:
    """Remove a token; False when there is none of that id."""
    row = session.get(TokenRow, token_id)
    if row is None:
        return False
    session.delete(row)
    return True
