"""Which run is meant: loosely where it is looked at, exactly where it is deleted; and which token is shown to whom."""

import json
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from lossguard_server.terminal.client import Client, Refused, own_client, trainers_access
from lossguard_server.terminal.commands import app

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


def test_the_help_of_delete_promises_no_beginning_and_no_newest() -> None:
    said = " ".join(CliRunner().invoke(app, ["delete", "--help"], env={"COLUMNS": "200"}).output.split())
    assert "Its whole id, or a name (or project/name) that only one run has." in said
    assert "beginning" not in said
    assert "newest" not in said


def test_the_data_folders_tokens_are_for_its_own_server_only(tmp_path: Path) -> None:
    (tmp_path / "server.json").write_text(json.dumps({"url": "http://127.0.0.1:6001", "ingest_token": "ingest"}))
    (tmp_path / "token").write_text("admin\n")

    def shown(**said: str) -> tuple[tuple[str, str], str]:
        environ = {f"LOSSGUARD_{name.upper()}": value for name, value in said.items()}
        client = own_client(tmp_path, environ)
        client.close()
        return trainers_access(tmp_path, environ), client.token

    own, other = "http://127.0.0.1:6001", "http://localhost:6001"
    assert shown() == shown(url=own + "/") == ((own, "ingest"), "admin")
    assert shown(url=other) == ((other, ""), "")
    assert shown(url=other, token="mine") == ((other, "mine"), "mine")
    assert shown(token="mine") == ((own, "mine"), "mine")
    assert trainers_access(tmp_path / "none", {}) == ("http://127.0.0.1:5677", "")
