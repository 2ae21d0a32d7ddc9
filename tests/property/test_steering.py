"""Whatever the order of commands, what is in force at a step is what a model says that goes step by step."""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lossguard.protocol.messages import Operation, RampSpec, StageSpec
from lossguard.protocol.stages import planned_weight, ramp_at, stage_index
from lossguard.protocol.steering import NotPossible, Plan

N = 120
STAGES = (
    StageSpec("one", 0, {"a": 1.0}),
    StageSpec("two", 20, {"a": 1.0, "b": RampSpec(0.0, 0.5, 15)}),
    StageSpec("three", 50, {"a": 0.5, "b": 0.7, "c": RampSpec(0.2, 0.0, 8)}),
)
NAMES = ("a", "b", "c")


@dataclass
class Layer:
    id: str
    kind: str
    args: dict[str, Any]
    ends: float
    begins: int
    start: float = 0.0
    is_off: bool = False


@dataclass
class Model:
    """Goes from step to step, as a trainer does, and keeps what holds as a stack."""

    layers: list[Layer] = field(default_factory=list)
    position: int = 0
    held_until: float = 0.0  # the clock stands still before this step

    def weight(self, name: str, step: int) -> float:
        stage = STAGES[stage_index(STAGES, self.position) or 0]
        weight = planned_weight(stage, name, self.position)
        for layer in self.holding(step):
            if layer.kind == "set_weight" and layer.args["component"] == name:
                weight = layer.args["value"]
                if steps := layer.args.get("ramp_steps"):
                    weight = ramp_at(layer.start, weight, steps, step - layer.begins)
            elif layer.kind == "scale_weights" and name in (layer.args.get("components") or NAMES):
                weight *= layer.args["factor"]
        gates = [each for each in self.holding(step) if each.kind == "gate" and each.args["component"] == name]
        return 0.0 if gates and not gates[-1].args["open"] else weight

    def holding(self, step: int) -> list[Layer]:
        return [layer for layer in self.layers if not layer.is_off and step < layer.ends]

    def latest(self, kind: str, step: int, default: Any) -> Any:
        found = [layer.args["value"] for layer in self.holding(step) if layer.kind == kind]
        return found[-1] if found else default

    def take(self, operation: Operation) -> None:
        step, args = operation.step, operation.args
        lease = args.get("lease_steps")
        if operation.kind == "hold_stage":
            self.held_until = float("inf") if lease is None else step + lease
        elif operation.kind == "release_stage":
            self.held_until = 0
        elif operation.kind == "go_to_stage":
            self.position = next(stage.start for stage in STAGES if stage.name == args["stage"])
        elif operation.kind == "revert":
            root = args["command"]
            (layer,) = [each for each in self.layers if each.id == root]
            layer.is_off = not layer.is_off
        else:
            layer = Layer(operation.id, operation.kind, args, float("inf") if lease is None else step + lease, step)
            if operation.kind == "set_weight":
                layer.start = self.ungated(args["component"], step)
            self.layers.append(layer)

    def ungated(self, name: str, step: int) -> float:
        gates = [layer for layer in self.layers if layer.kind == "gate"]
        before = [layer.is_off for layer in gates]
        for layer in gates:
            layer.is_off = True
        weight = self.weight(name, step)
        for layer, was in zip(gates, before, strict=True):
            layer.is_off = was
        return weight

    def go_on(self, step: int) -> None:
        """From `step` to the next."""
        if step >= self.held_until:
            self.position += 1


lease = st.one_of(st.none(), st.integers(1, 30))
weight = st.sampled_from([0.0, 0.01, 0.3, 2.0])


def leased(kind: str, **args: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    given = st.fixed_dictionaries({**args, "lease_steps": lease})
    return given.map(lambda each: (kind, {name: value for name, value in each.items() if value is not None}))


name = st.sampled_from(NAMES)
names = st.lists(name, min_size=1, unique=True)
wish = st.one_of(
    leased("set_weight", component=name, value=weight, ramp_steps=st.one_of(st.none(), st.integers(1, 40))),
    leased(
        "scale_weights",
        factor=st.sampled_from([0.5, 2.0]),
        components=st.one_of(st.none(), names),
    ),
    leased("gate", component=name, open=st.booleans()),
    leased("hold_stage"),
    leased("set_lr_scale", value=weight),
    leased("set_clip", value=weight),
    st.just(("release_stage", {})),
    st.tuples(st.just("go_to_stage"), st.sampled_from([{"stage": each.name} for each in STAGES])),
    st.tuples(st.just("revert"), st.integers(0, 20).map(lambda number: {"command": number})),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), wish), max_size=14))
def test_the_plan_says_what_the_model_says_at_every_step(wishes: list[tuple[int, tuple[str, dict[str, Any]]]]) -> None:
    model, plan = Model(), Plan(STAGES, NAMES)
    due: dict[int, list[tuple[str, dict[str, Any]]]] = {}
    at = 0
    for gap, each in wishes:
        at += gap
        due.setdefault(at, []).append(each)
    expected, number = [], 0
    for step in range(N):
        for kind, args in due.get(step, []):
            number += 1
            given_args = {"command": f"c{args['command']}"} if kind == "revert" else args
            operation = Operation(step, f"c{number}", kind, given_args)
            try:
                after = plan.plus(operation)
            except NotPossible:
                continue
            if kind == "revert":
                root = after.operations[after.root_of(len(after.operations) - 1)]
                if root.kind in ("hold_stage", "release_stage", "go_to_stage"):
                    continue  # what that does to the clock has tests of its own
                model.take(Operation(step, operation.id, kind, {"command": root.id}))
            else:
                model.take(operation)
            plan = after
        expected.append(
            (
                [model.weight(each, step) for each in NAMES],
                model.position,
                model.latest("set_lr_scale", step, 1.0),
                model.latest("set_clip", step, None),
            )
        )
        model.go_on(step)
    found = [
        (
            [plan.weight_at(each, step) for each in NAMES],
            plan.clock_at(step).position,
            plan.lr_scale_at(step),
            plan.clip_at(step),
        )
        for step in range(N)
    ]
    assert found == expected
    assert list(plan.weights_at(7).values()) == found[7][0]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), wish), max_size=10), st.integers(0, N))
def test_what_changes_by_itself_is_known_before(
    wishes: list[tuple[int, tuple[str, dict[str, Any]]]], seen: int
) -> None:
    """Between two changes that are announced, weights are constant or on a ramp, and the stage stays."""
    plan, at = Plan(STAGES, NAMES), 0
    for number, (gap, (kind, args)) in enumerate(wishes):
        at += gap
        try:
            plan = plan.plus(Operation(at, f"c{number}", kind, args if kind != "revert" else {"command": "c0"}))
        except NotPossible:
            continue
    changes = plan.changes_after(max(seen, at))
    stages = [plan.stage_index_at(step) for step in range(max(seen, at), 4 * N)]
    moved = {max(seen, at) + i for i in range(1, len(stages)) if stages[i] != stages[i - 1]}
    assert moved <= set(changes)
    assert changes == sorted(set(changes))
