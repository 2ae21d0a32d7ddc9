"""A steered trainer process that a test may kill at any instant, and its record of what was really in force.

Rules of this file: one entry a step that was made, written behind the optimizer's step into memory shared with the
kernel's file, which a kill -9 leaves as it is: the weights that the run says, the gradients that they made, the
learning rate that the optimizer saw, and which operations the plan held. It goes on from its newest checkpoint.
"""

import itertools
import os
import pickle
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import lossguard as lg
from faults.sabotage import SABOTAGES
from lossguard.protocol.messages import Operation

COMPONENTS = ("a", "b", "c")
STAGES = (
    lg.Stage("one", 0, {"a": 1.0, "b": 0.0, "c": 0.3}),
    lg.Stage("two", 150, {"a": 1.0, "b": lg.ramp(0.0, 0.7, 90), "c": 0.3}),
    lg.Stage("three", 700, {"a": lg.ramp(1.0, 0.1, 300), "b": 0.7, "c": 0.01}),
)
CHECKPOINT_EVERY = 150
KEPT = 3  # checkpoints
ENTRY = np.dtype(
    [("life", "<i8"), ("step", "<i8"), ("weights", "<f8", 3), ("grads", "<f4", 3), ("lr", "<f8"), ("plan", "<u4")]
)
ENTRIES_MAX = 1 << 20  # the file is sparse


class Record:
    """The steps of all lives in the order in which they were made."""

    def __init__(self, folder: Path) -> None:
        path, size = folder / "steps", (ENTRIES_MAX + 1) * ENTRY.itemsize
        if not path.exists():
            path.touch()
            os.truncate(path, size)
        self._memory = np.memmap(path, ENTRY, "r+")

    def add(self, *entry: Any) -> None:
        """Whole, or not at all."""
        count = len(self)
        self._memory[count + 1] = entry
        self._memory["step"][0] = count + 1

    def __len__(self) -> int:
        return int(self._memory["step"][0])

    def entries(self) -> np.ndarray[Any, Any]:
        """[n] of ENTRY."""
        return np.array(self._memory[1 : len(self) + 1])

    def newest_plan(self) -> int:
        """The mark of the plan under which the newest step was made."""
        return int(self._memory["plan"][len(self)])


def mark_of(operations: Iterable[Operation]) -> int:
    """Equal for the same operations at the same steps in the same order."""
    return zlib.crc32(repr([(each.step, each.id, each.kind) for each in operations]).encode())


class Checkpoints:
    """Files by the step that they go on with; the newest few. Those of a branch that was left are removed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "checkpoints"
        self.folder.mkdir(exist_ok=True)

    def save(self, step: int, content: object) -> Path:
        path = self.folder / f"{step:08d}"
        (draft := self.folder / "draft").write_bytes(pickle.dumps(content))
        draft.replace(path)
        for old in self._all()[:-KEPT]:
            old.unlink()
        return path

    def newest(self) -> Any:
        found = self._all()
        return pickle.loads(found[-1].read_bytes()) if found else None

    def went_back(self, step: int) -> None:
        """Training is before `step` again."""
        for path in self._all():
            if int(path.name) > step:
                path.unlink()

    def _all(self) -> list[Path]:
        return sorted(self.folder.glob("[0-9]*"))


class Spy(torch.optim.SGD):
    """Sees the rate that is in force while it steps."""

    seen = 0.0

    def step(self, closure: Any = None) -> Any:
        self.seen = float(self.param_groups[0]["lr"])
        return super().step(closure)


class Training:
    """Three parameters, each its own loss: the gradient of one is the weight of it."""

    def __init__(self, folder: Path, life: int) -> None:
        self.model = nn.ParameterDict({name: nn.Parameter(torch.zeros(())) for name in COMPONENTS})
        self.optimizer = Spy(self.model.parameters(), lr=1.0)
        self._checkpoints, self._record, self._life, self._folder = Checkpoints(folder), Record(folder), life, folder
        found = self._checkpoints.newest()
        if found is not None:
            self.model.load_state_dict(found["model"])
            self.optimizer.load_state_dict(found["optimizer"])
        self.run = lg.init(
            "chaos", "control", model=self.model, optimizer=self.optimizer, curriculum=lg.Curriculum(*STAGES),
            snapshots=lg.Snapshots(every=40, healthy_after=20), checkpoint=self._asked,
            resume=None if found is None else found["run"],
        )  # fmt: skip
        (folder / f"attempt{life}").write_text(f"{self.run.id} {self.run.continuing.life.attempt}")
        if found is None:
            self._save(0)

    def train(self) -> None:
        """Until `folder`/stop exists."""
        before, plan, mark = -1, None, 0
        for _ in self.run.steps(itertools.count()):
            if (step := self.run.step) <= before:
                self._checkpoints.went_back(step)
            before = step
            if (now := self.run._loop.schedule.plan) is not plan:
                plan, mark = now, mark_of(now.operations)
            self.run.total(dict(self.model.items())).backward()
            grads = [_number(self.model[name].grad) for name in COMPONENTS]
            self.run.clip_grad_norm_(1e6)
            self.optimizer.step()
            self.optimizer.zero_grad()
            weights = self.run.weights
            self._record.add(self._life, step, [weights[name] for name in COMPONENTS], grads, self.optimizer.seen, mark)
            if step % CHECKPOINT_EVERY == CHECKPOINT_EVERY - 1:
                self._save(step + 1)
            if (self._folder / "stop").exists():
                break
        self.run.finish(timeout_s=30)

    def _save(self, step: int) -> Path:
        content = {
            "run": self.run.state_dict(),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        return self._checkpoints.save(step, content)

    def _asked(self, step: int) -> Path:
        with (self._folder / "asked").open("a") as file:
            file.write(f"{step}\n")
        return self._save(step)


def live(folder: Path, life: int, environ: Mapping[str, str], sabotage: str = "") -> None:
    """The body of the process."""
    with (folder / f"log{life}").open("wb", buffering=0) as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    os.environ.update(environ)
    torch.set_num_threads(1)
    if sabotage:
        SABOTAGES[sabotage]()
    Training(folder, life).train()


def _number(grad: Tensor | None) -> float:
    return 0.0 if grad is None else float(grad)
