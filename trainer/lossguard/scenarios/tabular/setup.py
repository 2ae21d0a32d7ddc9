"""What the training with lossguard and its plain twin share: model, optimizer, batches, losses, all from one seed.

Rules of this file: nothing of lossguard's measuring here, so that the twin proves what lossguard does to a training.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from ..batches import Batches
from ..beginning import begin, warming_up
from ..catalogue import Options
from ..seeding import FIRST_VALIDATION_STEP
from . import TABULAR
from .data import ROWS, SENSORS, Batch, make_batch, validation_batch
from .masking import BERT, WAYS, Masked, Way, hide
from .model import RowCompleter

CLIP_NORM = 1.0  # as in the report
COMPONENTS = ("numeric", "mode")  # the order of their summation


@dataclass(frozen=True)
class MaskedBatches:
    """The training batches with what the model is shown of them; iterating again starts again.

    Masks come with the batches, as from a collate function, so that a batch that is run once more has its mask.
    """

    batches: Batches[Batch]
    way: Way

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[Batch, Masked]]:
        for step, batch in enumerate(self.batches):
            probability = self.way.probability(step / max(len(self) - 1, 1))
            yield batch, hide(batch, probability, self.batches.seed, step)


@dataclass(frozen=True)
class Setup:
    """One training, ready to begin."""

    model: RowCompleter
    optimizer: AdamW
    scheduler: LambdaLR
    batches: MaskedBatches
    validation: tuple[Batch, Masked]
    way: Way

    def losses(self, batch: Batch, seen: Masked) -> dict[str, Tensor]:
        """Every loss, raw, by component."""
        numeric, mode = self.model(seen)
        paid = seen.hidden if self.way.only_hidden else torch.ones_like(seen.hidden)
        return losses(numeric, mode, batch, paid)

    def evaluated(self) -> tuple[dict[str, Tensor], Masked]:
        """The losses of unseen windows, of which BERT's part is hidden: what the training is meant to teach."""
        batch, seen = self.validation
        numeric, mode = self.model(seen)
        return losses(numeric, mode, batch, seen.hidden), seen


def losses(numeric: Tensor, mode: Tensor, batch: Batch, paid: Tensor) -> dict[str, Tensor]:
    """Mean squared error of the readings and cross-entropy of the mode, over those that `paid` [B, T, F + 1] marks.

    A mean over none is NaN, as in the report's code.
    """
    squares = (numeric - batch.numeric).square()
    # a masked sum, not an index by a mask: the latter would wait for the device to learn its size
    costs = F.cross_entropy(mode.flatten(0, 1), batch.mode.flatten(), reduction="none").view(batch.mode.shape)
    sensors, modes = paid[..., :-1], paid[..., -1]
    return {"numeric": (squares * sensors).sum() / sensors.sum(), "mode": (costs * modes).sum() / modes.sum()}


def build(options: Options) -> Setup:
    """Seed torch and make everything; raises UnknownChoice and ConfigError."""
    device = begin(TABULAR, options)
    model, way = RowCompleter().to(device), WAYS[options.variant]
    unseen = validation_batch(options.seed, options.batch_size, device)
    optimizer = AdamW(model.parameters(), lr=options.lr)
    return Setup(
        model=model,
        optimizer=optimizer,
        scheduler=warming_up(optimizer),
        batches=MaskedBatches(Batches(make_batch, options.seed, options.steps, options.batch_size, device), way),
        validation=(unseen, hide(unseen, BERT, options.seed, FIRST_VALIDATION_STEP)),
        way=way,
    )


def positions(batch_size: int) -> int:
    """How many readings a batch has: 8,192 of eight windows, and 1,024 modes are not counted."""
    return batch_size * ROWS * SENSORS
