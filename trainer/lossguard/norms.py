"""Norms of gradients and matrices, on the device, without waiting for it.

Rules of this file: tensors in, 0-d or 1-d tensors out; nothing here makes the host wait (no .item(), no branch on a
value). A NaN or an infinity comes out as what it is.
"""

import fnmatch
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

MATRIX_NORMS = ("fro", "spec", "trace", "defect")
SQUARINGS = 4  # the bound is then at most N^(1/32) too high: 1 % on measured 24 x 24 covariances


def grad_norms(grads: Sequence[Tensor], dtype: torch.dtype | None = None) -> Tensor:
    """The L2 norm of each gradient, shape [len(grads)], in `dtype` (None: each gradient's own).

    `torch._foreach_norm`: a few launches for all of them. A finite norm means that every element is finite.
    """
    norms = torch._foreach_norm(list(grads), 2.0, dtype=dtype)
    device = norms[0].device
    return torch.stack([norm.to(device) for norm in norms])


def total_norm(norms: Tensor) -> Tensor:
    """The norm over all parameters, bit-identical to what `torch.nn.utils.clip_grad_norm_` computes from them."""
    total: Tensor = torch.linalg.vector_norm(norms, 2.0)
    return total


def group_norms(norms: Tensor, group_of: Tensor, group_count: int) -> Tensor:
    """Norm per group, shape [group_count], by one index_add of squares; `group_of` [len(norms)] holds group indices."""
    # in float64, because the square of a norm of 1e19 overflows float32
    wide = norms if norms.device.type == "mps" else norms.double()
    squares = torch.zeros(group_count, dtype=wide.dtype, device=wide.device)
    return squares.index_add_(0, group_of, wide * wide).sqrt_()


def matrix_norms(matrix: Tensor) -> Tensor:
    """fro, spec (upper bound), trace, Hermitian defect of [N,N]; of [B,N,N] the largest over the batch. Shape [4].

    spec: repeated squaring of A^H A with normalisation, u = ||(A^H A)^(2^k)||_F^(1/2^k), k = 4; its root bounds the
    largest singular value from above. linalg.svdvals would synchronise. trace: the real part, of a batch the mean.
    defect: max |A - A^H|.
    """
    a = matrix.detach()
    a = a.unsqueeze(0) if a.dim() == 2 else a
    if a.dtype in (torch.float16, torch.bfloat16):
        a = a.float()
    fro = torch.linalg.vector_norm(a, dim=(-2, -1)).amax()
    trace = a.diagonal(dim1=-2, dim2=-1).real.sum(-1).mean() if a.is_complex() else _trace(a)
    defect = (a - a.mH).abs().amax()
    return torch.stack([fro, _spectral_bound(a).amax(), trace, defect])


def _trace(a: Tensor) -> Tensor:
    return a.diagonal(dim1=-2, dim2=-1).sum(-1).mean()


def _spectral_bound(a: Tensor) -> Tensor:
    # the scale is divided out first and after each squaring, else A^(2^k) over- or underflows at once
    scale = torch.linalg.vector_norm(a, dim=(-2, -1), keepdim=True)
    safe = torch.where(scale > 0, scale, torch.ones_like(scale))
    gram = (a / safe).mH @ (a / safe)
    log_bound = torch.zeros_like(scale)
    for squaring in range(SQUARINGS + 1):
        norm = torch.linalg.vector_norm(gram, dim=(-2, -1), keepdim=True)
        log_bound = log_bound + norm.log() / 2**squaring
        gram = gram / norm
        gram = gram @ gram
    regular = (scale > 0) & scale.isfinite()
    return torch.where(regular, (log_bound / 2).exp() * safe, scale).squeeze((-2, -1))


def assign_groups(
    names: Sequence[str], groups: Mapping[str, str | Sequence[str]] | None
) -> tuple[list[str], list[int]]:
    """(group names, group index of each parameter name).

    `groups` maps a group to a pattern or several: a module prefix ("encoder") or a glob ("encoder.*"); the first that
    matches wins, the rest is "other". Without `groups`, the first part of a parameter's name is its group.
    """
    if groups is None:
        found = [name.partition(".")[0] for name in names]
    else:
        patterns = {group: [each] if isinstance(each, str) else list(each) for group, each in groups.items()}
        found = [_group_of(name, patterns) for name in names]
    order = list(dict.fromkeys([*(groups or {}), *found]))
    order = [group for group in order if group in found]
    return order, [order.index(group) for group in found]


def _group_of(name: str, patterns: Mapping[str, Sequence[str]]) -> str:
    for group, each in patterns.items():
        if any(name == p or name.startswith(f"{p}.") or fnmatch.fnmatchcase(name, p) for p in each):
            return group
    return "other"
