"""The same training without lossguard, as a person writes it: the twin for the proof that lossguard changes no bit.

Rules of this file: imports nothing that lossguard measures or controls with, so nothing keeps a NaN out of the weights.
"""

from torch.nn.utils import clip_grad_norm_

from ..catalogue import Options
from .curricula import stage_at
from .setup import CLIP_NORM, build


def train_plain(options: Options) -> list[str]:
    """Train to the end; the total of every step as float.hex(). Raises UnknownChoice and ConfigError."""
    setup, totals = build(options), []
    for step, (batch, planned) in enumerate(setup.batches):
        seen = setup.shown(batch, planned, stage_at(options.curriculum, step, options.stage_steps))
        losses = setup.losses(batch, seen)
        total = losses["numeric"] + losses["mode"]
        total.backward()
        clip_grad_norm_(setup.model.parameters(), CLIP_NORM)
        setup.optimizer.step()
        setup.optimizer.zero_grad()
        setup.scheduler.step()
        totals.append(float(total.item()).hex())
    return totals
