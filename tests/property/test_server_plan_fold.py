"""Whatever the order of commands, rollbacks, re-declarations and resumes, the fold says what a naive model says.

The model keeps plans in memory, as a trainer does: a rollback moves the one, a checkpoint keeps a copy of it.
"""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lossguard.protocol.messages import Declaration, Event, Operation, RampSpec, StageSpec
from lossguard.protocol.steering import NotPossible, Plan
from lossguard_server.services.plan_fold import PlanFold, fold

STAGES = [
    StageSpec("one", 0, {"a": 1.0}),
    StageSpec("two", 20, {"a": 1.0, "b": RampSpec(0.0, 0.5, 15)}),
    StageSpec("three", 50, {"a": 0.5, "b": 0.7}),
]
NAMES = ["a", "b"]
N = 90


@dataclass
class Trainer:
    """Trains, is commanded, goes back, saves and dies; `attempts`: what each told."""

    plan: Plan = field(default_factory=lambda: Plan(STAGES, NAMES))
    step: int = 0
    number: int = 0
    saved: list[tuple[int, Plan]] = field(default_factory=list)
    attempts: list[list[Declaration | Event]] = field(default_factory=lambda: [[declaration()]])
    applied: dict[str, dict[str, Any]] = field(default_factory=dict)

    def tell(self, kind: str, step: int, data: dict[str, Any]) -> None:
        self.attempts[-1].append(Event(seq=1, kind=kind, step=step, data=data))

    def command(self, kind: str, args: dict[str, Any], tells_args: bool) -> None:
        self.number += 1
        operation = Operation(self.step, f"c{self.number}", kind, args)
        try:
            self.plan = self.plan.plus(operation)
        except NotPossible:
            self.tell("command", self.step, {"id": operation.id, "kind": kind, "state": "rejected"})
            return
        self.applied[operation.id] = {"kind": kind, "args": args}
        more = {"args": args} if tells_args else {}
        self.tell("command", self.step, {"id": operation.id, "kind": kind, "state": "applied", **more})

    def go_back(self, steps: int) -> None:
        to_step = max(0, self.step - steps)
        self.plan = self.plan.rolled_back(to_step)
        self.tell("rollback", to_step, {"from": self.step, "to": to_step})
        self.step = to_step

    def die(self, which: int) -> None:
        """And come back: from a checkpoint, or anew."""
        self.attempts.append([declaration()])
        if not self.saved or which == 0:
            self.plan, self.step = Plan(STAGES, NAMES), 0
            return
        self.step, self.plan = self.saved[which % len(self.saved)]
        listed = [[each.step, each.id, each.kind, dict(each.args)] for each in self.plan.operations]
        self.tell("resume", self.step, {"step": self.step, "operations": listed, "applied_upto": self.number})


def declaration() -> Declaration:
    return Declaration(seq=1, stages=STAGES, components=NAMES)


def in_force(plan: Plan) -> list[Any]:
    return [
        (plan.weights_at(step), plan.gated_at(step), plan.lr_scale_at(step), plan.clip_at(step), plan.clock_at(step))
        for step in range(N)
    ]


name = st.sampled_from(NAMES)
weight = st.sampled_from([0.0, 0.1, 0.3, 2.0])
lease = st.integers(1, 25).map(lambda steps: {"lease_steps": steps})


def wish(kind: str, **args: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    leased = st.one_of(st.just({}), lease) if kind not in ("release_stage", "go_to_stage", "revert") else st.just({})
    return st.tuples(st.fixed_dictionaries(args), leased).map(lambda each: (kind, {**each[0], **each[1]}))


wishes = st.one_of(
    wish("set_weight", component=name, value=weight),
    wish("set_weight", component=name, value=weight, ramp_steps=st.integers(1, 30)),
    wish("scale_weights", factor=weight),
    wish("gate", component=name, open=st.booleans()),
    wish("hold_stage"),
    wish("release_stage"),
    wish("go_to_stage", stage=st.sampled_from([stage.name for stage in STAGES])),
    wish("set_lr_scale", value=weight),
    wish("set_clip", value=weight),
    wish("revert", command=st.integers(1, 12).map("c{}".format)),
)
acts = st.one_of(
    st.tuples(st.just("go on"), st.integers(1, 15)),
    st.tuples(st.just("command"), wishes, st.booleans()),
    st.tuples(st.just("command"), wishes, st.booleans()),
    st.tuples(st.just("save")),
    st.tuples(st.just("declare")),
    st.tuples(st.just("go back"), st.integers(1, 40)),
    st.tuples(st.just("die"), st.integers(0, 4)),
)


@settings(max_examples=240, deadline=None)
@given(st.lists(acts, max_size=30))
def test_the_fold_of_what_was_told_is_the_trainer_s_own_plan(history: list[Any]) -> None:
    trainer = Trainer()
    live: PlanFold = fold(trainer.attempts[0])  # as the server has it in memory
    told = len(trainer.attempts[0])
    for act, *more in history:
        attempts = len(trainer.attempts)
        if act == "go on":
            trainer.step += more[0]
        elif act == "command":
            (kind, args), tells_args = more
            trainer.command(kind, args, tells_args)
        elif act == "save":
            trainer.saved.append((trainer.step, trainer.plan))
        elif act == "declare":
            trainer.attempts[-1].append(declaration())
        elif act == "go back":
            trainer.go_back(more[0])
        else:
            trainer.die(more[0])
        if len(trainer.attempts) > attempts:
            live, told = PlanFold(), 0
        for message in trainer.attempts[-1][told:]:
            if isinstance(message, Declaration):
                live.declare(message)
            else:
                live.tell(message, lambda command_id: as_given(trainer, command_id))
        told = len(trainer.attempts[-1])
        assert live.plan.operations == trainer.plan.operations
    again = fold(trainer.attempts[-1], lambda command_id: as_given(trainer, command_id))
    assert again.plan.operations == trainer.plan.operations
    assert in_force(again.plan) == in_force(live.plan) == in_force(trainer.plan)


def as_given(trainer: Trainer, command_id: str) -> tuple[str, dict[str, Any]] | None:
    known = trainer.applied.get(command_id)
    return None if known is None else (known["kind"], known["args"])
