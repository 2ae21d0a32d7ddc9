"""A command travels from a server to a step boundary, and its result travels back."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch

import lossguard as lg
from helpers import events, isolate, points, soon
from lossguard import link
from lossguard.protocol.messages import Command
from tiny_server import TinyServer


@pytest.fixture(autouse=True)
def _own_world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch, tmp_path)
    monkeypatch.setattr(link, "PUMP_S", 0.005)
    monkeypatch.setattr(link, "HEARTBEAT_S", 0.05)


def results(server: TinyServer, id: str) -> list[dict[str, Any]]:
    """Every word of the trainer about one command."""
    return [
        {"step": event.step, **event.data} for event in events(server.messages, "command") if event.data["id"] == id
    ]


def test_a_weight_set_from_outside_is_in_force_at_the_step_that_is_told() -> None:
    with TinyServer() as server:
        run = lg.init(url=server.url, losses={"ce": 1.0, "precursor": 0.01})
        soon(lambda: server.messages, "the trainer is connected")
        server.send(Command(id="mend", number=1, kind="set_weight", args={"component": "precursor", "value": 1e-4}))
        steps = 0
        while len(results(server, "mend")) < 2:
            assert run.boundary()
            run.total(ce=torch.tensor(2.0), precursor=torch.tensor(700.0))
            steps += 1
        run.finish()
        received, applied = results(server, "mend")
        assert received["state"] == "received"
        assert applied == {
            "step": applied["step"], "id": "mend", "kind": "set_weight", "state": "applied",
            "component": "precursor", "old": 0.01, "new": 1e-4, "args": {"component": "precursor", "value": 1e-4},
            "ranks": 1,
        }  # fmt: skip
        weights = dict(points(server.messages)["weight/precursor"])
        assert weights == {step: 0.01 if step < applied["step"] else 1e-4 for step in range(steps)}
        totals = dict(points(server.messages)["loss/total"])
        assert totals[applied["step"]] == pytest.approx(2.07)


def test_a_paused_trainer_beats_and_goes_on_when_it_is_told() -> None:
    with TinyServer() as server:
        run = lg.init(url=server.url)
        soon(lambda: server.messages, "the trainer is connected")
        assert run.boundary()
        run.log({"a": 1.0})
        server.send(Command(id="p", number=1, kind="pause"))
        soon(lambda: results(server, "p"), "the command has arrived")

        def operate() -> None:
            soon(lambda: any(beat.state == "paused" for beat in server.beats), "the trainer says that it is paused")
            server.send(Command(id="r", number=2, kind="resume"))

        operator = threading.Thread(target=operate, daemon=True)
        operator.start()
        assert run.boundary()
        operator.join(20)
        run.finish()
        assert [result["state"] for result in results(server, "p")] == ["received", "applied"]
        assert [result["state"] for result in results(server, "r")] == ["received", "applied"]
        assert results(server, "p")[1]["step"] == results(server, "r")[1]["step"] == 1
        assert {beat.step for beat in server.beats if beat.state == "paused"} == {1}


def test_a_stop_ends_the_loop() -> None:
    with TinyServer() as server:
        run = lg.init(url=server.url)
        soon(lambda: server.messages, "the trainer is connected")
        server.send(Command(id="s", number=1, kind="stop"))
        for _ in run.steps(iter(int, 1)):  # for ever
            run.log({"a": 1.0})
        run.finish()
        assert [event.data["state"] for event in events(server.messages, "finish")] == ["stopped"]
        assert [result["state"] for result in results(server, "s")] == ["received", "applied"]


def test_a_command_that_is_not_allowed_comes_back_with_its_reason() -> None:
    with TinyServer() as server:
        run = lg.init(url=server.url, controls=lg.Controls(kinds=("pause", "resume", "set_weight")))
        soon(lambda: server.messages, "the trainer is connected")
        server.send(Command(id="a", number=1, kind="stop"))
        server.send(Command(id="b", number=2, kind="set_weight", args={"component": "loss", "value": float("nan")}))
        while len(results(server, "b")) < 2:
            assert run.boundary()
        run.finish()
        refused = "this training script does not allow 'stop'; it allows pause, resume, set_weight"
        assert results(server, "a")[1]["reason"] == refused
        assert results(server, "b")[1]["reason"] == "argument 'value' must be a finite number, not nan"


def test_a_command_sent_again_after_a_broken_connection_is_applied_once() -> None:
    command = Command(id="w", number=1, kind="set_weight", args={"component": "loss", "value": 0.5})
    with TinyServer() as server:
        run = lg.init(url=server.url)
        soon(lambda: server.messages, "the trainer is connected")
        server.send(command)
        soon(lambda: results(server, "w"), "the command has arrived")
        server.die()
        with TinyServer(server.port, server.journal) as again:
            soon(lambda: again.hellos, "the trainer is back")
            again.send(command)
            while len(results(again, "w")) < 2:
                assert run.boundary()
            run.finish()
            # told once more where it came again after its boundary
            assert list(dict.fromkeys(result["state"] for result in results(again, "w"))) == ["received", "applied"]
    assert run.weights == {"loss": 0.5}
    assert [operation.id for operation in run._loop.schedule.plan.operations] == ["w"]


def test_a_resumed_run_applies_what_the_server_offers_again_at_its_step() -> None:
    with TinyServer() as server:
        first = lg.init(url=server.url)
        for _ in first.steps(range(5)):
            pass
        state = first.state_dict()
        first.finish()
        journal = server.journal

        def replay() -> None:
            def resumed() -> bool:
                streams = [stream for (_, _, attempt), stream in list(journal.items()) if attempt > 0]
                return any(events(stream, "resume") for stream in streams)

            soon(resumed, "the server knows that the run goes on")
            for number, at_step, value in ((7, 5, 0.5), (8, 6, 0.25)):
                args = {"component": "loss", "value": value}
                server.send(Command(id=f"c{number}", number=number, kind="set_weight", args=args, at_step=at_step))

        operator = threading.Thread(target=replay, daemon=True)
        operator.start()
        second = lg.init(url=server.url, resume=state, resume_wait_s=20.0)
        found = [(second.step, second.weights["loss"]) for _ in second.steps(range(4))]
        operator.join(20)
        second.finish()
    assert second.id == first.id
    assert found == [(5, 0.5), (6, 0.25), (7, 0.25), (8, 0.25)]
    (hello,) = [hello for hello in server.hellos if hello.attempt > 0]
    assert hello.run == first.id


def test_without_a_server_a_resumed_run_waits_no_longer_than_it_was_told() -> None:
    with TinyServer() as server:
        with lg.init(url=server.url) as before:
            state = before.state_dict()
        url = server.url
    run = lg.init(url=url, resume=state, resume_wait_s=0.2)
    began_s = time.monotonic()
    assert run.boundary()
    assert time.monotonic() - began_s < 10
    run.finish(timeout_s=0.1)
