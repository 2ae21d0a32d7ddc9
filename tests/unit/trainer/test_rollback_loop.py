"""A rollback in a user's loop: in place, bit for bit, and on the record."""

from pathlib import Path
from typing import Any

import pytest

import lossguard as lg
from helpers import events, points
from lossguard.protocol.messages import Command, Declaration
from tiny_training import Batch, Training, batches

OFTEN = lg.Snapshots(every=5, healthy_after=5)


def command(kind: str, number: int = 1, **args: Any) -> Command:
    return Command(id=f"c{number}", number=number, kind=kind, args=args)


def offer(training: Training, sent: Command) -> None:
    training.run._loop.parts.controller.offer(sent)  # type: ignore[union-attr]


def test_a_rollback_goes_back_bit_for_bit_and_the_same_batches_give_the_same_losses(spool_folder: Path) -> None:
    training = Training(spool_folder, snapshots=OFTEN)
    loader = batches(40)
    training.train(loader[:20])
    newest = training.run.status().snapshot_step
    assert 0 < newest < 20
    offer(training, command("rollback"))
    training.train(loader[newest:20])
    again = [float(total) for total in training.totals[20:]]
    assert again == [float(total) for total in training.totals[newest:20]]
    messages = training.finish()
    (event,) = events(messages, "rollback")
    assert (event.data["from"], event.data["to"], event.data["command"]) == (20, newest, "c1")
    assert [step for step, _ in points(messages)["loss/total"]] == [*range(20), *range(newest, 20)]
    results = [event.data for event in events(messages, "command")]
    assert [result["state"] for result in results] == ["received", "applied"]
    assert (results[1]["old"], results[1]["new"]) == (20, newest)


def test_by_default_the_data_goes_on(spool_folder: Path) -> None:
    training = Training(spool_folder, snapshots=OFTEN)
    training.train(batches(30), after=lambda step: training.run.rollback() if len(training.seen) == 20 else None)
    assert training.seen == list(range(30))
    assert training.run.step < 29
    training.finish()


class Loader:
    """Knows where it is, as torchdata's StatefulDataLoader does."""

    def __init__(self, count: int) -> None:
        self.data, self.at = batches(count), 0

    def __iter__(self) -> "Loader":
        return self

    def __next__(self) -> Batch:
        if self.at >= len(self.data):
            raise StopIteration
        self.at += 1
        return self.data[self.at - 1]

    def state_dict(self) -> dict[str, int]:
        return {"at": self.at}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.at = state["at"]


def test_with_rewind_data_the_batches_come_again(spool_folder: Path) -> None:
    training = Training(spool_folder, snapshots=lg.Snapshots(every=5, healthy_after=5, rewind_data=True))
    loader: Any = Loader(30)
    training.train(loader, after=lambda step: training.run.rollback() if len(training.seen) == 20 else None)
    (event,) = events(training.finish(), "rollback")
    to = event.data["to"]
    assert event.data["data_rewound"] is True
    assert training.seen == [*range(20), *range(to, 30)]
    again = [float(total) for total in training.totals[20 : 40 - to]]
    assert again == [float(total) for total in training.totals[to:20]]


def test_without_a_healthy_snapshot_a_rollback_is_refused(spool_folder: Path) -> None:
    training = Training(spool_folder, snapshots=OFTEN)
    training.train(batches(3))
    offer(training, command("rollback"))
    training.train(batches(2))
    results = [event.data for event in events(training.finish(), "command")]
    assert results[-1]["state"] == "rejected"
    assert "no healthy snapshot" in results[-1]["reason"]


def test_what_an_operator_changed_stays_changed(spool_folder: Path) -> None:
    training = Training(spool_folder, snapshots=OFTEN)
    training.train(batches(20))
    offer(training, command("set_weight", 1, component="shape", value=0.25))
    offer(training, command("rollback", 2))
    training.train(batches(3))
    assert training.run.weights == {"fit": 1.0, "shape": 0.25}
    training.finish()


def test_a_snapshot_shortly_before_a_trip_is_not_healthy(spool_folder: Path) -> None:
    training = Training(spool_folder, bad_batches=[17], snapshots=OFTEN, replay=False)
    training.train(batches(22))
    newest = training.run.status().snapshot_step
    assert newest + 5 <= 17
    training.finish()


@pytest.mark.parametrize("fused", [False, True])
def test_with_and_without_snapshots_a_training_has_the_same_bits(tmp_path: Path, fused: bool) -> None:
    trainings = [
        Training(tmp_path / str(i), fused=fused, snapshots=wish).train(batches(30))
        for i, wish in enumerate([OFTEN, False])
    ]
    assert trainings[0].bits() == trainings[1].bits()
    for training in trainings:
        training.finish()


def test_off_offers_no_rollback(spool_folder: Path) -> None:
    messages = Training(spool_folder, snapshots=False).train(batches(3)).finish()
    (declared,) = [message for message in messages if isinstance(message, Declaration)]
    assert "rollback" not in declared.controls.kinds


def test_the_frame_of_a_later_trip_holds_nothing_of_the_older_branch(spool_folder: Path) -> None:
    training = Training(spool_folder, bad_batches=[23], snapshots=OFTEN, replay=False)
    training.train(batches(25), after=lambda step: training.run.rollback() if len(training.seen) == 20 else None)
    messages = training.finish()
    (rollback,), (frame,) = events(messages, "rollback"), events(messages, "freeze_frame")
    assert frame.data["from"] == rollback.data["to"]
    assert frame.data["to"] == frame.step == rollback.data["to"] + 3


def test_what_is_on_its_way_is_taken_in_before_and_the_guard_looks_again_after(
    spool_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = Training(spool_folder, snapshots=OFTEN)
    parts = training.run._loop.parts
    assert parts is not None
    order: list[str] = []
    for owner, name in (
        (parts.instrument, "harvest"),
        (parts.keeper, "restore"),
        (parts.instrument.guard, "state_was_replaced"),
    ):
        called = getattr(owner, name)

        def spy(*args: Any, called: Any = called, name: str = name, **kwargs: Any) -> Any:
            if name != "harvest" or kwargs.get("wait"):
                order.append(name)
            return called(*args, **kwargs)

        monkeypatch.setattr(owner, name, spy)
    training.train(batches(21), after=lambda step: training.run.rollback() if step == 19 else None)
    assert list(dict.fromkeys(order)) == ["harvest", "restore", "state_was_replaced"]
    training.finish()


def test_a_command_that_came_with_the_rollback_is_in_force_from_the_step_it_went_back_to(spool_folder: Path) -> None:
    training = Training(spool_folder, snapshots=OFTEN)
    training.train(batches(20))
    newest = training.run.status().snapshot_step
    offer(training, command("rollback", 1))
    offer(training, command("set_weight", 2, component="shape", value=0.25))
    training.train(batches(3))
    applied = [event for event in events(training.finish(), "command") if event.data["state"] == "applied"]
    assert [(event.data["id"], event.step) for event in applied] == [("c1", 20), ("c2", newest)]


def test_a_rollback_drops_gradients_that_were_half_accumulated(spool_folder: Path) -> None:
    training = Training(spool_folder, snapshots=OFTEN)
    training.train(batches(20))
    for batch in batches(1):
        training.one(batch)
    training.run.rollback()
    held = training.run.steps(batches(1))
    next(held)
    assert training.run.step < 20
    assert all(p.grad is None for p in training.model.parameters())
    held.close()  # type: ignore[attr-defined]
    training.finish()


def test_what_was_done_since_is_in_force_from_the_step_it_went_back_to(spool_folder: Path) -> None:
    training = Training(spool_folder, snapshots=OFTEN)
    found: dict[int, list[float]] = {}

    def look(step: int) -> None:
        found.setdefault(step, []).append(training.run.weights["shape"])
        if len(training.seen) == 19:
            offer(training, Command(id="w", number=1, kind="set_weight", args={"component": "shape", "value": 0.125}))
        if len(training.seen) == 22:
            training.run.rollback()

    training.train(batches(40), after=look)
    (rollback,) = events(training.finish(), "rollback")
    to_step = rollback.data["to"]
    assert to_step < 19
    assert [found[step] for step in (to_step - 1, to_step, 18, 19)] == [[0.5], [0.5, 0.125], [0.5, 0.125], [0.125] * 2]
