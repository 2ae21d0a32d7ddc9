"""Runs are listed, named, tagged, put away, deleted and brought back from the command line."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from click.testing import Result
from typer.testing import CliRunner

from lossguard_server.terminal import console
from lossguard_server.terminal.client import Client
from lossguard_server.terminal.commands import app

FACTS: dict[str, Any] = {
    "project": "p", "state": "finished", "step": 9, "total": "NaN", "health": "ok", "label": "", "note": "",
    "tags": [], "archived": False, "deleted_s": None,
}  # fmt: skip
Said = Callable[..., Result]


class Server:
    """Four runs: a, b of which somebody said something, an archived one, a deleted one that is called like a."""

    def __init__(self) -> None:
        self.runs: list[dict[str, Any]] = [
            {**FACTS, "id": "r1", "name": "a"},
            {**FACTS, "id": "r2", "name": "b", "label": "the best", "tags": ["x", "y"]},
            {**FACTS, "id": "r3", "name": "old", "archived": True},
            {**FACTS, "id": "r4", "name": "a", "deleted_s": 5.0},
        ]
        self.asked: list[str] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        path, body = request.url.path, json.loads(request.content or b"null")
        if request.method != "GET":
            self.asked.append(f"{request.method} {request.url.raw_path.decode()} {json.dumps(body)}")
        if path == "/api/runs":
            wanted = request.url.params.get("deleted") == "true"
            items = [run for run in self.runs if wanted == (run["deleted_s"] is not None)]
            return httpx.Response(200, json={"items": items})
        if request.method == "DELETE":
            return httpx.Response(204)
        run = next(run for run in self.runs if run["id"] == path.split("/")[3])
        run.update(body or {"deleted_s": None})
        return httpx.Response(200, json=run)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def said(server: Server, monkeypatch: pytest.MonkeyPatch) -> Said:
    transport = httpx.MockTransport(server.answer)
    monkeypatch.setattr(console, "own_client", lambda folder, environ: Client("http://server", "t", transport))
    return lambda *words: CliRunner().invoke(app, list(words))


def names(done: Result) -> list[str]:
    assert done.exit_code == 0, done.output
    return [run["id"] for run in json.loads(done.stdout)]


def test_lists_leave_out_what_was_put_away(said: Said) -> None:
    assert names(said("runs", "--json")) == ["r1", "r2"]
    assert names(said("runs", "--all", "--json")) == ["r1", "r2", "r3"]
    assert names(said("runs", "--deleted", "--json")) == ["r4"]
    rows = [" ".join(row.split()) for row in said("runs").stdout.splitlines()]
    assert rows[0] == "id project name label state step total health tags"
    assert rows[-1] == "r2 p b the best finished 9 NaN ok x, y"


def test_a_run_is_named_and_found_by_its_label(said: Said, server: Server) -> None:
    assert said("label", "a", "first").stdout == "run r1 (p/a, finished) is called 'first'\n"
    assert said("label", "first", "").stdout == "run r1 (p/a, finished) has no label\n"
    assert server.asked == ['PATCH /api/runs/r1 {"label": "first"}', 'PATCH /api/runs/r1 {"label": ""}']
    assert said("archive", "the best").stdout == "run r2 (p/b, finished) is archived\n"
    assert said("unarchive", "r2", "--json").stdout.startswith('{"project": "p"')
    assert server.asked[2:] == ['PATCH /api/runs/r2 {"archived": true}', 'PATCH /api/runs/r2 {"archived": false}']


@pytest.mark.parametrize(
    ("changes", "tags"),
    [
        (["+z"], ["x", "y", "z"]),
        (["-x"], ["y"]),
        (["+z", "-y", "+x"], ["z", "x"]),
        (["-none"], ["x", "y"]),
        (["+--json"], ["x", "y", "--json"]),
        (["-x", "-y"], []),
    ],
)
def test_tags_are_given_and_taken(said: Said, server: Server, changes: list[str], tags: list[str]) -> None:
    done = said("tag", "b", *changes)
    assert done.exit_code == 0, done.output
    assert server.asked == [f"PATCH /api/runs/r2 {json.dumps({'tags': tags})}"]
    assert done.stdout == f"run r2 (p/b, finished) {'is tagged ' + ', '.join(tags) if tags else 'has no tags'}\n"


def test_tags_are_shown(said: Said, server: Server) -> None:
    assert said("tag", "b").stdout == "run r2 (p/b, finished) is tagged x, y\n"
    assert server.asked == []


@pytest.mark.parametrize("change", ["z", "+", "- "])
def test_what_is_no_change_of_a_tag_is_refused(said: Said, change: str) -> None:
    done = said("tag", "b", change)
    assert (done.exit_code, "+TAG to give one" in done.stderr) == (1, True), done.output


def test_a_run_is_deleted_for_now_and_brought_back(said: Said, server: Server) -> None:
    assert said("delete", "a").exit_code == 1, "nobody is there to say yes"
    done = said("delete", "a", "--yes")
    assert done.stdout == "run r1 (p/a, finished) is deleted; `lossguard restore r1` brings it back\n"
    assert said("restore", "a").stdout == "run r4 (p/a, finished) is there again\n"
    assert said("restore", "b").exit_code == 1, "it is not deleted"
    assert said("delete", "r4", "--now", "--yes").stdout == "run r4 (p/a, finished) is deleted\n"
    assert server.asked == [
        "DELETE /api/runs/r1 null",
        "POST /api/runs/r4/restore {}",
        "DELETE /api/runs/r4?now=true null",
    ]


def test_a_name_that_two_have_is_refused(said: Said, server: Server) -> None:
    done = said("delete", "a", "--now", "--yes")
    assert (done.exit_code, "2 runs are called 'a'" in done.stderr) == (1, True), done.output
    assert server.asked == []
