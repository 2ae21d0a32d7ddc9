"""How strongly, and in which direction, each loss component pulls at an activation that all of them depend on.

Rules of this file:
- The gradients are those of the raw losses at that activation, which stand for what reaches the parameters below it, at
  a few per cent of the cost of a backward for each component. No parameter's gradient is touched.
- The graph is kept, so that the user's own backward finds it as it was, bit for bit; also after a failure here.
- No wait. A gradient that is not finite comes out as what it is, in the series of its own component only.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

import torch
from torch import Tensor

from .protocol import names

log = logging.getLogger("lossguard")

EVERY_STEPS = 10

Weight = Tensor | float


class ComponentGradients:
    """Shares and cosines of the components' gradients at one shared activation.

    `always`: measure at each step instead of each `every`-th. `off_reason` says why nothing is measured, or is None.
    """

    def __init__(
        self, components: Sequence[str], always: Callable[[], bool] = lambda: False, every: int = EVERY_STEPS
    ) -> None:
        self.off_reason: str | None = None
        self._components, self._always, self._every = list(components), always, every
        self._shared: Tensor | None = None
        self._measured_step = -1
        self._failed = False

    def share(self, activation: Tensor) -> Tensor:
        """Mark the activation that the next losses depend on, of any shape; the last one marked counts. Returns it."""
        if not self._failed and activation.requires_grad:
            self._shared = activation
        return activation

    def clear(self) -> None:
        """The step is over: an activation that no losses followed must not stay in memory."""
        self._shared = None

    def measure(
        self, step: int, losses: Mapping[str, Tensor], weights: Mapping[str, Weight], scale: Tensor | None = None
    ) -> tuple[list[str], Tensor] | None:
        """(names, values [len(names)]) of the raw `losses` (0-d, with their graph), or None when it is not their turn.

        grad_share/<c>: |w| ||g|| over the sum of those that are finite; grad_cos/<a>|<b>: of w_a g_a and w_b g_b, so
        that the sign of a weight counts and its size does not. A component of weight 0, or that does not depend on the
        activation, has the share 0; where a gradient is 0 there is no angle, and the cosine is 0. `scale`: that of a
        GradScaler, so that gradients in half precision do not underflow.
        """
        shared, self._shared = self._shared, None  # a graph that nobody else holds must not outlive its step
        if shared is None or not self._is_turn(step):
            return None
        self._measured_step = step
        present = [name for name in self._components if name in losses]
        try:
            rows = _gradients([losses[name] for name in present], shared, scale)
        except RuntimeError as error:
            # what a compiled or checkpointed graph refuses once it refuses each time
            self._failed, self.off_reason = True, f"{type(error).__name__}: {error}"
            log.warning("lossguard compares the components' gradients no more: %s", self.off_reason)
            return None
        if rows is None:
            self.off_reason = "no component depends on the shared activation; were both made in one compiled graph?"
            return None
        self.off_reason = None
        with torch.no_grad(), torch.autocast(shared.device.type, enabled=False):
            return _names_of(present), _compare(rows, [weights[name] for name in present])

    def _is_turn(self, step: int) -> bool:
        if not torch.is_grad_enabled() or step == self._measured_step:  # of accumulated micro-batches the first counts
            return False
        # The first step in any case: inductor compiles a backward at its first use, and one that was compiled for a
        # backward without retain_graph has given its buffers away and refuses it for ever.
        return self._measured_step < 0 or step % self._every == 0 or self._always()


def _gradients(losses: Sequence[Tensor], shared: Tensor, scale: Tensor | None) -> Tensor | None:
    """Shape [K, elements], at least float32; zeros for a loss that does not depend on `shared`, None if none does."""
    wide = torch.float64 if shared.dtype in (torch.float64, torch.complex128) else torch.float32
    size = shared.numel() * (2 if shared.is_complex() else 1)
    rows: Tensor | None = None
    for i, loss in enumerate(losses):
        if (grad := _gradient(loss, shared, scale)) is None:
            continue
        real = torch.view_as_real(grad.resolve_conj()) if grad.is_complex() else grad
        if rows is None:
            rows = torch.zeros(len(losses), size, dtype=wide, device=shared.device)
        rows[i].view(real.shape).copy_(real)  # one gradient at a time is held twice
    return rows


def _gradient(loss: Tensor, shared: Tensor, scale: Tensor | None) -> Tensor | None:
    if not loss.requires_grad:
        return None
    seed = None if scale is None else scale.to(loss, non_blocking=True).reshape(loss.shape)
    with torch.autocast(shared.device.type, enabled=False):  # as torch asks of every backward
        return torch.autograd.grad(loss, shared, seed, retain_graph=True, allow_unused=True)[0]


def _names_of(components: Sequence[str]) -> list[str]:
    pairs = [names.grad_cos(a, b) for a, b in combinations(components, 2)]
    return [*map(names.grad_share, components), *pairs]


def _compare(rows: Tensor, weights: Sequence[Weight]) -> Tensor:
    """[K] shares, then [K(K-1)/2] cosines, by one Gram matrix of the gradients divided by their largest elements."""
    largest = torch.maximum(rows.amax(1), -rows.amin(1))  # aminmax(dim=1) is 50 times as slow on a CPU
    # the sign of a weight goes into its gradient, its size into the share only
    signed = torch.stack([size * (1 - 2 * (weight < 0)) for size, weight in zip(largest, weights, strict=True)])
    rows /= torch.where(largest > 0, signed, 1.0)[:, None]
    gram = rows @ rows.T
    lengths = gram.diagonal().sqrt()
    safe = torch.where(lengths > 0, lengths, 1.0)
    cosines = (gram / safe / safe[:, None]).clamp(-1.0, 1.0)
    wide = lengths if lengths.device.type == "mps" else lengths.double()  # the sum of two of 3e38 is no infinity
    pulls = torch.stack([pull * abs(weight) for pull, weight in zip(wide * largest, weights, strict=True)])
    total = torch.where(pulls.isfinite(), pulls, 0.0).sum()
    shares = pulls / torch.where(total > 0, total, 1.0)
    i, j = torch.triu_indices(len(rows), len(rows), 1, device=rows.device)
    return torch.cat([shares, cosines[i, j]])
