"""Commands at a boundary: what is applied, what is refused, and how a pause ends."""

import math
import threading
from collections.abc import Callable
from typing import Any

import pytest

import lossguard as lg
from lossguard.controls import Controller, Controls
from lossguard.protocol.messages import COMMAND_KINDS, Command
from lossguard.schedule import Schedule

CURRICULUM = lg.Curriculum(
    lg.Stage("a", weights={"ce": 1.0}),
    lg.Stage("b", start=10, weights={"ce": 1.0, "aux": lg.ramp(0.0, 0.4, 10)}),
)


class World:
    """A controller and what it said: `results` holds (id, step, state, rest) of every report."""

    def __init__(self, controls: Controls | None = None, clock: Callable[[], float] = lambda: 0.0) -> None:
        self.results: list[tuple[str, int, str, dict[str, Any]]] = []
        self.schedule = Schedule(CURRICULUM)
        spec = (controls or Controls(weight_bounds={"aux": (0, 0.5)})).spec(self.schedule)
        self.controller = Controller(self.schedule, spec, 100.0, self.report, clock)
        self._number = 0

    def report(self, command: Command, step: int, result: dict[str, Any]) -> None:
        rest = {key: value for key, value in result.items() if key != "state"}
        self.results.append((command.id, step, result["state"], rest))

    def offer(self, id: str, kind: str, **args: Any) -> None:
        self._number += 1
        self.controller.offer(Command(id=id, number=self._number, kind=kind, args=args))

    def do(self, id: str, kind: str, step: int = 12, **args: Any) -> tuple[str, dict[str, Any]]:
        """Offer and apply one command; its (state, result)."""
        self.offer(id, kind, **args)
        self.controller.apply(step)
        assert self.results[-1][:2] == (id, step)
        return self.results[-1][2:]


def test_a_weight_is_set_from_the_boundary_on() -> None:
    world = World()
    assert world.do("c1", "set_weight", step=15, component="aux", value=0.05) == (
        "applied", {"old": 0.2, "new": 0.05, "component": "aux"},
    )  # fmt: skip
    assert world.results[0] == ("c1", -1, "received", {})
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
        ({"component": "aux"}, "argument 'value' must be a finite number, not None"),
        ({"component": "nope", "value": 0.1}, "this run has no component 'nope'"),
        ({"component": 5, "value": 0.1}, "argument 'component' must be a text, not 5"),
        ({"value": 0.1}, "argument 'component' must be a text, not None"),
    ],
)
def test_a_weight_that_is_not_allowed_is_refused_with_its_reason(args: dict[str, Any], reason: str) -> None:
    world = World()
    assert world.do("c", "set_weight", **args) == ("rejected", {"reason": reason})
    assert world.schedule.override_of("aux") is None


@pytest.mark.parametrize("value", [0, 0.5, 0.25])
def test_the_bounds_themselves_are_allowed(value: float) -> None:
    assert World().do("c", "set_weight", component="aux", value=value)[0] == "applied"


@pytest.mark.parametrize("kind", COMMAND_KINDS)
def test_a_kind_that_the_script_does_not_allow_is_refused(kind: str) -> None:
    world = World(Controls(kinds=()))
    assert world.do("c", kind) == ("rejected", {"reason": f"this training script does not allow {kind!r}"})
    assert not world.controller.paused


def test_an_unknown_kind_is_refused() -> None:
    assert World().do("c", "format_disk") == (
        "rejected", {"reason": "this training script does not allow 'format_disk'"},
    )  # fmt: skip


def test_a_command_that_came_before_is_not_applied_again_whatever_its_number() -> None:
    world = World()
    first = Command(id="c1", number=5, kind="set_weight", args={"component": "aux", "value": 0.1})
    # a server that was restored from a backup counts again from an older number
    later = Command(id="c2", number=4, kind="set_weight", args={"component": "aux", "value": 0.2})
    for command in (first, first, later, first):
        world.controller.offer(command)
    assert world.controller.apply(12)
    world.controller.offer(first)
    assert world.controller.apply(13)
    assert [(id, state) for id, _, state, _ in world.results] == [
        ("c1", "received"), ("c2", "received"), ("c1", "applied"), ("c2", "applied"),
    ]  # fmt: skip


def test_commands_are_applied_in_their_order_at_one_boundary() -> None:
    world = World()
    for value in (0.1, 0.2, 0.3):
        world.offer(f"c{value}", "set_weight", component="aux", value=value)
    world.controller.apply(20)
    applied = [result for _, _, state, result in world.results if state == "applied"]
    assert [(r["old"], r["new"]) for r in applied] == [(0.4, 0.1), (0.1, 0.2), (0.2, 0.3)]


def test_pause_and_resume_that_came_together_do_not_hold_the_trainer() -> None:
    world = World()
    world.offer("p", "pause")
    world.offer("r", "resume")
    assert world.controller.apply(3)
    assert [result for _, _, state, result in world.results if state == "applied"] == [
        {"old": "running", "new": "paused"},
        {"old": "paused", "new": "running"},
    ]


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
    assert world.schedule.override_of("aux") is None  # the curriculum rules again
    assert world.do("rra", "revert", command="ra")[0] == "applied"  # a revert can be reverted
    assert world.schedule.override_of("aux") == 0.1


@pytest.mark.parametrize("args", [{"command": "never"}, {"command": 3}, {}])
def test_a_revert_of_what_was_not_applied_is_refused(args: dict[str, Any]) -> None:
    assert World().do("r", "revert", **args)[0] == "rejected"


def test_a_refused_weight_cannot_be_reverted() -> None:
    world = World()
    world.do("a", "set_weight", component="aux", value=9)
    assert world.do("r", "revert", command="a") == (
        "rejected", {"reason": "no set_weight 'a' was applied in this process"},
    )  # fmt: skip


def test_a_pause_ends_by_itself() -> None:
    times_s = [5.0, 104.0, 105.0, 105.5]  # the pause began at 5 and may last 100
    world = World(clock=lambda: times_s.pop(0))
    world.controller._wake.wait = lambda timeout=None: True  # type: ignore[method-assign]
    world.offer("p", "pause")
    assert world.controller.apply(3)
    assert not world.controller.paused
    assert times_s == []


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


@pytest.mark.parametrize(
    ("controls", "text"),
    [
        ({"kinds": ("pause", "explode")}, "allows 'explode'; known kinds are pause, resume, stop, set_weight, revert"),
        ({"weight_bounds": {"ce": (1, 0)}}, r"bounds 'ce' by \(1, 0\); give finite \(low, high\)"),
        ({"weight_bounds": {"ce": (0, math.inf)}}, "give finite"),
        ({"weight_bounds": {"ce": (math.nan, 1)}}, "give finite"),
        ({"weight_bounds": {"ce": (0,)}}, "give finite"),
        ({"weight_bounds": {"ce": ("0", "1")}}, "give finite"),
        ({"weight_bounds": {"ce": 5}}, "give finite"),
    ],
)
def test_controls_that_cannot_be_meant_so(controls: dict[str, Any], text: str) -> None:
    with pytest.raises(lg.ConfigError, match=text):
        Controls(**controls)


def test_bounds_of_an_unknown_component_are_refused() -> None:
    with pytest.raises(lg.ConfigError, match="bounds 'nope', which no stage declares; declared are ce, aux"):
        Controls(weight_bounds={"nope": (0, 1)}).spec(Schedule(CURRICULUM))


def test_every_component_has_bounds() -> None:
    spec = Controls(weight_bounds={"ce": (0.5, 2)}).spec(Schedule(CURRICULUM))
    assert spec.weight_bounds == {"ce": (0.5, 2.0), "aux": (0.0, 4.0)}
    assert spec.kinds == list(COMMAND_KINDS)
    assert Controls().spec(Schedule(lg.Curriculum.constant({"x": 0.001}))).weight_bounds == {"x": (0.0, 1.0)}
