"""Commands at a boundary: in which order they are applied, what is refused, and how a pause ends."""

import math
import threading
from collections.abc import Callable
from typing import Any

import pytest

import lossguard as lg
from lossguard import controller
from lossguard.controller import Controller
from lossguard.controls import Controls
from lossguard.deeds import Deeds, Means
from lossguard.protocol.messages import COMMAND_KINDS, Command
from lossguard.ranks import Alone, Wants
from lossguard.schedule import Schedule

CURRICULUM = lg.Curriculum(
    lg.Stage("a", weights={"ce": 1.0}),
    lg.Stage("b", start=10, weights={"ce": 1.0, "aux": lg.ramp(0.0, 0.4, 10)}),
)


class World:
    """A controller and what it said: `results` holds (id, step, state, rest) of every report."""

    def __init__(
        self, controls: Controls | None = None, clock: Callable[[], float] = lambda: 0.0, **means: Any
    ) -> None:
        self.results: list[tuple[str, int, str, dict[str, Any]]] = []
        self.told: list[str] = []
        self.schedule = Schedule(CURRICULUM)
        spec = (controls or Controls(weight_bounds={"aux": (0, 0.5)})).spec(self.schedule)
        ranks = Alone()
        deeds = Deeds(self.schedule, spec, ranks, Means(**means))
        self.controller = Controller(deeds, ranks, 100.0, self.report, clock, lambda step, text: self.told.append(text))
        self._number = 0

    def report(self, command: Command, step: int, result: dict[str, Any]) -> None:
        rest = {key: value for key, value in result.items() if key != "state"}
        self.results.append((command.id, step, result["state"], rest))

    def offer(self, id: str, kind: str, **args: Any) -> None:
        self._number += 1
        self.controller.offer(Command(id=id, number=self._number, kind=kind, args=args))

    def do(self, id: str, kind: str, step: int = 12, **args: Any) -> tuple[str, dict[str, Any]]:
        """Offer and apply one command; its (state, what it changed)."""
        self.offer(id, kind, **args)
        self.controller.apply(step)
        assert self.results[-1][:2] == (id, step)
        state, rest = self.results[-1][2:]
        return state, {key: value for key, value in rest.items() if key not in ("args", "ranks")}

    @property
    def applied(self) -> list[str]:
        return [id for id, _, state, _ in self.results if state == "applied"]


def test_a_weight_is_set_from_the_boundary_on_and_the_event_says_all_of_it() -> None:
    world = World()
    world.offer("c1", "set_weight", component="aux", value=0.05)
    world.controller.apply(15)
    assert world.results == [
        ("c1", -1, "received", {}),
        ("c1", 15, "applied", {
            "old": 0.2, "new": 0.05, "component": "aux", "args": {"component": "aux", "value": 0.05}, "ranks": 1,
        }),
    ]  # fmt: skip
    assert world.schedule.weights_at(99) == {"ce": 1.0, "aux": 0.05}


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        ({"component": "aux", "value": 0.51}, "0.51 is outside the bounds [0, 0.5] of 'aux'"),
        ({"component": "aux", "value": -1e-300}, "-1e-300 is outside the bounds [0, 0.5] of 'aux'"),
        ({"component": "aux", "value": math.nan}, "argument 'value' must be a finite number, not nan"),
        ({"component": "aux", "value": math.inf}, "argument 'value' must be a finite number, not inf"),
        ({"component": "aux", "value": True}, "argument 'value' must be a finite number, not True"),
        ({"component": "aux", "value": "0.1"}, "argument 'value' must be a finite number, not '0.1'"),
        ({"component": "aux"}, "set_weight needs the argument 'value'"),
        ({"component": "nope", "value": 0.1}, "this run has no component 'nope'"),
        ({"component": 5, "value": 0.1}, "argument 'component' must be a text, not 5"),
        ({"component": "aux", "value": 0.1, "ramp_steps": 0}, "argument 'ramp_steps' must be a whole number from 1"),
        ({"component": "aux", "value": 0.1, "rampsteps": 5}, "set_weight does not take 'rampsteps'"),
    ],
)
def test_a_weight_that_is_not_allowed_is_refused_with_its_reason(args: dict[str, Any], reason: str) -> None:
    world = World()
    state, result = world.do("c", "set_weight", **args)
    assert (state, list(result)) == ("rejected", ["reason"])
    assert result["reason"].startswith(reason)
    assert world.schedule.plan.operations == ()


@pytest.mark.parametrize("value", [0, 0.5, 0.25])
def test_the_bounds_themselves_are_allowed(value: float) -> None:
    assert World().do("c", "set_weight", component="aux", value=value)[0] == "applied"


NEEDED: dict[str, dict[str, Any]] = {
    "set_weight": {"component": "aux", "value": 0.1},
    "scale_weights": {"factor": 0.5},
    "gate": {"component": "aux", "open": False},
    "go_to_stage": {"stage": "b"},
    "set_lr_scale": {"value": 0.5},
    "set_clip": {"value": 0.5},
    "revert": {"command": "x"},
    "instrument": {"steps": 5},
}


@pytest.mark.parametrize("kind", COMMAND_KINDS)
def test_a_kind_that_the_script_does_not_allow_is_refused(kind: str) -> None:
    world = World(Controls(kinds=()))
    assert world.do("c", kind, **NEEDED.get(kind, {})) == (
        "rejected", {"reason": f"this training script does not allow {kind!r}; it allows nothing"},
    )  # fmt: skip
    assert not world.controller.paused
    assert world.controller.apply(13)


def test_an_unknown_kind_is_refused() -> None:
    state, result = World().do("c", "format_disk")
    assert state == "rejected"
    assert result["reason"].startswith("'format_disk' is no command; known are pause, resume")


def test_a_command_that_came_before_is_not_applied_again_whatever_its_number() -> None:
    world = World()
    first = Command(id="c1", number=5, kind="set_weight", args={"component": "aux", "value": 0.1})
    # a server that was restored from a backup counts again from an older number
    later = Command(id="c2", number=4, kind="set_weight", args={"component": "aux", "value": 0.2})
    for command in (first, first, first):
        world.controller.offer(command)
    assert world.controller.apply(12)
    for command in (first, later, first):
        world.controller.offer(command)
    assert world.controller.apply(13)
    assert [(id, step, state) for id, step, state, _ in world.results] == [
        ("c1", -1, "received"), ("c1", 12, "applied"),
        ("c1", 12, "applied"), ("c2", -1, "received"), ("c1", 12, "applied"),  # that server does not know it any more
        ("c2", 13, "applied"),
    ]  # fmt: skip
    assert world.results[1] == world.results[2]
    assert world.controller.applied_upto == 5


def test_a_refusal_is_told_again_and_where_a_rollback_moved_it_an_application_with_its_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(controller, "OUTCOMES_MAX", 3)
    world = World()
    world.do("old", "instrument", steps=1)
    world.do("no", "set_weight", component="aux", value=9)
    world.do("set", "set_weight", component="aux", value=0.1)
    world.do("detail", "instrument", steps=1)
    world.schedule.roll_back(12, 7)
    del world.results[:]
    for id in ("old", "no", "set", "detail"):
        world.offer(id, "stop")  # what it was counts, not what the server makes of it
    assert [(id, step, state) for id, step, state, _ in world.results] == [
        ("no", 12, "rejected"), ("set", 7, "applied"), ("detail", 12, "applied"),
    ]  # fmt: skip
    assert world.controller.apply(13)
    assert len(world.results) == 3


def test_a_boundary_takes_so_many_commands_and_the_next_goes_on_by_number() -> None:
    world = World()
    for number in reversed(range(600)):
        world.controller.offer(Command(id=f"c{number}", number=number, kind="instrument", args={"steps": 1}))
    at: list[list[str]] = []
    for step in range(12, 16):
        before = len(world.applied)
        world.controller.apply(step)
        at.append(world.applied[before:])
    assert [len(each) for each in at] == [256, 256, 88, 0]
    assert [id for each in at for id in each] == [f"c{number}" for number in range(600)]


def test_a_paused_trainer_does_not_rest_while_more_has_come_than_it_takes_at_once() -> None:
    world = World()
    waits: list[float | None] = []
    world.controller._wake.wait = lambda timeout=None: bool(waits.append(timeout)) or True  # type: ignore[method-assign,func-returns-value,assignment]
    world.controller.hold(12, "a look")
    for number in range(600):
        world.controller.offer(Command(id=f"c{number}", number=number, kind="instrument", args={"steps": 1}))
    world.controller.offer(Command(id="on", number=600, kind="resume"))
    world.controller.apply(12)
    assert (waits, len(world.applied)) == ([0.0, 0.0], 601)


def test_the_order_at_a_boundary_is_stop_rollback_checkpoint_steering_pause() -> None:
    world = World(
        newest_snapshot=lambda before: 8,
        roll_back=lambda before, command: (12, 8),
        checkpoint=lambda step: f"at {step}",
    )
    world.offer("pause", "pause")
    world.offer("aux", "set_weight", component="aux", value=0.3)
    world.offer("save", "checkpoint")
    world.offer("half", "scale_weights", factor=0.5)
    world.offer("back", "rollback")
    world.offer("detail", "instrument", steps=4)
    world.offer("end", "stop")
    assert not world.controller.apply(12)
    assert world.applied == ["end", "back", "save", "aux", "half", "detail", "pause"]
    told = {id: (step, result) for id, step, state, result in world.results if state == "applied"}
    assert told["save"][1]["new"] == "at 8", "what follows a rollback happens at the step it went back to"
    assert (told["back"][0], told["aux"][0], told["detail"][1]["new"]) == (12, 8, 11)
    assert world.schedule.plan.operations[0].step == 8


def test_commands_of_one_kind_are_applied_by_number() -> None:
    world = World()
    for number, value in ((3, 0.3), (1, 0.1), (2, 0.2)):
        args = {"component": "aux", "value": value}
        world.controller.offer(Command(id=f"c{number}", number=number, kind="set_weight", args=args))
    world.controller.apply(20)
    applied = [result for _, _, state, result in world.results if state == "applied"]
    assert [(r["old"], r["new"]) for r in applied] == [(0.4, 0.1), (0.1, 0.2), (0.2, 0.3)]


def test_pause_and_resume_that_came_together_do_not_hold_the_trainer() -> None:
    world = World()
    world.offer("p", "pause")
    world.offer("r", "resume")
    assert world.controller.apply(3)
    assert [(result["old"], result["new"]) for _, _, state, result in world.results if state == "applied"] == [
        ("running", "paused"), ("paused", "running"),
    ]  # fmt: skip


@pytest.mark.parametrize("kinds", [["stop"], ["pause", "stop"], ["stop", "pause"], ["pause", "stop", "resume"]])
def test_a_stop_ends_the_run_whatever_stands_around_it(kinds: list[str]) -> None:
    world = World()
    for kind in kinds:
        world.offer(kind, kind)
    assert not world.controller.apply(3)
    assert not world.controller.apply(4)
    assert all(state != "rejected" for _, _, state, _ in world.results)


def test_a_revert_goes_back_along_the_chain() -> None:
    world = World()
    world.do("a", "set_weight", component="aux", value=0.1)
    world.do("b", "set_weight", component="aux", value=0.2)
    state, result = world.do("no", "revert", command="a")
    assert (state, result["reason"]) == (
        "rejected", "the weight of 'aux' was changed again since; revert the later change first",
    )  # fmt: skip
    assert world.do("rb", "revert", command="b") == ("applied", {"old": 0.2, "new": 0.1, "component": "aux"})
    assert world.do("ra", "revert", step=15, command="a") == ("applied", {"old": 0.1, "new": 0.2, "component": "aux"})
    assert world.schedule.weights_at(16)["aux"] == pytest.approx(0.24)  # the curriculum rules again
    assert world.do("rra", "revert", step=16, command="ra")[0] == "applied"  # a revert can be reverted
    assert world.schedule.weights_at(16)["aux"] == 0.1


@pytest.mark.parametrize("args", [{"command": "never"}, {"command": 3}, {}])
def test_a_revert_of_what_was_not_applied_is_refused(args: dict[str, Any]) -> None:
    assert World().do("r", "revert", **args)[0] == "rejected"


def test_a_refused_weight_cannot_be_reverted() -> None:
    world = World()
    world.do("a", "set_weight", component="aux", value=9)
    assert world.do("r", "revert", command="a") == (
        "rejected", {"reason": "no command 'a' that can be reverted was applied to this run"},
    )  # fmt: skip


def test_what_waited_too_long_for_its_boundary_is_refused() -> None:
    now_s = [0.0]
    world = World(clock=lambda: now_s[0])
    for id, seconds in (("short", 5.0), ("long", 20.0), ("for ever", 0.0)):
        world.controller.offer(Command(id=id, number=1, kind="instrument", args={"steps": 1}, expires_in_s=seconds))
    now_s[0] = 10.0
    world.controller.apply(12)
    assert world.applied == ["long", "for ever"]
    assert world.results[3] == (
        "short", 12, "rejected", {"reason": "it expired: it waited 10 s for a step boundary, and had 5 s"},
    )  # fmt: skip


def test_what_is_kept_for_a_later_step_expires_as_well() -> None:
    now_s = [0.0]
    world = World(clock=lambda: now_s[0])
    for id, seconds in (("short", 5.0), ("long", 20.0), ("for ever", 0.0)):
        command = Command(id=id, number=1, kind="instrument", args={"steps": 1}, at_step=20, expires_in_s=seconds)
        world.controller.offer(command)
    for step in (12, 13):
        world.controller.apply(step)
    assert [state for _, _, state, _ in world.results] == ["received"] * 3
    now_s[0] = 10.0
    for step in (18, 19, 20):
        world.controller.apply(step)
    assert sorted((id, step, state) for id, step, state, _ in world.results[3:]) == [
        ("for ever", 20, "applied"), ("long", 20, "applied"), ("short", 18, "rejected"),
    ]  # fmt: skip


def test_a_number_that_no_checkpoint_could_hold_is_refused_and_not_kept() -> None:
    world = World()
    world.controller.offer(Command(id="c", number=2**53, kind="instrument", args={"steps": 1}))
    world.controller.apply(12)
    assert world.results[-1] == (
        "c", 12, "rejected", {"reason": "its number 9007199254740992 is more than can be counted"},
    )  # fmt: skip
    assert world.controller.applied_upto == 0
    world.controller.offer(Command(id="d", number=2**53 - 1, kind="instrument", args={"steps": 1}))
    world.controller.apply(13)
    assert (world.applied, world.controller.applied_upto) == (["d"], 2**53 - 1)


def test_a_command_whose_result_cannot_be_told_is_refused_and_not_in_force() -> None:
    norms = iter([1.0])
    world = World(clip=lambda: next(norms, "gone"))  # there is one when it is asked for, and none to tell
    state, result = world.do("c", "set_clip", value=0.5)
    assert (state, list(result)) == ("rejected", ["reason"])
    assert result["reason"].startswith("lossguard failed at it: ValueError")
    assert world.schedule.plan.operations == ()


def test_a_failure_within_a_command_is_its_reason_and_no_error_of_the_training() -> None:
    def broken(step: int, steps: int, reason: str) -> int:
        raise OSError("gone")

    world = World(raise_detail=broken)
    assert world.do("c", "instrument", steps=3) == ("rejected", {"reason": "lossguard failed at it: OSError('gone')"})


def test_a_pause_ends_by_itself() -> None:
    times_s = [2.0, 3.0, 5.0, 104.0, 105.0, 105.5]  # came, was looked at; the pause began at 5 and may last 100
    world = World(clock=lambda: times_s.pop(0))
    world.controller._wake.wait = lambda timeout=None: True  # type: ignore[method-assign]
    world.offer("p", "pause")
    assert world.controller.apply(3)
    assert not world.controller.paused
    assert times_s == []
    assert world.told == ["the pause ended by itself: after 100 s, as the script asks for"]


def test_a_hold_pauses_at_the_next_boundary_and_says_why() -> None:
    world = World()
    world.controller.hold(5, "loss/a not finite")
    world.offer("go", "resume")
    wakes: list[float | None] = []
    world.controller._wake.wait = lambda timeout=None: bool(wakes.append(timeout)) or world.offer("on", "resume")  # type: ignore[method-assign,func-returns-value,assignment,return-value]
    assert world.controller.apply(5)
    assert (world.told, world.applied, len(wakes)) == (["paused: loss/a not finite"], ["go", "on"], 1)


def test_a_wish_of_the_script_goes_back_and_without_a_snapshot_nothing_happens(
    caplog: pytest.LogCaptureFixture,
) -> None:
    went: list[tuple[int | None, str | None]] = []

    def go(before: int | None, command: str | None) -> tuple[int, int]:
        went.append((before, command))
        return 12, 8

    World(newest_snapshot=lambda before: 8, roll_back=go).controller.apply(12, Wants.ROLLBACK)
    assert went == [(9, None)]
    world = World(roll_back=go)
    assert world.controller.apply(12, Wants.ROLLBACK)
    assert world.controller.apply(13, Wants.ROLLBACK)
    assert (len(went), world.results) == (1, [])
    assert [record.getMessage() for record in caplog.records] == [
        "lossguard: run.rollback() changed nothing at step 12: there is no healthy snapshot"
    ]


@pytest.mark.parametrize(("kind", "goes_on"), [("resume", True), ("stop", False)])
def test_a_command_from_another_thread_wakes_a_paused_trainer(kind: str, goes_on: bool) -> None:
    world = World()
    world.offer("p", "pause")
    wakes: list[float | None] = []
    paused = threading.Event()
    real_wait = world.controller._wake.wait

    def wait(timeout: float | None = None) -> bool:
        wakes.append(timeout)
        if len(wakes) == 2:  # the first wait is answered by the pause's own wake-up
            paused.set()
        return real_wait(60.0)  # were the wake-up by time, the test would hang

    world.controller._wake.wait = wait  # type: ignore[method-assign]
    answers: list[bool] = []
    training = threading.Thread(target=lambda: answers.append(world.controller.apply(3)), daemon=True)
    training.start()
    assert paused.wait(20)
    world.offer("w", kind)
    training.join(20)
    assert not training.is_alive()
    assert answers == [goes_on]
