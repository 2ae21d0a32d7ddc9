"""The guard in a user's loop: what is skipped, what is told, what happens next."""

from pathlib import Path

import pytest
import torch

import lossguard as lg
from helpers import events, points
from lossguard.protocol.messages import Declaration
from tiny_training import Training, batches


@pytest.mark.parametrize("fused", [False, True])
def test_a_bad_batch_is_skipped_and_told(spool_folder: Path, fused: bool) -> None:
    training = Training(spool_folder, bad_batches=[3], fused=fused, replay=False)
    bits = []
    training.train(batches(6), after=lambda step: bits.append(training.bits()))
    messages = training.finish()
    assert bits[3] == bits[2]
    assert bits[4] != bits[3]
    (trip,) = events(messages, "trip")
    assert trip.step == 3
    assert trip.data["mode"] == ("device" if fused else "trip")
    assert trip.data["action"] == "skipped"
    assert "loss/shape" in trip.data["series"]
    assert "loss/fit" not in trip.data["series"]
    found = points(messages)
    assert [value for _, value in found["skipped"]] == [0, 0, 0, 1, 0, 0]
    assert not any(name.startswith(".") for name in found)


@pytest.mark.parametrize("clip", [False, True])
def test_with_and_without_the_guard_a_healthy_training_has_the_same_bits(tmp_path: Path, clip: bool) -> None:
    trainings = []
    for name, fused, guard in (("a", True, "auto"), ("b", True, "off"), ("c", False, "auto"), ("d", False, "off")):
        training = Training(tmp_path / name, fused=fused, guard=guard).train(batches(20), clip)
        training.finish()
        trainings.append(training.bits())
    assert trainings[0] == trainings[1]
    assert trainings[2] == trainings[3]


def test_observe_changes_nothing_and_tells(spool_folder: Path) -> None:
    training = Training(spool_folder, bad_batches=[1], guard="observe", replay=False).train(batches(3))
    (trip, *_) = events(training.finish(), "trip")
    assert (trip.step, trip.data["mode"], trip.data["action"]) == (1, "observe", "observed")
    assert not all(bool(value.isfinite().all()) for value in training.model.state_dict().values())


@pytest.mark.parametrize(
    "given", [{"guard": "observe"}, {"guard": "off"}, {"optimizer": None}], ids=["observe", "off", "no optimizer"]
)
def test_where_nothing_is_guarded_buffers_are_left_as_the_script_made_them(
    spool_folder: Path, given: dict[str, object]
) -> None:
    training = Training(spool_folder, **given)
    for number, x in training.run.steps(batches(4)):
        training.model(x * (torch.nan if number == 1 else 1.0))  # and no update, as by a user's own `continue`
    training.finish()
    assert bool(training.model.encoder[1].running_mean.isnan().all())  # type: ignore[union-attr, operator]


def test_a_buffer_that_comes_later_is_judged_where_the_guard_only_observes(spool_folder: Path) -> None:
    training = Training(spool_folder, guard="observe", replay=False)
    for batch in training.run.steps(batches(4)):
        if batch[0] == 0:
            training.model.register_buffer("late", torch.zeros(2))
        if batch[0] == 2:
            training.model.late.fill_(torch.nan)  # type: ignore[operator, union-attr]
        training.one(batch)
        training.optimizer.step()
        training.optimizer.zero_grad()
    trips = events(training.finish(), "trip")
    assert [(trip.step, trip.data["series"]) for trip in trips] == [(2, ["buffers"]), (3, ["buffers"])]


def test_off_tells_no_trip(spool_folder: Path) -> None:
    messages = Training(spool_folder, bad_batches=[1], guard="off").train(batches(3)).finish()
    assert events(messages, "trip") == []
    assert next(event.step for event in events(messages, "nonfinite")) == 1


def test_raise_leaves_clean_weights_and_tells(spool_folder: Path) -> None:
    training = Training(spool_folder, bad_batches=[2], fused=True, on_trip="raise")
    with pytest.raises(lg.NonFiniteStep, match="weights and state are clean"):
        training.train(batches(5))
    assert training.seen == [0, 1, 2]
    assert all(bool(value.isfinite().all()) for value in training.model.state_dict().values())
    (trip,) = events(training.finish(), "trip")
    assert (trip.step, trip.data["mode"]) == (2, "trip")


def test_pause_stops_before_the_next_step_until_somebody_resumes(spool_folder: Path) -> None:
    training = Training(spool_folder, bad_batches=[1], on_trip="pause", replay=False)
    parts = training.run._loop.parts
    assert parts is not None
    parts.can_be_resumed = True  # as it is with a server
    controller = parts.controller
    held: list[int] = []
    wait = controller._wake.wait

    def resume(timeout: float | None = None) -> bool:
        held.append(training.run.step)
        assert training.run.status().state == "paused"
        controller.paused = False
        return wait(0)

    controller._wake.wait = resume  # type: ignore[method-assign]
    training.train(batches(4))
    assert held == [1]
    assert training.seen == [0, 1, 2, 3]
    training.finish()


def test_the_bad_micro_batch_is_named(spool_folder: Path) -> None:
    training = Training(spool_folder, bad_batches=[6], replay=False)
    loader = batches(12)
    for batch in training.run.steps(loader, accumulate=4):
        training.one(batch)
        if batch[0] % 4 == 3:
            training.optimizer.step()
            training.optimizer.zero_grad()
    messages = training.finish()
    (trip,) = events(messages, "trip")
    assert (trip.step, trip.data["micro_batch"], trip.data["micro_batches"]) == (1, 2, 4)
    assert [step for step, _ in points(messages)["loss/total"]] == [0, 1, 2]
    mean = torch.stack(training.totals[:4]).double().mean()
    assert points(messages)["loss/total"][0][1] == pytest.approx(float(mean), rel=1e-12)


def test_a_loader_that_ends_within_a_step_ends_the_loop(spool_folder: Path) -> None:
    training = Training(spool_folder)
    for batch in training.run.steps(batches(6), accumulate=4):
        training.one(batch)
    assert training.run.step == 1
    assert training.seen == [0, 1, 2, 3, 4, 5]
    training.finish()


def test_the_declaration_says_how_the_run_is_guarded(spool_folder: Path) -> None:
    training = Training(spool_folder, fused=True, on_trip="pause")
    declaration = next(m for m in training.finish() if isinstance(m, Declaration))
    assert (declaration.guard.modes, declaration.guard.on_trip) == (["device"], "pause")
    assert training.run.guard == {"0 AdamW": "device"}


@pytest.mark.parametrize(
    ("wish", "word"),
    [({"guard": "on"}, "guard='on'"), ({"on_trip": "stop"}, "on_trip='stop'")],
    ids=["guard", "on_trip"],
)
def test_a_wish_that_is_none_is_said(spool_folder: Path, wish: dict[str, str], word: str) -> None:
    with pytest.raises(lg.ConfigError, match=word):
        Training(spool_folder, **wish)


def test_two_optimizers_each_have_their_own_norms(spool_folder: Path) -> None:
    """A GAN: each player has a backward and a step of its own within one step."""
    torch.manual_seed(0)
    players = [torch.nn.Linear(3, 1), torch.nn.Linear(3, 1)]
    model = torch.nn.ModuleList(players)
    optimizers = [torch.optim.SGD(player.parameters(), lr=0.1) for player in players]
    run = lg.init(losses={"d": 1.0, "g": 1.0}, model=model, optimizer=optimizers, mode="offline", dir=spool_folder)
    norms: list[list[float]] = []
    for x in run.steps([torch.randn(4, 3) for _ in range(2)]):
        squares = []
        for name, player, optimizer in zip("dg", players, optimizers, strict=True):
            run.total({name: player(x).square().mean()}).backward()
            squares.append(float(sum(p.grad.square().sum() for p in player.parameters() if p.grad is not None)))
            optimizer.step()
            optimizer.zero_grad()
        norms.append([sum(squares) ** 0.5, *[square**0.5 for square in squares]])
    run.finish(timeout_s=5.0)
    from helpers import spooled

    found = points(spooled(spool_folder))
    for i, name in enumerate(("grad_norm/total", "grad_norm/0", "grad_norm/1")):
        assert [value for _, value in found[name]] == pytest.approx([step[i] for step in norms], rel=1e-5), name


@pytest.mark.parametrize("fused", [True, False], ids=["device", "trip"])
def test_a_loop_that_only_logs_is_guarded_step_by_step(spool_folder: Path, fused: bool) -> None:
    training = Training(spool_folder, fused=fused)
    moved = []
    for number, batch in enumerate(batches(8)):
        before = [p.detach().clone() for p in training.model.parameters()]
        loss = sum(training.losses(batch).values()) * (torch.nan if number == 3 else 1.0)
        loss.backward()  # type: ignore[union-attr]
        training.optimizer.step()
        training.optimizer.zero_grad()
        training.run.log({"loss": float(loss.detach())})  # type: ignore[union-attr]
        moved.append(not all(map(torch.equal, before, training.model.parameters())))
    messages = training.finish()
    assert moved == [True, True, True, False, True, True, True, True]
    assert len(events(messages, "trip")) == 1


def test_a_buffer_that_is_nan_at_every_step_does_not_hold_up_the_training_for_ever(spool_folder: Path) -> None:
    class Marked(Training):
        def losses(self, batch: tuple[int, torch.Tensor]) -> dict[str, torch.Tensor]:
            self.model.mark = torch.full((2,), torch.nan)  # a user's sign for "not set"
            return super().losses(batch)

    training = Marked(spool_folder, replay=False)
    training.model.register_buffer("mark", torch.zeros(2))
    training.train(batches(12))
    messages = training.finish()
    assert [event.step for event in events(messages, "trip")] == [0, 1, 2, 3, 4]
    (told,) = events(messages, "error")
    assert "judged no more" in told.data["message"]
