"""Full detail on demand, and the freeze-frame of a trip, in a user's loop."""

from pathlib import Path

import pytest

from helpers import events, points
from lossguard.protocol.messages import Command
from tiny_training import Training, batches


def test_a_command_raises_the_detail_and_it_falls_back_by_itself(spool_folder: Path) -> None:
    training = Training(spool_folder)
    controller = training.run._loop.parts.controller  # type: ignore[union-attr]
    training.train(batches(3))
    controller.offer(Command(id="c", number=1, kind="instrument", args={"steps": 4}))
    training.train(batches(8))
    messages = training.finish()
    found = points(messages)
    norms = {name: series for name, series in found.items() if name.startswith("param_grad_norm/")}
    assert len(norms) == len(list(training.model.parameters()))
    assert {tuple(step for step, _ in series) for series in norms.values()} == {(3, 4, 5, 6)}
    assert [step for step, _ in found["activation/encoder.0/rms"]] == [3, 4, 5, 6]
    assert [(event.step, event.data["level"]) for event in events(messages, "detail")] == [(3, "full"), (7, "default")]
    squares = sum(series[0][1] ** 2 for series in norms.values())
    assert squares**0.5 == pytest.approx(found["grad_norm/total"][3][1], rel=1e-5)


@pytest.mark.parametrize("steps", [0, -1, 10**9, 2.5, "5", True, None])
def test_a_hostile_number_of_steps_is_refused(spool_folder: Path, steps: object) -> None:
    training = Training(spool_folder)
    training.run._loop.parts.controller.offer(  # type: ignore[union-attr]
        Command(id="c", number=1, kind="instrument", args={"steps": steps})
    )
    messages = training.train(batches(2)).finish()
    assert [event.data["state"] for event in events(messages, "command")] == ["received", "rejected"]
    assert not any(name.startswith("param_grad_norm/") for name in points(messages))


def test_a_trip_sends_the_last_steps_in_full_detail(spool_folder: Path) -> None:
    messages = Training(spool_folder, bad_batches=[4], replay=False).train(batches(7)).finish()
    (frame,) = events(messages, "freeze_frame")
    assert (frame.data["from"], frame.data["to"], frame.data["batches"]) == (0, 4, [0, 1, 2, 3, 4])
    norms = points(messages)["param_grad_norm/head.weight"]
    assert [step for step, _ in norms] == [0, 1, 2, 3, 4]
    assert norms[4][1] != norms[4][1]


def test_the_random_state_of_the_frame_is_the_tripped_step_s(spool_folder: Path) -> None:
    import torch

    training = Training(spool_folder, bad_batches=[1])
    before: list[str] = []
    for batch in training.run.steps(batches(3)):
        before.append(bytes(torch.get_rng_state().numpy()).hex())
        training.one(batch)
        training.optimizer.step()
        training.optimizer.zero_grad()
    (frame,) = events(training.finish(), "freeze_frame")
    assert frame.data["rng"] == {"cpu": before[1]}


def test_the_script_may_ask_for_detail_too(spool_folder: Path) -> None:
    training = Training(spool_folder)
    training.train(batches(4), after=lambda step: training.run.instrument(2) if step == 1 else None)
    found = points(training.finish())
    assert [step for step, _ in found["param_grad_norm/head.bias"]] == [1, 2]


def test_what_full_detail_has_sent_a_trip_does_not_send_again(spool_folder: Path) -> None:
    training = Training(spool_folder, bad_batches=[4], replay=False)
    training.train(batches(7), after=lambda step: training.run.instrument(3) if step == 2 else None)
    found = points(training.finish())
    assert [step for step, _ in found["param_grad_norm/head.weight"]] == [2, 3, 4]
