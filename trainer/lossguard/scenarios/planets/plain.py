"""The same training without lossguard, as a person writes it: the twin for the proof that lossguard changes no bit.

Rules of this file: imports nothing that lossguard measures or controls with.
"""

from torch.nn.utils import clip_grad_norm_

from ..catalogue import Options
from .setup import CLIP_NORM, build


def train_plain(options: Options) -> list[str]:
    """Train to the end; the loss of every step as float.hex(). Raises UnknownChoice and ConfigError."""
    setup, totals = build(options), []
    for batch in setup.batches:
        loss = setup.loss(batch)
        loss.backward()
        clip_grad_norm_(setup.model.parameters(), CLIP_NORM)
        setup.optimizer.step()
        setup.optimizer.zero_grad()
        setup.scheduler.step()
        totals.append(float(loss.item()).hex())
    return totals
