"""What the training with lossguard and its plain twin share: model, optimizer, batches, losses, all from one seed.

Rules of this file: nothing of lossguard's measuring here, so that the twin proves what lossguard does to a training.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from ..batches import Batches
from ..beginning import begin, precision, warming_up
from ..catalogue import Options
from . import DENOVO, losses, rendering
from .data import VALIDATED, Batch, make_batch, residue_mass_table, validation_batch
from .model import SpectrumReader, reader_of

SpectrumLoss = Callable[[Tensor, Batch], Tensor]  # of the expected masses [B, T + 1] in Da

CLIP_NORM = 1.0  # as in the report
VALIDATION_SPECTRA, VALIDATION_BATCHES = 256, 8  # whichever is less, so that a large model can be tried on a CPU


@dataclass(frozen=True)
class Setup:
    """One training, ready to begin."""

    model: SpectrumReader
    optimizer: AdamW
    scheduler: LambdaLR
    batches: Batches[Batch]
    validation: Mapping[str, Batch]
    residue_mass: Tensor
    spectrum: SpectrumLoss
    precursor: losses.PrecursorLoss
    precision: Callable[[], torch.autocast]

    def losses(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        """Every loss, raw, by component; and the peak features [B, P, width]."""
        with self.precision():
            logits, features = self.model(batch)
        expected = losses.expected_masses(logits, self.residue_mass)
        error_da = losses.mass_error(expected, batch.mass)
        raw = {
            "ce": losses.cross_entropy(logits, batch.targets),
            "spectrum": self.spectrum(expected, batch),
            "precursor": self.precursor(error_da, batch.mass),
        }
        return raw, features

    @torch.no_grad()
    def accuracy(self) -> dict[str, Tensor]:
        """Token accuracy, easy and hard, on spectra never trained on, with the true residues so far given; each 0-d."""
        return {name: self._accuracy_on(batch) for name, batch in self.validation.items()}

    def _accuracy_on(self, batch: Batch) -> Tensor:
        with self.precision():
            logits, _ = self.model(batch)
        return losses.token_accuracy(logits, batch.targets)


def build(options: Options) -> Setup:
    """Seed torch and make everything; raises UnknownChoice and ConfigError."""
    options = DENOVO.completed(options)
    spectrum = _spectrum_loss(options)
    device = begin(DENOVO, options)
    model = reader_of(options.size).to(device)
    optimizer = AdamW(model.parameters(), lr=options.lr)
    unseen = min(VALIDATION_SPECTRA, VALIDATION_BATCHES * options.batch_size)
    return Setup(
        model=model,
        optimizer=optimizer,
        scheduler=warming_up(optimizer),
        batches=Batches(make_batch, options.seed, options.steps, options.batch_size, device),
        validation={name: validation_batch(options.seed, unseen, device, noise) for name, noise in VALIDATED.items()},
        residue_mass=residue_mass_table().float().to(device),
        spectrum=spectrum,
        precursor=_precursor_loss(options),
        precision=partial(precision, options, device),
    )


def _precursor_loss(options: Options) -> losses.PrecursorLoss:
    if options.variant == "l1":
        return losses.precursor_loss("l1", options.number("scale_factor"))
    return losses.precursor_loss(options.variant)


def _spectrum_loss(options: Options) -> SpectrumLoss:
    if options.word("spectrum") == "huber":
        return losses.nearest_peak_huber
    sigma, bin_size = options.number("sigma"), options.number("bin_size")
    rendering.check(sigma, bin_size)
    return partial(rendering.gaussian_cosine, sigma=sigma, bin_size=bin_size)
