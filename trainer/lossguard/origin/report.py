"""From a traced step and its tensors: which component broke, and where the value was born.

Rules of this file: it says what was seen and no more. Where everything broke by one birth, no component is named,
because none of them is at fault.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .birth import Birth
from .content import content_of_all
from .trace import INPUT, OriginTrace


@dataclass(frozen=True)
class Origin:
    """A finding. became: "nan" or "inf", the value in the loss or gradient. parameter: the one whose gradient it is."""

    component: str | None
    birth: Birth | None
    became: str = "nan"
    parameter: str | None = None

    @property
    def text(self) -> str:
        """One plain sentence, without a full stop."""
        what, birth = self._subject, self.birth
        if birth is None:
            return f"{what} became {self.became}; no operation was seen to make it"
        if birth.op == INPUT:
            return f"{what} became {self.became} because {_holder(birth)} held {birth.value} before the step"
        of = f"backward of {birth.backward_of}" if birth.backward_of else birth.phase
        at = ", ".join(part for part in (of, birth.module, birth.where) if part)
        if birth.value != self.became:
            return f"{what} became {self.became}; it began as {birth.value} in {birth.op} ({at})"
        return f"{what} became {self.became} in {birth.op} ({at})"

    @property
    def _subject(self) -> str:
        if self.parameter is None:
            return f"loss {self.component!r}" if self.component is not None else "every loss"
        return f"the gradient of {self.component!r}" if self.component else f"the gradient of {self.parameter}"

    def to_data(self) -> dict[str, str | None]:
        """The fields of the `origin` event that are known here; empty is null."""
        birth = self.birth
        return {
            "component": self.component,
            "module": birth.module or None if birth else None,
            "op": birth.op if birth else None,
            "phase": birth.phase if birth else None,
            "where": birth.where or None if birth else None,
            "value": birth.value if birth else self.became,
        }


def _holder(birth: Birth) -> str:
    if birth.where.startswith(("parameter ", "buffer ", "gradient of ")):
        return f"the {birth.where}"
    return f"an input (first used at {birth.where})" if birth.where else "an input"


def find_origin(
    trace: OriginTrace, losses: Mapping[str, Tensor], grads: Mapping[str, Tensor], by_gradient: str | None = None
) -> Origin | None:
    """The finding for a traced step; None where all is finite.

    losses: by component, as given to run.total. grads: by parameter name. by_gradient: what `component_gradients_bad`
    said, used where the losses are finite. Of several the one whose birth was first; call it before memory is re-used.
    """
    bad = {name: loss for name, loss in losses.items() if not content_of_all(loss.detach()).is_finite}
    if bad:
        births = {name: trace.birth_of(loss) for name, loss in bad.items()}
        first = min(bad, key=lambda name: trace.rank_of(births[name]))
        is_shared = len(bad) > 1 and len(bad) == len(losses) and len(set(births.values())) == 1
        became = content_of_all(bad[first].detach()).word
        return Origin(None if is_shared else first, births[first], became)
    broken = {name: grad for name, grad in grads.items() if not content_of_all(grad.detach()).is_finite}
    if not broken:
        return None
    born = {name: trace.birth_of(grad) for name, grad in broken.items()}
    first = min(broken, key=lambda name: trace.rank_of(born[name]))
    return Origin(by_gradient, born[first], content_of_all(broken[first].detach()).word, first)


def component_gradients_bad(losses: Mapping[str, Tensor], params: Sequence[Tensor]) -> str | None:
    """The first component whose own gradient at `params` is not finite, whatever its weight: 0 * NaN is NaN.

    None where all are finite, where every one of several is broken (then what they share is), and where the graph does
    not allow it (reentrant checkpointing). Costs a backward for each component; the graph is kept for the user's own.
    """
    wanted = [p for p in params if p.requires_grad]
    asked = {name: loss for name, loss in losses.items() if loss.requires_grad}
    if not wanted or not asked:
        return None
    try:
        bad = [name for name, loss in asked.items() if not _gradient_is_finite(loss, wanted)]
    except RuntimeError:
        return None
    return None if not bad or (len(bad) == len(asked) > 1) else bad[0]


def _gradient_is_finite(loss: Tensor, params: Sequence[Tensor]) -> bool:
    grads = torch.autograd.grad(loss.sum(), params, retain_graph=True, allow_unused=True)
    return all(grad is None or content_of_all(grad).is_finite for grad in grads)
