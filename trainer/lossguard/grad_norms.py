"""The norm of every parameter's gradient, once a step, whoever asks first: the clip, the guard or an optimizer's hook.

Rules of this file: norms only, on the device, no wait. What is recorded is the gradient before clipping where
lossguard clips. Where a gradient was written again after its norm was taken, or an optimizer has stepped since, `of`
takes it afresh, so that a verdict never rests on an older gradient: the next one may lie at the same address, with the
same version. A finite L2 norm means that every element is finite: a sum of squares cannot cancel.
Of gradients that are cut among ranks the norms are those of the whole, the same on every rank.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.optim import Optimizer

from . import norms
from .protocol import names
from .sharding import Shards, is_sharded, local_part

OUTSIDE = "outside"  # the group of parameters that an optimizer steps and the model does not hold

SETS_MAX = 64

Present = tuple[int, ...]  # indices of the parameters that have a gradient


@dataclass(frozen=True)
class Taken:
    """Norms [n] of the gradients of `present`, and what those gradients were then."""

    present: Present
    each: Tensor
    total: Tensor
    versions: tuple[int, ...]


class GradNorms:
    """The gradient norms of one step after the other."""

    def __init__(
        self,
        model: torch.nn.Module | None,
        optimizers: Sequence[Optimizer],
        groups: Mapping[str, str | Sequence[str]] | None,
    ) -> None:
        named = list(model.named_parameters()) if model is not None else []
        self.parameters = norms.clean_names([name for name, _ in named])
        self._params: list[Tensor] = [p for _, p in named]
        self._model_count = len(named)  # what clipping "the model" means
        self._at = {id(p): i for i, p in enumerate(self._params)}
        self._ids: dict[int, list[int]] = {}  # by optimizer: its parameters, to see that they are others now
        self._owned: dict[int, list[int]] = {}
        self._free: list[int] = []
        self._is_sharded = any(map(is_sharded, self._params))  # else no gradient is looked at for it
        for optimizer in optimizers:
            self._adopt(optimizer)
        if named:
            self.groups, self._group_of = norms.assign_groups(self.parameters, groups)
        else:
            self.groups, self._group_of = [], []
        self._group_index: dict[Present, Tensor] = {}
        self._shards: dict[Present, Shards] = {}
        self._taken: dict[Present, Taken] = {}  # of the step, to be recorded: what was taken first
        self._current: dict[Present, Taken] = {}  # for verdicts: what was taken last, since an optimizer stepped
        self._clipping: Present | None = None  # what was taken for the clip that is being made

    def __bool__(self) -> bool:
        return bool(self._taken)

    def named(self) -> dict[str, Tensor]:
        """Every parameter that is measured, by name."""
        return dict(zip(self.parameters, self._params, strict=True))

    def devices(self) -> set[torch.device]:
        """Where the parameters are."""
        return {p.device for p in self._params}

    def _adopt(self, optimizer: Optimizer) -> None:
        """Learn what `optimizer` steps; parameters that are not the model's (a learned loss weight) join."""
        params = parameters_of(optimizer)
        for p in params:
            if id(p) not in self._at:
                self._at[id(p)] = len(self._params)
                self.parameters.append(f"{OUTSIDE if self._model_count else 'parameter'}.{len(self._params)}")
                self._params.append(p)
                self._is_sharded = self._is_sharded or is_sharded(p)
        self._ids[id(optimizer)] = [id(p) for p in params]
        self._owned[id(optimizer)] = sorted(self._at[id(p)] for p in params)
        # parameters that no optimizer steps are measured with each, because one backward fills them all
        self._free = sorted(set(range(self._model_count)).difference(*self._owned.values()))

    def _indices(self, optimizer: Optimizer) -> tuple[list[int], list[int]]:
        """(what it steps, that and what nobody steps)."""
        if self._ids.get(id(optimizer)) != [id(p) for group in optimizer.param_groups for p in group["params"]]:
            self._adopt(optimizer)  # add_param_group, or a part of the model was replaced
            if self.groups:  # in none of the declared groups, which stay as they were declared
                self._group_of += [len(self.groups)] * (len(self._params) - len(self._group_of))
        own = self._owned[id(optimizer)]
        return own, sorted({*self._free, *own}) if self._free else own

    def of(self, optimizer: Optimizer, scale: Tensor | None = None) -> Taken | None:
        """The norms of what `optimizer` is about to read, current; None where there is no gradient.

        Parameters that no optimizer steps are recorded too, and are not among them: nothing clears their gradient.
        `scale`: the gradients are still multiplied by it (a GradScaler with a fused optimizer).
        """
        own, with_free = self._indices(optimizer)
        present = self._present(with_free)
        if not present:
            return None
        taken = self._current.get(present)
        if taken is None or taken.versions != self._versions(present):
            taken = self._current[present] = self._take(present, scale)
            self._remember(taken)
        return taken if own is with_free else self._part(taken, own)

    def to_clip_by(self, whole_model: bool) -> Tensor | None:
        """Take the norms before clipping; returns the total with torch's own bits, or None when torch must take it.

        torch takes norms in the gradients' dtype, device by device, and of the parameters it was given: shared only
        where that is ours. Never of gradients that are cut among ranks: torch scales them by a tensor of their kind.
        """
        present = self._present(range(self._model_count or len(self._params)))
        self._clipping = None
        if not present:
            return None
        grads = [grad for i in present if (grad := self._params[i].grad) is not None]
        kinds = {(grad.device, grad.dtype, grad.layout) for grad in grads}
        shared = whole_model and not self._is_sharded and kinds == {(grads[0].device, torch.float32, torch.strided)}
        if present in self._taken and not shared:
            return None
        taken = self._current[present] = self._take(present)
        self._remember(taken)
        self._clipping = present
        return taken.total if shared else None

    def clipped(self) -> None:
        """lossguard itself has just scaled the gradients by a finite factor, or spread what was not finite."""
        present, self._clipping = self._clipping, None
        taken = None if present is None else self._current.get(present)
        self._current.clear()
        if present is not None and taken is not None:
            self._current[present] = replace(taken, versions=self._versions(present))

    def stepped(self) -> None:
        """An optimizer has stepped: whatever it steps on next is another gradient."""
        self._current.clear()

    def series(self) -> list[tuple[list[str], Tensor]]:
        """(names, values [len(names)]) of the step's total and groups."""
        found = list(self._taken.values())
        if not found:
            return []
        if len(found) == 1:
            present, each, total = found[0].present, found[0].each, found[0].total
        else:
            present, each = self._joined(found)
            total = norms.total_norm(each)
        series = [([names.GRAD_NORM_TOTAL], total.reshape(1))]
        if self._group_of:
            index = self._index_for(present, each.device)
            by_group = norms.group_norms(each, index, len(self.groups) + 1)[:-1]
            series.append(([names.grad_norm(group) for group in self.groups], by_group))
        return series

    def by_parameter(self) -> tuple[Present, Tensor] | None:
        """(indices into `parameters`, norms) of the step, or None when none were taken."""
        return self._joined(list(self._taken.values())) if self._taken else None

    def clear(self) -> None:
        """The step is over."""
        self._taken.clear()
        self._current.clear()

    # -- inside -------------------------------------------------------------------------------------------------

    def _present(self, indices: Iterable[int]) -> Present:
        return tuple(i for i in indices if self._params[i].grad is not None)

    def _versions(self, present: Present) -> tuple[int, ...]:
        return tuple([v for i in present if (g := self._params[i].grad) is not None for v in (id(g), g._version)])

    def _take(self, present: Present, scale: Tensor | None = None) -> Taken:
        with torch.no_grad():
            grads = [self._grad(i) for i in present]
            # at least float32, because a norm in float16 overflows at 65,504
            wide = torch.float64 if any(g.dtype == torch.float64 for g in grads) else torch.float32
            each = norms.grad_norms(grads, wide)
            if self._is_sharded:
                each = self._shards_of(present, each.device).whole(each)
            if scale is not None:
                each = each / scale.to(each.device, non_blocking=True)
            return Taken(present, each, norms.total_norm(each), self._versions(present))

    def _remember(self, taken: Taken) -> None:
        """Record what was not recorded in this step yet."""
        covered = {i for present in self._taken for i in present}
        fresh = [k for k, i in enumerate(taken.present) if i not in covered]
        if len(fresh) == len(taken.present):
            self._taken[taken.present] = taken
        elif fresh:
            each = torch.stack([taken.each[k] for k in fresh])
            present = tuple(taken.present[k] for k in fresh)
            self._taken[present] = Taken(present, each, norms.total_norm(each), self._versions(present))

    def _part(self, taken: Taken, own: Sequence[int]) -> Taken | None:
        """Of what was taken, that of `own`."""
        wanted = set(own)
        places = [k for k, i in enumerate(taken.present) if i in wanted]
        if not places:
            return None
        each = torch.stack([taken.each[k] for k in places])
        return Taken(tuple(taken.present[k] for k in places), each, norms.total_norm(each), ())

    def _joined(self, found: list[Taken]) -> tuple[Present, Tensor]:
        if len(found) == 1:
            return found[0].present, found[0].each
        device = norms.home_of([taken.each for taken in found])
        each = torch.cat([taken.each.to(device, non_blocking=True) for taken in found])
        return tuple(i for taken in found for i in taken.present), each

    def _grad(self, index: int) -> Tensor:
        grad = self._params[index].grad
        assert grad is not None
        grad = grad.detach() if grad.requires_grad else grad  # hundreds of detach() a step would be seen
        grad = local_part(grad) if self._is_sharded and is_sharded(grad) else grad
        grad = grad.coalesce().values() if grad.is_sparse else grad
        return torch.view_as_real(grad.resolve_conj()) if grad.is_complex() else grad

    def _shards_of(self, present: Present, device: torch.device) -> Shards:
        if present not in self._shards:
            if len(self._shards) >= SETS_MAX:
                self._shards.clear()
            # by the parameters, whose gradients are cut as they are
            self._shards[present] = Shards.of([self._params[i] for i in present], device)
        return self._shards[present]

    def _index_for(self, present: Present, device: torch.device) -> Tensor:
        if present not in self._group_index:
            if len(self._group_index) >= SETS_MAX:  # which experts of a mixture have gradients is another set each step
                self._group_index.clear()
            # pinned and non-blocking: made on the device directly, it would wait for the device
            groups = [self._group_of[i] for i in present]
            host = torch.tensor(groups, device="cpu", pin_memory=device.type == "cuda")
            self._group_index[present] = host.to(device, non_blocking=True)
        return self._group_index[present]


def parameters_of(optimizer: Optimizer) -> list[Tensor]:
    """Every parameter that `optimizer` steps, group by group."""
    return [p for group in getattr(optimizer, "param_groups", ()) for p in group["params"]]
