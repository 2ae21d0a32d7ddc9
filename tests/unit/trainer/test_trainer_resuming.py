"""What a checkpoint carries, and how the next process goes on from it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import lossguard as lg
from fake_ranks import on_every_rank
from helpers import events, spooled
from lossguard.controller import LATE, Controller
from lossguard.controls import Controls
from lossguard.deeds import Deeds, Means
from lossguard.protocol.messages import Command, Declaration, Operation
from lossguard.ranks import Alone
from lossguard.ranks.together import Together
from lossguard.resuming import Life, Resumed, read_state
from lossguard.schedule import Schedule

STAGES = (lg.Stage("a", weights={"x": 1.0}), lg.Stage("b", start=10, weights={"x": 0.5, "y": 1.0}))
CURRICULUM = lg.Curriculum(*STAGES)


def begun(folder: Path, **init: Any) -> lg.Run:
    return lg.init(mode="offline", dir=folder, curriculum=CURRICULUM, **init)


def order(run: lg.Run, number: int, kind: str, at_step: int = -1, **args: Any) -> None:
    assert run._loop.parts is not None
    run._loop.parts.controller.offer(Command(id=f"c{number}", number=number, kind=kind, args=args, at_step=at_step))


def stopped_at_8(folder: Path) -> tuple[dict[str, Any], str]:
    """The state of a run after step 7, to which two things were done."""
    run = begun(folder)
    for step in run.steps(range(8)):
        if step == 2:
            order(run, 3, "set_weight", component="x", value=0.25)
        if step == 4:
            order(run, 4, "hold_stage", lease_steps=20)
    state = run.state_dict()
    run.finish()
    return state, run.id


def test_a_state_is_plain_data_and_says_where_the_run_stands(tmp_path: Path) -> None:
    state, run_id = stopped_at_8(tmp_path / "a")
    assert state == {
        "version": 1, "run": run_id, "attempt": 0, "began_s": state["began_s"], "step": 8, "applied_upto": 4,
        "operations": [
            [3, "c3", "set_weight", {"component": "x", "value": 0.25}], [5, "c4", "hold_stage", {"lease_steps": 20}],
        ],
    }  # fmt: skip
    assert json.loads(json.dumps(state)) == state
    torch.save(state, tmp_path / "ckpt.pt")
    assert torch.load(tmp_path / "ckpt.pt", weights_only=True) == state


def test_a_run_goes_on_from_it_as_one_that_never_ended(tmp_path: Path) -> None:
    state, run_id = stopped_at_8(tmp_path / "a")
    run = begun(tmp_path / "b", resume=json.loads(json.dumps(state)))
    assert (run.id, run.step, run.weights) == (run_id, 7, {"x": 0.25, "y": 0.0})
    seen = [(run.step, run.stage, dict(run.weights)) for _ in run.steps(range(40))]
    assert seen[0] == (8, "a", {"x": 0.25, "y": 0.0})
    assert next(step for step, stage, _ in seen if stage == "b") == 30, "20 steps later than planned"
    run.finish()
    messages = spooled(tmp_path / "b")
    (declared,) = [message for message in messages if isinstance(message, Declaration)]
    assert [each.id for each in declared.operations] == ["c3", "c4"]
    (resumed,) = events(messages, "resume")
    assert (resumed.step, resumed.data) == (
        8, {"step": 8, "operations": state["operations"], "applied_upto": 4},
    )  # fmt: skip
    assert run.continuing.life.attempt >= 1


def test_a_command_that_the_checkpoint_holds_is_not_applied_again(tmp_path: Path) -> None:
    state, _ = stopped_at_8(tmp_path / "a")
    run = begun(tmp_path / "b", resume=state)
    order(run, 3, "set_weight", component="x", value=0.25)
    for _ in run.steps(range(3)):
        pass
    run.finish()
    # a server that was restored from a backup has lost the word of it
    (told,) = events(spooled(tmp_path / "b"), "command")
    assert (told.step, told.data) == (3, {
        "id": "c3", "kind": "set_weight", "state": "applied", "args": {"component": "x", "value": 0.25}, "ranks": 1,
    })  # fmt: skip
    assert run.weights == {"x": 0.25, "y": 0.0}


def test_what_was_applied_after_the_checkpoint_is_applied_at_its_step_or_told_as_too_late(tmp_path: Path) -> None:
    state, _ = stopped_at_8(tmp_path / "a")
    run = begun(tmp_path / "b", resume=state)
    order(run, 5, "set_weight", component="x", value=0.9)  # new; its number is of a server restored from a backup
    order(run, 6, "set_weight", at_step=8, component="x", value=0.6)
    order(run, 7, "set_weight", at_step=11, component="x", value=0.7)
    found = []
    for step in run.steps(range(6)):
        found.append(run.weights["x"])
        if step == 4:
            order(run, 8, "set_weight", at_step=12, component="x", value=0.8)
    run.finish()
    assert found == [0.9, 0.9, 0.9, 0.7, 0.7, 0.7]
    told = [(e.data["id"], e.step, e.data["state"]) for e in events(spooled(tmp_path / "b"), "command") if e.step >= 0]
    assert told == [("c6", 8, "applied"), ("c5", 8, "applied"), ("c7", 11, "applied"), ("c8", 13, "rejected")]
    (late,) = [e for e in events(spooled(tmp_path / "b"), "command") if e.data["state"] == "rejected"]
    assert late.data["reason"] == LATE.format(12)
    assert late.data["reason"] == (
        "it was applied at step 12 in the attempt before, behind the checkpoint, and came too late to be applied there "
        "again"
    )


def test_attempts_grow_also_from_one_checkpoint() -> None:
    resumed = Resumed(Life("r", 3, 1000.0), 5, (), 0)
    assert resumed.next_attempt(1000.0) == 4
    assert [resumed.next_attempt(1000.0 + s) for s in (100.25, 100.5)] == [1002, 1005]
    assert resumed.next_attempt(0.0) == 4, "a clock that went back"
    assert resumed.next_attempt(1e9) == 4, "one that was set, by more than a server can count"


def test_two_lives_from_one_checkpoint_are_two_streams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state, _ = stopped_at_8(tmp_path / "a")
    attempts = []
    for later_s in (10.05, 10.15):
        monkeypatch.setattr("time.time", lambda later_s=later_s: state["began_s"] + later_s)
        run = begun(tmp_path / "b", resume=state)
        attempts.append(run.continuing.life.attempt)
        run.finish()
    assert attempts == [100, 101]
    streams = {path.name.split(".")[0] for path in (tmp_path / "b").iterdir()}
    assert streams == {f"{run.id}-0-{attempt}" for attempt in attempts}


def test_a_script_that_loads_its_checkpoint_after_init(tmp_path: Path) -> None:
    state, run_id = stopped_at_8(tmp_path / "a")
    run = begun(tmp_path / "b")
    run.load_state_dict(state)
    assert run.id != run_id
    assert [(run.step, run.weights["x"]) for _ in run.steps(range(2))] == [(8, 0.25), (9, 0.25)]
    again = run.state_dict()
    assert (again["run"], again["step"], again["applied_upto"]) == (run.id, 10, 4)
    assert again["operations"] == state["operations"]
    with pytest.raises(lg.ConfigError, match="before the first step"):
        run.load_state_dict(state)
    run.finish()


def test_mode_off_goes_on_too(tmp_path: Path) -> None:
    state, run_id = stopped_at_8(tmp_path / "a")
    run = lg.init(mode="off", curriculum=CURRICULUM, resume=state)
    assert [(run.step, run.weights["x"]) for _ in run.steps(range(2))] == [(8, 0.25), (9, 0.25)]
    assert (run.id, run.state_dict()["operations"]) == (run_id, state["operations"])


def test_a_state_replaces_what_a_curriculum_file_says(tmp_path: Path) -> None:
    state, _ = stopped_at_8(tmp_path / "a")
    patch = [Operation(1, "p", "set_weight", {"component": "x", "value": 0.1})]
    run = lg.init(mode="off", curriculum=lg.Curriculum(*STAGES, operations=patch), resume=state)
    assert [each.id for each in run._loop.schedule.plan.operations] == ["c3", "c4"]


STATE = {"version": 1, "run": "r", "attempt": 0, "began_s": 1.0, "step": 8, "operations": [], "applied_upto": 0}


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (5, "is 5; give what run.state_dict"),
        ({}, "has version None"),
        ({**STATE, "version": 2}, "has version 2; this lossguard reads 1"),
        ({**STATE, "run": ""}, "names the run ''"),
        ({**STATE, "step": -1}, "has step -1; it is a whole number from 0"),
        ({**STATE, "step": True}, "has step True"),
        ({**STATE, "attempt": 0.5}, "has attempt 0.5"),
        ({**STATE, "began_s": float("nan")}, "has began_s nan"),
        ({**STATE, "operations": None}, "the operations are None, not a list"),
        ({**STATE, "operations": [[1, "a", "gate", {"component": "z", "open": True}]]}, "has no component 'z'"),
    ],
)
def test_a_state_that_cannot_be_one_is_refused(state: Any, text: str) -> None:
    with pytest.raises(lg.ConfigError, match=text):
        read_state(state, CURRICULUM)
    with pytest.raises(lg.ConfigError, match=text):
        lg.init(mode="off", curriculum=CURRICULUM, resume=state)


def test_a_start_step_beside_a_state_must_be_its_own(tmp_path: Path) -> None:
    assert lg.init(mode="off", curriculum=CURRICULUM, resume=STATE, start_step=8).step == 7
    with pytest.raises(lg.ConfigError, match="start_step=5 and resume, which is of step 8; leave start_step out"):
        lg.init(mode="off", curriculum=CURRICULUM, resume=STATE, start_step=5)
    with pytest.raises(lg.ConfigError, match="resume_wait_s=-1; it is a time in seconds"):
        lg.init(mode="off", curriculum=CURRICULUM, resume_wait_s=-1)


class Wire:
    """A link whose words the test decides; each look at it moves the clock by 20 ms."""

    def __init__(self, heard_at_s: float, is_there: bool = True) -> None:
        self.now_s, self.heard_at_s, self.is_there = 0.0, heard_at_s, is_there
        self.journalled = 0

    def journal(self, timeout_s: float) -> bool:
        self.journalled += 1
        return True

    def hears(self) -> bool:
        return self.is_there

    def is_heard(self) -> bool:
        return self.now_s >= self.heard_at_s


def waited(
    wire: Wire, wait_s: float, says: Callable[[Controller, float], bool] = lambda controller, now_s: False
) -> Any:
    schedule = Schedule(CURRICULUM)
    told: list[tuple[str, int]] = []
    deeds = Deeds(schedule, Controls().spec(schedule), Alone(), Means())
    controller = Controller(deeds, Alone(), 1.0, lambda c, step, result: told.append((c.id, step)), lambda: wire.now_s)
    controller.wire = wire

    def look(timeout: float | None = None) -> bool:
        wire.now_s += 0.02
        return says(controller, wire.now_s)

    controller._wake.wait = look  # type: ignore[method-assign,assignment]
    controller.resume(Resumed(Life("r", 0, 0.0), 8, (), 0), wait_s)
    controller.apply(8)
    at_s = wire.now_s
    controller.apply(9)
    assert wire.now_s == at_s, "the first boundary only"
    return at_s, [each for each in told if each[1] >= 0]


def test_the_first_boundary_waits_until_the_server_has_said_all_and_no_longer() -> None:
    assert waited(Wire(heard_at_s=0.1), 5.0)[0] == pytest.approx(0.62, abs=0.05)
    assert waited(Wire(heard_at_s=9.0), 5.0)[0] == pytest.approx(5.0, abs=0.05)
    assert waited(Wire(heard_at_s=9.0, is_there=False), 5.0)[0] == 0.0
    assert waited(Wire(heard_at_s=9.0), 0.0)[0] == 0.0


def test_what_the_server_says_while_it_is_waited_for_is_applied_at_that_boundary() -> None:
    def says(controller: Controller, now_s: float) -> bool:
        if abs(now_s - 0.4) < 0.011:
            args = {"component": "x", "value": 0.5}
            controller.offer(Command(id="again", number=5, kind="set_weight", args=args, at_step=8))
            return True
        return False

    at_s, told = waited(Wire(heard_at_s=0.1), 5.0, says)
    assert told == [("again", 8)]
    assert at_s == pytest.approx(0.92, abs=0.05)


def test_more_than_one_exchange_takes_is_applied_at_its_step_on_every_rank() -> None:
    """A life that ended behind its checkpoint had done much at one step, as it is after a rollback."""

    def script(ranks: Together, rank: int) -> list[tuple[int, str]]:
        schedule, told = Schedule(CURRICULUM), []
        deeds = Deeds(schedule, Controls().spec(schedule), ranks, Means())
        controller = Controller(
            deeds, ranks, 1.0, lambda command, step, result: told.append((step, result["state"])), lambda: 0.0
        )
        controller.resume(Resumed(Life("r", 0, 0.0), 8, (), 0), 0.0)
        for number in range(300 if rank == 0 else 0):
            args = {"component": "x", "value": 0.5}
            controller.offer(Command(id=f"c{number}", number=number, kind="set_weight", args=args, at_step=8))
        for step in range(8, 12):
            controller.apply(step)
        ranks.end()
        return [each for each in told if each[1] != "received"]

    assert on_every_rank(2, script) == [[(8, "applied")] * 300] * 2
