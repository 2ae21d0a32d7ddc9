"""`lossguard notify`: what is asked of the server, and what a person reads."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from lossguard_server.terminal import client as clients
from lossguard_server.terminal.notifications import app

CHANNEL = {
    "id": "c1", "name": "on call", "kind": "webhook", "service": "https://h", "enabled": True, "severity": "critical",
    "projects": [], "resolved": False, "quiet": {"from": "22:00", "to": "07:00", "zone": "UTC"}, "secret": "****abcd",
}  # fmt: skip
Ask = Callable[..., Result]


@pytest.fixture
def asked() -> list[tuple[str, str, Any]]:
    return []


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, asked: list[tuple[str, str, Any]]) -> Ask:
    """Run a subcommand against a server that knows one channel."""

    def serve(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content) if request.content else None
        asked.append((request.method, request.url.path, body))
        match request.method, request.url.path:
            case "GET", "/api/channels":
                return httpx.Response(200, json={"items": [CHANNEL, {**CHANNEL, "id": "c2", "name": "twin"},
                                                           {**CHANNEL, "id": "c3", "name": "twin"}]})  # fmt: skip
            case "POST", "/api/channels":
                return httpx.Response(201, json={**CHANNEL, "secret": "whsec_x"})
            case "GET", "/api/notifications":
                return httpx.Response(200, json={"items": [{"state": "given_up", "said": "HTTP 410"}]})
            case "POST", path:
                is_fine = path.split("/")[3] == "c1"
                return httpx.Response(200, json={"delivered": is_fine, "status": 200, "said": "hello", "took_s": 0.5})
        return httpx.Response(204)

    real = clients.Client
    monkeypatch.setattr(clients, "Client", lambda url, token: real(url, token, httpx.MockTransport(serve)))

    def run(*words: str, stdin: str = "") -> Result:
        return CliRunner().invoke(app, [*words, "--data", str(tmp_path)], input=stdin)

    return run


def test_a_channel_is_added_and_its_secret_shown(ask: Ask, asked: list[tuple[str, str, Any]]) -> None:
    done = ask("add", "on call", "https://h/x", "--quiet", "22:00-07:00", "--zone", "Europe/Berlin", "--project", "p",
               "--resolved", "--wake-for-nonfinite")  # fmt: skip
    assert "whsec_x" in done.stdout
    ((_, _, body),) = asked
    assert body == {
        "name": "on call", "kind": "webhook", "url": "https://h/x", "severity": "critical", "projects": ["p"],
        "resolved": True,
        "quiet": {"from": "22:00", "to": "07:00", "zone": "Europe/Berlin", "nonfinite_breaks": True},
    }  # fmt: skip


def test_an_address_may_come_by_stdin_and_says_of_which_kind_it_is(ask: Ask, asked: list[tuple[str, str, Any]]) -> None:
    ask("add", "chat", "-", stdin="slack://a/b/c\n")
    ask("add", "chat", "https://hooks.slack.com/x", "--apprise")
    assert [(body["kind"], body["url"]) for _, _, body in asked] == [
        ("apprise", "slack://a/b/c"), ("apprise", "https://hooks.slack.com/x"),
    ]  # fmt: skip


def test_lists_are_tables_or_json(ask: Ask) -> None:
    assert "22:00" in ask("list").stdout
    assert json.loads(ask("list", "--json").stdout)[0] == CHANNEL
    assert json.loads(ask("outbox", "--json").stdout) == [{"state": "given_up", "said": "HTTP 410"}]


def test_the_outbox_says_a_line_and_under_it_what_became_of_it(ask: Ask) -> None:
    assert "resolved" in ask("list").stdout
    assert ask("outbox").stdout.splitlines()[0].startswith("given_up")
    assert "\n    after 0 tries: HTTP 410\n" in ask("outbox").stdout


def test_a_test_ends_as_it_went(ask: Ask) -> None:
    done = ask("test", "on call")
    assert (done.exit_code, done.stdout) == (0, "delivered in 0.5 s: hello\n")
    failed = ask("test", "c2")
    assert (failed.exit_code, failed.stdout) == (1, "not delivered in 0.5 s: hello\n")


def test_a_name_of_two_channels_is_none(ask: Ask, asked: list[tuple[str, str, Any]]) -> None:
    for wanted in ("twin", "nobody"):
        done = ask("remove", wanted)
        assert done.exit_code == 1
        assert "lossguard notify list" in done.stderr
    assert ask("remove", "c3", "--json").stdout == '{"channel": "c3"}\n'
    assert ("DELETE", "/api/channels/c3", None) in asked
    bad = ask("add", "x", "https://h", "--quiet", "at night")
    assert (bad.exit_code, "22:00-07:00" in bad.stderr) == (2, True)
    assert ask("add", "x", "https://h", "--quiet", "22:00-25:00").exit_code == 2
    assert ask("add", "x", "https://h", "--severity", "info").exit_code == 2
