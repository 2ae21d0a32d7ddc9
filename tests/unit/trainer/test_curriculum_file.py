"""A mended curriculum as a file: the next run repeats it, bit for bit; a bad file says what is wrong with it."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

import lossguard as lg
from helpers import points, spooled
from lossguard.protocol.messages import Command, Declaration, Operation

STAGES = (
    lg.Stage("one", weights={"a": 1 / 3}),
    lg.Stage("two", start=10, weights={"a": 0.1 + 0.2, "b": lg.ramp(0.0, 0.7, 7)}),
    lg.Stage("three", start=30, weights={"b": 0.35, "c": lg.ramp(5e-324, 1e-3, 9)}),
)
DONE = [
    (4, "set_weight", {"component": "a", "value": 0.1, "ramp_steps": 7, "lease_steps": 20}),
    (12, "hold_stage", {"lease_steps": 6}),
    (14, "scale_weights", {"factor": 1 / 7}),
    (20, "gate", {"component": "b", "open": False}),
    (25, "revert", {"command": "c3"}),
    (26, "set_lr_scale", {"value": 0.3}),
    (33, "go_to_stage", {"stage": "two"}),
]


def weights(run: lg.Run, steps: int = 60) -> list[dict[str, float]]:
    found = []
    for _ in run.steps(range(steps)):
        found.append(run.weights)
    return found


def mended(folder: Path) -> tuple[lg.Run, list[dict[str, float]]]:
    """A run to which all of DONE was done, and its weights."""
    run = lg.init(mode="offline", dir=folder, curriculum=lg.Curriculum(*STAGES), controls=lg.Controls({"c": (0, 10)}))
    due = {step: Command(id=f"c{i}", number=i, kind=kind, args=args) for i, (step, kind, args) in enumerate(DONE)}
    found = []
    for step in range(60):
        if step in due:
            assert run._loop.parts is not None
            run._loop.parts.controller.offer(due[step])
        run.boundary()
        found.append(run.weights)
    return run, found


def test_a_run_from_a_saved_file_has_the_weights_of_the_mended_run_at_every_step(tmp_path: Path) -> None:
    run, expected = mended(tmp_path / "mended")
    operations = run._loop.schedule.plan.operations
    # a rate needs an optimizer: what was refused is not in the file
    assert [each.kind for each in operations] == [kind for _, kind, _ in DONE if kind != "set_lr_scale"]
    lg.Curriculum(*STAGES, operations=operations).save(tmp_path / "patch.json")
    again = lg.Curriculum.load(tmp_path / "patch.json")
    assert again == lg.Curriculum(*STAGES, operations=operations)
    for mode in ("offline", "off"):
        repeated = lg.init(mode=mode, dir=tmp_path / mode, curriculum=again)
        assert weights(repeated) == expected
        repeated.finish()
    run.finish()
    messages = spooled(tmp_path / "offline")
    (declared,) = [message for message in messages if isinstance(message, Declaration)]
    assert declared.operations == list(operations)
    assert [value for _, value in points(messages)["weight/a"]] == [each["a"] for each in expected]


def test_what_was_done_can_be_reverted_in_the_next_run(tmp_path: Path) -> None:
    patched = lg.Curriculum(*STAGES, operations=[Operation(2, "x", "set_weight", {"component": "a", "value": 0.5})])
    run = lg.init(mode="offline", dir=tmp_path, curriculum=patched)
    for _ in run.steps(range(3)):
        assert run._loop.parts is not None
    run._loop.parts.controller.offer(Command(id="r", number=1, kind="revert", args={"command": "x"}))  # type: ignore[union-attr]
    for _ in run.steps(range(1)):
        assert run.weights["a"] == 1 / 3
    run.finish()


GOOD: dict[str, Any] = {
    "lossguard": "curriculum", "version": 1, "run": "r", "exported_at_step": 9, "effective": ["for people"],
    "stages": [
        {"name": "one", "start": 0, "weights": {"a": 1}},
        {"name": "two", "start": 5, "weights": {"b": {"start": 0, "end": 1, "steps": 4}}},
    ],
    "operations": [{"step": 3, "id": "x", "kind": "gate", "args": {"component": "a", "open": False}}],
}  # fmt: skip


def test_a_file_written_by_a_server_is_read(tmp_path: Path) -> None:
    path = tmp_path / "patch.json"
    path.write_text(json.dumps(GOOD))
    read = lg.Curriculum.load(path)
    assert read.stages == (lg.Stage("one", 0, {"a": 1.0}), lg.Stage("two", 5, {"b": lg.ramp(0.0, 1.0, 4)}))
    assert read.operations == (Operation(3, "x", "gate", {"component": "a", "open": False}),)


def operation(**changed: Any) -> dict[str, Any]:
    return {"operations": [{**GOOD["operations"][0], **changed}]}


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "of something else": ({"lossguard": "report"}, 'it lacks "lossguard": "curriculum"; write one by `lossguard'),
    "of a later version": ({"version": 2}, "has version 2; this lossguard reads 1: install a newer one"),
    "without stages": ({"stages": None}, "its stages cannot be read"),
    "with a text as weight": ({"stages": [{"name": "a", "start": 0, "weights": {"a": "1"}}]}, "cannot be read"),
    "with no stage": ({"stages": []}, "takes at least one lg.Stage"),
    "with a ramp of no steps": (
        {"stages": [{"name": "a", "start": 0, "weights": {"a": {"start": 0, "end": 1, "steps": 0}}}]},
        "takes a whole number of steps from 1, not 0",
    ),
    "that begins late": ({"stages": [{"name": "a", "start": 3, "weights": {"a": 1}}]}, "it must start at 0"),
    "with operations that are a text": ({"operations": "none"}, "the operations are 'none', not a list"),
    "with one that is a number": ({"operations": [5]}, "operation 0 is 5; it must give step, id, kind, args"),
    "with one that lacks its id": ({"operations": [{"step": 1, "kind": "gate"}]}, "operation 0: it has no 'id'"),
    "with a step that is none": (operation(step=1.5), "its step is 1.5; a step is a whole number from 0"),
    "with a kind that steers nothing": (operation(kind="stop"), "its kind is 'stop'; known are set_weight"),
    "with a kind that is a list": (operation(kind=[]), r"its kind is \[\]; known are set_weight"),
    "with args that are wrong": (operation(args={"component": "a"}), "gate needs the argument 'open'"),
    "of an unknown component": (operation(args={"component": "z", "open": True}), "no component 'z'; it has a, b"),
    "with an unknown stage": (operation(kind="go_to_stage", args={"stage": "z"}), "no stage 'z'; it has one, two"),
    "that reverts what is not there": (operation(kind="revert", args={"command": "q"}), "no operation 'q' stands"),
    "with one id twice": ({"operations": GOOD["operations"] * 2}, "operation 1: 'x' is there already"),
}  # fmt: skip


@pytest.mark.parametrize(("changed", "text"), BAD.values(), ids=BAD.keys())
def test_a_bad_file_is_refused_with_its_name_and_its_fault(tmp_path: Path, changed: dict[str, Any], text: str) -> None:
    path = tmp_path / "patch.json"
    path.write_text(json.dumps({**GOOD, **changed}))
    with pytest.raises(lg.ConfigError, match=text) as caught:
        lg.Curriculum.load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b"[" * 100_000, b'{"a":NaN}'])
def test_what_is_no_file_of_ours_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "patch.json"
    path.write_bytes(content)
    with pytest.raises(lg.ConfigError, match=r"patch\.json .*write one by"):
        lg.Curriculum.load(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(lg.ConfigError, match="cannot be read"):
        lg.Curriculum.load(tmp_path / "none.json")


def test_numbers_come_back_with_their_bits(tmp_path: Path) -> None:
    values = [5e-324, 1 / 3, 1.7976931348623157e308, 0.1 + 0.2, math.pi, -0.0]
    stage = lg.Stage("one", weights={f"w{i}": value for i, value in enumerate(values)})
    lg.Curriculum(stage).save(tmp_path / "a.json")
    again = lg.Curriculum.load(tmp_path / "a.json").stages[0].weights
    assert [float(again[f"w{i}"]).hex() for i in range(len(values))] == [value.hex() for value in values]  # type: ignore[arg-type]
