"""After a trip the loop runs the batch once more, watched, and says where the value was born."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

import lossguard as lg
from helpers import events, points, spooled
from lossguard.arrivals import Trip
from lossguard.replay import KeptStep, Replay, Replays
from lossguard.snapshots.steering import Steering
from tiny_training import Training, batches


def test_the_op_and_the_component_are_named(spool_folder: Path) -> None:
    training = Training(spool_folder, bad_batches=[3]).train(batches(6))
    messages = training.finish()
    (origin,) = events(messages, "origin")
    assert training.seen == [0, 1, 2, 3, 3, 4, 5]
    assert origin.step == 3
    assert (origin.data["component"], origin.data["phase"], origin.data["reproduced"]) == ("shape", "forward", True)
    assert origin.data["op"] == "aten.log"
    assert "tiny_training.py" in origin.data["where"]
    assert origin.data["steps_late"] == 0
    found = points(messages)
    # the replay is step 4: it has no losses, and its update is skipped as well
    assert [step for step, _ in found["loss/total"]] == [0, 1, 2, 3, 5, 6]
    assert [value for _, value in found["skipped"]] == [0, 0, 0, 1, 1, 0, 0]
    assert len(events(messages, "trip")) == 1


@pytest.mark.parametrize("fused", [False, True])
def test_the_training_after_a_replay_has_the_bits_of_one_without(tmp_path: Path, fused: bool) -> None:
    trainings = [
        Training(tmp_path / str(replay), bad_batches=[3], fused=fused, replay=replay).train(batches(10))
        for replay in (True, False)
    ]
    assert trainings[0].bits() == trainings[1].bits()
    for training in trainings:
        training.finish()


def test_a_backward_fault_names_its_component(spool_folder: Path) -> None:
    class Backward(Training):
        def losses(self, batch: tuple[int, Tensor]) -> dict[str, Tensor]:
            given = super().losses(batch)
            if batch[0] == 2:  # the slope of sqrt at 0 is infinite; times 0 it is NaN
                given["shape"] = (given["shape"] * 0).sqrt()
            return given

    (origin,) = events(Backward(spool_folder).train(batches(4)).finish(), "origin")
    assert (origin.data["component"], origin.data["phase"]) == ("shape", "backward")
    assert origin.data["reproduced"] is True


def test_a_failure_that_does_not_repeat_is_said(spool_folder: Path) -> None:
    training = Training(spool_folder, bad_batches=[1])
    bits: list[list[bytes]] = []

    def after(step: int) -> None:
        if step == 1:
            training.bad.clear()
        bits.append(training.bits())

    training.train(batches(4), after=after)
    assert bits[0] == bits[1]  # tripped
    assert bits[1][0] == bits[2][0]
    assert bits[2][0] != bits[3][0]
    # the replay is finite, and still does not reach the weights; its BatchNorm is put back when it is over
    assert training.seen == [0, 1, 1, 2, 3]
    (origin,) = events(training.finish(), "origin")
    assert (origin.data["reproduced"], origin.data["op"]) == (False, None)


def test_dropout_and_buffers_are_as_they_were_in_the_replay(spool_folder: Path) -> None:
    outs: list[bytes] = []

    class Recording(Training):
        def losses(self, batch: tuple[int, Tensor]) -> dict[str, Tensor]:
            given = super().losses(batch)
            if batch[0] == 2:
                outs.append(given["fit"].detach().numpy().tobytes())
            return given

    Recording(spool_folder, bad_batches=[2]).train(batches(4)).finish()
    assert len(outs) == 2
    assert outs[0] == outs[1]


def test_all_micro_batches_come_again(spool_folder: Path) -> None:
    training = Training(spool_folder, bad_batches=[2])
    for i, batch in enumerate(training.run.steps(batches(6), accumulate=2)):
        training.one(batch)
        if i % 2:
            training.optimizer.step()
            training.optimizer.zero_grad()
    assert training.seen == [0, 1, 2, 3, 2, 3, 4, 5]
    (origin,) = events(training.finish(), "origin")
    assert origin.data["micro_batch"] == 0


def test_a_run_that_breaks_at_every_step_is_not_replayed_for_ever(spool_folder: Path) -> None:
    training = Training(spool_folder, bad_batches=range(1000))
    training.train(batches(150))
    assert len(training.seen) == 150 + 2
    assert len(events(training.finish(), "trip")) == 150


def test_a_function_of_the_batch_is_used_where_it_is_given(spool_folder: Path) -> None:
    training: Training

    def losses(batch: tuple[int, Tensor]) -> dict[str, Tensor]:
        return training.losses(batch)

    training = Training(spool_folder, bad_batches=[3], replay=losses)
    training.train(batches(6))
    assert training.seen == [0, 1, 2, 3, 4, 5]
    (origin,) = events(training.finish(), "origin")
    assert (origin.data["op"], origin.data["component"], origin.data["reproduced"]) == ("aten.log", "shape", True)


def test_a_loop_of_boundaries_has_no_batch_and_says_so(spool_folder: Path) -> None:
    training = Training(spool_folder, bad_batches=[1])
    for batch in batches(3):
        training.run.boundary()
        training.one(batch)
        training.optimizer.step()
        training.optimizer.zero_grad()
    (origin,) = events(training.finish(), "origin")
    assert (origin.data["reproduced"], origin.data["component"]) == (None, "shape")
    assert "run.steps" in origin.data["text"]


def test_leaving_the_loop_within_a_replay_leaves_nothing_behind(spool_folder: Path) -> None:
    training = Training(spool_folder, bad_batches=[1])
    for batch in training.run.steps(batches(4)):
        training.one(batch)
        if training.run.replaying:
            break
        training.optimizer.step()
        training.optimizer.zero_grad()
    assert not training.run.replaying
    assert torch.utils._python_dispatch._get_current_dispatch_mode() is None
    assert not torch.nn.modules.module._global_forward_hooks
    training.finish()


def test_an_error_within_a_replay_reaches_the_user_and_leaves_nothing_behind(spool_folder: Path) -> None:
    class Failing(Training):
        def losses(self, batch: tuple[int, Tensor]) -> dict[str, Tensor]:
            if self.run.replaying:
                raise RuntimeError("the user's own")
            return super().losses(batch)

    training = Failing(spool_folder, bad_batches=[1])
    with pytest.raises(RuntimeError, match="the user's own"):
        training.train(batches(4))
    assert torch.utils._python_dispatch._get_current_dispatch_mode() is None
    training.finish()


def test_the_last_step_is_replayed_too(spool_folder: Path) -> None:
    training = Training(spool_folder, bad_batches=[3]).train(batches(4))
    assert training.seen == [0, 1, 2, 3, 3]
    training.finish()


def test_the_weights_of_the_tripped_step_are_in_force_in_its_replay(spool_folder: Path) -> None:
    curriculum = lg.Curriculum(
        lg.Stage("a", weights={"fit": 1.0, "shape": 0.5}), lg.Stage("b", start=4, weights={"fit": 1.0, "shape": 0.1})
    )
    seen: list[tuple[bool, float]] = []
    training = Training(spool_folder, bad_batches=[3], losses=None, curriculum=curriculum)
    for batch in training.run.steps(batches(6)):
        training.one(batch)
        seen.append((training.run.replaying, training.run.weights["shape"]))
        training.optimizer.step()
        training.optimizer.zero_grad()
    assert seen[3:6] == [(False, 0.5), (True, 0.5), (False, 0.1)]
    training.finish()


def test_gradients_that_the_user_keeps_are_the_same_after_a_replay(spool_folder: Path) -> None:
    training = Training(spool_folder, bad_batches=[2], fused=True)
    weight = training.model.head.weight
    kept: list[torch.Tensor | None] = []
    for batch in training.run.steps(batches(5)):
        if not training.run.replaying:
            kept.append(weight.grad)
        training.one(batch)
        training.optimizer.step()
        training.optimizer.zero_grad(set_to_none=False)
    assert kept[1] is not None
    assert all(grad is kept[1] for grad in kept[1:])
    training.finish()


def test_a_run_that_is_finished_within_a_replay_stops_watching(spool_folder: Path) -> None:
    training = Training(spool_folder, bad_batches=[1])
    held = training.run.steps(batches(4))
    while not training.run.replaying:
        training.one(next(held))
        if not training.run.replaying:
            training.optimizer.step()
            training.optimizer.zero_grad()
    training.finish()
    assert torch.utils._python_dispatch._get_current_dispatch_mode() is None
    held.close()  # type: ignore[attr-defined]


def test_a_trip_of_another_branch_is_not_replayed() -> None:
    replays = Replays(True, 3, lambda step, data: None)
    replays.begin(5, {"a": 1.0})
    replays.batch("the batch")
    replays.ask(Trip(5, True, ("loss/a",), None, 1))
    replays.forget()
    assert replays.due(6) is None


def test_as_long_as_nothing_is_asked_the_parameters_are_not_listed() -> None:
    listed: list[int] = []

    def params() -> dict[str, Tensor]:
        listed.append(1)
        return {}

    replays = Replays(True, 1, lambda step, data: None, params=params)
    for step in range(3):
        assert replays.due(step) is None
    assert not listed
    replays.begin(3, {})
    replays.batch("the batch")
    replays.ask(Trip(3, True, ("loss/a",), None, 1))
    assert replays.due(4) is not None
    assert listed == [1]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({}, True),
        ({"guard": "observe"}, True),
        ({"guard": "off"}, False),
        ({"optimizer": None}, False),
        ({"guard": "off", "scaler": torch.amp.GradScaler("cpu")}, True),  # its skips are replayed too
    ],
    ids=["auto", "observe", "off", "no optimizer", "off with a scaler"],
)
def test_batches_are_kept_only_where_a_step_can_trip(spool_folder: Path, given: dict[str, object], kept: bool) -> None:
    training = Training(spool_folder, **given)
    parts = training.run._loop.parts
    assert parts is not None
    for batch in training.run.steps(batches(2)):
        training.one(batch)
    assert bool(parts.replays.random_before(1)) == kept
    training.finish()


def test_the_random_states_are_sent_once_for_a_series_of_trips(spool_folder: Path) -> None:
    training = Training(spool_folder, bad_batches=[2, 3, 4]).train(batches(7))
    frames = events(training.finish(), "freeze_frame")
    assert [bool(frame.data["rng"]) for frame in frames] == [True, False, False]


def test_random_states_after_a_replay_are_those_before_it_whatever_it_drew() -> None:
    """On a GPU the run has moved on when a trip is learned: its random numbers must not come twice."""
    replay = Replay(KeptStep(3, {}), Trip(3, True, ("loss/a",), None, 1), 6, None)
    before = torch.get_rng_state()
    with replay.set_aside(Steering()):
        torch.manual_seed(9)
        torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)


def test_so_many_replays_a_run_and_no_more() -> None:
    replays = Replays(True, 1, lambda step, data: None)
    made = 0
    for step in range(0, 20 * 200, 200):
        replays.begin(step, {})
        replays.batch("the batch")
        replays.ask(Trip(step, True, ("loss/a",), None, 1))
        made += replays.due(step + 1) is not None
    assert made == 10


def test_a_replay_that_was_left_before_its_end_says_nothing_of_repeating(spool_folder: Path) -> None:
    training = Training(spool_folder, bad_batches=[1])
    for batch in training.run.steps(batches(4)):
        if training.run.replaying:
            break
        training.one(batch)
        training.optimizer.step()
        training.optimizer.zero_grad()
    (origin,) = events(training.finish(), "origin")
    assert origin.data["reproduced"] is None
    assert "the loop ended during the replay" in origin.data["text"]


def test_where_the_guard_only_observes_no_replay_is_made_and_that_is_said(spool_folder: Path) -> None:
    training = Training(spool_folder, bad_batches=[2], guard="observe").train(batches(5))
    assert training.seen == [0, 1, 2, 3, 4]
    (origin,) = events(training.finish(), "origin")
    assert origin.data["reproduced"] is None
    assert "the guard only observes" in origin.data["text"]


def test_without_a_model_the_optimizers_gradients_are_looked_at(spool_folder: Path) -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    run = lg.init(optimizer=optimizer, mode="offline", dir=spool_folder)
    for number in run.steps(range(4)):
        hidden = (weight * 0.0).square().sum() if number == 2 else weight.square().sum()
        run.total(loss=hidden.sqrt()).backward()  # the slope of sqrt at 0 is infinite; times 0 it is NaN
        optimizer.step()
        optimizer.zero_grad()
    run.finish(timeout_s=5)
    (origin,) = events(spooled(spool_folder), "origin")
    assert (origin.data["phase"], origin.data["reproduced"]) == ("backward", True)


def test_a_buffer_that_alone_became_nan_is_named(spool_folder: Path) -> None:
    class Tracking(Training):
        def losses(self, batch: tuple[int, Tensor]) -> dict[str, Tensor]:
            given = super().losses(batch)
            norm = self.model.encoder[1]
            with torch.no_grad():
                if batch[0] == 2:
                    norm.running_var.data.copy_((norm.running_var * 0).log() * 0)  # type: ignore[union-attr]
            return given

    training = Tracking(spool_folder).train(batches(5))
    messages = training.finish()
    (trip,), (origin,) = events(messages, "trip"), events(messages, "origin")
    assert trip.data["series"] == ["buffers"]
    assert origin.data["reproduced"] is True
    assert "The buffer encoder.1.running_var became nan" in origin.data["text"]
    assert all(bool(value.isfinite().all()) for value in training.model.state_dict().values())


def test_a_trip_after_a_rollback_is_news(spool_folder: Path) -> None:
    replays = Replays(True, 1, lambda step, data: None)
    for step in (50, 20):
        replays.begin(step, {})
        replays.batch("the batch")
        replays.ask(Trip(step, True, ("loss/a",), None, 1))
        assert replays.due(step + 1) is not None
        replays.forget()
