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


def test_the_beginning_of_several_commands_names_none() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        ids = {"/api/runs": ["b1", "a1"], "/api/runs/b1/commands": ["7f1", "8"], "/api/runs/a1/commands": ["7f", "7f2"]}
        return httpx.Response(200, json={"items": [{"id": each} for each in ids[request.url.path]]})

    client = Client("http://server", "token", httpx.MockTransport(answer))
    assert client.command("7f")["id"] == "7f"
    assert client.command("7f2")["id"] == "7f2"
    with pytest.raises(Refused) as refused:
        client.command("7")
    assert (refused.value.message, refused.value.hint) == (
        "3 commands begin with '7'.", "Give more of the id: 7f1, 7f, 7f2."
    )  # fmt: skip


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


@pytest.mark.parametrize(
    "url",
    ["http://h:port", "http://h:99999", "http://h:-1", "http://h:0", "http://[::1", "http:///x", "ftp://h", "localhost",
     "127.0.0.1:5677", "http://a..b", f"http://{'a' * 64}", "http://a\x01b"],
)  # fmt: skip
@pytest.mark.parametrize("words", [["runs"], ["pause", "r"], ["export", "r", "-o", "x.csv"], ["sync"]])
def test_an_address_that_is_none_is_a_refusal(url: str, words: list[str], tmp_path: Path) -> None:
    environ = {"LOSSGUARD_URL": url, "LOSSGUARD_DATA": str(tmp_path), "LOSSGUARD_DIR": str(tmp_path)}
    done = CliRunner().invoke(app, words, env=environ)
    assert (done.exit_code, repr(done.exception)) == (1, "SystemExit(1)")
    said = f"The server's address is {url!r}; it must look like http://127.0.0.1:5677."
    assert done.stderr.splitlines() == [said, "Check LOSSGUARD_URL."]


@pytest.mark.parametrize("token", ["t\u00f6ken", "secret\nb"])
def test_a_token_that_no_header_can_carry_is_refused_and_not_shown(token: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["runs"], env={"LOSSGUARD_TOKEN": token, "LOSSGUARD_DATA": str(tmp_path)})
    assert (done.exit_code, "LOSSGUARD_TOKEN has characters" in done.stderr) == (1, True), done.output
    assert token.splitlines()[0] not in done.stderr


def test_a_text_that_is_not_unicode_is_refused(client: Client) -> None:
    with pytest.raises(Refused, match="not valid Unicode"):
        client.post("/api/runs/b1/commands", {"reason": "\udcff"})


def test_the_help_of_delete_promises_no_beginning_and_no_newest() -> None:
    said = " ".join(CliRunner().invoke(app, ["delete", "--help"], env={"COLUMNS": "200"}).output.split())
    assert "Its whole id, or a name (or project/name, or label) that only one run has." in said
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
