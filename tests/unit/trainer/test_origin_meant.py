"""What was meant, what was there before, and what never reached the loss."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossguard.origin.trace import Birth, OriginTrace

INF, NAN = float("inf"), float("nan")


def attention(scores: Tensor, mask: Tensor) -> Tensor:
    return scores.masked_fill(mask, -INF).softmax(-1)


def test_a_mask_of_minus_infinity_is_no_birth() -> None:
    scores = torch.randn(4, 4, requires_grad=True)
    causal = torch.ones(4, 4, dtype=torch.bool).triu(1)
    with OriginTrace(None) as trace:
        loss = attention(scores, causal).square().sum()
        loss = loss + (scores + torch.full((4, 4), -INF).triu(1)).softmax(-1).square().sum()
        loss = loss + torch.where(causal, torch.tensor(-INF), scores).softmax(-1).square().sum()
        loss = loss + torch.where(causal, -INF, scores).softmax(-1).square().sum()
        loss.backward()
    assert trace.births == []
    assert trace.birth_of(loss) is None
    assert trace.birth_of(scores.grad) is None


def test_a_mask_kept_in_a_buffer_or_a_batch_is_no_birth() -> None:
    net = nn.Module()
    net.register_buffer("mask", torch.full((4, 4), -INF).triu(1))
    given = torch.full((4, 4), -INF).triu(1)
    with OriginTrace(net) as trace:
        for mask in (net.mask, given):
            (torch.randn(4, 4) + mask).softmax(-1).sum()
    assert trace.births == []


def test_a_row_that_is_masked_as_a_whole_is_a_birth_at_the_softmax() -> None:
    mask = torch.tensor([[True, True], [False, True]])
    with OriginTrace(None) as trace:
        loss = attention(torch.randn(2, 2), mask).sum()
    birth = trace.birth_of(loss)
    assert birth is not None
    assert (birth.op, birth.value) == ("aten._softmax", "nan")
    assert birth.where.endswith("in attention")


def test_scaled_dot_product_attention_with_masks_is_no_birth() -> None:
    q = torch.randn(1, 2, 4, 8, requires_grad=True)
    with OriginTrace(None) as trace:
        F.scaled_dot_product_attention(q, q, q, is_causal=True).sum().backward()
        mask = torch.ones(4, 4, dtype=torch.bool).tril()
        F.scaled_dot_product_attention(q, q, q, attn_mask=mask).sum().backward()
    assert trace.births == []


def test_a_mask_made_with_log_is_not_named_for_another_nan() -> None:
    scores = torch.randn(2, 2)
    with OriginTrace(None) as trace:
        mask = torch.eye(2).log()  # -inf beside the diagonal
        kept = (mask + scores).softmax(-1).sum()
        loss = (kept * 0 - 1).sqrt()
    assert [birth.op for birth in trace.births] == ["aten.log", "aten.sqrt"]
    birth = trace.birth_of(loss)
    assert birth is not None
    assert birth.op == "aten.sqrt"
    assert trace.birth_of(kept) is None


def test_a_nan_is_the_child_of_the_nan_beside_a_mask() -> None:
    with OriginTrace(None) as trace:
        mask = torch.eye(2).log()
        loss = (mask + torch.full((2, 2), -1.0).sqrt()).sum()
    birth = trace.birth_of(loss)
    assert birth is not None
    assert birth.op == "aten.sqrt"


def test_a_meant_infinity_that_reaches_the_loss_is_told() -> None:
    with OriginTrace(None) as trace:
        loss = torch.ones(3).masked_fill(torch.tensor([True, False, False]), INF).mean()
    assert trace.births == []
    birth = trace.birth_of(loss)
    assert birth is not None
    assert (birth.op, birth.value) == ("aten.masked_fill", "inf")


def test_a_factor_of_infinity_makes_a_nan_of_zero() -> None:
    with OriginTrace(None) as trace:
        loss = (torch.zeros(3) * INF).sum()
    birth = trace.birth_of(loss)
    assert birth is not None
    assert (birth.op, birth.value) == ("aten.mul", "nan")


def test_a_nan_in_the_batch() -> None:
    net = nn.Linear(2, 2)
    x = torch.tensor([[1.0, NAN]])
    with OriginTrace(net) as trace:
        loss = net(x).sum()
        loss.backward()
    line = test_a_nan_in_the_batch.__code__.co_firstlineno + 4
    wanted = Birth("input", "forward", "", f"test_origin_meant.py:{line} in test_a_nan_in_the_batch", "nan")
    assert trace.birth_of(loss) == trace.birth_of(net.weight.grad) == wanted
    assert trace.births == [wanted]


def test_a_nan_in_a_batch_that_is_made_within_the_step() -> None:
    with OriginTrace(None) as trace:
        loss = torch.tensor([1.0, NAN]).sum()
    birth = trace.birth_of(loss)
    assert birth is not None
    assert (birth.op, birth.value) == ("input", "nan")


def test_an_infinity_in_the_batch() -> None:
    with OriginTrace(None) as trace:
        x = torch.empty(0)
        batch = _batch([1.0, INF])
        loss = (batch - batch.mean()).sum() + x.sum()
    birth = trace.birth_of(loss)
    assert birth is not None
    assert (birth.op, birth.value) == ("aten.sub", "nan")


def _batch(values: list[float]) -> Tensor:
    return torch.tensor(values)


def test_an_infinity_in_a_batch_from_outside() -> None:
    batch = torch.tensor([1.0, INF])
    with OriginTrace(None) as trace:
        loss = (batch - batch.mean()).sum()
    birth = trace.birth_of(loss)
    assert birth is not None
    assert (birth.op, birth.value) == ("input", "inf")


def test_a_nan_in_a_parameter_or_a_buffer_is_named_by_it() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2).eval())
    with torch.no_grad():
        net[0].weight[0, 0] = NAN
    with OriginTrace(net) as trace:
        loss = net(torch.ones(2, 2)).sum()
    assert trace.birth_of(loss) == Birth("input", "forward", "0", "parameter 0.weight", "nan")
    with torch.no_grad():
        net[0].weight[0, 0] = -INF  # what would be a mask in a buffer
    with OriginTrace(net) as trace:
        loss = net(torch.zeros(2, 2)).sum()
    assert trace.birth_of(loss) == Birth("input", "forward", "0", "parameter 0.weight", "inf")
    with torch.no_grad():
        net[0].weight[0, 0] = 1.0
        net[1].running_var[0] = NAN
    with OriginTrace(net) as trace:
        loss = net(torch.ones(2, 2)).sum()
    assert trace.birth_of(loss) == Birth("input", "forward", "1", "buffer 1.running_var", "nan")


def test_a_gradient_that_was_broken_before_the_step() -> None:
    net = nn.Linear(1, 1, bias=False)
    net.weight.grad = torch.full((1, 1), NAN)
    with OriginTrace(net) as trace:
        net(torch.ones(1, 1)).sum().backward()
    assert trace.birth_of(net.weight.grad) == Birth("input", "forward", "", "gradient of weight", "nan")


def test_uninitialised_memory_is_not_looked_at() -> None:
    with OriginTrace(None) as trace:
        for _ in range(50):
            torch.empty(4096).fill_(1.0).new_empty(4096)
            F.dropout(torch.ones(4096), 0.5)
            torch.empty_like(torch.ones(4096)).copy_(torch.ones(4096)).sum()
            torch.zeros(64).resize_(4096)
        like_anything = torch.full((64,), NAN)
        like_anything.resize_(4096).zero_()
    assert trace.births == []
    assert [facts.label for facts in trace._facts.values() if facts.reads_first] == ["aten.div_"]  # dropout's


def test_a_nan_that_is_cleaned_up_is_of_no_account() -> None:
    x = torch.tensor([1.0, 0.0])
    with OriginTrace(None) as trace:
        loss = (x / x).nan_to_num(0.0).sum()
    assert trace.birth_of(loss) is None
    assert math.isfinite(loss)
