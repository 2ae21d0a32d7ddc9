"""Mode off measures nothing, writes nothing and starts nothing; the curriculum goes on. Other modes that are said."""

import os
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import lossguard as lg
from helpers import events, points, spooled
from lossguard import start

CURRICULUM = lg.Curriculum(
    lg.Stage("a", weights={"x": 1.0}), lg.Stage("b", start=2, weights={"x": 1.0, "y": lg.ramp(0.0, 0.3, 3)})
)


def totals(mode: str) -> list[float]:
    with lg.init(mode=mode, curriculum=CURRICULUM) as run:
        return [run.total(x=torch.tensor(0.1 + i), y=torch.tensor(0.7 * i)).item() for i in run.steps(range(7))]


@pytest.fixture
def threads_started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    started: list[str] = []
    real = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        started.append(thread.name)
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    return iter([started])


def test_off_has_the_same_totals_and_leaves_no_trace(tmp_path: Path, threads_started: Iterator[list[str]]) -> None:
    started = next(threads_started)
    wanted = totals("offline")
    assert started == ["lossguard-disk", "lossguard-link"]
    assert len(spooled(tmp_path / "spool")) > 0
    before = sorted(tmp_path.rglob("*"))
    assert totals("off") == wanted
    assert started == ["lossguard-disk", "lossguard-link"]
    assert sorted(tmp_path.rglob("*")) == before


def test_off_takes_every_call(tmp_path: Path) -> None:
    net = nn.Linear(2, 1)
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    hooks = len(opt._optimizer_step_pre_hooks)
    run = lg.init(mode="off", model=net, optimizer=opt, groups={"all": "*"}, contracts=[lg.at_most("x", 1)])
    assert len(opt._optimizer_step_pre_hooks) == hooks
    for _ in run.steps(range(2)):
        run.total(loss=net(torch.ones(3, 2)).sum()).backward()
        run.matrix("R", torch.eye(2))
        run.log({"a": 1.0, "b": torch.tensor(2.0)})
        assert run.clip_grad_norm_(1.0).item() > 1
        opt.step()
        opt.zero_grad()
    assert (run.weights, run.step, run.status().state) == ({"loss": 1.0}, 1, "running")
    run.finish()
    run.finish()
    assert list(tmp_path.iterdir()) == []


def test_the_environment_chooses_the_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOSSGUARD_MODE", "off")
    lg.init().finish()
    assert list(tmp_path.iterdir()) == []
    lg.init(mode="offline").finish()
    assert len(spooled(tmp_path / "spool")) > 0


def test_of_several_ranks_the_first_one_speaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    with lg.init(mode="offline", curriculum=CURRICULUM) as run:
        assert [run.total(y=torch.tensor(1.0)).item() for _ in run.steps(range(6))][-1] == pytest.approx(0.3)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("RANK", "0")
    lg.init(mode="offline", controls=lg.Controls()).finish()
    declaration = spooled(tmp_path / "spool")[0]
    assert declaration.controls.kinds == []  # type: ignore[union-attr]


def test_a_restarted_job_is_the_same_run_in_another_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "job-7")
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "2")
    monkeypatch.setattr(start, "_inits", count())
    run = lg.init(mode="offline")
    run.finish()
    monkeypatch.setattr(start, "_inits", count())  # another process
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "3")
    again = lg.init(mode="offline")
    again.finish()
    assert again.id == run.id
    assert sorted(path.name.partition(".")[0] for path in (tmp_path / "spool").iterdir()) == [
        f"{run.id}-0-2", f"{run.id}-0-3",
    ]  # fmt: skip


def test_another_job_of_the_same_name_and_another_run_of_a_job_are_runs_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "job-7")
    monkeypatch.setattr(start, "_inits", count())
    one, another = lg.init(mode="off").id, lg.init(mode="off").id  # two folds of one script
    monkeypatch.setattr(start, "_inits", count())
    assert lg.init(mode="off").id == one, "a restarted process makes its runs in the same order"
    monkeypatch.setattr(start, "_inits", count())
    monkeypatch.setattr("os.getppid", lambda: 1)  # started by another agent
    assert len({one, another, lg.init(mode="off").id}) == 3


@pytest.mark.parametrize("given", ["none", "", "a/b", "..", "a\nb", "x" * 600])
def test_an_id_is_fit_for_an_address_whatever_the_job_is_called(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", given)
    assert lg.init(mode="off").id.isalnum()


FAULTS: dict[str, tuple[dict[str, object], str]] = {
    "mode": ({"mode": "on"}, "mode is 'on'; it must be one of online, offline, off"),
    "project": ({"project": ""}, "lg.init got project='': it is empty"),
    "project no text": ({"project": 5}, "lg.init got project=5: not a text"),
    "name": ({"name": "a\x00b"}, "it contains a control or formatting character"),
    "both plans": ({"curriculum": CURRICULUM, "losses": {"x": 1.0}}, "takes a curriculum or losses, not both"),
    "no plan at all": ({"curriculum": [1, 2]}, "got a curriculum of type list; make one by lg.Curriculum"),
    "weight": ({"losses": {"x": float("nan")}}, "a weight is a finite number, not nan"),
    "bounds": ({"controls": lg.Controls(weight_bounds={"z": (0, 1)})}, "bounds 'z', which no stage declares"),
    "group": ({"groups": {"a\tb": "*"}}, r"lg.init got a group 'a\\tb': it contains a control"),
    "long group": ({"groups": {"g" * 510: "*"}}, "it has 520 bytes, at most 512"),
    "models": ({"model": [nn.Linear(1, 1)]}, r"pass one module, e.g. torch.nn.ModuleList\(\[G, D\]\)"),
    "optimizers": ({"optimizer": {"a": 1}}, "a dict of optimizers; pass a list"),
    "no optimizer": ({"optimizer": nn.Linear(1, 1)}, "an optimizer of type Linear; it has no step to watch"),
    "optimizer class": ({"optimizer": [torch.optim.SGD]}, "it has no step to watch"),
    "groups": ({"groups": ["encoder"]}, "give a dict of names and patterns"),
    "pattern": ({"groups": {"a": 5}}, "got 5 for the group 'a'"),
    **{
        f"{argument} {value!r}": ({argument: value}, f"lg.init got {argument}=")
        for argument in ("losses", "contracts", "controls", "scaler", "snapshots", "activations", "url", "dir")
        for value in (5, [1], object)
    },
    "url": ({"url": "localhost:5677"}, "The server's address is 'localhost:5677'"),
    "url that does not end": ({"url": "http://[::1"}, "it must look like http://127.0.0.1:5677"),
    **{
        f"start_step {step!r}": ({"start_step": step}, "it is a step number from 0")
        for step in (-1, 0.5, float("nan"), None, "7", True, 2**60)
    },
}


@pytest.mark.parametrize(("arguments", "text"), FAULTS.values(), ids=FAULTS.keys())
@pytest.mark.parametrize("mode", ["online", "off"])
def test_what_cannot_be_meant_so_is_said_before_training(
    mode: str, arguments: dict[str, object], text: str, tmp_path: Path
) -> None:
    with pytest.raises(lg.ConfigError, match=text):
        lg.init(**{"mode": mode, **arguments})  # type: ignore[arg-type]
    assert os.listdir(tmp_path) == []


def test_a_model_without_an_optimizer_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    net = nn.Linear(2, 1)
    lg.init(mode="offline", model=net, optimizer=torch.optim.SGD(net.parameters(), lr=0.1)).finish()
    lg.init(mode="off", model=net).finish()
    assert not caplog.records
    lg.init(mode="offline", model=net).finish()
    assert [record.message for record in caplog.records] == [
        "lossguard: no optimizer was given to lg.init, so nothing is guarded, and gradients are measured only "
        "where run.clip_grad_norm_ is called"
    ]


def test_a_pause_that_nobody_can_end_is_told_of_and_not_made(caplog: pytest.LogCaptureFixture) -> None:
    run = lg.init(mode="offline", on_trip="pause")
    assert run._loop.parts is not None
    assert not run._loop.parts.can_be_resumed
    assert [record.message for record in caplog.records] == [
        "lossguard: nobody can resume a run in mode offline, so on_trip='pause' does not pause it"
    ]
    run.finish()


class Plain:
    """Steps like an optimizer, and is none of torch's."""

    __slots__ = ("parameters",)

    def __init__(self, parameters: Iterator[nn.Parameter]) -> None:
        self.parameters = list(parameters)

    def step(self) -> None:
        with torch.no_grad():
            for p in self.parameters:
                assert p.grad is not None
                p -= 0.1 * p.grad
                p.grad = None


@pytest.mark.parametrize("with_model", [False, True])
def test_an_optimizer_that_is_not_torchs_is_not_watched_and_the_rest_is_measured(
    with_model: bool, spool_folder: Path
) -> None:
    net = nn.Linear(2, 1)
    plain: Any = Plain(net.parameters())
    run = lg.init(mode="offline", model=net if with_model else None, optimizer=plain)
    for _ in run.steps(range(4)):
        run.total(loss=net(torch.ones(3, 2)).square().sum()).backward()
        plain.step()
    run.finish()
    messages = spooled(spool_folder)
    assert run.guard == {"0 Plain": "off"}
    assert messages[0].guard.notes == ["Plain is no torch.optim.Optimizer; the guard does not support it"]  # type: ignore[union-attr]
    assert len(points(messages)["loss/total"]) == 4
    assert not events(messages, "error")


class Wrapped(torch.optim.Optimizer):
    """As accelerate's: an optimizer by its class, whose hooks were never made."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer

    def step(self, closure: Any = None) -> None:
        self.optimizer.step()


def test_of_a_wrapper_the_optimizer_within_is_guarded() -> None:
    net = nn.Linear(2, 1)
    wrapped = Wrapped(torch.optim.SGD(net.parameters(), lr=0.1))
    run = lg.init(mode="offline", model=net, optimizer=wrapped)
    for i in run.steps(range(3)):
        run.total(loss=net(torch.ones(3, 2)).sum() * (torch.nan if i == 1 else 1.0)).backward()
        wrapped.step()
        wrapped.optimizer.zero_grad()
    run.finish()
    assert run.guard == {"0 SGD": "trip"}
    assert bool(net.weight.isfinite().all())
