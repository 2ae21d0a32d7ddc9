"""The look before a training: how large each loss is at each stage, on real batches, and whether a stage would blow up.

    report = lg.preflight(losses, loader, model=model, curriculum=curriculum)     # losses(batch) -> {component: 0-d}
    lossguard preflight train.py -- --its --options                               # the same for a script

Source: the diagnose script of the first report, "With weight=0.01: contributes 7.007 to total loss".

Rules of this file: the public function, and no torch until it is called.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ..curriculum import Curriculum
    from .report import Report

T = TypeVar("T")
N_BATCHES = 4


def preflight(
    losses: "Callable[[T], Mapping[str, Tensor | float]]",
    batches: Iterable[T],
    *,
    model: "torch.nn.Module | None" = None,
    curriculum: "Curriculum | None" = None,
    weights: Mapping[str, float] | None = None,
    groups: Mapping[str, str | Sequence[str]] | None = None,
    n_batches: int = N_BATCHES,
) -> "Report":
    """What each stage would make of the losses of the first batches; needs no server, sends nothing, trains nothing.

    losses: a function of a batch that returns the raw loss of each component, one number each, with its graph. batches:
    a loader, or anything else to iterate over; of an iterator the first ones are gone. model: its trainable parameters
    are those by which gradients are taken (one backward pass a component and batch); without it there are none.
    curriculum or weights: as lg.init's curriculum or losses; each component has the weight 1 without either.
    groups: parameter groups, as of lg.init; `Component.groups` has their norms.

    Parameters, .grad, buffers, the modes of the modules and the random states of torch, NumPy and Python are as they
    were afterwards, bit for bit. The model is looked at in the mode that it is in. Raises ConfigError.
    """
    from .looks import look

    return look(losses, batches, model, curriculum, weights, groups, n_batches)
