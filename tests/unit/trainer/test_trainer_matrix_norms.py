"""Matrix norms against torch.linalg."""

import math

import pytest
import torch
from torch import Tensor

from lossguard.norms import matrix_norms

DTYPES = [torch.float32, torch.float64, torch.complex64, torch.complex128]


def random_matrix(shape: tuple[int, ...], dtype: torch.dtype, seed: int) -> Tensor:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def hermitian(matrix: Tensor) -> Tensor:
    return matrix @ matrix.mH / matrix.shape[-1]


def tolerance(dtype: torch.dtype) -> float:
    return 1e-5 if dtype in (torch.float32, torch.complex64) else 1e-12


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, 2, 24, 65])
@pytest.mark.parametrize("make", [hermitian, lambda a: a, lambda a: a.triu(), lambda a: a[..., :1] @ a[..., :1].mH])
def test_norms_of_one_matrix(make: "type[Tensor]", size: int, dtype: torch.dtype) -> None:
    for seed in range(3):
        a = make(random_matrix((size, size), dtype, seed))
        fro, spec, trace, defect = matrix_norms(a).tolist()
        assert fro == pytest.approx(torch.linalg.matrix_norm(a).item(), rel=tolerance(dtype))
        assert trace == pytest.approx(torch.trace(a).real.item() if a.is_complex() else torch.trace(a).item(), abs=1e-3)
        assert defect == pytest.approx((a - a.mH).abs().max().item(), rel=tolerance(dtype))
        largest = torch.linalg.svdvals(a.to(torch.complex128))[0].item()
        assert 1 - tolerance(dtype) <= spec / largest <= size ** (1 / 32) + tolerance(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_of_a_batch_the_largest_and_the_mean_trace(dtype: torch.dtype) -> None:
    batch = hermitian(random_matrix((5, 16, 16), dtype, 1)) * torch.tensor([1.0, 3.0, 0.5, 0.0, 2.0]).reshape(5, 1, 1)
    each = torch.stack([matrix_norms(a) for a in batch])
    together = matrix_norms(batch)
    assert together[[0, 1, 3]].tolist() == pytest.approx(each[:, [0, 1, 3]].amax(0).tolist(), rel=1e-5)
    assert together[2].item() == pytest.approx(each[:, 2].mean().item(), rel=1e-5)


@pytest.mark.parametrize("scale", [1e-12, 1e12, 1e15])
def test_neither_a_tiny_nor_a_huge_matrix_leaves_the_range(scale: float) -> None:
    a = random_matrix((24, 24), torch.float32, 0)
    assert matrix_norms(a * scale).tolist() == pytest.approx((matrix_norms(a) * scale).tolist(), rel=1e-4)


@pytest.mark.parametrize("dtype", [*DTYPES, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("shape", [(4, 4), (3, 4, 4)])
def test_the_norms_of_zero_are_zero(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    assert matrix_norms(torch.zeros(shape, dtype=dtype)).tolist() == [0.0] * 4


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_measured_in_float32(dtype: torch.dtype) -> None:
    a = random_matrix((8, 8), torch.float32, 0).mul(300).to(dtype)
    measured = matrix_norms(a)
    assert measured.dtype == torch.float32
    assert measured.tolist() == pytest.approx(matrix_norms(a.double()).tolist(), rel=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_comes_out_as_nan(dtype: torch.dtype) -> None:
    a = random_matrix((3, 6, 6), dtype, 0)
    a[1, 2, 2] = math.nan
    assert matrix_norms(a).isnan().all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_infinity_comes_out_as_an_infinity(dtype: torch.dtype) -> None:
    a = random_matrix((3, 6, 6), dtype, 0)
    a[1, 2, 3] = math.inf
    fro, spec, trace, defect = matrix_norms(a).tolist()
    assert (fro, spec, defect) == (math.inf, math.inf, math.inf)
    assert math.isfinite(trace)  # it stands off the diagonal


def test_a_matrix_with_a_graph_is_measured_without_one() -> None:
    a = random_matrix((4, 4), torch.float32, 0).requires_grad_()
    assert not matrix_norms(a * 2).requires_grad
