"""What the training with lossguard and its plain twin share: model, optimizer, batches, loss, all from one seed.

Rules of this file: nothing of lossguard's measuring here, so that the twin proves what lossguard does to a training.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from ..batches import Batches
from ..beginning import begin, precision, warming_up
from ..catalogue import Options
from . import PLANETS
from .data import Batch, make_batch, validation_batch
from .model import SHAPES, TabularDecoder

CLIP_NORM = 1.0
COMPONENT = "next"


@dataclass(frozen=True)
class Setup:
    """One training, ready to begin."""

    options: Options
    device: torch.device
    model: TabularDecoder
    optimizer: AdamW
    scheduler: LambdaLR
    batches: Batches[Batch]
    validation: Batch

    def loss(self, batch: Batch) -> Tensor:
        """Mean squared error of the next row, 0-d."""
        with precision(self.options, self.device):
            guesses = self.model(batch.rows)
        return next_row_error(guesses.float(), batch)


def foretold(batch: Batch) -> Tensor:
    """[B, T - 1] bool: the rows that are foretold; neither the first one of a system nor padding."""
    return batch.present[:, 1:]


def next_row_error(guesses: Tensor, batch: Batch) -> Tensor:
    """Mean squared error over the columns of the rows that are foretold; guesses [B, T, COLUMNS]."""
    squares = (guesses[:, :-1] - batch.rows[:, 1:]).square().mean(-1)
    counts = foretold(batch)
    return (squares * counts).sum() / counts.sum()


def build(options: Options) -> Setup:
    """Seed torch and make everything; raises UnknownChoice and ConfigError."""
    options = PLANETS.completed(options)
    device, shape = begin(PLANETS, options), SHAPES[options.size]
    model = TabularDecoder(shape).to(device)
    optimizer = AdamW(model.parameters(), lr=options.lr)
    make = partial(make_batch, rows=shape.rows)
    return Setup(
        options=options,
        device=device,
        model=model,
        optimizer=optimizer,
        scheduler=warming_up(optimizer),
        batches=Batches(make, options.seed, options.steps, options.batch_size, device),
        validation=validation_batch(options.seed, options.batch_size, device, shape.rows),
    )


def rows_foretold(options: Options) -> float:
    """How many rows of a batch are foretold on average."""
    rows = SHAPES[options.size].rows
    return options.batch_size * ((rows // 2 + rows) / 2 - 1)
