"""The same training without lossguard, as a person writes it: the twin for the proof that lossguard changes no bit.

Rules of this file: imports nothing that lossguard measures or controls with.
"""

from torch.nn.utils import clip_grad_norm_

from ..catalogue import Options
from .setup import CLIP_NORM, WEIGHTS, build


def train_plain(options: Options) -> list[str]:
    """Train to the end; the total of every step as float.hex(). Raises UnknownChoice and ConfigError."""
    setup, totals = build(options), []
    for batch in setup.batches:
        losses, _ = setup.losses(batch)
        total = WEIGHTS["covariance"] * losses["covariance"] + losses["angle"] + losses["range"]
        setup.scaler.scale(total).backward()
        setup.scaler.unscale_(setup.optimizer)
        clip_grad_norm_(setup.model.parameters(), CLIP_NORM)
        setup.scaler.step(setup.optimizer)
        setup.scaler.update()
        setup.optimizer.zero_grad()
        setup.scheduler.step()
        totals.append(float(total.item()).hex())
    return totals
