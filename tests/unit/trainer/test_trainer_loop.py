"""A run's life: boundaries, commands, the end."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import lossguard as lg
from helpers import events, points, spooled
from lossguard.protocol.messages import DETAIL_STEPS_MAX, Command
from lossguard.run import Run


def order(run: Run, number: int, kind: str, **args: Any) -> None:
    """What the link does with a command."""
    assert run._loop.parts is not None
    run._loop.parts.controller.offer(Command(id=f"c{number}", number=number, kind=kind, args=args))


def states(folder: Path) -> list[str]:
    return [event.data["state"] for event in events(spooled(folder), "finish")]


def test_a_command_is_in_force_from_the_step_that_its_result_names(spool_folder: Path) -> None:
    run = lg.init(mode="offline", losses={"a": 1.0, "b": 0.5})
    totals = []
    for step in run.steps(range(6)):
        totals.append(run.total(a=torch.tensor(1.0), b=torch.tensor(1.0)).item())
        if step == 2:
            order(run, 1, "set_weight", component="b", value=0.25)
        if step == 4:
            order(run, 2, "revert", command="c1")
    run.finish()
    assert totals == [1.5, 1.5, 1.5, 1.25, 1.25, 1.5]
    messages = spooled(spool_folder)
    told = [(event.step, event.data["id"], event.data["state"]) for event in events(messages, "command")]
    assert told == [(-1, "c1", "received"), (3, "c1", "applied"), (-1, "c2", "received"), (5, "c2", "applied")]
    assert [value for _, value in points(messages)["weight/b"]] == [0.5, 0.5, 0.5, 0.25, 0.25, 0.5]
    assert [value for _, value in points(messages)["loss/total"]] == totals
    assert run.weights == {"a": 1.0, "b": 0.5}


def test_a_stop_ends_the_loop_early_and_the_last_step_is_whole(spool_folder: Path) -> None:
    run = lg.init(mode="offline")
    seen = []
    for step in run.steps(range(100)):
        seen.append(step)
        run.total(loss=torch.tensor(float(step)))
        if step == 3:
            order(run, 1, "stop")
    assert (seen, run.state, run.boundary()) == ([0, 1, 2, 3], "stopped", False)
    run.finish()
    assert states(spool_folder) == ["stopped"]
    assert points(spooled(spool_folder))["loss/total"] == [(step, float(step)) for step in range(4)]


def test_a_pause_and_its_resume_that_came_together(spool_folder: Path) -> None:
    run = lg.init(mode="offline")
    for step in run.steps(range(4)):
        run.total(loss=torch.tensor(1.0))
        if step == 1:
            order(run, 1, "pause")
            order(run, 2, "resume")
            assert run.status().state == "running"
    run.finish()
    applied = [event for event in events(spooled(spool_folder), "command") if event.data["state"] == "applied"]
    assert [(event.step, event.data["new"]) for event in applied] == [(2, "paused"), (2, "running")]


def test_the_status_says_where_the_run_is() -> None:
    run = lg.init(mode="offline", start_step=7)
    assert (run.status().state, run.status().step) == ("running", 7)
    run.boundary()
    run.boundary()
    assert run.status().step == 8
    assert run._loop.parts is not None
    run._loop.parts.controller.paused = True
    assert run.status().state == "paused"
    assert run.status().boundary_age_s >= 0
    run.finish()
    assert run.status().state == "finished"


def test_a_loop_with_boundaries_by_hand_is_the_same(spool_folder: Path) -> None:
    run = lg.init(mode="offline")
    for step in range(3):
        assert run.boundary()
        run.total(loss=torch.tensor(float(step)))
    run.finish()
    assert points(spooled(spool_folder))["loss/total"] == [(0, 0.0), (1, 1.0), (2, 2.0)]


def test_finish_may_be_called_twice_and_hooks_are_gone_after_it(spool_folder: Path) -> None:
    weight = torch.nn.Parameter(torch.ones(1))
    opt = torch.optim.SGD([weight], lr=0.1)
    run = lg.init(mode="offline", optimizer=opt)
    run.finish()
    run.finish()
    assert states(spool_folder) == ["finished"]
    assert len(opt._optimizer_step_pre_hooks) == 0
    run.total(loss=weight.sum())  # late calls are no errors
    run.log({"a": 1.0})


@pytest.mark.parametrize(
    ("error", "state"),
    [(None, "finished"), (RuntimeError("CUDA out of memory"), "crashed"), (KeyboardInterrupt(), "stopped")],
)
def test_the_end_of_a_with_block_says_how_it_ended(error: BaseException | None, state: str, spool_folder: Path) -> None:
    def train() -> None:
        with lg.init(mode="offline") as run:
            run.total(loss=torch.tensor(1.0))
            if error is not None:
                raise error

    with contextlib.nullcontext() if error is None else pytest.raises(type(error)):
        train()
    assert states(spool_folder) == [state]
    assert points(spooled(spool_folder))["loss/total"] == [(0, 1.0)]


def test_an_empty_loader_is_no_step(spool_folder: Path) -> None:
    run = lg.init(mode="offline")
    assert list(run.steps([])) == []
    run.finish()
    assert points(spooled(spool_folder)) == {}
    assert states(spool_folder) == ["finished"]


def test_two_loops_count_on(spool_folder: Path) -> None:
    run = lg.init(mode="offline")
    for _ in range(2):
        for _ in run.steps(range(2)):
            run.total(loss=torch.tensor(1.0))
    run.finish()
    assert [step for step, _ in points(spooled(spool_folder))["loss/total"]] == [0, 1, 2, 3]


def test_the_weights_can_be_asked_for_at_any_time() -> None:
    curriculum = lg.Curriculum(lg.Stage("a", weights={"x": 1.0}), lg.Stage("b", start=1, weights={"x": 0.5}))
    run = lg.init(mode="off", curriculum=curriculum)
    assert run.weights == {"x": 1.0}
    run.boundary()
    run.boundary()
    assert run.weights == {"x": 0.5}


def interrupted() -> None:
    with lg.init(mode="offline", losses={"a": 1.0}) as run:
        for step in run.steps(range(10)):
            run.total(a=torch.tensor(1.0))
            if step == 5:
                raise KeyboardInterrupt


def test_an_interrupt_ends_at_the_step_that_was_made(spool_folder: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    messages = spooled(spool_folder)
    assert points(messages)["loss/a"][-1][0] == 5
    assert [(event.step, event.data["state"]) for event in events(messages, "finish")] == [(5, "stopped")]


def test_waiting_for_data_is_counted_once(spool_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [0.0]

    def loader() -> Iterator[int]:
        for i in range(4):
            now_s[0] += 1.0  # each batch takes a second to come
            yield i

    run = lg.init(mode="offline")
    monkeypatch.setattr("lossguard.loop.time.perf_counter", lambda: now_s[0])
    for _ in run.steps(loader(), accumulate=2):
        now_s[0] += 10.0  # and ten to be trained on
    monkeypatch.undo()
    run.finish()
    found = points(spooled(spool_folder))
    assert found["data_wait_s"] == [(0, 2.0), (1, 2.0)]
    assert found["step_time_s"] == [(0, 22.0), (1, 22.0)]


def with_total_only(run: Run, net: torch.nn.Linear, opt: torch.optim.Optimizer, bad: int = -1, parts: int = 1) -> int:
    """Ten updates of `parts` calls each in a loop that knows nothing of steps; how many moved the weights."""
    moved = 0
    for i in range(10):
        before = net.weight.detach().clone()
        for _ in range(parts):
            loss = net(torch.ones(4, 2)).square().mean()
            run.total(loss=loss * torch.nan if i == bad else loss).backward()
        opt.step()
        opt.zero_grad()
        moved += not torch.equal(net.weight, before)
    return moved


@pytest.mark.parametrize("parts", [1, 3])
def test_a_loop_that_only_calls_total_is_counted_by_its_optimizer(parts: int, spool_folder: Path) -> None:
    net = torch.nn.Linear(2, 1)
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    run = lg.init(mode="offline", model=net, optimizer=opt)
    assert with_total_only(run, net, opt, bad=3, parts=parts) == 9
    run.finish()
    messages = spooled(spool_folder)
    assert [step for step, _ in points(messages)["loss/total"]] == list(range(10))
    assert [(event.step, event.data["action"]) for event in events(messages, "trip")] == [(3, "skipped")]
    assert points(messages)["skipped"] == [(step, float(step == 3)) for step in range(10)]
    assert bool(net.weight.isfinite().all())


def test_a_stop_that_such_a_loop_cannot_obey_costs_neither_its_guard_nor_memory(spool_folder: Path) -> None:
    net = torch.nn.Linear(2, 1)
    opt = torch.optim.SGD(net.parameters(), lr=0.01)
    run = lg.init(mode="offline", model=net, optimizer=opt)
    with_total_only(run, net, opt)
    order(run, 1, "stop")
    assert with_total_only(run, net, opt, bad=3, parts=2) == 9
    assert run.state == "stopped"
    assert run._loop.instrument is not None
    assert not run._loop.instrument.losses.totals()
    run.finish()
    assert len(points(spooled(spool_folder))["loss/total"]) == 10


@pytest.mark.parametrize("by_hand", [False, True])
def test_two_updates_within_a_step_of_its_own_are_one_step(by_hand: bool, spool_folder: Path) -> None:
    net = torch.nn.Linear(2, 1)
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    run = lg.init(mode="offline", model=net, optimizer=opt)
    for _ in range(3) if by_hand else run.steps(range(3)):
        if by_hand:
            run.boundary()
        for _ in range(2):
            run.total(loss=net(torch.ones(4, 2)).square().mean()).backward()
            opt.step()
            opt.zero_grad()
    run.finish()
    assert [step for step, _ in points(spooled(spool_folder))["loss/total"]] == [0, 1, 2]


def test_full_detail_for_no_step_is_none_and_for_too_many_is_the_most(caplog: pytest.LogCaptureFixture) -> None:
    run = lg.init(mode="offline")
    for _ in run.steps(range(1)):
        for steps in (0, -3, 0):
            run.instrument(steps)
        assert run.status().detail_until == -1
        run.instrument(10**30)
        assert run.status().detail_until == DETAIL_STEPS_MAX - 1
    run.finish()
    assert [r.message for r in caplog.records] == ["lossguard: run.instrument takes a number of steps from 1, not 0."]
