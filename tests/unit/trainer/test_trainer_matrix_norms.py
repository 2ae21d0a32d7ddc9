"""Matrix norms against torch.linalg."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from lossguard.norms import BATCH_NORMS, MATRIX_NORMS, masked_count, matrix_norms

DTYPES = [torch.float32, torch.float64, torch.complex64, torch.complex128]


def random_matrix(shape: tuple[int, ...], dtype: torch.dtype, seed: int) -> Tensor:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def hermitian(matrix: Tensor) -> Tensor:
    return matrix @ matrix.mH / matrix.shape[-1]


def tolerance(dtype: torch.dtype) -> float:
    return 1e-5 if dtype in (torch.float32, torch.complex64) else 1e-12


def shift(matrix: Tensor) -> Tensor:
    """Ones above the diagonal: its eigenvalues are all 0, its largest singular value is 1."""
    return torch.diag(torch.ones(len(matrix) - 1, dtype=matrix.dtype), 1) if len(matrix) > 1 else matrix


MAKES: list[Callable[[Tensor], Tensor]] = [
    hermitian,
    lambda a: a,
    lambda a: a.triu(),
    lambda a: a[..., :1] @ a[..., :1].mH,  # of rank 1: the bound is exact
    lambda a: torch.eye(len(a), dtype=a.dtype),  # all singular values alike: the bound is at its worst, N^(1/32)
    lambda a: torch.diag(torch.logspace(0, -30, len(a), dtype=torch.float64)).to(a.dtype),
    shift,
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, 2, 24, 65])
@pytest.mark.parametrize("make", MAKES)
def test_norms_of_one_matrix(make: Callable[[Tensor], Tensor], size: int, dtype: torch.dtype) -> None:
    for seed in range(3):
        a = make(random_matrix((size, size), dtype, seed))
        fro, spec, trace, defect, diag_min = matrix_norms(a).tolist()
        assert fro == pytest.approx(torch.linalg.matrix_norm(a).item(), rel=tolerance(dtype))
        assert trace == pytest.approx(torch.trace(a).real.item() if a.is_complex() else torch.trace(a).item(), abs=1e-3)
        diagonal = a.diagonal().real if a.is_complex() else a.diagonal()
        assert diag_min == diagonal.min().item()
        assert defect == pytest.approx((a - a.mH).abs().max().item(), rel=tolerance(dtype))
        largest = torch.linalg.svdvals(a.to(torch.complex128))[0].item()
        assert 1 - tolerance(dtype) <= spec / largest <= size ** (1 / 32) + tolerance(dtype)


@pytest.mark.parametrize("size", [300, 700])
def test_the_bound_of_a_large_matrix_stays_in_the_range_of_float32(size: int) -> None:
    for a in (torch.ones(size, size), torch.eye(size), random_matrix((size, size), torch.float32, 0)):
        largest = torch.linalg.svdvals(a)[0].item()
        assert 1 - 1e-5 <= matrix_norms(a)[1].item() / largest <= size ** (1 / 32) + 1e-5


@pytest.mark.parametrize("dtype", DTYPES)
def test_of_a_batch_the_largest_the_mean_trace_and_the_worst(dtype: torch.dtype) -> None:
    batch = hermitian(random_matrix((5, 16, 16), dtype, 1)) * torch.tensor([1.0, 3.0, 0.5, 0.0, 2.0]).reshape(5, 1, 1)
    each = torch.stack([matrix_norms(a) for a in batch])
    together = dict(zip(BATCH_NORMS, matrix_norms(batch).tolist(), strict=True))
    largest = dict(zip(MATRIX_NORMS, each.amax(0).tolist(), strict=True))
    for norm in ("fro", "spec", "defect"):
        assert together[norm] == pytest.approx(largest[norm], rel=1e-5)
    assert together["trace"] == pytest.approx(each[:, 2].mean().item(), rel=1e-5)
    assert (together["worst"], together["trace_min"]) == (1.0, 0.0)
    assert together["diag_min"] == each[:, 4].min().item() == 0.0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1e-36, 1e-30, 1e-12, 1e12, 1e15, 1e30, 1e36])
def test_neither_a_tiny_nor_a_huge_matrix_leaves_the_range(scale: float, dtype: torch.dtype) -> None:
    a = random_matrix((24, 24), dtype, 0)
    assert matrix_norms(a * scale).tolist() == pytest.approx((matrix_norms(a) * scale).tolist(), rel=1e-4)


@pytest.mark.parametrize("dtype", DTYPES)
def test_items_of_a_batch_do_not_share_a_scale(dtype: torch.dtype) -> None:
    batch = random_matrix((2, 8, 8), dtype, 0) * torch.tensor([1e-30, 1e30]).reshape(2, 1, 1)
    assert matrix_norms(batch)[:2].tolist() == pytest.approx(matrix_norms(batch[1])[:2].tolist(), rel=1e-6)
    assert matrix_norms(batch.flip(0))[5].item() == 0.0


@pytest.mark.parametrize("value", [1e-45, 1e-41, 1e-39])
def test_a_matrix_of_subnormal_numbers_is_finite(value: float) -> None:
    assert matrix_norms(torch.full((8, 8), value)).isfinite().all()


@pytest.mark.parametrize("dtype", [*DTYPES, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("shape", [(4, 4), (3, 4, 4)])
def test_the_norms_of_zero_are_zero(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    assert not matrix_norms(torch.zeros(shape, dtype=dtype)).any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int64])
def test_what_cannot_hold_the_norms_is_measured_in_float32(dtype: torch.dtype) -> None:
    a = random_matrix((8, 8), torch.float32, 0).mul(300).to(dtype)
    measured = matrix_norms(a)
    assert measured.dtype == torch.float32
    assert measured.tolist() == pytest.approx(matrix_norms(a.double()).tolist(), rel=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_comes_out_as_nan_and_is_the_worst(dtype: torch.dtype) -> None:
    a = random_matrix((3, 6, 6), dtype, 0)
    assert matrix_norms(a).isfinite().all()
    a[0, 0, 0], a[1, 2, 2] = math.inf, math.nan
    assert matrix_norms(a)[[0, 1, 2, 3, 4, 6]].isnan().all()
    assert matrix_norms(a)[5].item() == 1.0
    assert matrix_norms(a[1]).isnan().all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("place", [(2, 3), (2, 2)])
def test_an_infinity_comes_out_as_an_infinity(place: tuple[int, int], dtype: torch.dtype) -> None:
    a = random_matrix((3, 6, 6), dtype, 0)
    a[1][place] = math.inf
    fro, spec, trace, defect, diag_min, worst, _ = matrix_norms(a).tolist()
    assert (fro, spec, defect, worst) == (math.inf, math.inf, math.inf, 1.0)
    assert math.isfinite(diag_min)  # the least of the diagonal is another element
    assert math.isfinite(trace) == (place[0] != place[1])  # it may stand off the diagonal


@pytest.mark.parametrize("dtype", DTYPES)
def test_how_a_matrix_lies_in_memory_does_not_matter(dtype: torch.dtype) -> None:
    a = random_matrix((3, 5, 5), dtype, 0)
    for view in (a.mT, a.mH, a[:, :3, :3], a[:1].expand(4, 5, 5), a.movedim(0, -1).contiguous().movedim(-1, 0)):
        plain = view.resolve_conj().clone(memory_format=torch.contiguous_format)
        assert matrix_norms(view).tolist() == pytest.approx(matrix_norms(plain).tolist(), rel=1e-6)


def test_autocast_does_not_square_in_half_precision() -> None:
    a = random_matrix((24, 24), torch.float32, 0)
    with torch.autocast("cpu", torch.bfloat16):
        assert (a @ a).dtype == torch.bfloat16
        measured = matrix_norms(a)
    assert torch.equal(measured, matrix_norms(a))


def test_a_matrix_with_a_graph_is_measured_without_one() -> None:
    a = random_matrix((4, 4), torch.float32, 0).requires_grad_()
    assert not matrix_norms(a * 2).requires_grad
    assert not masked_count(a).requires_grad


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4), (0, 4, 4), (0, 0), (2, 2, 2, 2)])
def test_what_is_no_matrix_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="a matrix is"):
        matrix_norms(torch.zeros(shape))


@pytest.mark.parametrize(
    ("mask", "count"),
    [
        (torch.tensor([[True, False], [True, True]]), 3.0),
        (torch.tensor([1, 0, 1], dtype=torch.uint8), 2.0),
        (torch.tensor([0.5, 1.0], dtype=torch.bfloat16), 1.5),
        (torch.ones(300, dtype=torch.bfloat16), 300.0),
        (torch.zeros(0, dtype=torch.bool), 0.0),
        (torch.tensor([1.0, math.nan]), math.nan),
    ],
)
def test_a_mask_is_counted(mask: Tensor, count: float) -> None:
    counted = masked_count(mask)
    assert (counted.shape, counted.dtype) == (torch.Size([]), torch.float64)
    assert counted.item() == pytest.approx(count, nan_ok=True)


def test_nothing_here_looks_at_a_value() -> None:
    """A tensor without values refuses to be read, as reading one would make the host wait for a device."""
    with FakeTensorMode():
        for dtype in DTYPES:
            assert matrix_norms(torch.empty(3, 4, 4, dtype=dtype)).shape == (7,)
            assert matrix_norms(torch.empty(4, 4, dtype=dtype)).shape == (5,)
        assert masked_count(torch.empty(3, dtype=torch.bool)).shape == ()
