"""What a person writes on the command line becomes a configuration, or a sentence that says what is wrong with it."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from typer.testing import CliRunner

from lossguard_server.terminal import console
from lossguard_server.terminal.client import Client, Refused
from lossguard_server.terminal.commands import app
from lossguard_server.terminal.rules import from_toml, interval, with_sets

ALERTS = [{"id": name, "rule": "r", "verdict": None} for name in ("abc1", "abd2")]


def test_what_is_set_comes_on_top_of_what_was_said() -> None:
    own = {"loss_jump": {"parameters": {"factor": 2.0, "need": 3.0}}}
    found = with_sets(own, ["loss_jump.factor = 4", "drift.enabled=false", "drift.h=1e-3", "drift.h=2"])
    assert found == {
        "loss_jump": {"parameters": {"factor": 4.0, "need": 3.0}},
        "drift": {"enabled": False, "parameters": {"h": 2.0}},
    }
    assert own["loss_jump"]["parameters"]["factor"] == 2.0


@pytest.mark.parametrize(
    "said", ["", "loss_jump", "loss_jump=2", "loss_jump.factor", ".factor=2", "a.=2", "a.b=x", "a.b=nan", "a.b=inf",
             "a.b=", "a.enabled=1", "a.enabled=no"]
)  # fmt: skip
def test_what_sets_nothing_is_told(said: str) -> None:
    with pytest.raises(typer.BadParameter) as refused:
        with_sets({}, [said])
    assert f"{said!r} sets nothing. " in refused.value.message


def test_a_file_s_tables_become_a_configuration(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text("[rules.a]\nenabled = false\nx = 2\n[rules.b]\ny = 0.5\n[project.p.rules.a]\nx = 1")
    expected = {"a": {"enabled": False, "parameters": {"x": 2}}, "b": {"parameters": {"y": 0.5}}}
    assert from_toml(path) == (expected, True)


@pytest.mark.parametrize(
    "text",
    [
        "[rules",
        "rules = 3",
        "[rules]\na = 3",
        "[rules.a]\nx = nan",
        f"[rules.a]\nx = {'9' * 5_000}",
        f"a = {'[' * 5_000}",
    ],
    ids=["head", "number", "rule", "nan", "digits", "depth"],
)
def test_a_file_without_tables_of_rules_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.toml"
    path.write_text(text)
    with pytest.raises(Refused, match=r"r\.toml"):
        from_toml(path)
    with pytest.raises(Refused, match="none"):
        from_toml(tmp_path / "none.toml")


def test_precision_is_told_with_its_interval() -> None:
    assert interval({"true": 3, "false": 1, "precision": 0.75, "low": 0.3006, "high": 0.9544}) == (
        "3 of 4: 75 % (30 to 95 %)"
    )
    assert interval({"true": 0, "false": 0, "precision": None, "low": None, "high": None}) == ""


@pytest.mark.parametrize(
    ("words", "code", "asked"),
    [
        (["--verdict", "abc", "true"], 0, ("/api/alerts/abc1/verdict", {"verdict": "true"})),
        (["--verdict", "abd2", "none"], 0, ("/api/alerts/abd2/verdict", {"verdict": None})),
        (["--silence", "abc1", "30"], 0, ("/api/alerts/abc1/silence", {"minutes": 30.0})),
        (["--verdict", "ab", "true"], 1, None),
        (["--verdict", "zz", "true"], 1, None),
        (["--verdict", "abc1", "perhaps"], 2, None),
        (["--silence", "abc1", "10080"], 0, ("/api/alerts/abc1/silence", {"minutes": 10080.0})),
        (["--silence", "abc1", "10081"], 2, None),
        (["--silence", "abc1", "nan"], 2, None),
        (["--silence", "abc1", "inf"], 2, None),
        (["--verdict", "abc1", "true", "--silence", "abc1", "nan"], 2, None),
        ([], 0, None),
    ],
)
def test_an_alert_is_named_by_its_beginning(
    monkeypatch: pytest.MonkeyPatch, words: list[str], code: int, asked: tuple[str, Any] | None
) -> None:
    posted: list[tuple[str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            posted.append((request.url.path, json.loads(request.content)))
            return httpx.Response(200, json=ALERTS[0])
        items = [{"id": "r1", "project": "p", "name": "n"}] if request.url.path == "/api/runs" else ALERTS
        return httpx.Response(200, json={"items": items, "next": None})

    transport = httpx.MockTransport(answer)
    monkeypatch.setattr(console, "own_client", lambda folder, environ: Client("http://server", "t", transport))
    assert CliRunner().invoke(app, ["alerts", "r1", *words]).exit_code == code
    assert posted == ([] if asked is None else [asked])


@pytest.mark.parametrize(
    ("words", "until_s", "said"),
    [
        (["--silence", "abc1", "9"], 4e9, "Nobody is told of abc1 until 2096-10-0"),
        (["--silence", "abc1", "0"], None, "abc1 is told of again.\n"),
        ([], 4e9, "silenced until 2096-10-0"),
        ([], 1e9, "abc1  critical  open  r  loss/a[b]  7  judged false\n    It [jumped].\n"),
    ],
)
def test_what_was_said_of_an_alert_is_shown(
    monkeypatch: pytest.MonkeyPatch, words: list[str], until_s: float | None, said: str
) -> None:
    alert = {**ALERTS[0], "severity": "critical", "state": "open", "series": "loss/a[b]", "step": 7,
             "message": "It [jumped].", "verdict": "false", "silenced_until_s": until_s}  # fmt: skip

    def answer(request: httpx.Request) -> httpx.Response:
        items = [{"id": "r1", "project": "p", "name": "n"}] if request.url.path == "/api/runs" else [alert]
        return httpx.Response(200, json=alert if request.method == "POST" else {"items": items, "next": None})

    transport = httpx.MockTransport(answer)
    monkeypatch.setattr(console, "own_client", lambda folder, environ: Client("http://server", "t", transport))
    assert said in CliRunner().invoke(app, ["alerts", "r1", *words]).stdout


def rules_server(monkeypatch: pytest.MonkeyPatch, **more: Any) -> list[tuple[str, str]]:
    """A server whose project has one rule; returns what it is asked."""
    asked: list[tuple[str, str]] = []
    answer = {"scope": "project:a/b", "runs": 2, "own": {}, "rules": [], "ignored": ["It is gone."], **more}

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append((request.method, str(request.url)))
        return httpx.Response(200, json=answer)

    transport = httpx.MockTransport(handle)
    monkeypatch.setattr(console, "own_client", lambda folder, environ: Client("http://server", "t", transport))
    return asked


def test_a_project_is_named_whole_whatever_its_name_has(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = rules_server(monkeypatch)
    assert CliRunner().invoke(app, ["rules", "--project", "a/b&c", "--set", "x.y=1"]).exit_code == 0
    address = "http://server/api/project-rules?project=a%2Fb%26c"
    assert asked == [("GET", address), ("PUT", address)]


def test_what_does_not_count_is_told_beside_the_table_and_json_is_the_whole_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rules_server(monkeypatch)
    done = CliRunner().invoke(app, ["rules", "--project", "p"])
    assert "This does not count: It is gone." in done.stderr
    assert "It is gone." not in done.stdout
    answer = json.loads(CliRunner().invoke(app, ["rules", "--project", "p", "--json"]).stdout)
    assert (answer["runs"], answer["ignored"]) == (2, ["It is gone."])


@pytest.mark.parametrize(
    "words", [["--set", "x.y=1"], ["--reset"], ["r1", "--project", "p"], ["--project", "p", "--set", "x=1"]]
)
def test_wrong_usage_ends_with_2_and_asks_nothing(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    asked = rules_server(monkeypatch)
    assert CliRunner().invoke(app, ["rules", *words]).exit_code == 2
    assert asked == []
