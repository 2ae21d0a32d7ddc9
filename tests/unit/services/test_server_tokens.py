"""A token grants its scopes and what they imply; a ticket lets in once and not for long."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from lossguard_server.errors import BadRequest, StartupError, UnknownToken
from lossguard_server.services.tokens import MAX_TICKETS, Keyring, Principal, Tickets, digest
from store_world import Store, TurnedClock, opened_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened_store(tmp_path) as opened:
        yield opened


def keyring(store: Store, admin_token: str = "the-admin-token") -> Keyring:
    ids = iter(f"t{number}" for number in range(100))
    return Keyring(admin_token, store.writer, store.reading, store.clock.of_services, lambda: next(ids))


@pytest.mark.parametrize(
    ("scopes", "granted"),
    [
        (["ingest"], {"ingest"}),
        (["view"], {"view"}),
        (["control"], {"control", "view"}),
        (["ingest", "view"], {"ingest", "view"}),
        (["admin"], {"admin", "control", "view", "ingest"}),
    ],
)
async def test_a_scope_brings_what_it_implies(store: Store, scopes: list[str], granted: set[str]) -> None:
    keys = keyring(store)
    token, secret = await keys.create("ci", scopes, "admin")
    assert keys.principal(secret) == Principal(token.id, frozenset(granted))


async def test_a_token_lives_until_it_is_deleted_and_over_restarts(store: Store) -> None:
    token, secret = await keyring(store).create("ci", ["view"], "admin")
    later = keyring(store)
    found = later.principal(secret)
    assert found is not None
    assert found.token_id == token.id
    await later.delete(token.id, "admin")
    assert later.principal(secret) is None
    assert keyring(store).principal(secret) is None
    with pytest.raises(UnknownToken):
        await later.delete(token.id, "admin")


@pytest.mark.parametrize("scopes", [["ingest"], ["control", "ingest"]])
async def test_a_stored_token_that_is_no_admins_is_refused_as_the_admins(store: Store, scopes: list[str]) -> None:
    _, secret = await keyring(store).create("cluster", scopes, "admin")
    with pytest.raises(StartupError, match=f"'cluster', with the scope {', '.join(scopes)}") as refused:
        keyring(store, secret)
    assert "LOSSGUARD_TOKEN" in refused.value.hint
    assert secret not in str(refused.value)


async def test_a_stored_token_that_is_an_admins_may_be_the_admins(store: Store) -> None:
    _, secret = await keyring(store).create("me", ["admin"], "admin")
    found = keyring(store, secret).principal(secret)
    assert found is not None
    assert "admin" in found.scopes


async def test_only_the_digest_is_stored(store: Store) -> None:
    _, secret = await keyring(store).create("ci", ["view"], "admin")
    store.writer.close()
    assert secret.encode() not in store.database.path.read_bytes()
    assert digest(secret) in store.database.path.read_bytes()


def test_nobody_shows_nothing_or_something_else(store: Store) -> None:
    keys = keyring(store)
    for shown in ("", "the-admin-toke", "the-admin-token ", "\udcff", "x" * 10_000):
        assert keys.principal(shown) is None
    assert keys.principal("the-admin-token") is not None


@pytest.mark.parametrize("scopes", [[], ["root"], ["view", "root"]])
def test_a_token_of_no_scope_is_not_made(store: Store, scopes: list[str]) -> None:
    with pytest.raises(BadRequest, match="ingest, view, control, admin"):
        asyncio.run(keyring(store).create("ci", scopes, "admin"))


def test_a_ticket_is_good_once_and_for_thirty_seconds() -> None:
    clock = TurnedClock()
    tickets, who = Tickets(clock.of_services.monotonic_s), Principal("t", frozenset({"view"}))
    first, second = tickets.issue(who), tickets.issue(who)
    assert tickets.redeem(first) == who
    assert tickets.redeem(first) is None
    clock.now_s += 30.0
    assert tickets.redeem(second) is None
    assert tickets.redeem("guess") is None


def test_tickets_do_not_pile_up() -> None:
    tickets, who = Tickets(lambda: 0.0), Principal("t", frozenset({"view"}))
    issued = [tickets.issue(who) for _ in range(MAX_TICKETS + 5)]
    assert len(tickets._open) == MAX_TICKETS
    assert tickets.redeem(issued[-1]) == who
    assert tickets.redeem(issued[0]) is None
