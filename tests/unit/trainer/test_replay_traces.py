"""A replay leaves no trace in what steers a training, and what fails in one never reaches the training."""

import gc
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import lossguard as lg
from helpers import events
from lossguard.arrivals import Trip
from lossguard.origin import trace
from lossguard.protocol.messages import Event
from lossguard.random_states import RandomStates
from lossguard.replay import KeptStep, Replay
from lossguard.snapshots.steering import Steering
from tiny_training import Batch, Tiny, Training, batches

BAD = 3


class Scheduled(Training):
    """OneCycleLR raises when it is stepped once too often."""

    def __init__(self, folder: Path, is_given: bool = True, **init: Any) -> None:
        torch.manual_seed(0)
        model = Tiny()
        optimizer = torch.optim.AdamW(model.parameters())
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=6)
        given = {"scheduler": self.schedule} if is_given else {}
        super().__init__(folder, bad_batches=[BAD], model=model, optimizer=optimizer, **given, **init)
        self.model, self.optimizer = model, optimizer

    def train_scheduled(self) -> list[float]:
        rates: list[float] = []
        for batch in self.run.steps(batches(6)):
            self.one(batch)
            self.optimizer.step()
            self.schedule.step()
            self.optimizer.zero_grad()
            if not self.run.replaying:
                rates.append(self.optimizer.param_groups[0]["lr"])
        return rates


def test_a_scheduler_that_was_given_is_as_it_was(tmp_path: Path) -> None:
    replayed = Scheduled(tmp_path / "replayed")
    rates = replayed.train_scheduled()
    plain = Scheduled(tmp_path / "plain", replay=False)
    assert rates == plain.train_scheduled()
    assert len(replayed.seen) == 7
    assert replayed.schedule.state_dict() == plain.schedule.state_dict()
    assert replayed.bits() == plain.bits()
    (origin,) = events(replayed.finish(), "origin")
    assert origin.data["reproduced"] is True
    plain.finish()


def test_a_scheduler_that_was_not_given_is_not_stepped_by_a_replay(spool_folder: Path) -> None:
    training = Scheduled(spool_folder, is_given=False)
    training.train_scheduled()
    assert training.seen == list(range(6))
    (origin,) = events(training.finish(), "origin")
    assert origin.data["reproduced"] is None
    assert "give lg.init(scheduler=...) or replay=function" in origin.data["text"]


def test_with_a_function_a_scheduler_that_was_not_given_is_no_obstacle(spool_folder: Path) -> None:
    training: Scheduled

    def losses(batch: Batch) -> dict[str, Tensor]:
        return training.losses(batch)

    training = Scheduled(spool_folder, is_given=False, replay=losses)
    training.train_scheduled()
    (origin,) = events(training.finish(), "origin")
    assert origin.data["reproduced"] is True


@pytest.mark.parametrize("fused", [False, True])
def test_a_gradient_scaler_is_as_it_was(tmp_path: Path, fused: bool) -> None:
    scales: dict[bool, list[float]] = {}
    for replay in (True, False):
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=2)
        training = Training(tmp_path / str(replay), bad_batches=[BAD], fused=fused, scaler=scaler, replay=replay)
        scales[replay] = []
        for batch in training.run.steps(batches(8)):
            scaler.scale(training.run.total(training.losses(batch))).backward()
            scaler.step(training.optimizer)
            scaler.update()
            training.optimizer.zero_grad()
            if not training.run.replaying:
                scales[replay].append(scaler.get_scale())
        training.finish()
    assert scales[True] == scales[False]


def _train_scaled(training: Training, scaler: torch.amp.GradScaler, nan_at: int = -1) -> list[Event]:
    """The origins that were told. Unfused: the scaler skips a bad step by itself, and the guard never sees it."""
    for number, x in training.run.steps(batches(6)):
        batch = number, x * (torch.nan if number == nan_at else 1.0)
        scaler.scale(training.run.total(training.losses(batch))).backward()
        scaler.step(training.optimizer)
        scaler.update()
        training.optimizer.zero_grad()
    return events(training.finish(), "origin")


def test_buffers_are_as_they_were_where_the_guard_only_observes(tmp_path: Path) -> None:
    found = []
    for replay in (True, False):
        scaler = torch.amp.GradScaler("cpu")
        training = Training(
            tmp_path / str(replay), bad_batches=[BAD], guard="observe", scaler=scaler, replay=replay, snapshots=False
        )
        origins = _train_scaled(training, scaler)
        found.append((origins[0].data["reproduced"], training.bits()))
    assert [reproduced for reproduced, _ in found] == [True, None]
    assert found[0][1] == found[1][1]


def test_a_replay_by_a_function_begins_with_the_buffers_mended(spool_folder: Path) -> None:
    """Else the buffer that the bad batch itself has broken would be blamed."""
    training: Training

    def losses(batch: Batch) -> dict[str, Tensor]:
        return training.losses((batch[0], batch[1] * torch.nan))

    scaler = torch.amp.GradScaler("cpu")
    training = Training(spool_folder, scaler=scaler, replay=losses)
    (origin,) = _train_scaled(training, scaler, nan_at=BAD)
    assert origin.data["reproduced"] is True
    assert "buffer" not in origin.data["text"]
    assert all(bool(value.isfinite().all()) for value in training.model.state_dict().values())


class Odd(nn.Module):
    """Buffers of kinds that a plain copy does not fit."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.arange(5))
        self.register_buffer("mean", torch.zeros(2))
        self.register_buffer("none", None)
        self.register_buffer("wide", torch.zeros(1).expand(5))
        self.register_buffer("adjacency", torch.eye(3).to_sparse())
        self.lazy = nn.LazyBatchNorm1d()


def test_buffers_are_the_same_objects_with_the_same_values() -> None:
    model = Odd()
    before = {name: (buffer, buffer.clone()) for name, buffer in model.named_buffers(recurse=False)}
    replay = Replay(KeptStep(3, {}), Trip(3, True, ("loss/a",), None, 1), 4, model)
    graph = model.mean * torch.ones(2, requires_grad=True)  # type: ignore[operator]
    with replay.set_aside(Steering()):
        model.table[2] = 9  # type: ignore[index, operator]
        model.mean = torch.ones(2)
        model.none = torch.ones(1)
    assert {name: id(buffer) for name, buffer in model.named_buffers(recurse=False)} == {
        name: id(buffer) for name, (buffer, _) in before.items()
    }
    assert all(torch.equal(buffer.to_dense(), value.to_dense()) for buffer, value in before.values())
    graph.sum().backward()  # it needs the mean, and finds it unwritten


def test_a_rate_in_a_tensor_keeps_its_tensor() -> None:
    rate = torch.tensor(0.1)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)
    put_back = Steering([optimizer]).take()
    rate.mul_(0.5)
    optimizer.param_groups[0]["lr"] = torch.tensor(7.0)
    for each in put_back:
        each()
    assert optimizer.param_groups[0]["lr"] is rate
    assert float(rate) == pytest.approx(0.1)


def test_a_compiled_model_is_replayed(spool_folder: Path) -> None:
    class Compiled(Training):
        def __init__(self, folder: Path) -> None:
            compiled: Any = torch.compile(Tiny(), backend="eager")
            optimizer = torch.optim.AdamW(compiled.parameters())
            super().__init__(folder, bad_batches=[BAD], model=compiled, optimizer=optimizer)
            self.model, self.optimizer = compiled, optimizer

    training = Compiled(spool_folder).train(batches(6))
    (origin,) = events(training.finish(), "origin")
    assert origin.data["reproduced"] is True


def _fail(*_: object) -> None:
    raise RuntimeError("a fault of ours")


@pytest.mark.parametrize("where", ["trace", "take", "steering", "buffers", "before"])
def test_a_fault_of_ours_gives_the_replay_up_and_the_training_goes_on(
    tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Training(tmp_path / "plain", bad_batches=[BAD], replay=False).train(batches(8))
    training = Training(tmp_path / "replayed", bad_batches=[BAD])
    parts = training.run._loop.parts
    assert parts is not None
    put_back = RandomStates.put_back
    match where:
        case "trace":
            monkeypatch.setattr(trace.Places, "start", _fail)
        case "take":
            monkeypatch.setattr("lossguard.replay.OriginTrace", _fail)
        case "steering":
            monkeypatch.setattr(Steering, "take", _fail)
        case "buffers":
            monkeypatch.setattr("lossguard.replay._buffers_of", lambda model: _fail)
        case "before":
            calls: list[int] = []

            def failing_once(states: RandomStates) -> None:
                calls.append(1)
                if len(calls) == 1:
                    _fail()
                put_back(states)

            monkeypatch.setattr(RandomStates, "put_back", failing_once)
    training.train(batches(8))
    assert training.seen[-1] == 7
    assert not training.run.replaying
    assert torch.utils._python_dispatch._get_current_dispatch_mode() is None
    (origin,) = events(training.finish(), "origin")
    if where != "buffers":  # those fail when the replay is over
        assert training.seen == list(range(8))
        assert training.bits() == plain.bits()
        assert origin.data["reproduced"] is None
        assert "could not be made" in origin.data["text"]
    plain.finish()


def test_a_replay_belongs_to_the_stage_of_its_step_and_the_next_stage_comes_with_a_real_step(
    spool_folder: Path,
) -> None:
    stages = lg.Curriculum(
        lg.Stage("one", weights={"fit": 1.0, "shape": 0.5}),
        lg.Stage("two", start=4, weights={"fit": 1.0, "shape": 0.1}),
    )
    training = Training(spool_folder, bad_batches=[BAD], losses=None, curriculum=stages)
    seen: list[tuple[int, str, bool]] = []
    for batch in training.run.steps(batches(6)):
        seen.append((training.run.step, training.run.stage, training.run.replaying))
        training.one(batch)
        training.optimizer.step()
        training.optimizer.zero_grad()
    assert seen[3:6] == [(3, "one", False), (4, "one", True), (5, "two", False)]
    assert [event.step for event in events(training.finish(), "stage")] == [0, 5]


def test_after_the_end_a_run_holds_nothing_heavy(spool_folder: Path) -> None:
    training = Training(spool_folder, bad_batches=[BAD], snapshots=lg.Snapshots(every=1, healthy_after=1))
    loader = batches(8)
    training.train(loader)
    run, newest = training.run, training.run.status().snapshot_step
    parts = run._loop.parts
    assert parts is not None
    alive = {
        "model": weakref.ref(training.model),
        "optimizer": weakref.ref(training.optimizer),
        "batch": weakref.ref(loader[-1][1]),
        "keeper": weakref.ref(parts.keeper),
    }
    training.finish()
    del training, loader, parts
    gc.collect()
    assert [name for name, ref in alive.items() if ref() is not None] == []
    assert run.status().snapshot_step == newest > 0
    assert run._loop.guard_modes == {"0 AdamW": "trip"}


def test_a_pause_that_nobody_could_end_is_told_and_not_made(spool_folder: Path) -> None:
    training = Training(spool_folder, bad_batches=[2, 3], on_trip="pause", replay=False)
    assert training.run._loop.parts is not None
    training.run._loop.parts.can_be_resumed = False
    training.train(batches(6))
    assert training.seen == list(range(6))
    (error,) = events(training.finish(), "error")
    assert error.data["where"] == "pause"
    assert "nobody could resume" in error.data["message"]
