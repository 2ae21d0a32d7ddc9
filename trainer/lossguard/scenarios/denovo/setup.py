"""What the training with lossguard and its plain twin share: model, optimizer, batches, losses, all from one seed.

Rules of this file: nothing of lossguard's measuring here, so that the twin proves what lossguard does to a training.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from ..batches import Batches
from ..beginning import begin, warming_up
from ..catalogue import Options
from . import DENOVO, losses
from .data import Batch, make_batch, residue_mass_table, validation_batch
from .model import SpectrumReader

CLIP_NORM = 1.0  # as in the report
VALIDATION_SPECTRA = 256


@dataclass(frozen=True)
class Setup:
    """One training, ready to begin."""

    model: SpectrumReader
    optimizer: AdamW
    scheduler: LambdaLR
    batches: Batches[Batch]
    validation: Batch
    residue_mass: Tensor
    precursor: losses.PrecursorLoss

    def losses(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        """Every loss, raw, by component; and the peak features [B, P, width]."""
        logits, features = self.model(batch)
        expected = losses.expected_masses(logits, self.residue_mass)
        error_da = losses.mass_error(expected, batch.mass)
        raw = {
            "ce": losses.cross_entropy(logits, batch.targets),
            "spectrum": losses.nearest_peak_huber(expected, batch),
            "precursor": self.precursor(error_da, batch.mass),
        }
        return raw, features

    @torch.no_grad()
    def accuracy(self) -> Tensor:
        """Token accuracy on spectra that are never trained on, with the true residues so far given; 0-d."""
        logits, _ = self.model(self.validation)
        return losses.token_accuracy(logits, self.validation.targets)


def build(options: Options) -> Setup:
    """Seed torch and make everything; raises UnknownChoice and ConfigError."""
    device = begin(DENOVO, options)
    model = SpectrumReader().to(device)
    optimizer = AdamW(model.parameters(), lr=options.lr)
    return Setup(
        model=model,
        optimizer=optimizer,
        scheduler=warming_up(optimizer),
        batches=Batches(make_batch, options.seed, options.steps, options.batch_size, device),
        validation=validation_batch(options.seed, VALIDATION_SPECTRA, device),
        residue_mass=residue_mass_table().float().to(device),
        precursor=losses.PRECURSOR_LOSSES[options.variant],
    )
