"""Control as an operator has it: a real server, a real trainer, and the server killed with -9 at the worst moment."""

import json
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from processes import ServerProcess, until
from steered_training import STAGE_AT, SteeredProcess

pytestmark = pytest.mark.skipif(
    "LOSSGUARD_FAULTS_N" not in os.environ,
    reason="two minutes, for which there is no room within CI's twenty; LOSSGUARD_FAULTS_N=1 runs them",
)


@pytest.fixture
def trainer(server: ServerProcess, tmp_path: Path) -> Iterator[SteeredProcess]:
    process = SteeredProcess(server, tmp_path / "trainer")
    yield process
    process.end()


class Run:
    """The one run of a server, as an operator sees it."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        until(lambda: server.get("/api/runs")["items"], "the run is there")
        self.id = server.get("/api/runs")["items"][0]["id"]
        until(lambda: (now := self.now)["connected"] and now["step"], "it trains")

    @property
    def now(self) -> Any:
        return self._server.get(f"/api/runs/{self.id}")

    @property
    def schedule(self) -> Any:
        return self._server.get(f"/api/runs/{self.id}/schedule")

    def post(self, key: str, kind: str, more: Any = None, **args: Any) -> httpx.Response:
        body = {"kind": kind, "args": args, "idempotency_key": key, **(more or {})}
        headers = {"Authorization": f"Bearer {self._server.admin_token}"}
        address = f"{self._server.url}/api/runs/{self.id}/commands"
        return httpx.post(address, json=body, headers=headers, trust_env=False, timeout=10)

    def command(self, id: str) -> Any:
        return next(each for each in self._server.get(f"/api/runs/{self.id}/commands")["items"] if each["id"] == id)

    def done(self, key: str, kind: str, state: str = "applied", /, **args: Any) -> Any:
        """The command, once it is in this state."""
        answer = self.post(key, kind, **args)
        assert answer.status_code == 201, answer.text
        id = answer.json()["id"]
        until(lambda: self.command(id)["state"] not in ("queued", "sent", "received"), f"{kind} comes to an end")
        command = self.command(id)
        assert command["state"] == state, command
        return command


def test_a_paused_run_outlives_a_kill_of_the_server(server: ServerProcess, trainer: SteeredProcess) -> None:
    run = Run(server)
    paused = run.done("p", "pause")
    until(lambda: run.now["state"] == "paused", "the server knows")
    server.kill()
    server.start()
    until(lambda: (now := run.now)["connected"] and now["state"] == "paused", "it is paused still")
    assert trainer.steps == paused["step"]
    assert run.command(paused["id"])["state"] == "applied"
    resumed = run.done("r", "resume")
    assert resumed["step"] == paused["step"]
    until(lambda: trainer.steps > paused["step"] + 20, "training goes on")
    run.done("s", "stop")
    assert trainer.wait() == 0, trainer.log_text()


def test_of_two_operators_who_saw_the_same_one_is_told_what_the_other_did(
    server: ServerProcess, trainer: SteeredProcess
) -> None:
    run = Run(server)
    seen, at_once = {"expect_version": run.schedule["version"]}, threading.Barrier(2)

    def operate(name: str, value: float) -> httpx.Response:
        at_once.wait(10)
        return run.post(name, "set_weight", seen, component="a", value=value)

    with ThreadPoolExecutor(2) as people:
        answers = list(people.map(operate, ("ann", "bob"), (0.5, 0.125)))
    first, second = sorted(answers, key=lambda answer: answer.status_code)
    assert (first.status_code, second.status_code) == (201, 409)
    assert second.json()["error"] == "version_conflict"
    assert f"came command {first.json()['number']}, a set_weight" in second.json()["message"]
    until(lambda: run.command(first.json()["id"])["state"] == "applied", "the first is applied")
    (given,) = server.get(f"/api/runs/{run.id}/commands")["items"]
    assert run.schedule["weights"]["a"] == given["args"]["value"]
    newer = {"expect_version": run.schedule["version"]}
    assert run.post("again", "set_weight", newer, component="a", value=2.0).status_code == 201
    until(lambda: trainer.weights()[-1]["a"] == 2.0, "who has looked is obeyed")


def test_what_the_trainer_refuses_is_told_with_its_reason(server: ServerProcess, trainer: SteeredProcess) -> None:
    run = Run(server)
    refused = run.done("c", "set_clip", "rejected", value=1.0)
    assert refused["refusal"] == "the script has not called run.clip_grad_norm_ yet, so there is no clipping to change"
    assert refused["step"] is None
    assert run.schedule["operations"] == []


def test_a_lease_ends_at_its_step_while_the_server_is_away(server: ServerProcess, trainer: SteeredProcess) -> None:
    run = Run(server)
    lease = 1_000
    given = run.done("l", "set_weight", component="a", value=0.5, lease_steps=lease)
    server.kill()
    begins, ends = given["step"], given["step"] + lease
    assert trainer.steps < ends, "the server is away before the lease ends"
    until(lambda: trainer.steps > ends + 50, "training goes on")
    server.start()
    until(lambda: run.now["connected"] and run.schedule["step"] > ends, "the trainer is back")
    assert run.schedule["weights"]["a"] == 1.0
    assert [each["in_force"] for each in run.schedule["operations"]] == [False]
    found = {step: weights["a"] for step, weights in enumerate(trainer.weights())}
    assert found == {step: 0.5 if begins <= step < ends else 1.0 for step in found}


def test_a_held_stage_does_not_come_until_it_is_released(server: ServerProcess, trainer: SteeredProcess) -> None:
    run = Run(server)
    held = run.done("h", "hold_stage")
    assert held["step"] < STAGE_AT
    until(lambda: trainer.steps > STAGE_AT + 50, "its step is past")
    assert run.schedule["held"] == {"since": held["step"], "until": None}
    assert {weights["b"] for weights in trainer.weights()} == {0.25}
    released = run.done("r", "release_stage")
    begins = STAGE_AT + released["step"] - held["step"]
    assert next(stage for stage in run.schedule["stages"] if stage["name"] == "two")["begins_at"] in (begins, None)
    until(lambda: trainer.steps > begins + 60, "the stage comes")
    found = trainer.weights()
    assert {weights["b"] for weights in found[: begins + 1]} == {0.25}, "a ramp begins where the weight was"
    assert found[begins + 1]["b"] > 0.25
    assert found[begins + 50]["b"] == 0.75


def test_an_exported_curriculum_repeats_the_weights_of_every_step(
    server: ServerProcess, trainer: SteeredProcess, tmp_path: Path
) -> None:
    run = Run(server)
    run.done("1", "hold_stage", lease_steps=40)
    run.done("2", "scale_weights", factor=1 / 3)
    server.kill()
    server.start()
    until(lambda: run.now["connected"], "the trainer is back")
    run.done("3", "set_weight", component="b", value=0.7, ramp_steps=90)
    run.done("4", "gate", component="a", open=False, lease_steps=25)
    run.done("5", "go_to_stage", stage="two")
    run.done("7", "pause")
    run.done("8", "resume")
    until(lambda: run.schedule["step"] > run.schedule["operations"][-1]["step"] + 100, "it trains on")
    mended = tmp_path / "mended.json"
    mended.write_text(json.dumps(server.get(f"/api/runs/{run.id}/curriculum")))
    run.done("s", "stop")
    assert trainer.wait() == 0, trainer.log_text()
    weights = trainer.weights()
    alone = SteeredProcess(None, tmp_path / "alone", str(mended), str(len(weights)))
    assert alone.wait() == 0, alone.log_text()
    assert len({tuple(each.values()) for each in weights}) > 50, "much happened"
    assert alone.weights() == weights
