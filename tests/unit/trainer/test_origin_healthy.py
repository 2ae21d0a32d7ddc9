"""A healthy step has no birth, whatever it is made of; and the trace's own failure is not the step's."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention.flex_attention import flex_attention

from lossguard.origin import trace as trace_module
from lossguard.origin.trace import OriginTrace


def image() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.GroupNorm(2, 8))
    net(torch.randn(2, 3, 8, 8)).mean().backward()


def recurrent() -> None:
    nn.LSTM(4, 5, 2, dropout=0.1)(torch.randn(6, 2, 4))[0].mean().backward()


def decoder() -> None:
    x, mask = torch.randn(2, 5, 16), nn.Transformer.generate_square_subsequent_mask(5)
    padding = torch.arange(5) > torch.tensor([[4], [2]])
    layer = nn.TransformerDecoderLayer(16, 2, 32, batch_first=True)
    layer(x, x, tgt_mask=mask, memory_key_padding_mask=padding).mean().backward()


def losses() -> None:
    x = torch.randn(4, 5, requires_grad=True)
    F.cross_entropy(x, torch.tensor([0, 1, -100, 2])).backward()
    F.kl_div(x.log_softmax(-1), torch.rand(4, 5).softmax(-1), reduction="batchmean").backward()
    F.gumbel_softmax(x).sum().backward()
    y = torch.randn(10, 2, 5, requires_grad=True).log_softmax(-1)
    F.ctc_loss(y, torch.tensor([[1, 2, 3], [1, 1, 2]]), torch.tensor([10, 10]), torch.tensor([3, 3])).backward()


def algebra() -> None:
    x = torch.randn(3, 3, dtype=torch.complex64, requires_grad=True)
    a = x @ x.mH + 3 * torch.eye(3)
    torch.linalg.eigvalsh(a).sum().backward(retain_graph=True)
    torch.fft.fft2(a).abs().sum().backward(retain_graph=True)
    torch.linalg.cholesky(a).abs().sum().backward()


def functional() -> None:
    """Its tangents are zeros without memory; to read one ends the process."""
    torch.func.hessian(lambda x: (x**3).sum())(torch.randn(3))
    torch.func.vmap(torch.func.grad(lambda x: x.square().sum()))(torch.randn(5, 3))


def penalty() -> None:
    net = nn.Sequential(nn.Linear(4, 8), nn.Softplus(), nn.Linear(8, 1))
    x = torch.randn(3, 4, requires_grad=True)
    (slope,) = torch.autograd.grad(net(x).sum(), x, create_graph=True)
    (slope.norm(dim=1) - 1).square().mean().backward()


def whole_step() -> None:
    net = nn.Linear(4, 4)
    for foreach in (True, False):
        optimizer = torch.optim.AdamW(net.parameters(), foreach=foreach)
        net(torch.randn(2, 4)).sum().backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()


def ragged() -> None:
    parts = [torch.randn(2, 8), torch.randn(3, 8)]
    x = torch.nested.nested_tensor(parts, layout=torch.jagged, requires_grad=True)
    nn.Linear(8, 8)(x).values().sum().backward()


STEPS = [image, recurrent, decoder, losses, algebra, functional, penalty, whole_step, ragged]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
def test_a_healthy_step_has_no_birth(step: Callable[[], None]) -> None:
    torch.manual_seed(0)
    with OriginTrace(None) as trace:
        step()
    assert trace.births == []
    assert trace._shield.failures == 0


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_an_operator_of_higher_order_is_one_op() -> None:
    q = torch.randn(1, 1, 16, 16)
    k = q.clone()
    k[..., 0, 0] = float("nan")
    with OriginTrace(None) as trace:
        flex_attention(q, q, q, score_mod=lambda score, b, h, i, j: torch.where(i >= j, score, -float("inf")))
        assert trace.births == []
        out = flex_attention(q, k, q)
    birth = trace.birth_of(out)
    assert birth is not None
    assert birth.op == "input"


def test_memory_that_was_freed_is_not_read() -> None:
    x = torch.ones(1000)
    x.untyped_storage().resize_(0)  # as FSDP does
    assert OriginTrace(None).birth_of(x) is None


def test_a_failure_of_the_trace_does_not_reach_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(part: Tensor) -> None:
        raise RuntimeError("lossguard's own")

    monkeypatch.setattr(trace_module, "content_of", fail)
    x = torch.ones(3, requires_grad=True)
    with OriginTrace(None) as trace:
        for _ in range(5):
            (x * 2).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [10.0, 10.0, 10.0]
    assert trace._shield.broken
    assert trace.births == []
