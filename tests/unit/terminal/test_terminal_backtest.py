"""The lines that a server answers a backtest with become a table, or a refusal with its reason."""

import io
import json
from typing import Any

import httpx
import pytest
from rich.console import Console
from typer.testing import CliRunner

from lossguard_server.terminal import console
from lossguard_server.terminal.backtest import show
from lossguard_server.terminal.client import LINES, Client
from lossguard_server.terminal.commands import app

NOTHING = {"critical": 0, "warning": 0}
MARKS = {"marked": 0, "still": 0}
UNJUDGED = {"true": 0, "false": 0, "precision": None, "low": None, "high": None}


def counts(**more: Any) -> dict[str, Any]:
    known = {"now": NOTHING, "then": NOTHING, "both": 0, "only_now": 0, "only_then": 0, "true": MARKS, "false": MARKS}
    return {**known, "precision": UNJUDGED, **more}


def result(*runs: dict[str, Any], **more: Any) -> dict[str, Any]:
    jump = counts(now={"critical": 2, "warning": 0}, only_now=2, true={"marked": 3, "still": 1})
    known = {"rules": {"loss_jump": jump, "drift": counts()}, "total": counts(), "runs": list(runs), "complete": True}
    return {**known, "limit_s": 300.0, **more}


def a_run(name: str = "r1", **more: Any) -> dict[str, Any]:
    known = {"run": name, "project": "p", "name": "[n]", "first_step": 0, "last_step": 9, "rows": 10, "complete": True,
             "judged_to": None, "compared_to": None}  # fmt: skip
    return {**known, "total": counts(), "alerts": [], "stored": [], "failed": [], **more}


def printed(found: dict[str, Any]) -> str:
    out = io.StringIO()
    show(found, Console(width=200, file=out))
    return out.getvalue()


def answered(monkeypatch: pytest.MonkeyPatch, lines: list[Any], status: int = 200, kind: str = LINES) -> list[Any]:
    """Every backtest is answered so; returns the bodies that are asked for."""
    asked: list[Any] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/runs":
            items = [{"id": "r1", "project": "p", "name": "n"}, {"id": "r2", "project": "q", "name": "m"}]
            return httpx.Response(200, json={"items": items, "next": None})
        asked.append(json.loads(request.content))
        text = "".join(json.dumps(line) + "\n" for line in lines)
        return httpx.Response(status, text=text, headers={"content-type": kind})

    transport = httpx.MockTransport(answer)
    monkeypatch.setattr(console, "own_client", lambda folder, environ: Client("http://server", "t", transport))
    return asked


def test_rules_that_found_nothing_are_not_in_the_table() -> None:
    text = printed(result(a_run()))
    assert "loss_jump" in text
    assert "1 of 3" in text
    assert "drift" not in text


def test_of_one_run_the_alerts_are_told_and_of_several_the_runs() -> None:
    alert = {"step": 7, "rule": "loss_jump", "message": "up [by 3]"}
    one = a_run(alerts=[{**alert, "then": None}] * 25, stored=[{**alert, "step": 3, "now": False}])
    text = printed(result(one))
    assert "step 7, loss_jump, up [by 3]" in text
    assert "and 5 more" in text
    assert "step 3" in text
    several = printed(result(one, a_run("r2", complete=False), complete=False))
    assert "step 7" not in several
    assert "0 to 9 (not all)" in several
    assert "p/[n]" in several
    assert "300 s" in several


def test_a_rule_that_failed_is_told() -> None:
    failed = {"rule": "drift", "said": "ZeroDivisionError: [x]", "since_step": 4}
    assert "drift failed in r1 at step 4: ZeroDivisionError: [x]" in printed(result(a_run(failed=[failed])))


def test_what_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    progress = {"run": "r1", "number": 1, "of": 1, "step": 5, "last_step": 9, "alerts": 0}
    asked = answered(monkeypatch, [{"progress": progress}, {"result": result(a_run())}])
    words = ["backtest", "-", "r1", "--set", "loss_jump.factor=2", "--since", "500", "--own", "--json"]
    done = CliRunner().invoke(app, words)
    assert (done.exit_code, json.loads(done.stdout)["complete"]) == (0, True)
    rules = {"loss_jump": {"parameters": {"factor": 2.0}}}
    assert asked == [{"runs": ["r1"], "rules": rules, "over": "run", "first_step": 500}]
    CliRunner().invoke(app, ["backtest", "-", "--project", "q"])
    assert asked[1] == {"runs": ["r2"], "rules": {}, "over": "defaults"}


@pytest.mark.parametrize(
    ("lines", "status", "kind", "why"),
    [
        ([{"error": {"error": "run_changed", "message": "It went back.", "hint": "Again."}}], 200, LINES, "went back"),
        ([{"progress": {}}][:0], 200, LINES, "without a result"),
        ([{"error": "x", "message": "Too many.", "hint": ""}], 429, "application/json", "Too many."),
        ([{"items": []}], 200, "application/json", "not a lossguard server"),
    ],
)
def test_without_a_result_there_is_a_reason(
    monkeypatch: pytest.MonkeyPatch, lines: list[Any], status: int, kind: str, why: str
) -> None:
    answered(monkeypatch, lines, status, kind)
    done = CliRunner().invoke(app, ["backtest", "-", "r1"])
    assert done.exit_code == 1
    assert why in done.output


def test_without_a_run_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answered(monkeypatch, [])
    done = CliRunner().invoke(app, ["backtest", "-", "--project", "nobody"])
    assert (done.exit_code, "no run to judge" in done.output) == (1, True)
    done = CliRunner().invoke(app, ["backtest", "r1"], env={"COLUMNS": "200"})
    assert (done.exit_code, "RULES comes first (- for the defaults)" in done.output) == (2, True)
    assert CliRunner().invoke(app, ["backtest", "-", "r1", "--set", "x"]).exit_code == 2
    assert asked == []


def test_what_was_not_compared_is_told() -> None:
    text = printed(result(a_run(judged_to=7, compared_to=5)))
    assert "r1: the rules have judged it up to step 7 so far; later rows are left out." in text
    assert "compared up to step 5" in text
    assert "left out" not in printed(result(a_run()))
