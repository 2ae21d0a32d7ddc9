"""run.log: as a tracker of its own, and within the loop."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

import lossguard as lg
from helpers import points, spooled


def test_alone_each_call_is_a_step(spool_folder: Path) -> None:
    run = lg.init(mode="offline")
    for i in range(3):
        run.log({"loss": 1.0 / (i + 1), "acc": torch.tensor(i / 4), "n": i, "np": np.float64(0.5), "flag": True})
        run.log({"np32": np.float32(0.25)}, step=i)  # type: ignore[dict-item]
    run.finish()
    found = points(spooled(spool_folder))
    assert found == {
        "loss": [(0, 1.0), (1, 0.5), (2, 1 / 3)],
        "acc": [(0, 0.0), (1, 0.25), (2, 0.5)],
        "n": [(0, 0.0), (1, 1.0), (2, 2.0)],
        "np": [(0, 0.5), (1, 0.5), (2, 0.5)],
        "flag": [(0, 1.0), (1, 1.0), (2, 1.0)],
        "np32": [(0, 0.25), (1, 0.25), (2, 0.25)],
    }


def test_a_step_that_is_given_counts(spool_folder: Path) -> None:
    run = lg.init(mode="offline")
    run.log({"a": 1.0}, step=100)
    run.log({"a": 2.0})
    run.log({"a": 3.0}, step=np.int64(7))  # type: ignore[arg-type]
    run.log({"a": 4.0})
    run.finish()
    assert points(spooled(spool_folder))["a"] == [(100, 1.0), (0, 2.0), (7, 3.0), (1, 4.0)]


@pytest.mark.parametrize("step", ["later", math.nan, [1], -5, 2**60])
def test_a_step_that_is_none_costs_its_row_and_nothing_else(spool_folder: Path, step: object) -> None:
    run = lg.init(mode="offline")
    run.log({"a": 1.0})
    run.log({"a": 2.0}, step=step)  # type: ignore[arg-type]
    run.log({"a": 3.0}, step=5)
    run.finish()
    assert points(spooled(spool_folder))["a"] == [(0, 1.0), (5, 3.0)]


def test_steps_that_are_none_are_said_once_a_name_and_switch_nothing_off(
    spool_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = lg.init(mode="offline")
    for step in run.steps(range(10)):
        run.log({"a": 1.0, "b": torch.tensor(2.0)}, step="later" if step < 9 else 9)  # type: ignore[arg-type]
        run.log({"good": torch.tensor(3.0)})
        with run.evaluating():
            run.log({"c": 4.0}, step=[step] if step < 9 else 9)  # type: ignore[arg-type]
    run.finish()
    found = points(spooled(spool_folder))
    assert len(found["good"]) == 10
    assert (found["a"], found["b"], found["eval/c"]) == ([(9, 1.0)], [(9, 2.0)], [(9, 4.0)])
    assert [record.message for record in caplog.records] == [
        "lossguard: run.log leaves out 'a': its step, a str, is no whole number.",
        "lossguard: run.log leaves out 'b': its step, a str, is no whole number.",
        "lossguard: run.log leaves out 'c': its step, a list, is no whole number.",
    ]


def test_within_the_loop_numbers_and_tensors_go_to_the_steps_row(spool_folder: Path) -> None:
    run = lg.init(mode="offline")
    for step in run.steps(range(3)):
        run.total(loss=torch.tensor(1.0))
        run.log({"host": step + 0.5, "device": torch.tensor([step + 0.25]), "bf16": torch.tensor(1.5).bfloat16()})
        if step == 1:
            run.log({"val/acc": 0.75})
    run.finish()
    found = points(spooled(spool_folder))
    assert found["host"] == [(0, 0.5), (1, 1.5), (2, 2.5)]
    assert found["device"] == [(0, 0.25), (1, 1.25), (2, 2.25)]
    assert found["bf16"] == [(0, 1.5), (1, 1.5), (2, 1.5)]
    assert found["val/acc"] == [(1, 0.75)]
    assert len(found["loss/total"]) == 3


def test_a_logged_tensor_is_taken_without_its_graph(spool_folder: Path) -> None:
    weight = torch.tensor(2.0, requires_grad=True)
    run = lg.init(mode="offline")
    for _ in run.steps(range(1)):
        run.log({"w2": weight * weight})
        assert run._loop.parts is not None
        assert not any(tensor.requires_grad for tensor in run._loop.parts.instrument._tensors)
    run.finish()
    assert points(spooled(spool_folder))["w2"] == [(0, 4.0)]


BAD = {"": 1.0, "a\nb": 1.0, "x" * 513: 1.0, "\u202eevil": 1.0, "\ud800": 1.0, 5: 1.0}


@pytest.mark.parametrize("in_loop", [False, True])
@pytest.mark.parametrize("as_tensor", [False, True])
def test_bad_names_are_dropped_and_the_good_ones_stay(spool_folder: Path, in_loop: bool, as_tensor: bool) -> None:
    run = lg.init(mode="offline")
    for _ in run.steps(range(5)) if in_loop else range(5):
        values = {**BAD, "good": 2.0}
        run.log({name: torch.tensor(v) for name, v in values.items()} if as_tensor else values)  # type: ignore[arg-type,misc]
    run.finish()
    assert points(spooled(spool_folder))["good"] == [(step, 2.0) for step in range(5)]


@pytest.mark.parametrize("value", [torch.zeros(2), "text", None, object(), [1.0, 2.0]])
def test_what_is_no_number_is_said_once_and_training_goes_on(
    spool_folder: Path, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    run = lg.init(mode="offline")
    for _ in range(2):
        run.log({"x": value})  # type: ignore[dict-item]
    run.log({"good": 1.0})
    run.finish()
    assert "good" in points(spooled(spool_folder))
    assert len([record for record in caplog.records if "leaves out 'x'" in record.message]) == 1


def test_names_made_up_at_each_step_do_not_fill_the_memory() -> None:
    run = lg.init(mode="off")
    for i in range(20_050):
        run.log({f"name/{i}": 1.0})
    assert len(run._logged.sorting._good) <= 10_001


def test_what_is_no_number_takes_nothing_else_with_it(spool_folder: Path) -> None:
    run = lg.init(mode="offline", losses={"a": 1.0})
    for _ in run.steps(range(30)):
        run.total(a=torch.tensor(1.0))
        run.log({"note": "hello", "image": torch.zeros(3, 8, 8), "huge": 10**400, "good": 2.0})  # type: ignore[dict-item]
    run.finish()
    found = points(spooled(spool_folder))
    assert len(found["loss/a"]) == len(found["good"]) == 30
    assert not {"note", "image", "huge"} & set(found)


def test_a_tensor_logged_at_a_step_is_stored_at_that_step(spool_folder: Path) -> None:
    run = lg.init(mode="offline", losses={"a": 1.0})
    for _ in run.steps(range(3)):
        run.total(a=torch.tensor(1.0))
        run.log({"x": torch.tensor(5.0), "y": 6.0}, step=100 + run.step)
    run.finish()
    found = points(spooled(spool_folder))
    assert found["x"] == [(100, 5.0), (101, 5.0), (102, 5.0)]
    assert found["y"] == [(100, 6.0), (101, 6.0), (102, 6.0)]


def test_a_loop_without_boundaries_is_told_so_and_does_not_fill_the_memory(caplog: pytest.LogCaptureFixture) -> None:
    run = lg.init(mode="offline", losses={"a": 1.0})
    for _ in range(5_000):
        run.total(a=torch.tensor(1.0))
    run.finish()
    assert "run.boundary()" in caplog.text


def test_what_is_logged_between_epochs_belongs_to_the_last_step(spool_folder: Path) -> None:
    run = lg.init(mode="offline")
    for epoch in range(2):
        for _ in run.steps(range(3)):
            run.total(loss=torch.tensor(1.0))
        run.log({"val/acc": torch.tensor(0.5 + epoch), "val/n": 7})
    run.finish()
    found = points(spooled(spool_folder))
    assert found["val/acc"] == [(2, 0.5), (5, 1.5)]
    assert found["val/n"] == [(2, 7.0), (5, 7.0)]


def test_what_is_changed_in_place_afterwards_was_logged_as_it_was(spool_folder: Path) -> None:
    run = lg.init(mode="offline")
    running, scale, array = torch.zeros(()), torch.nn.Parameter(torch.tensor(1.0)), np.zeros(1)
    for step in run.steps(range(3)):
        running += step + 1
        run.log({"running": running, "scale": scale, "array": array})
        running.zero_()
        with torch.no_grad():
            scale *= 2
        array += 1
    run.finish()
    found = points(spooled(spool_folder))
    assert found["running"] == [(0, 1.0), (1, 2.0), (2, 3.0)]
    assert found["scale"] == [(0, 1.0), (1, 2.0), (2, 4.0)]
    assert found["array"] == [(0, 0.0), (1, 1.0), (2, 2.0)]


def test_the_total_and_the_clipped_norm_may_be_changed_in_place(spool_folder: Path) -> None:
    weight = torch.nn.Parameter(torch.tensor([3.0]))
    for optimizers in ([], [torch.optim.SGD([weight], lr=0.0)]):
        run = lg.init(mode="offline", optimizer=optimizers)
        for _ in run.steps(range(1)):
            total = run.total(loss=weight.sum())
            total /= 4
            total.backward()
            norm = run.clip_grad_norm_(1.0, [weight])
            norm *= 100
            for optimizer in optimizers:
                optimizer.step()
            weight.grad = None
        run.finish()
    found = points(spooled(spool_folder))
    assert found["loss/total"] == [(0, 3.0)] * 2
    assert found["grad_norm/total"] == [(0, 0.25)] * 2
