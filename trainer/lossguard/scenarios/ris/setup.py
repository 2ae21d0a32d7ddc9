"""What the training with lossguard and its plain twin share: model, optimizer, scaler, batches, losses, from one seed.

Rules of this file: nothing of lossguard's measuring here, so that the twin proves what lossguard does to a training.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from ..batches import Batches
from ..beginning import begin, warming_up
from ..catalogue import Options
from . import RIS
from .array import ELEMENTS, Batch, make_batch, validation_batch
from .covariance import blend, sample_covariance, with_trace
from .model import WIDTH, SourceFinder

CLIP_NORM = 1.0
VALIDATION_SCENES = 8
# in the order of their summation. Two matrices of norm 64 that know nothing of each other are 6,500 apart, as a squared
# norm; a row's share of it is as large as the report's checklist has the loss, 1 to 1,000
WEIGHTS = {"covariance": 1 / ELEMENTS, "angle": 1.0, "range": 1.0}


@dataclass(frozen=True)
class Matrices:
    """[B, N, N] each."""

    predicted: Tensor
    sampled: Tensor
    blended: Tensor


@dataclass(frozen=True)
class Setup:
    """One training, ready to begin."""

    model: SourceFinder
    optimizer: AdamW
    scheduler: LambdaLR
    scaler: torch.amp.GradScaler
    batches: Batches[Batch]
    validation: Batch
    has_bug: bool

    def losses(self, batch: Batch) -> tuple[dict[str, Tensor], Matrices]:
        """Training's own pipeline: every loss, raw, by component; and the matrices."""
        return self._losses(batch, self.has_bug)

    def evaluated(self, batch: Batch) -> tuple[dict[str, Tensor], Matrices]:
        """The evaluation's pipeline, which never had the bug."""
        return self._losses(batch, has_bug=False)

    def _losses(self, batch: Batch, has_bug: bool) -> tuple[dict[str, Tensor], Matrices]:
        said = self.model(batch)
        sampled = sample_covariance(batch.amplitudes)
        if not has_bug:
            sampled = with_trace(sampled)
        blended = blend(said.covariance, sampled, normalised=has_bug)
        off = torch.view_as_real(blended - batch.covariance)
        degrees = (said.angles - batch.angles) * (180 / math.pi)
        raw = {
            "covariance": off.square().sum((-3, -2, -1)).mean(),  # squared Frobenius norm
            "angle": degrees.square().mean(),
            "range": (said.ranges - batch.ranges).square().mean(),
        }
        return raw, Matrices(said.covariance, sampled, blended)


def build(options: Options) -> Setup:
    """Seed torch and make everything; raises UnknownChoice and ConfigError."""
    device = begin(RIS, options)
    half = torch.bfloat16 if options.size == "large" else torch.float16
    model = SourceFinder(WIDTH[options.size], half).to(device)
    optimizer = AdamW(model.parameters(), lr=options.lr)
    return Setup(
        model=model,
        optimizer=optimizer,
        scheduler=warming_up(optimizer),
        scaler=torch.amp.GradScaler(device.type, enabled=half is torch.float16),  # bfloat16 needs none
        batches=Batches(make_batch, options.seed, options.steps, options.batch_size, device),
        validation=validation_batch(options.seed, VALIDATION_SCENES, device),
        has_bug=options.variant == "unnormalised",
    )
