"""The same training without lossguard, as a person writes it: the twin for the proof that lossguard changes no bit.

Rules of this file: imports nothing that lossguard measures or controls with. The weights are Python floats, the sum is
written by hand in the order of the components.
"""

from torch.nn.utils import clip_grad_norm_

from ..catalogue import Options
from . import DENOVO
from .curricula import weights_at
from .setup import CLIP_NORM, build


def train_plain(options: Options) -> list[str]:
    """Train to the end; the total of every step as float.hex(). Raises UnknownChoice and ConfigError."""
    options = DENOVO.completed(options)
    setup, totals = build(options), []
    factor = options.number("weight_factor")
    for step, batch in enumerate(setup.batches):
        losses, _ = setup.losses(batch)
        w_ce, w_spectrum, w_precursor = weights_at(options.curriculum, step, options.stage_steps, factor)
        total = w_ce * losses["ce"] + w_spectrum * losses["spectrum"] + w_precursor * losses["precursor"]
        total.backward()
        clip_grad_norm_(setup.model.parameters(), CLIP_NORM)
        setup.optimizer.step()
        setup.optimizer.zero_grad()
        setup.scheduler.step()
        totals.append(float(total.item()).hex())
    return totals
