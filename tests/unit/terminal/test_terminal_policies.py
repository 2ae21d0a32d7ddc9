"""`lossguard policies`: what is said on the command line becomes what is set, and what is in force is shown."""

import json
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from lossguard_server.terminal import console
from lossguard_server.terminal.client import Client
from lossguard_server.terminal.commands import app

RUNS = [{"id": "r1", "project": "p", "name": "n"}, {"id": "r2", "project": "org/q", "name": "m"}]
POLICY = {"do": "pause", "budget": 3, "severity": "critical", "pause_s": 600.0}
ANSWER = {
    "scope": "run:r1",
    "own": {"drift": POLICY},
    "policies": {"drift": {**POLICY, "set_by": "run"}, "nonfinite": {**POLICY, "do": "skip", "set_by": "file"}},
    "used": {"drift": 2},
    "refused": {"nonfinite": "The run's guard skips nothing; its mode is off."},
    "waiting": {"drift": "It waits [for] a verdict."},
    "ignored": ["There is no rule 'gone'."],
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, Any]]:
    """A server; what it is asked."""
    found: list[tuple[str, str, Any]] = []

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/runs":
            return httpx.Response(200, json={"items": RUNS, "next": None})
        body = json.loads(request.content) if request.content else None
        found.append((request.method, str(request.url).removeprefix("http://server/api/"), body))
        return httpx.Response(200, json=ANSWER)

    transport = httpx.MockTransport(handle)
    monkeypatch.setattr(console, "own_client", lambda folder, environ: Client("http://server", "t", transport))
    return found


SHORT = {"do": "rollback", "budget": 2}


@pytest.mark.parametrize(
    ("words", "path", "body"),
    [
        (["r1", "--set", "loss_jump", "rollback", "2"], "runs/r1/policies", {"drift": POLICY, "loss_jump": SHORT}),
        (["r1", "--set", "drift", "rollback", "2"], "runs/r1/policies", {"drift": SHORT}),
        (
            ["n", "--set", "drift", "rollback", "2", "--severity", "warning", "--pause-s", "30"],
            "runs/r1/policies",
            {"drift": {**SHORT, "severity": "warning", "pause_s": 30.0}},
        ),
        (
            ["r1", "--off", "drift", "--off", "count"],
            "runs/r1/policies",
            {"drift": {"do": "off"}, "count": {"do": "off"}},
        ),
        (["--project", "org/q", "--reset"], "project-policies?project=org%2Fq", {}),
        (["r1", "--reset", "--set", "x", "rollback", "2"], "runs/r1/policies", {"x": SHORT}),
    ],
)
def test_what_is_said_is_set_on_top_of_what_was(
    asked: list[tuple[str, str, Any]], words: list[str], path: str, body: dict[str, Any]
) -> None:
    assert CliRunner().invoke(app, ["policies", *words]).exit_code == 0
    assert asked[-1] == ("PUT", path, body)


def test_without_a_name_every_project_is_shown(asked: list[tuple[str, str, Any]]) -> None:
    done = CliRunner().invoke(app, ["policies", "--json"])
    assert json.loads(done.stdout) == [ANSWER, ANSWER]
    assert [path for _, path, _ in asked] == [f"project-policies?project={name}" for name in ("org%2Fq", "p")]


def test_what_is_in_force_is_shown_with_what_is_used_and_what_keeps_it_back(asked: list[tuple[str, str, Any]]) -> None:
    done = CliRunner().invoke(app, ["policies", "r1"])
    drift, nonfinite = [line.split() for line in done.stdout.splitlines() if "run:r1" in line]
    assert drift[:8] == ["run:r1", "drift", "pause", "3", "2", "critical", "600", "s"]
    assert " ".join(drift[8:]) == "run waits: It waits [for] a verdict."
    assert " ".join(nonfinite[8:]) == "file refused: The run's guard skips nothing; its mode is off."
    assert "This does not count: There is no rule 'gone'." in done.stderr
    assert json.loads(CliRunner().invoke(app, ["policies", "r1", "--json"]).stdout) == ANSWER


@pytest.mark.parametrize(
    "words",
    [
        ["--set", "drift", "pause", "1"],
        ["--off", "drift"],
        ["--reset"],
        ["r1", "--project", "p"],
        ["r1", "--set", "drift", "pause", "often"],
        ["r1", "--severity", "warning"],
        ["r1", "--off", "drift", "--pause-s", "3"],
    ],
)
def test_wrong_usage_ends_with_2_and_asks_nothing(asked: list[tuple[str, str, Any]], words: list[str]) -> None:
    assert CliRunner().invoke(app, ["policies", *words]).exit_code == 2
    assert asked == []
