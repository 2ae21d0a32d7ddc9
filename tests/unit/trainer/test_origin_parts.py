"""The pure parts: what stands in a tensor, whose child a value is, which memory it is in."""

import pytest
import torch
from torch import Tensor

from lossguard.origin.birth import SPANS_MAX, Birth, Taint, Taints, share_memory
from lossguard.origin.content import FINITE, Content, content_of, content_of_all, dense_parts
from lossguard.origin.judge import Source, Verdict, judge

INF, NAN = float("inf"), float("nan")
HAS_NAN, HAS_INF, HAS_MASK = Content(has_nan=True), Content(has_plus_inf=True), Content(has_minus_inf=True)
FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
BORN, LATER = (Taint(Birth(op, "forward", "", "", "nan")) for op in ("aten.log", "aten.sqrt"))
MEANT = Taint(Birth("aten.masked_fill", "forward", "", "", "inf"), is_meant=True)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(
    ("value", "wanted"), [(NAN, HAS_NAN), (INF, HAS_INF), (-INF, HAS_MASK), (0.0, FINITE)], ids=str
)
def test_the_content_of_a_tensor(value: float, wanted: Content, size: int, dtype: torch.dtype) -> None:
    x = torch.ones(size, dtype=dtype)
    x[size // 2] = value
    assert content_of(x) == wanted
    assert content_of(x.requires_grad_()) == wanted


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_largest_numbers_are_finite(dtype: torch.dtype) -> None:
    assert content_of(torch.full((9,), torch.finfo(dtype).max, dtype=dtype)) == FINITE
    assert content_of(torch.full((9,), torch.finfo(dtype).min, dtype=dtype)) == FINITE


def test_both_infinities() -> None:
    assert content_of(torch.tensor([INF, -INF])) == Content(has_plus_inf=True, has_minus_inf=True)


@pytest.mark.parametrize(
    ("tensor", "wanted"),
    [
        (torch.tensor([1 + 1j, complex(0, NAN)]), HAS_NAN),
        (torch.tensor([complex(INF, 0)]).conj(), HAS_INF),
        (torch.tensor([[0.0, NAN]]).to_sparse(), HAS_NAN),
        (torch.tensor([NAN]).to(torch.float8_e5m2), HAS_NAN),
        (torch.tensor([448.0] * 3).to(torch.float8_e4m3fn), FINITE),
        (torch.ones(3, dtype=torch.int64), FINITE),
        (torch.tensor([True]), FINITE),
        (torch.empty(0), FINITE),
        (torch.empty(3, device="meta"), FINITE),
        (torch.nested.nested_tensor([torch.tensor([NAN]), torch.ones(2)], layout=torch.jagged), HAS_NAN),
    ],
    ids=lambda each: str(each.dtype) if isinstance(each, Tensor) else str(each.word),
)
def test_other_kinds_of_tensors(tensor: Tensor, wanted: Content) -> None:
    assert content_of_all(tensor) == wanted


@pytest.mark.parametrize(
    ("result", "sources", "numbers", "wanted"),
    [
        (HAS_NAN, [], [], Verdict(None)),
        (HAS_INF, [], [2.0], Verdict(None)),
        (HAS_INF, [], [INF], Verdict(None, is_meant=True)),
        (HAS_NAN, [], [NAN], Verdict(None, is_meant=True)),
        (HAS_NAN, [], [INF], Verdict(None)),
        (HAS_NAN, [Source(HAS_NAN, BORN), Source(HAS_NAN, LATER)], [], Verdict(BORN)),
        (HAS_NAN, [Source(HAS_INF, BORN), Source(HAS_NAN, LATER)], [], Verdict(LATER)),
        (HAS_NAN, [Source(HAS_INF, BORN)], [], Verdict(BORN)),
        (HAS_NAN, [Source(HAS_MASK, MEANT)], [], Verdict(None)),
        (HAS_NAN, [Source(HAS_MASK, MEANT), Source(HAS_INF, LATER)], [], Verdict(LATER)),
        (HAS_INF, [Source(HAS_MASK, MEANT)], [], Verdict(MEANT)),
        (HAS_INF, [Source(HAS_MASK, MEANT), Source(HAS_INF, BORN)], [], Verdict(BORN)),
        (HAS_INF, [Source(HAS_INF, BORN)], [-INF], Verdict(BORN)),
    ],
)
def test_whose_child_it_is(result: Content, sources: list[Source], numbers: list[complex], wanted: Verdict) -> None:
    assert judge(result, sources, numbers) == wanted


def test_a_taint_is_found_by_its_bytes() -> None:
    taints, x = Taints(), torch.zeros(4, 4)
    taints.put(x[0], BORN)
    taints.put(x[1], LATER)
    assert taints.find(x[0]) == BORN
    assert taints.find(x[1, 2:]) == LATER
    assert taints.find(x[2]) is None
    assert taints.find(x) == BORN  # the oldest of several
    assert taints.find(torch.zeros(4)) is None
    taints.clear(x[0])
    assert taints.find(x) == LATER
    taints.clear(x[:, 0])  # a column lies over all rows and covers none
    assert taints.find(x) == LATER
    taints.clear(x)
    assert taints.find(x) is None
    taints.put(x, BORN)
    taints.put(x[0], LATER)
    assert (taints.find(x), taints.find(x[0])) == (BORN, LATER)


def test_what_was_written_goes_before_what_was_only_allocated() -> None:
    taints, x = Taints(), torch.zeros(4)
    taints.put(x, Taint(BORN.birth, is_unwritten=True))
    taints.put(x[:2], LATER)
    assert taints.find(x) == LATER
    assert taints.find(x[2:]) == Taint(BORN.birth, is_unwritten=True)


def test_an_address_that_is_used_again_has_no_taint() -> None:
    taints = Taints()
    for _ in range(100):
        x = torch.zeros(16)
        assert taints.find(x) is None
        taints.put(x, BORN)
        del x


def test_the_taints_of_one_storage_are_bounded() -> None:
    taints, x = Taints(), torch.zeros(2 * SPANS_MAX)
    for at in range(len(x)):
        taints.put(x[at], BORN)
    assert taints.find(x[-1]) is None
    assert taints.find(x[SPANS_MAX - 1]) == BORN


def test_shared_memory() -> None:
    x = torch.zeros(4)
    assert share_memory(x, x[2:])
    assert not share_memory(x[:2], x[2:])
    assert not share_memory(x, torch.zeros(4))
    assert next(iter(dense_parts(x))) is x
