"""What the training with lossguard and its plain twin share: model, optimizer, batches, losses, all from one seed.

Rules of this file: nothing of lossguard's measuring here, so that the twin proves what lossguard does to a training.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from ..batches import Batches
from ..beginning import begin, precision, warming_up
from ..catalogue import Options
from ..seeding import FIRST_VALIDATION_STEP
from . import TABULAR
from .curricula import STAGED
from .data import MEASURED_PART, SENSORS, Batch, make_batch, validation_batch
from .masking import BERT, WAYS, Draw, Masked, Way, draw, exists, hide
from .model import SHAPES, RowCompleter

CLIP_NORM = 1.0  # as in the report


@dataclass(frozen=True)
class Planned:
    """What comes with a batch, as from a collate function: so a batch that is run once more has its mask again."""

    draw: Draw
    progress: float  # of the training, from 0 to 1


@dataclass(frozen=True)
class DrawnBatches:
    """The training batches with the random numbers of their masks; iterating again starts again."""

    batches: Batches[Batch]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[Batch, Planned]]:
        for step, batch in enumerate(self.batches):
            drawn = draw(batch, self.batches.seed, step).to(self.batches.device)
            yield batch, Planned(drawn, step / max(len(self) - 1, 1))


@dataclass(frozen=True)
class Evaluated:
    """Of unseen windows. error: the mean squared one of hidden readings, 0-d, whatever the loss is."""

    losses: dict[str, Tensor]
    error: Tensor
    seen: Masked


@dataclass(frozen=True)
class Setup:
    """One training, ready to begin."""

    options: Options
    device: torch.device
    model: RowCompleter
    optimizer: AdamW
    scheduler: LambdaLR
    batches: DrawnBatches
    validation: tuple[Batch, Masked]
    way: Way

    def shown(self, batch: Batch, planned: Planned, stage: str) -> Masked:
        """What the model sees of a batch; the stages of `staged` say how much, and else the variant."""
        p = STAGED[stage] if stage in STAGED else self.way.probability(planned.progress)
        return hide(batch, planned.draw, p)

    def losses(self, batch: Batch, seen: Masked) -> dict[str, Tensor]:
        """Every loss, raw, by component."""
        numeric, mode = self._guesses(seen)
        paid = seen.hidden if self.way.only_hidden else exists(batch)
        return losses(numeric, mode, batch, paid, self.options.word("loss"))

    def evaluated(self) -> Evaluated:
        """The losses of unseen windows, of which BERT's part is hidden: what the training is meant to teach."""
        batch, seen = self.validation
        numeric, mode = self._guesses(seen)
        found = losses(numeric, mode, batch, seen.hidden, self.options.word("loss"))
        return Evaluated(found, losses(numeric, mode, batch, seen.hidden)["numeric"], seen)

    def _guesses(self, seen: Masked) -> tuple[Tensor, Tensor]:
        with precision(self.options, self.device):
            numeric, mode = self.model(seen)
        return numeric.float(), mode.float()


COSTS: Mapping[str, partial[Tensor]] = MappingProxyType(
    {"mse": partial(F.mse_loss, reduction="none"), "huber": partial(F.huber_loss, reduction="none")}
)


def losses(numeric: Tensor, mode: Tensor, batch: Batch, paid: Tensor, cost: str = "mse") -> dict[str, Tensor]:
    """Mean cost of the readings and cross-entropy of the mode, over those that `paid` [B, T, F + 1] marks.

    A mean over none is NaN, as in the report's code.
    """
    off = COSTS[cost](numeric, batch.numeric)
    # a masked sum, not an index by a mask: the latter would wait for the device to learn its size
    costs = F.cross_entropy(mode.flatten(0, 1), batch.mode.flatten(), reduction="none").view(batch.mode.shape)
    sensors, modes = paid[..., :-1], paid[..., -1]
    return {"numeric": (off * sensors).sum() / sensors.sum(), "mode": (costs * modes).sum() / modes.sum()}


def build(options: Options) -> Setup:
    """Seed torch and make everything; raises UnknownChoice and ConfigError."""
    options = TABULAR.completed(options)
    device, shape = begin(TABULAR, options), SHAPES[options.size]
    model = RowCompleter(shape).to(device)
    unseen = validation_batch(options.seed, options.batch_size, device, shape.rows)
    hides = draw(unseen, options.seed, FIRST_VALIDATION_STEP).to(device)
    optimizer = AdamW(model.parameters(), lr=options.lr)
    make = partial(make_batch, rows=shape.rows)
    return Setup(
        options=options,
        device=device,
        model=model,
        optimizer=optimizer,
        scheduler=warming_up(optimizer),
        batches=DrawnBatches(Batches(make, options.seed, options.steps, options.batch_size, device)),
        validation=(unseen, hide(unseen, hides, BERT)),
        way=WAYS[options.variant],
    )


def readings(options: Options) -> float:
    """How many readings of sensors a batch has on average: what is padding or missing is none, and no mode is one."""
    rows = SHAPES[options.size].rows
    return options.batch_size * SENSORS * MEASURED_PART * (rows // 2 + rows) / 2
