"""A small training on several ranks, and its operator in the process of rank 0; for tests that run under torchrun.

Rules of this file: no test of its own. The operator knows only what the wire says; what was applied where is asked of
each rank's own schedule.
"""

import random
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

import lossguard as lg
from helpers import soon
from lossguard.protocol.messages import Command, Event
from tiny_server import TinyServer

COMPONENTS = {"fit": 1.0, "shape": 0.5}


def patiently(probe: Callable[[], object], what: str) -> None:
    """Four ranks share two cores with whatever else runs there; torchrun's own limit ends what hangs."""
    soon(probe, what, timeout_s=45)


def wrapped(net: nn.Module, kind: str) -> nn.Module:
    """Trained by DDP, cut by FSDP2, or each rank for itself."""
    if kind == "fsdp":
        from torch.distributed.fsdp import fully_shard

        cut: nn.Module = fully_shard(net)
        return cut
    return nn.parallel.DistributedDataParallel(net) if kind == "ddp" else net


class RankedTraining:
    """One rank of it."""

    def __init__(self, folder: Path, kind: str = "ddp", **init: Any) -> None:
        if not dist.is_initialized():
            dist.init_process_group("gloo")
        self.rank, self.folder = dist.get_rank(), folder
        torch.manual_seed(0)
        self.model = wrapped(nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3)), kind)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.01)
        self.server: TinyServer | None = None
        given = {"model": self.model, "optimizer": self.optimizer, "losses": COMPONENTS, "mode": "offline"}
        if init.pop("served", False) and self.rank == 0:
            self.server = TinyServer()
            self.server.__enter__()
            given |= {"mode": "online", "url": self.server.url}
        self.run = lg.init("tests", "ranked", dir=folder / "spool", **{**given, **init})
        self.weights: list[dict[str, float]] = []
        self.steps: list[int] = []
        self.chance = random.Random(self.rank)

    def batches(self, count: int) -> list[Tensor]:
        """Of this rank alone."""
        generator = torch.Generator().manual_seed(100 + self.rank)
        return [torch.randn(4, 6, generator=generator) for _ in range(count)]

    def one(self, x: Tensor, bad: str = "") -> None:
        """`bad`: "gradients", or "loss": that is infinite and its gradients are not."""
        out = self.model(x)
        reach = out.square().mean()
        shape = (reach * 0.0).log() if bad == "gradients" else reach.log1p() + (torch.inf if bad == "loss" else 0.0)
        self.run.total({"fit": (out - x[:, :3]).square().mean(), "shape": shape}).backward()
        self.run.clip_grad_norm_(1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.steps.append(self.run.step)
        self.weights.append(dict(self.run.weights))

    def train(self, loader: Iterable[Tensor], before: Callable[[int], None] = lambda step: None) -> "RankedTraining":
        for x in self.run.steps(loader):
            before(self.run.step)
            self.one(x)
        return self

    def skew(self, step: int) -> None:
        """Some steps are slower on some ranks: that they are not together is what is tested."""
        if self.chance.random() < 0.1:
            time.sleep(self.chance.random() * 0.01)

    def applied(self) -> list[list[Any]]:
        """[id, step, kind] in the order in which this rank has applied them."""
        return [[each.id, each.step, each.kind] for each in self.run._loop.schedule.plan.operations]

    def bits(self) -> list[str]:
        """Of parameters, whole; equal where ranks have not parted."""
        whole = [getattr(p, "full_tensor", lambda p=p: p)() for p in self.model.parameters()]
        return [p.detach().numpy().tobytes().hex() for p in whole]

    def told(self) -> list[Event]:
        """Rank 0: the events that have reached the server."""
        assert self.server is not None
        return [message for message in self.server.messages if isinstance(message, Event)]

    def states(self) -> dict[str, list[tuple[str, int]]]:
        """Rank 0: (state, step) of each command, in order."""
        found: dict[str, list[tuple[str, int]]] = {}
        for event in self.told():
            if event.kind == "command":
                found.setdefault(event.data["id"], []).append((event.data["state"], event.step))
        return found

    def finish(self) -> "RankedTraining":
        self.run.finish(timeout_s=10.0)
        return self

    def close(self) -> None:
        if self.server is not None:
            self.server.die()


class Operator(threading.Thread):
    """Sends commands while rank 0 trains."""

    def __init__(self, training: RankedTraining, work: Callable[["Operator"], None]) -> None:
        super().__init__(daemon=True)
        assert training.server is not None
        self.training, self.server, self._work = training, training.server, work
        self.count = 0
        self.error: BaseException | None = None
        patiently(lambda: training.server is not None and training.server.messages, "rank 0 is connected")
        self.start()

    def run(self) -> None:
        try:
            self._work(self)
        except BaseException as error:  # noqa: BLE001 - raised again by rank 0's own thread
            self.error = error

    def send(self, kind: str, **args: Any) -> str:
        self.count += 1
        id = f"c{self.count}"
        self.server.send(Command(id=id, number=self.count, kind=kind, args=args))
        return id

    def applied(self, id: str) -> bool:
        return any(state == "applied" for state, _ in self.training.states().get(id, []))

    def settled(self, id: str) -> bool:
        return len(self.training.states().get(id, [])) > 1

    def joined(self) -> None:
        self.join(50)
        if self.error is not None:
            raise self.error
