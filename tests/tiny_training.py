"""A small training for tests of the loop: two components, one of which can be broken at a chosen step.

Rules of this file: no test of its own; everything seeded; the spool tells what happened.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import lossguard as lg
from helpers import spooled
from lossguard.protocol.messages import Event, Sequenced

Batch = tuple[int, Tensor]


class Tiny(nn.Module):
    """[B, 6] to [B, 3]; dropout, so that random states matter, and BatchNorm, so that buffers do."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2))
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.encoder(x))
        return out


def batches(count: int, seed: int = 0) -> list[Batch]:
    generator = torch.Generator().manual_seed(seed)
    return [(i, torch.randn(8, 6, generator=generator)) for i in range(count)]


class Training:
    """A model, its optimizer and a run; `bad_batches` get a loss that is log(0)."""

    def __init__(self, folder: Path, bad_batches: Sequence[int] = (), fused: bool = False, **init: Any) -> None:
        torch.manual_seed(0)
        self.folder, self.bad = folder, set(bad_batches)
        self.model = Tiny()
        self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.01, fused=fused)
        given = {"model": self.model, "optimizer": self.optimizer, "losses": {"fit": 1.0, "shape": 0.5}}
        self.run = lg.init("tests", "tiny", mode="offline", dir=folder, **{**given, **init})
        self.seen: list[int] = []
        self.totals: list[Tensor] = []

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        number, x = batch
        out = self.model(x)
        reach = out.square().mean()
        shape = (reach * 0.0).log() if number in self.bad else reach.log1p()
        return {"fit": (out - x[:, :3]).square().mean(), "shape": shape}

    def one(self, batch: Batch) -> Tensor:
        self.seen.append(batch[0])
        total = self.run.total(self.losses(batch))
        total.backward()
        self.totals.append(total.detach())
        return total

    def train(
        self, loader: Sequence[Batch], clip: bool = True, after: Callable[[int], None] = lambda step: None
    ) -> "Training":
        for batch in self.run.steps(loader):
            self.one(batch)
            if clip:
                self.run.clip_grad_norm_(1.0)
            self.optimizer.step()
            self.optimizer.zero_grad()
            after(self.run.step)
        return self

    def finish(self) -> list[Sequenced]:
        self.run.finish(timeout_s=5.0)
        return spooled(self.folder)

    def bits(self) -> list[bytes]:
        state = [*self.model.state_dict().values()]
        for p in self.model.parameters():
            state += [v for v in self.optimizer.state.get(p, {}).values() if isinstance(v, Tensor)]
        return [value.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() for value in state]


def told(messages: list[Sequenced]) -> Iterator[tuple[str, int]]:
    """(kind, step) of every event."""
    return ((m.kind, m.step) for m in messages if isinstance(m, Event))
