"""Norms of gradients and matrices, on the device, without waiting for it.

Rules of this file: tensors in, 0-d or 1-d tensors out; nothing here makes the host wait (no .item(), no branch on a
value). A NaN or an infinity comes out as what it is.
"""

import fnmatch
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import torch
from torch import Tensor

MATRIX_NORMS = ("fro", "spec", "trace", "defect", "diag_min")
WORST = "worst"
BATCH_NORMS = (*MATRIX_NORMS, WORST, "trace_min")
# how the norms of two batches become those of both; for those not named here by their mean
FOLDS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = MappingProxyType(
    {
        "fro": torch.maximum,
        "spec": torch.maximum,
        "defect": torch.maximum,
        "diag_min": torch.minimum,
        "trace_min": torch.minimum,
    }
)
MARKS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")  # of torch.compile, FSDP, checkpointing
MODULE = "module."  # of DistributedDataParallel and DataParallel


def grad_norms(grads: Sequence[Tensor], dtype: torch.dtype | None = None) -> Tensor:
    """The L2 norm of each gradient, shape [len(grads)], in `dtype` (None: each gradient's own).

    `torch._foreach_norm`: a few launches for all of them. A finite norm means that every element is finite.
    """
    norms = torch._foreach_norm(list(grads), 2.0, dtype=dtype)
    device = home_of(norms)
    return torch.stack([norm if norm.device == device else norm.to(device, non_blocking=True) for norm in norms])


def home_of(tensors: Sequence[Tensor]) -> torch.device:
    """Where to bring tensors together without a wait: the first device that is not the CPU.

    A copy to the CPU that does not wait has not landed yet when the next operation there reads it.
    """
    return next((tensor.device for tensor in tensors if tensor.device.type != "cpu"), tensors[0].device)


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


def names_for(matrix: Tensor) -> tuple[str, ...]:
    """What `matrix_norms` of it holds."""
    return MATRIX_NORMS if matrix.dim() == 2 else BATCH_NORMS


def matrix_norms(matrix: Tensor) -> Tensor:
    """Of [N,N] the MATRIX_NORMS, shape [5]; of [B,N,N] the BATCH_NORMS, shape [7]. float32, or float64 of doubles.

    fro, spec (an upper bound), trace (its real part), defect, max |A - A^H|, and diag_min, the least real part on the
    diagonal. Of a batch the largest of each, but the mean trace and the least diag_min; `worst` is the index of the
    item with the largest fro (a NaN is the largest), `trace_min` the least trace. Raises ValueError for another shape.
    """
    a = matrix.detach()
    if a.dim() not in (2, 3) or a.shape[-1] != a.shape[-2] or not a.numel():
        raise ValueError(f"a matrix is [N,N] or [B,N,N], and not empty; this one is {list(a.shape)}")
    a = _computable(a)
    if torch.is_autocast_enabled(a.device.type):
        with torch.autocast(a.device.type, enabled=False):  # it would square in bfloat16
            norms = _norms_of_items(a)
    else:
        norms = _norms_of_items(a)
    return norms.squeeze(-1) if a.dim() == 2 else _over_batch(norms)


def _computable(a: Tensor) -> Tensor:
    if a.is_complex():
        return a.to(torch.complex64) if a.dtype == torch.complex32 else a
    return a if a.dtype in (torch.float32, torch.float64) else a.float()


def _over_batch(norms: Tensor) -> Tensor:
    """[5, B] to [7]."""
    fro, _, trace, _, diag_min = norms.unbind()
    largest = norms.amax(-1)
    largest[2], largest[4] = trace.mean(), diag_min.amin()
    return torch.cat([largest, torch.stack([fro.argmax().to(norms.dtype), trace.amin()])])


def _norms_of_items(a: Tensor) -> Tensor:
    """Shape [5, B], B = 1 of a single matrix."""
    # a complex number is taken as two real ones, because complex reductions are 80 times as slow on a CPU
    real = torch.view_as_real(a.resolve_conj()) if a.is_complex() else a
    dims = (-3, -2, -1) if a.is_complex() else (-2, -1)
    largest = real.abs().amax(dims, keepdim=True)
    # divided by its largest element, nothing below can overflow, however large or small the matrix is
    info = torch.finfo(real.dtype)
    scale = largest.clamp(info.smallest_normal, info.max)
    real = real / scale
    b = torch.view_as_complex(real) if a.is_complex() else real
    fro = torch.linalg.vector_norm(real, dim=dims, keepdim=True)
    norms = torch.stack([fro, _spectral_bound(b), _defect(b).reshape(fro.shape)]) * scale
    # what is not finite would come out of the products as NaN, also where it is an infinity
    norms = torch.where(largest < torch.inf, norms, largest).flatten(1)
    diagonal = a.diagonal(dim1=-2, dim2=-1)
    diagonal = (diagonal.real if a.is_complex() else diagonal).reshape(norms.shape[-1], -1)
    trace, least = diagonal.sum(-1), diagonal.amin(-1)
    return torch.cat([norms[:2], trace[None], norms[2:], least[None]])


def _defect(b: Tensor) -> Tensor:
    if not b.is_complex():
        return (b - b.mT).amax((-2, -1))  # it is antisymmetric: its largest element is its largest absolute one
    across, along = b.real - b.real.mT, b.imag + b.imag.mT
    squares: Tensor = torch.addcmul(across * across, along, along)
    return squares.amax((-2, -1)).sqrt()


def _spectral_bound(b: Tensor) -> Tensor:
    """Of b [..,N,N], whose largest element is 1: (sum of s^32)^(1/32) over its singular values s; linalg's would wait.

    It is the norm of C^(2^k), k = 4, for a Hermitian C, here by three squarings of G = B^H B: ||G^8||_F ^ (1/16).
    Range: 1 <= s_max <= N, so ||G^2||_F <= N^4, whose square stays in float32 up to N = 59,000. G^2 is then divided by
    its norm; its largest eigenvalue is then >= N^(-1/2), and that of its fourth power >= N^-2: one division is enough.
    """
    gram = b.mH @ b
    gram = gram @ gram
    first = _frobenius(gram).clamp(min=1e-8)  # it is >= 1, save for a matrix of zeros or of subnormal numbers
    gram = gram / (first.squeeze(-1) if b.is_complex() else first)
    gram = gram @ gram
    last = _frobenius(gram @ gram)
    return first**0.25 * last ** (1 / 16)


def _frobenius(gram: Tensor) -> Tensor:
    real, dims = (torch.view_as_real(gram), (-3, -2, -1)) if gram.is_complex() else (gram, (-2, -1))
    norm: Tensor = torch.linalg.vector_norm(real, dim=dims, keepdim=True)
    return norm


def masked_count(mask: Tensor) -> Tensor:
    """How many are masked: the sum of a bool, integer or float mask. 0-d, float64 (float32 on MPS)."""
    wide = torch.float32 if mask.device.type == "mps" else torch.float64
    if mask.is_floating_point():
        return mask.detach().sum(dtype=wide)  # float32 no longer counts beyond 16,777,216
    return mask.sum().to(wide)  # in int64: half the time of a sum in float64


def assign_groups(
    names: Sequence[str], groups: Mapping[str, str | Sequence[str]] | None
) -> tuple[list[str], list[int]]:
    """(group names, group index of each parameter name).

    `groups` maps a group to a pattern or several: a module prefix ("encoder") or a glob ("encoder.*"); the first that
    matches wins, the rest is "other". Without `groups`, the first part of a parameter's name is its group. Names and
    patterns may be those of the model or of its wrapper.
    """
    names = clean_names(names)
    if groups is None:
        found = [name.partition(".")[0] for name in names]
    else:
        patterns = {group: [each] if isinstance(each, str) else list(each) for group, each in groups.items()}
        # a part called "module" that is still there is the model's own
        clean = _without_marks if any(name.startswith(MODULE) for name in names) else clean_name
        patterns = {group: [clean(p) or p for p in each] for group, each in patterns.items()}
        found = [_group_of(name, patterns) for name in names]
    order = list(dict.fromkeys([*(groups or {}), *found]))
    order = [group for group in order if group in found]
    return order, [order.index(group) for group in found]


def clean_name(name: str) -> str:
    """A parameter's name in a wrapped model as the user knows it.

    A leading "module" is taken for that of DistributedDataParallel; `clean_names` sees whether it can be.
    """
    return _without_marks(name).removeprefix(MODULE)


def clean_names(names: Sequence[str]) -> list[str]:
    """The same for all parameters of a model; beside another part, a "module" is no wrapper's."""
    found = [_without_marks(name) for name in names]
    return [name.removeprefix(MODULE) for name in found] if all(name.startswith(MODULE) for name in found) else found


def _without_marks(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in MARKS)


def _group_of(name: str, patterns: Mapping[str, Sequence[str]]) -> str:
    for group, each in patterns.items():
        if any(name == p or name.startswith(f"{p}.") or fnmatch.fnmatchcase(name, p) for p in each):
            return group
    return "other"
