"""Tensors as bytes: every dtype, memory format and view, and a clear no to what has no bytes."""

import re
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from lossguard.snapshots.layout import as_bytes, fault_in, from_bytes, is_packed, layout_of, packed, without_repeats

DTYPES = [
    torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.float8_e4m3fn, torch.complex64, torch.complex128,
    torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool,
]  # fmt: skip


def bits(tensor: Tensor) -> bytes:
    return bytes(as_bytes(tensor.contiguous()).tolist())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (5,), (2, 3, 4)], ids=str)
def test_bytes_there_and_back(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    tensor = torch.randint(0, 2, shape).to(dtype)
    memory = as_bytes(tensor)
    assert (memory.dtype, memory.dim(), memory.numel()) == (torch.uint8, 1, tensor.nbytes)
    again = from_bytes(layout_of(tensor), [memory.clone()])
    assert (again.dtype, again.shape, again.stride()) == (tensor.dtype, tensor.shape, tensor.stride())
    assert bits(again) == bits(tensor)


def test_the_bytes_are_the_memory_itself() -> None:
    tensor = nn.Parameter(torch.zeros(2, 3))
    as_bytes(tensor)[:4] = torch.tensor([0, 0, 128, 63], dtype=torch.uint8)
    assert tensor.tolist() == [[1, 0, 0], [0, 0, 0]]


def test_a_graph_from_before_a_write_cannot_be_used_by_mistake() -> None:
    weight = nn.Parameter(torch.ones(3))
    loss = (weight * weight).sum()
    as_bytes(weight).zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_the_payload_of_a_nan_and_the_sign_of_zero_survive() -> None:
    tensor = torch.tensor([0x7FC00BAD, -0x80000000], dtype=torch.int32).view(torch.float32)
    assert bits(from_bytes(layout_of(tensor), [as_bytes(tensor).clone()])) == bits(tensor)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.arange(24.0).reshape(4, 6).T,
        torch.arange(120.0).reshape(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
        torch.arange(24.0).reshape(2, 3, 4).permute(2, 0, 1),
        torch.arange(10.0)[3:7],
        torch.arange(3.0).as_strided((1, 3, 1), (77, 1, 5)),
    ],
    ids=["transposed", "channels last", "permuted", "a slice", "odd strides of length 1"],
)
def test_a_dense_view_is_copied_as_it_lies(tensor: Tensor) -> None:
    assert is_packed(tensor)
    again = from_bytes(layout_of(tensor), [as_bytes(tensor).clone()])
    assert torch.equal(again, tensor)
    assert again.stride() == tensor.stride()


def test_what_has_gaps_or_a_pending_conjugate_goes_through_a_clone() -> None:
    z = torch.tensor([1 + 2j, 3 - 4j])
    for tensor in (torch.arange(24.0).reshape(4, 6)[:, :2], torch.arange(9.0)[::2], z.conj(), z.conj().imag):
        assert not is_packed(tensor)
        assert torch.equal(from_bytes(layout_of(packed(tensor)), [as_bytes(packed(tensor))]), tensor)


def test_an_expanded_tensor_is_what_it_repeats() -> None:
    tensor = torch.arange(3.0).expand(5, 3)
    assert without_repeats(tensor).shape == (1, 3)
    assert fault_in(tensor) is None


def test_pieces_are_joined() -> None:
    tensor = torch.randn(10, 7)
    pieces = list(as_bytes(tensor).clone().split(33))
    assert torch.equal(from_bytes(layout_of(tensor), pieces), tensor)


def quantized() -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)


def freed() -> Tensor:
    tensor = torch.ones(4)
    tensor.untyped_storage().resize_(0)
    return tensor


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: torch.ones(2, device="meta"), "meta device"),
        (lambda: nn.LazyLinear(3).weight, "before the first forward pass"),
        (lambda: torch.eye(3).to_sparse(), "not a dense tensor \\(sparse_coo\\)"),
        (quantized, "not a dense tensor \\(quantized\\)"),
        (lambda: torch.arange(4.0).as_strided((3, 2), (1, 1)), "overlap"),
        (freed, "memory was given back"),
    ],
)
def test_what_has_no_bytes_is_refused_with_a_reason(make: Callable[[], Tensor], reason: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of its own lazy modules
        fault = fault_in(make())
    assert fault is not None
    assert re.search(reason, fault)
