"""Which run is meant: loosely where it is looked at, exactly where it is deleted."""

import httpx
import pytest

from lossguard_server.terminal.client import Client, Refused

RUNS = [
    {"id": "b1", "project": "p", "name": "both"},
    {"id": "e40d", "project": "p", "name": "alone"},
    {"id": "a1", "project": "q", "name": "both"},
]


@pytest.fixture
def client() -> Client:
    answer = httpx.MockTransport(lambda request: httpx.Response(200, json={"items": RUNS, "next": None}))
    return Client("http://server", "token", answer)


@pytest.mark.parametrize(("wanted", "found"), [("e4", "e40d"), ("both", "b1"), ("q/both", "a1"), ("a1", "a1")])
def test_a_run_to_look_at_may_be_named_loosely(client: Client, wanted: str, found: str) -> None:
    assert client.run_id(wanted) == found


@pytest.mark.parametrize(("wanted", "found"), [("e40d", "e40d"), ("alone", "e40d"), ("q/both", "a1")])
def test_a_run_to_delete_is_named_exactly(client: Client, wanted: str, found: str) -> None:
    assert client.only_run(wanted)["id"] == found


@pytest.mark.parametrize(("wanted", "why"), [("e4", "has the id or name 'e4'"), ("both", "2 runs are called 'both'")])
def test_a_beginning_or_a_name_of_several_deletes_nothing(client: Client, wanted: str, why: str) -> None:
    with pytest.raises(Refused) as refused:
        client.only_run(wanted)
    assert why in refused.value.message
    if wanted == "both":
        assert "b1, a1" in refused.value.hint
