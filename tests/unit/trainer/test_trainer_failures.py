"""What fails inside lossguard never reaches training; what the user did wrong always does."""

import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import lossguard as lg
from helpers import events, points, spooled
from lossguard import instrument, link, norms, spool
from lossguard.loading import Loading
from lossguard.protocol.messages import Command
from lossguard.run import Run


def boom(*args: object, **kwargs: object) -> None:
    raise RuntimeError("boom")


def train(run: Run, net: nn.Linear, opt: torch.optim.Optimizer, steps: int) -> list[Tensor]:
    """Parameters after each step, clipped at a norm that bites."""
    trace: list[Tensor] = []
    for _ in run.steps(range(steps)):
        run.total(loss=net(torch.ones(4, 3)).square().sum()).backward()
        run.matrix("W", net.weight @ net.weight.T)
        run.log({"a": 1.0, "b": torch.tensor(2.0)})
        run.clip_grad_norm_(0.5)
        opt.step()
        opt.zero_grad()
        trace.append(net.weight.detach().clone())
    run.finish(timeout_s=5)
    return trace


def world(**kwargs: object) -> tuple[Run, nn.Linear, torch.optim.Optimizer]:
    torch.manual_seed(3)
    net = nn.Linear(3, 2)
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    return lg.init(**{"mode": "offline", "model": net, "optimizer": opt, **kwargs}), net, opt  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("holder", "name"),
    [
        (norms, "grad_norms"),
        (norms, "total_norm"),
        (norms, "group_norms"),
        (norms, "matrix_norms"),
        (instrument.Instrument, "add"),
        (instrument.Instrument, "add_host"),
        (instrument.Instrument, "add_clip"),
        (instrument.Instrument, "close_step"),
        (instrument.Instrument, "harvest"),
        (instrument.Instrument, "detach"),
        (instrument, "host_copy_for"),
        (spool.Spool, "append"),
        (spool, "sendable"),
        (os, "write"),
        (link.LinkThread, "start"),
        (link.LinkThread, "finish"),
        (link.LinkThread, "_pump"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_part_that_fails_changes_no_bit_of_training(
    holder: object, name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = train(*world(mode="off"), steps=6)
    with monkeypatch.context() as broken:
        broken.setattr(holder, name, boom)
        trace = train(*world(), steps=6)
    assert all(map(torch.equal, trace, wanted))
    assert 1 <= len(caplog.records) <= 4
    assert "lossguard" in caplog.text


def test_when_the_norms_fail_clipping_goes_on_and_the_part_is_switched_off_with_one_warning(
    monkeypatch: pytest.MonkeyPatch, spool_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[int] = []

    def grad_norms(*args: object, **kwargs: object) -> Tensor:
        calls.append(1)
        raise RuntimeError("boom")

    monkeypatch.setattr(norms, "grad_norms", grad_norms)
    train(*world(), steps=10)
    assert len(calls) == 3
    off = [record for record in caplog.records if "this part is now off" in record.message]
    assert (len(off), len(caplog.records)) == (1, 2)
    told = events(spooled(spool_folder), "error")
    assert [event.data["message"] for event in told] == [
        "RuntimeError('boom')", "RuntimeError('boom'); this part is now off",
    ]  # fmt: skip
    assert {event.data["where"] for event in told} <= {"clip_grad_norm_", "the guard"}


@pytest.mark.parametrize("bad", [torch.zeros(2, 3), torch.zeros(2), torch.zeros(0, 0), None])
def test_a_bad_matrix_and_a_bad_number_do_not_switch_off_the_losses(
    bad: Tensor | None, spool_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = lg.init(mode="offline")
    for step in run.steps(range(10)):
        run.total(loss=torch.tensor(float(step)))
        run.matrix("M", bad)  # type: ignore[arg-type]
        run.log({"x": bad})  # type: ignore[dict-item]
        run.log({"good": torch.tensor(1.0)})
    run.finish()
    found = points(spooled(spool_folder))
    assert found["loss/total"] == [(step, float(step)) for step in range(10)]
    assert len(found["good"]) == 10
    assert len(caplog.records) == 2  # the matrix "M" and the number "x", each once


@pytest.mark.parametrize("in_evaluation", [False, True])
def test_what_is_no_matrix_or_mask_is_said_once_a_name_and_costs_no_other(
    in_evaluation: bool, spool_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = lg.init(mode="offline")
    bad = [None, 5, [[1.0]], torch.zeros(2, 3), torch.zeros(0, 0), torch.eye(3).to_sparse()]
    for _ in run.steps(range(5)):
        with run.evaluating() if in_evaluation else nullcontext():
            for number, matrix in enumerate(bad):
                run.matrix(f"M{number}", matrix)  # type: ignore[arg-type]
            run.matrix(7, torch.eye(3))  # type: ignore[arg-type]
            run.matrix("", torch.eye(3))
            run.count("c", None)  # type: ignore[arg-type]
            run.shared(None)  # type: ignore[arg-type]
            run.matrix("R", torch.eye(3))
            run.count("mask", torch.ones(4, dtype=torch.bool))
    run.finish()
    found, mode = points(spooled(spool_folder)), "eval/" if in_evaluation else ""
    assert [value for _, value in found[f"{mode}matrix/R/trace"]] == [3.0] * 5
    assert [value for _, value in found[f"{mode}count/mask"]] == [4.0] * 5
    said = [record.message for record in caplog.records if "leaves out" in record.message]
    assert len(said) == len(bad) + 3
    assert "lossguard: run.count leaves out 'c': a NoneType is no tensor." in said
    assert "lossguard: run.matrix leaves out 'M3': a matrix is dense, [N,N] or [B,N,N]; this one is [2, 3]." in said


def test_a_failure_at_the_end_does_not_keep_the_rest_from_being_delivered(
    monkeypatch: pytest.MonkeyPatch, spool_folder: Path
) -> None:
    monkeypatch.setattr(instrument.Instrument, "harvest", boom)
    train(*world(), steps=3)
    messages = spooled(spool_folder)
    assert [event.data for event in events(messages, "finish")] == [{"state": "finished"}]
    assert len(points(messages)["loss/total"]) == 3


def test_a_link_that_dies_does_not_let_the_memory_grow_beyond_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link.LinkThread, "_pump", boom)
    run = lg.init(mode="offline")
    monkeypatch.setattr(run._telemetry, "_rows_max", 50)
    for step in range(500):
        run.log({"a": float(step)})
    assert len(run._telemetry) <= 60  # type: ignore[arg-type]
    run.finish(timeout_s=1)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda run: run.total(nope=torch.tensor(1.0)), lg.UnknownComponent),
        (lambda run: run.total(loss=torch.zeros(3)), lg.NotAScalar),
        (lambda run: run.total(), TypeError),
    ],
)
@pytest.mark.parametrize("mode", ["off", "offline"])
def test_what_the_user_did_wrong_is_raised_in_every_mode(
    mode: str, call: Callable[[Run], object], error: type[Exception]
) -> None:
    run = lg.init(mode=mode)
    with pytest.raises(error):
        call(run)
    run.finish()


def test_an_error_of_the_loader_and_of_the_loop_pass_unchanged(spool_folder: Path) -> None:
    def loader() -> Iterator[int]:
        yield 1
        raise OSError("disk")

    def train() -> None:
        with lg.init(mode="offline") as run:
            for _ in run.steps(loader()):
                run.total(loss=torch.tensor(1.0))

    with pytest.raises(OSError, match="disk"):
        train()
    assert [event.data["state"] for event in events(spooled(spool_folder), "finish")] == ["crashed"]


def test_an_init_that_fails_inside_is_told_and_leaves_no_hook(
    monkeypatch: pytest.MonkeyPatch, spool_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr("lossguard.assembly.Activations", boom)
        run, net, opt = world()
    assert not opt._optimizer_step_pre_hooks
    assert len(train(run, net, opt, steps=3)) == 3
    messages = spooled(spool_folder)
    (error,) = events(messages, "error")
    assert error.data == {"where": "init", "message": "RuntimeError('boom')"}
    assert points(messages)["a"] == [(0, 1.0), (1, 1.0), (2, 1.0)]
    assert events(messages, "finish")
    assert "nothing of this run is measured or guarded, because lg.init failed inside" in caplog.text


def test_where_the_terms_of_a_step_cannot_be_computed_the_last_ones_hold_and_that_is_told_once(
    monkeypatch: pytest.MonkeyPatch, spool_folder: Path
) -> None:
    run = lg.init(mode="offline", curriculum=lg.Curriculum(lg.Stage("a", weights={"x": lg.ramp(0.0, 1.0, 10)})))
    totals, healthy = [], run._loop.schedule.at
    for step in run.steps(range(12)):
        totals.append(run.total(x=torch.tensor(1.0)).item())
        if 4 <= step < 9:
            monkeypatch.setattr(run._loop.schedule, "at", boom)
            assert run.weights == {"x": 0.4}
        else:
            monkeypatch.setattr(run._loop.schedule, "at", healthy)
    run.finish()
    assert totals == pytest.approx([0.0, 0.1, 0.2, 0.3, *[0.4] * 6, 1.0, 1.0])
    assert [value for _, value in points(spooled(spool_folder))["weight/x"]] == pytest.approx(totals)
    (told,) = events(spooled(spool_folder), "error")
    assert told.data["message"] == "RuntimeError('boom')"


def test_commands_that_fail_are_tried_at_every_boundary_and_that_is_told_once(
    monkeypatch: pytest.MonkeyPatch, spool_folder: Path
) -> None:
    run = lg.init(mode="offline")
    assert run._loop.parts is not None
    controller = run._loop.parts.controller
    with monkeypatch.context() as broken:
        broken.setattr(controller, "apply", boom)
        for _ in run.steps(range(5)):
            pass
    controller.offer(Command(id="c", number=1, kind="set_weight", args={"component": "loss", "value": 0.5}))
    assert run.boundary()
    assert run.weights == {"loss": 0.5}
    run.finish()
    (told,) = events(spooled(spool_folder), "error")
    assert told.data["message"] == "RuntimeError('boom')"


@pytest.mark.parametrize("error", [TypeError(), NotImplementedError(), ValueError(), AttributeError("dataset")])
def test_a_loader_that_fails_at_its_length_is_looped_over_all_the_same(error: Exception) -> None:
    class Loader:
        def __iter__(self) -> Iterator[int]:
            return iter([7])

        def __len__(self) -> int:
            raise error

    loading = Loading(Loader(), 1, is_counted=True)
    assert (loading.steps_left, loading.first()[0]) == (None, 7)
