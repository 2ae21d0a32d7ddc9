"""Runs that nobody finishes in a process that goes on: a cell run again, a variable overwritten, two runs at a time."""

import copy
import fcntl
import gc
import io
import logging
import pickle
import sys
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import lossguard as lg
from helpers import events, isolate, points, soon, spooled
from lossguard.run import Run
from tiny_server import TinyServer


@pytest.fixture(autouse=True)
def _own_world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    isolate(monkeypatch, tmp_path)
    monkeypatch.setenv("LOSSGUARD_MODE", "offline")
    for thread in link_threads():  # of another test, which holds its run
        thread.name = "left by another test"
    yield
    gc.collect()
    soon(lambda: not link_threads(), "no link is left behind")


def link_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "lossguard-link"}


class Trainer:
    """A model, its optimizer, and the cell that trains it."""

    def __init__(self) -> None:
        self.model = torch.nn.Linear(3, 1)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-4)

    def start(self, folder: Path) -> Run:
        return lg.init(dir=folder, model=self.model, optimizer=self.optimizer)

    def train(self, run: Run, steps: int, interrupted_at: int = -1) -> None:
        for step in run.steps(range(steps)):
            run.total(loss=self.model(torch.ones(3)).sum()).backward()
            self.optimizer.step()
            self.optimizer.zero_grad()
            if step == interrupted_at:
                raise KeyboardInterrupt

    @property
    def hooks(self) -> int:
        return len(self.optimizer._optimizer_step_pre_hooks) + len(self.optimizer._optimizer_step_post_hooks)


def states(folder: Path) -> list[str]:
    return [event.data["state"] for event in events(spooled(folder), "finish")]


def norms_at(folder: Path) -> list[int]:
    return [step for step, _ in points(spooled(folder))["grad_norm/total"]]


def test_a_cell_that_is_run_again_ends_the_run_before(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    trainer = Trainer()
    run = trainer.start(tmp_path / "first")
    hooks = trainer.hooks
    with pytest.raises(KeyboardInterrupt):
        trainer.train(run, 10, interrupted_at=3)
    first, run = run, trainer.start(tmp_path / "second")
    assert trainer.hooks == hooks > 0
    trainer.train(run, 5)
    run.finish()
    assert trainer.hooks == 0
    first.finish()  # as the interrupted cell might, in a finally: too late, and no harm
    soon(lambda: states(tmp_path / "first"), "the first run's end is spooled")
    assert (states(tmp_path / "first"), norms_at(tmp_path / "first")) == (["stopped"], [0, 1, 2, 3])
    assert (states(tmp_path / "second"), norms_at(tmp_path / "second")) == (["finished"], [0, 1, 2, 3, 4])
    assert [record.getMessage() for record in caplog.records] == [
        f"lossguard: run {first.id} was not finished when lg.init got its optimizer again; it is recorded as stopped."
    ]


def test_a_run_that_came_to_its_end_is_finished_by_the_next(tmp_path: Path) -> None:
    """Two phases of one training, the first never finished."""
    trainer = Trainer()
    trainer.train(trainer.start(tmp_path / "first"), 3)
    run = trainer.start(tmp_path / "first")
    trainer.train(run, 3)
    second = trainer.start(tmp_path / "second")
    soon(lambda: states(tmp_path / "first") == ["finished", "finished"], "both are told")
    second.finish()


def test_the_loop_of_the_run_before_goes_on_unharmed(tmp_path: Path) -> None:
    trainer = Trainer()
    run = trainer.start(tmp_path / "first")
    seen = []
    for step in run.steps(range(6)):
        if step == 2:
            newer = trainer.start(tmp_path / "second")
        run.total(loss=trainer.model(torch.ones(3)).sum()).backward()
        run.log({"a": 1.0})
        run.matrix("m", torch.eye(2))
        run.clip_grad_norm_(1.0)
        trainer.optimizer.step()
        seen.append(step)
    newer.finish()
    assert (seen, run.guard) == ([0, 1, 2, 3, 4, 5], {})
    soon(lambda: states(tmp_path / "first") == ["stopped"], "the first run's end is spooled")
    assert norms_at(tmp_path / "first") == [0, 1]


def test_a_server_gets_the_run_before_to_its_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LOSSGUARD_MODE", "online")
    trainer = Trainer()
    with TinyServer() as server:
        monkeypatch.setenv("LOSSGUARD_URL", server.url)
        for _ in range(3):
            run = trainer.start(tmp_path)
            trainer.train(run, 4)
            trainer.train(run, 4)
        run.finish()
        soon(lambda: len(link_threads()) == 0, "all is delivered")
        assert [[event.data["state"] for event in events(stream, "finish")] for stream in server.journal.values()] == [
            ["finished"]] * 3  # fmt: skip
        for stream in server.journal.values():
            assert [step for step, _ in points(stream)["grad_norm/total"]] == list(range(8))
    assert spooled(tmp_path) == []


def test_nobody_waits_for_the_server_of_the_run_before(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    trainer = Trainer()
    with TinyServer() as server:
        server.acknowledges = False
        run = lg.init(mode="online", url=server.url, dir=tmp_path, optimizer=trainer.optimizer)
        run.log({"a": 1.0})
        soon(lambda: server.accepted, "the server has some")
        (before,) = link_threads()
        lg.init(mode="off", optimizer=trainer.optimizer)
        assert before.is_alive()
        del run
    with TinyServer(server.port, server.journal) as server:
        soon(lambda: events(server.messages, "finish"), "it is delivered in the background")


def test_a_variable_that_is_overwritten_ends_its_run_and_frees_its_model(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A cell that makes everything anew: without this each run of it would keep one more model on the GPU."""
    models = []
    for _ in range(3):
        trainer = Trainer()
        run = trainer.start(tmp_path)
        models.append(weakref.ref(trainer.model))
        with pytest.raises(KeyboardInterrupt):
            trainer.train(run, 9, interrupted_at=1)
    trainer.train(run, 1)
    run.finish()
    soon(lambda: sorted(states(tmp_path)) == ["finished", "stopped", "stopped"], "all ends are told")
    del trainer, run
    soon(lambda: not link_threads(), "the links are done")
    gc.collect()
    assert [model() for model in models] == [None, None, None]
    soon(lambda: len(caplog.records) == 2, "each is said")
    assert all("was dropped without run.finish()" in record.getMessage() for record in caplog.records)


def test_a_run_that_is_dropped_after_its_loop_is_finished(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def main() -> None:
        trainer = Trainer()
        trainer.train(trainer.start(tmp_path / "looped"), 3)
        run = lg.init(dir=tmp_path / "logged")
        run.log({"a": 1.0})

    main()
    for folder in ("looped", "logged"):
        soon(lambda: states(tmp_path / folder) == ["finished"], "its end is told")  # noqa: B023
    assert norms_at(tmp_path / "looped") == [0, 1, 2]
    assert caplog.records == []


def test_a_run_that_is_dropped_leaves_no_hook(tmp_path: Path) -> None:
    trainer = Trainer()
    run = trainer.start(tmp_path)
    trainer.train(run, 1)
    del run
    assert trainer.hooks == 0
    soon(lambda: states(tmp_path) == ["finished"], "its end is told")


def test_a_run_lives_as_long_as_its_loop(tmp_path: Path) -> None:
    trainer = Trainer()
    for _ in trainer.start(tmp_path).steps(range(4)):
        trainer.model(torch.ones(3)).sum().backward()
        trainer.optimizer.step()
    soon(lambda: states(tmp_path) == ["finished"], "its end is told")
    assert norms_at(tmp_path) == [0, 1, 2, 3]


def test_a_run_that_another_thread_drops(tmp_path: Path) -> None:
    trainer = Trainer()
    runs = [trainer.start(tmp_path)]
    with pytest.raises(KeyboardInterrupt):
        trainer.train(runs[0], 5, interrupted_at=2)
    thread = threading.Thread(target=runs.clear)
    thread.start()
    thread.join()
    assert trainer.hooks == 0
    soon(lambda: states(tmp_path) == ["stopped"], "its end is told")
    assert norms_at(tmp_path) == [
        0,
        1,
    ]  # the open step is the training thread's to close


def test_runs_of_other_optimizers_live_side_by_side(tmp_path: Path) -> None:
    """A generator and its critic; and one model that two optimizers share."""
    generator, critic = Trainer(), Trainer()
    third = torch.optim.SGD(critic.model.parameters(), lr=1e-4)
    runs = [generator.start(tmp_path / "g"), critic.start(tmp_path / "c")]
    runs.append(lg.init(dir=tmp_path / "t", model=critic.model, optimizer=third))
    for run, trainer in zip(runs, (generator, critic), strict=False):
        trainer.train(run, 4)
    for _ in runs[2].steps(range(4)):
        runs[2].total(loss=critic.model(torch.ones(3)).sum()).backward()
        third.step()
    for run in runs:
        run.finish()
    for name in "gct":
        assert (states(tmp_path / name), norms_at(tmp_path / name)) == (["finished"], [0, 1, 2, 3]), name


def test_one_optimizer_in_common_is_enough(tmp_path: Path) -> None:
    one, other = Trainer(), Trainer()
    first, second = one.start(tmp_path / "1"), other.start(tmp_path / "2")
    both = lg.init(dir=tmp_path / "3", optimizer=[one.optimizer, other.optimizer])
    soon(lambda: states(tmp_path / "1") == states(tmp_path / "2") == ["finished"], "both end")
    assert (first.state, second.state, both.state) == ("finished", "finished", "running")
    both.finish()


def test_a_newer_run_that_is_off_ends_it_as_well(tmp_path: Path) -> None:
    trainer = Trainer()
    run = trainer.start(tmp_path)
    trainer.train(run, 2)
    lg.init(mode="off", optimizer=trainer.optimizer)
    assert trainer.hooks == 0
    soon(lambda: states(tmp_path) == ["finished"], "its end is told")


def test_what_hangs_on_an_optimizer_is_neither_copied_nor_pickled(tmp_path: Path) -> None:
    trainer = Trainer()
    run = trainer.start(tmp_path)
    for twin in (copy.deepcopy(trainer.optimizer), pickle.loads(pickle.dumps(trainer.optimizer))):
        lg.init(mode="off", optimizer=twin)
        assert run.state == "running"
    (mark,) = (value for value in vars(trainer.optimizer).values() if "lossguard" in type(value).__module__)
    assert copy.deepcopy(mark) is pickle.loads(pickle.dumps(mark)) is copy.copy(mark) is False
    torch.save({"model": trainer.model, "optimizer": trainer.optimizer.state_dict()}, io.BytesIO())
    assert pickle.loads(pickle.dumps(sys.exit)) is sys.exit  # as multiprocessing does with a target
    run.finish()
    assert not [value for value in vars(trainer.optimizer).values() if "lossguard" in type(value).__module__]


def test_a_process_is_left_as_it_was_found(tmp_path: Path) -> None:
    before = sys.exit
    first, second = lg.init(dir=tmp_path), lg.init(dir=tmp_path)
    assert sys.exit is not before
    first.finish()
    assert sys.exit is not before
    second.finish()
    assert sys.exit is before


def test_an_init_that_fails_inside_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As Python 3.12 does at its end: no new thread."""

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    trainer, before = Trainer(), sys.exit
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        run = trainer.start(tmp_path)
    assert trainer.hooks == 0
    trainer.train(run, 3)
    run.log({"a": 1.0})
    run.finish()
    assert sys.exit is before
    for path in tmp_path.iterdir():
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # `lossguard sync` may have it
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
    assert len(caplog.records) <= 3


def test_a_finish_from_another_thread_and_twice_at_once(tmp_path: Path) -> None:
    trainer = Trainer()
    run = trainer.start(tmp_path)
    trainer.train(run, 3)
    threads = [threading.Thread(target=run.finish) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    run.finish()
    assert (states(tmp_path), norms_at(tmp_path)) == (["finished"], [0, 1, 2])


def test_a_run_of_another_thread(tmp_path: Path) -> None:
    runs: list[Run] = []
    trainer = Trainer()
    threads = [
        threading.Thread(target=lambda: runs.append(trainer.start(tmp_path))),
        threading.Thread(target=lambda: trainer.train(runs[0], 3)),
    ]
    for thread in threads:
        thread.start()
        thread.join(20)
    runs[0].finish()
    assert (states(tmp_path), norms_at(tmp_path)) == (["finished"], [0, 1, 2])


@pytest.mark.parametrize("error", [None, RuntimeError, StopIteration])
def test_epochs_that_are_left_early_lose_and_double_no_step(tmp_path: Path, error: type[Exception] | None) -> None:
    trainer = Trainer()
    run = trainer.start(tmp_path)
    for _ in range(3):
        try:
            for batch in run.steps(range(10)):
                run.total(loss=trainer.model(torch.full((3,), float(batch))).sum()).backward()
                trainer.optimizer.step()
                if batch == 3:
                    if error is not None:
                        raise error
                    break
        except (RuntimeError, StopIteration):
            continue
    run.finish()
    assert (states(tmp_path), norms_at(tmp_path)) == (["finished"], list(range(12)))
    found = points(spooled(tmp_path))
    assert all([step for step, _ in column] == list(range(12)) for column in found.values())
