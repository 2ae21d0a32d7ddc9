"""The health of a snapshot: not fooled by an overflow of the norm, nor by a mask of minus infinities."""

import math

import pytest
import torch
from torch import Tensor

from lossguard.snapshots.finite import ask

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.complex64, torch.float8_e5m2]


def is_right(*tensors: Tensor, may_be_infinite: bool = False) -> bool:
    return ask((tensor, may_be_infinite) for tensor in tensors).all_right()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_one_bad_element_is_enough(dtype: torch.dtype) -> None:
    for value, right in ((math.nan, False), (math.inf, False), (-math.inf, False), (1.0, True)):
        big = torch.ones(1000, dtype=torch.complex64 if dtype.is_complex else torch.float32)
        big[777] = value
        assert is_right(torch.ones(3), big.to(dtype), torch.ones(())) == right, value


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.complex64], ids=str
)
def test_a_norm_that_overflows_does_not_lie(dtype: torch.dtype) -> None:
    largest = torch.finfo(dtype).max
    assert is_right(torch.full((10,), complex(largest, largest) if dtype.is_complex else largest, dtype=dtype))


def test_integers_and_empty_tensors_have_no_say() -> None:
    assert is_right(torch.ones(2, dtype=torch.int64), torch.ones(0), torch.ones(2, 0), torch.tensor(True))
    assert is_right()


def test_a_buffer_may_be_infinite_and_never_nan() -> None:
    mask = torch.full((4, 4), -math.inf).triu(1)
    assert is_right(mask, may_be_infinite=True)
    assert not is_right(mask)
    assert not is_right(mask * 0, may_be_infinite=True)


def test_parameters_need_no_detaching() -> None:
    assert is_right(torch.nn.Parameter(torch.ones(3)))
