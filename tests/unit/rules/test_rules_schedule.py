"""What a run declared, asked by step."""

from lossguard.protocol.messages import ContractSpec, ControlsSpec, Declaration, RampSpec, StageSpec
from lossguard_server.rules.schedule import Schedule, Stage

STAGES = [
    StageSpec("fragments", 10, {"ce": 1.0, "spectrum": RampSpec(0.0, 0.1, 5)}),
    StageSpec("ce only", 2, {"ce": 1.0}),
]
SCHEDULE = Schedule(Declaration(seq=1, components=["ce", "spectrum"], stages=STAGES))


def test_a_stage_lasts_until_the_next_one_begins() -> None:
    assert SCHEDULE.stage_at(1) is None
    assert SCHEDULE.stage_at(2) == Stage(0, "ce only", 2)
    assert SCHEDULE.stage_at(9) == Stage(0, "ce only", 2)
    assert SCHEDULE.stage_at(10) == Stage(1, "fragments", 10)


def test_a_ramp_is_counted_from_its_stage_and_ends() -> None:
    assert [SCHEDULE.weight_at("spectrum", step) for step in (9, 10, 15, 99)] == [0.0, 0.0, 0.1, 0.1]
    assert SCHEDULE.weight_at("spectrum", 12) == 0.1 * 0.4


def test_the_aim_is_where_the_ramp_leads() -> None:
    assert [SCHEDULE.aim_at("spectrum", step) for step in (9, 10)] == [0.0, 0.1]


def test_a_ramp_of_no_steps_is_a_constant() -> None:
    stages = [StageSpec("a", 0, {"x": RampSpec(0.5, 2.0, 0)})]
    assert Schedule(Declaration(seq=1, stages=stages)).weight_at("x", 0) == 2.0


def test_without_stages_nothing_is_known() -> None:
    schedule = Schedule(Declaration(seq=1, components=["ce"]))
    assert (schedule.stage_at(5), schedule.weight_at("ce", 5), schedule.aim_at("ce", 5)) == (None, None, None)


def test_only_the_kinds_that_the_script_lists_are_allowed() -> None:
    assert not Schedule(Declaration(seq=1)).allows("pause")
    assert Schedule(Declaration(seq=1, controls=ControlsSpec(kinds=["pause"]))).allows("pause")
    assert not Schedule(Declaration(seq=1, controls=ControlsSpec(kinds=["set_weight"]))).allows("pause")


def test_a_blend_is_deeper_than_its_parts_and_a_circle_ends() -> None:
    contracts = [
        ContractSpec("matrix/C", kind="blend", of=["matrix/B", "matrix/A"]),
        ContractSpec("matrix/B", kind="blend", of=["matrix/A"]),
        ContractSpec("matrix/X", kind="blend", of=["matrix/Y"]),
        ContractSpec("matrix/Y", kind="blend", of=["matrix/X"]),
        ContractSpec("matrix/A/fro", 1.0, 2.0, "range"),
    ]
    schedule = Schedule(Declaration(seq=1, contracts=contracts))
    names = ("matrix/A/fro", "matrix/B/fro", "eval/matrix/C/trace", "matrix/C", "loss/A", "lr")
    assert [schedule.depth_of(name) for name in names] == [0, 1, 2, 2, 0, 0]
    assert schedule.depth_of("matrix/X") > 0
