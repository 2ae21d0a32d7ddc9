"""Rules over HTTP: shown, changed while a run trains, tried on what is stored, and judged by people."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from typer.testing import CliRunner

from lossguard.protocol.messages import ContractSpec, StageSpec
from lossguard_server.errors import BadConfigFile
from lossguard_server.services.backtesting import replay
from lossguard_server.terminal.commands import app
from raw_trainer import RawTrainer
from server_inside import ADMIN, Inside, running_server

JUMP = 300
TAMED = {"loss_jump": {"parameters": {"factor": 1e5, "factor_far": 1e5}}}
STAGES = [StageSpec("ce", 0, {"ce": 1.0}), StageSpec("both", 600, {"ce": 1.0, "aux": 0.01})]
LINES = {"Accept": "application/x-ndjson"}


async def jumping_run(inside: Inside, steps: int = 400, run: str = "r1", ends: bool = False) -> RawTrainer:
    """A total of 2.2 that is ten times as high from step 300 on."""
    trainer = inside.trainer(run)
    await trainer.connect()
    trainer.declare(components=["ce"])
    values = 2.2 * np.exp(np.random.default_rng(0).normal(0.0, 0.02, steps))
    values[JUMP:] *= 10.0
    trainer.frame(range(steps), loss__total=values.tolist())
    await trainer.deliver()
    if ends:  # with it is stored how far it is judged, and so far a backtest goes
        trainer.event("finish", steps, state="finished")
        await trainer.deliver()
        async with asyncio.timeout(20):
            while await _judged_to(inside, run) < steps - 1:
                await asyncio.sleep(0.05)
    return trainer


async def _judged_to(inside: Inside, run: str) -> int:
    found = await said(inside, "POST", f"/api/runs/{run}/rules/preview?newest=1", {})
    return int(found["runs"][0]["last_step"])


async def until(inside: Inside, is_so: Callable[[list[Any]], bool], run: str = "r1") -> list[Any]:
    """The run's alerts, as soon as they are so."""
    async with asyncio.timeout(10):
        while not is_so(found := await inside.items(f"/api/runs/{run}/alerts")):
            await asyncio.sleep(0.02)
    return found


def noise(n: int, seed: int) -> Any:
    return np.exp(np.random.default_rng(seed).normal(0.0, 0.02, n))


def of_jump(alerts: list[Any]) -> list[Any]:
    return [alert for alert in alerts if alert["rule"] == "loss_jump"]


async def said(inside: Inside, method: str, path: str, body: Any, status: int = 200) -> Any:
    answer = await inside.http.request(method, path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_every_rule_is_shown_with_its_parameters(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        found = {rule["name"]: rule for rule in await inside.items("/api/rules")}
        factor = next(entry for entry in found["loss_jump"]["parameters"] if entry["name"] == "factor")
        assert (factor["value"], factor["default"], factor["set_by"], factor["unit"]) == (1.5, 1.5, "default", "times")
        assert found["loss_jump"]["precision"]["precision"] is None
        assert found["nonfinite"]["number"] == "R0"
        health = await inside.get("/api/rules/health")
        assert (health["failed"], health["lag_s"]) == ([], 0.0)


async def test_a_change_counts_in_its_run_only_and_is_in_its_trail(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        await jumping_run(inside, 10)
        changed = await said(inside, "PUT", "/api/runs/r1/rules", TAMED)
        assert changed["own"] == TAMED
        await said(inside, "PUT", "/api/project-rules?project=p", {"loss_jump": {"enabled": False}})
        shown = {rule["name"]: rule for rule in (await inside.get("/api/runs/r1/rules"))["rules"]}["loss_jump"]
        assert (shown["enabled"], shown["enabled_by"]) == (False, "project")
        assert next(entry["set_by"] for entry in shown["parameters"] if entry["name"] == "factor") == "run"
        assert (await inside.get("/api/project-rules", project="other"))["rules"][0]["enabled"]
        of_project, of_run = await inside.items("/api/runs/r1/audit")
        assert (of_project["what"], of_project["detail"]["scope"]) == ("rules changed", "project:p")
        assert of_run["detail"] == {"scope": "run:r1", "before": {}, "after": TAMED}
        assert (await said(inside, "PUT", "/api/runs/r1/rules", {}))["own"] == {}


async def test_a_project_s_rules_are_reached_whatever_its_name(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        path = f"/api/project-rules?project={quote('org/de novo&x', safe='')}"
        answer = await said(inside, "PUT", path, {"drift": {"enabled": False}, "loss_jump": {}})
        assert (answer["scope"], answer["runs"]) == ("project:org/de novo&x", 0)
        assert answer["own"] == {"drift": {"enabled": False}}, "of a rule of which nothing is said nothing is kept"
        await jumping_run(inside, 1)
        assert (await inside.get("/api/project-rules", project="p"))["runs"] == 1
        assert (await inside.get("/api/runs/r1/rules"))["runs"] == 1
        for name in ("", "%00", "a%0Ab", "x" * 513, "%E2%80%AE"):
            assert (await said(inside, "PUT", f"/api/project-rules?project={name}", {}, 422))["error"] == "bad_request"
        assert (await said(inside, "GET", "/api/project-rules", None, 422))["error"] == "bad_request"


async def test_a_pair_that_makes_no_sense_is_refused_with_both_names(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        await jumping_run(inside, 1)
        body = {"grad_cluster": {"parameters": {"need": 30, "of": 20}}}
        refused = await said(inside, "PUT", "/api/runs/r1/rules", body, 422)
        assert (refused["error"], "need (30) is above of (20)" in refused["message"]) == ("bad_rules", True)
        part = await said(inside, "PUT", "/api/runs/r1/rules", {"grad_cluster": {"parameters": {"need": 2.5}}}, 422)
        assert (part["error"], "whole number" in part["hint"]) == ("parameter_out_of_bounds", True)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"loss_jmp": {"enabled": False}}, "unknown_rule"),
        ({"loss_jump": {"parameters": {"facor": 2}}}, "unknown_parameter"),
        ({"loss_jump": {"parameters": {"factor": -2}}}, "parameter_out_of_bounds"),
        ({"loss_jump": {"parameters": {"factor": "NaN"}}}, "bad_request"),
        ({"loss_jump": {"parameters": {"factor": True}}}, "bad_request"),
        ({"loss_jump": {"enabled": 0}}, "bad_request"),
        ({"loss_jump": {"factor": 2}}, "bad_request"),
        ([], "bad_request"),
    ],
)
async def test_what_makes_no_sense_is_refused(tmp_path: Path, body: Any, error: str) -> None:
    async with running_server(tmp_path) as inside:
        await jumping_run(inside, 1)
        for path in ("/api/runs/r1/rules", "/api/project-rules?project=p"):
            assert (await said(inside, "PUT", path, body, 422))["error"] == error
        assert (await said(inside, "POST", "/api/runs/r1/rules/preview", body, 422))["error"] == error
        assert (await said(inside, "POST", "/api/backtest", {"runs": ["r1"], "rules": body}, 422))["error"] == error
        assert (await inside.get("/api/runs/r1/rules"))["own"] == {}


async def test_a_rule_that_is_switched_off_ends_its_alert_and_one_that_is_tamed_is_quiet(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        await jumping_run(inside, JUMP + 20)
        [alert] = of_jump(await until(inside, lambda found: bool(of_jump(found))))
        assert (alert["state"], JUMP <= alert["step"] <= JUMP + 2) == ("firing", True)
        await said(inside, "PUT", "/api/runs/r1/rules", {"loss_jump": {"enabled": False}})
        [ended] = of_jump(await until(inside, lambda found: of_jump(found)[0]["state"] == "resolved"))
        assert "switched off" in ended["evidence"]["text"]
        await said(inside, "PUT", "/api/project-rules?project=p", TAMED)
        second = await jumping_run(inside, run="r2")
        second.event("finish", 400, state="finished")
        await second.deliver()
        health = await inside.get("/api/rules/health")
        while health["lag_s"] > 0:
            health = await inside.get("/api/rules/health")
        assert of_jump(await inside.items("/api/runs/r2/alerts")) == []


async def test_a_preview_is_what_setting_it_would_have_found(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        await jumping_run(inside, ends=True)
        [alert] = of_jump(await until(inside, lambda found: bool(of_jump(found))))
        path = "/api/runs/r1/rules/preview"
        same = await said(inside, "POST", path, {})
        [run] = same["runs"]
        assert [each["then"] for each in run["alerts"] if each["rule"] == "loss_jump"] == [alert["id"]]
        assert same["rules"]["loss_jump"]["both"] == 1
        tamed = (await said(inside, "POST", path, TAMED))["rules"]["loss_jump"]
        assert (tamed["both"], tamed["only_then"]) == (0, 1)
        off = (await said(inside, "POST", path, {"loss_jump": {"enabled": False}}))["rules"]["loss_jump"]
        assert (off["now"]["critical"], off["only_then"]) == (0, 1)
        last = await said(inside, "POST", f"{path}?newest=50", {})
        assert (last["runs"][0]["first_step"], last["runs"][0]["stored"]) == (350, [])
        assert len(of_jump(await inside.items("/api/runs/r1/alerts"))) == 1, "nothing of it is stored"
        await said(inside, "PUT", "/api/runs/r1/rules", TAMED)
        undone = (await said(inside, "POST", path, {}))["rules"]["loss_jump"]
        assert undone["now"]["critical"] == 1, "a preview stands for what is set now, and not on top of it"


async def test_a_backtest_finds_exactly_what_was_found_in_training(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer = inside.trainer()
        await trainer.connect()
        trainer.declare(components=["ce", "aux"], stages=STAGES, contracts=[ContractSpec("r", 30.0, 60.0)])
        ce, aux = 2.2 * noise(1_500, 1), 900.0 * noise(1_500, 2)
        ce[1_200:1_230] = np.nan
        for at in range(0, 1_500, 70):  # frames that end anywhere, and a sparse series
            steps = list(range(at, min(1_500, at + 70)))
            weight = [0.0 if step < 600 else 0.01 for step in steps]
            total = ce[steps] + np.array(weight) * aux[steps]
            named = {"loss__ce": ce[steps], "loss__aux": aux[steps], "weight__ce": [1.0] * len(steps)}
            trainer.frame(steps, loss__total=total, weight__aux=weight, **named)
            trainer.frame(steps[::10], r=[45.0 if step < 900 else 80.0 for step in steps[::10]])
        trainer.event("trip", 1_400, where="buffers", text="the running mean is not finite")
        trainer.event("finish", 1_499, state="finished")
        await trainer.deliver()
        async with asyncio.timeout(30):
            while (await inside.get("/api/rules/health"))["lag_s"] > 0:
                await asyncio.sleep(0.02)
        found = await said(inside, "POST", "/api/backtest", {"runs": ["r1"]})
        [run] = found["runs"]
        keys = ("rule", "series", "component", "severity", "step", "last_step", "resolved_step", "message")
        now, then = ([tuple(each[key] for key in keys) for each in run[side]] for side in ("alerts", "stored"))
        assert sorted(now, key=str) == sorted(then, key=str)
        assert {"nonfinite", "contract"} <= {rule for rule, *_ in now}
        assert (found["total"]["only_now"], found["total"]["only_then"]) == (0, 0)


async def test_a_backtest_is_over_the_defaults_or_over_the_runs_own(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        await jumping_run(inside, ends=True)
        await jumping_run(inside, run="r2", ends=True)
        await said(inside, "PUT", "/api/runs/r1/rules", TAMED)
        body = {"runs": ["r1", "r2", "r1"]}
        plain = await said(inside, "POST", "/api/backtest", body)
        assert [run["run"] for run in plain["runs"]] == ["r1", "r2"], "each once"
        assert plain["rules"]["loss_jump"]["now"]["critical"] == 2
        own = await said(inside, "POST", "/api/backtest", {**body, "over": "run"})
        assert own["rules"]["loss_jump"]["now"]["critical"] == 1
        assert (await said(inside, "POST", "/api/backtest", {"runs": ["r9"]}, 404))["error"] == "unknown_run"
        assert (await said(inside, "POST", "/api/backtest", {"runs": []}, 422))["error"] == "bad_request"


async def test_lines_tell_the_progress_and_end_with_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_server(tmp_path) as inside:
        await jumping_run(inside, ends=True)
        monkeypatch.setattr(replay.Replay.pages, "__defaults__", (100,))
        async with inside.http.stream("POST", "/api/backtest", json={"runs": ["r1"]}, headers=LINES) as answer:
            found = [json.loads(line) async for line in answer.aiter_lines()]
        steps = [each["progress"]["step"] for each in found[:-1]]
        assert (steps[0], steps[-1], steps == sorted(steps)) == (99, 399, True)
        assert found[-1]["result"]["runs"][0]["rows"] == 400


async def test_a_third_at_once_is_refused_and_who_leaves_makes_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {"url": "/api/backtest", "json": {"runs": ["r1"]}, "headers": LINES}

    async def two_at_once() -> tuple[int, int, int]:
        """Only the heads of the answers: a third that is let in after all would be read for minutes."""
        async with (
            inside.http.stream("POST", **asked) as first,
            inside.http.stream("POST", **asked) as second,
            inside.http.stream("POST", **asked) as third,
        ):
            return first.status_code, second.status_code, third.status_code

    async with running_server(tmp_path) as inside:
        await jumping_run(inside, 20_000, ends=True)
        monkeypatch.setattr(replay.Replay.pages, "__defaults__", (1,))  # 20,000 pages: none ends by itself here
        assert await two_at_once() == (200, 200, 429)
        async with asyncio.timeout(10):
            while await two_at_once() != (200, 200, 429):
                await asyncio.sleep(0.02)


async def test_people_s_verdicts_make_a_rule_s_precision(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        await jumping_run(inside, ends=True)
        [alert] = of_jump(await until(inside, lambda found: bool(of_jump(found))))
        path = f"/api/alerts/{alert['id']}"
        assert (await said(inside, "POST", f"{path}/verdict", {"verdict": "true"}))["verdict"] == "true"
        rules = {rule["name"]: rule["precision"] for rule in await inside.items("/api/rules")}
        assert (rules["loss_jump"]["true"], rules["loss_jump"]["precision"]) == (1, 1.0)
        kept = (await said(inside, "POST", "/api/runs/r1/rules/preview", TAMED))["rules"]["loss_jump"]
        assert kept["true"] == {"marked": 1, "still": 0}
        silent = await said(inside, "POST", f"{path}/silence", {"minutes": 60})
        assert silent["silenced_until_s"] > alert["fired_s"] + 3_000
        await said(inside, "POST", f"{path}/silence", {"minutes": 7 * 24 * 60 + 1}, 422)
        await said(inside, "POST", f"{path}/verdict", {"verdict": "perhaps"}, 422)
        assert (await said(inside, "POST", "/api/alerts/a9/verdict", {"verdict": None}, 404))[
            "error"
        ] == "unknown_alert"
        whats = [entry["what"] for entry in await inside.items("/api/runs/r1/audit")]
        assert sorted(whats) == ["alert judged", "alert silenced"]


async def test_the_configuration_file_counts_and_a_wrong_one_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "lossguard.toml").write_text(
        "[rules.loss_jump]\nfactor = 2.5\n[project.p.rules.drift]\nenabled = false"
    )
    async with running_server(tmp_path) as inside:
        found = {rule["name"]: rule for rule in (await inside.get("/api/project-rules", project="p"))["rules"]}
        factor = next(entry for entry in found["loss_jump"]["parameters"] if entry["name"] == "factor")
        assert (factor["value"], factor["set_by"]) == (2.5, "file")
        assert (found["drift"]["enabled"], found["drift"]["enabled_by"]) == (False, "file project")
    (tmp_path / "lossguard.toml").write_text("[rules.loss_jump]\nfaktor = 2.5")
    with pytest.raises(BadConfigFile, match=r"lossguard\.toml.*'faktor'.*Did you mean 'factor'"):
        async with running_server(tmp_path):
            pass


async def test_the_command_line_shows_changes_and_tries_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_server(tmp_path) as inside:
        monkeypatch.setenv("LOSSGUARD_URL", inside.url)
        monkeypatch.setenv("LOSSGUARD_TOKEN", ADMIN)
        monkeypatch.setenv("COLUMNS", "200")
        await jumping_run(inside, ends=True)
        [alert] = of_jump(await until(inside, lambda found: bool(of_jump(found))))

        async def run(*words: str, code: int = 0) -> str:
            done = await asyncio.to_thread(CliRunner().invoke, app, list(words))
            assert done.exit_code == code, done.output
            return str(done.output)

        assert "loss_jump" in await run("backtest", "-", "r1")
        tamed = [word for key in TAMED["loss_jump"]["parameters"] for word in ("--set", f"loss_jump.{key}=1e5")]
        found = json.loads(await run("backtest", "-", "r1", *tamed, "--json"))
        jump = found["rules"]["loss_jump"]
        assert (jump["both"], jump["only_then"]) == (0, 1)
        assert "only when it was trained" in await run("backtest", "-", "--project", "p", *tamed)
        assert "true" in await run("alerts", "r1", "--verdict", alert["id"][:8], "true")
        assert "1 of 1: 100 % (21 to 100 %)" in await run("rules")
        assert "run" in await run("rules", "r1", "--set", "loss_jump.factor=3", "--set", "drift.enabled=false")
        assert "drift (off)" in await run("rules", "r1")
        assert "drift (off)" not in await run("rules", "r1", "--reset")
        assert "Did you mean 'factor'?" in await run("rules", "r1", "--set", "loss_jump.facto=3", code=1)
        assert "lossguard.toml" in await run("rules", "--set", "loss_jump.factor=3", code=2)
        rules = tmp_path / "rules.toml"
        rules.write_text("[rules.loss_jump]\nenabled = false\n[project.p]")
        assert "only [rules] counts" in await run("backtest", str(rules), "r1")
        assert "no run" in await run("backtest", "-", "nobody", code=1)
