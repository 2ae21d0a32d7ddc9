"""run.clip_grad_norm_ leaves the gradients, and returns the norm, with torch's own bits."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import lossguard as lg
from helpers import points, spooled
from lossguard import norms


def parameters(dtypes: Iterable[torch.dtype], seed: int = 0) -> nn.ParameterList:
    """Parameters with gradients of mixed sizes; the third one has none."""
    generator = torch.Generator().manual_seed(seed)
    shapes: list[tuple[int, ...]] = [(17, 9), (9,), (4,), (3, 4, 5), ()]
    params = nn.ParameterList()
    for i, (shape, dtype) in enumerate(zip(shapes, dtypes, strict=True)):
        param = nn.Parameter(torch.zeros(shape, dtype=dtype))
        param.grad = None if i == 2 else torch.randn(shape, generator=generator).mul(3.0**i).to(dtype)
        params.append(param)
    return params


def bits(params: Iterable[Tensor]) -> list[list[int] | None]:
    views = {torch.float32: torch.int32, torch.float64: torch.int64, torch.bfloat16: torch.int16}
    return [None if p.grad is None else p.grad.flatten().view(views[p.grad.dtype]).tolist() for p in params]


F32, F64, BF16 = torch.float32, torch.float64, torch.bfloat16
MAKES: dict[str, Callable[[int], nn.ParameterList]] = {
    "float32": lambda seed: parameters([F32] * 5, seed),
    "float64": lambda seed: parameters([F64] * 5, seed),
    "bfloat16": lambda seed: parameters([BF16] * 5, seed),
    "mixed": lambda seed: parameters([F32, BF16, F32, F64, F32], seed),
}


@pytest.mark.parametrize("make", MAKES.values(), ids=MAKES.keys())
@pytest.mark.parametrize("max_norm", [0.5, 1e9, 0.0])
@pytest.mark.parametrize("mode", ["offline", "off"])
def test_bits_of_the_whole_model(mode: str, max_norm: float, make: Callable[[int], nn.ParameterList]) -> None:
    for seed in range(4):
        ours, theirs = make(seed), make(seed)
        run = lg.init(mode=mode, model=ours)
        run.boundary()
        norm = run.clip_grad_norm_(max_norm)
        expected = torch.nn.utils.clip_grad_norm_(theirs.parameters(), max_norm)
        assert (norm.dtype, norm.shape) == (expected.dtype, expected.shape)
        assert torch.equal(norm, expected)
        assert bits(ours) == bits(theirs)
        run.finish()


@pytest.mark.parametrize("subset", [[0, 1], [3], [2], []], ids=repr)
def test_a_subset_is_clipped_by_its_own_norm_and_the_rest_is_left_alone(subset: list[int], spool_folder: Path) -> None:
    ours, theirs = MAKES["float32"](0), MAKES["float32"](0)
    run = lg.init(mode="offline", model=ours)
    run.boundary()
    whole = torch.nn.utils.get_total_norm([p.grad for p in theirs if p.grad is not None])
    norm = run.clip_grad_norm_(0.5, parameters=[ours[i] for i in subset])
    assert torch.equal(norm, torch.nn.utils.clip_grad_norm_([theirs[i] for i in subset], 0.5))
    assert bits(ours) == bits(theirs)
    run.finish()
    assert points(spooled(spool_folder))["grad_norm/total"] == [(0, whole.item())]


def test_one_tensor_is_a_parameter_not_a_list_of_rows() -> None:
    ours, theirs = MAKES["float32"](0), MAKES["float32"](0)
    run = lg.init(mode="offline", model=ours)
    assert torch.equal(run.clip_grad_norm_(0.5, parameters=ours[0]), torch.nn.utils.clip_grad_norm_(theirs[0], 0.5))
    assert bits(ours) == bits(theirs)
    run.finish()


def test_a_generator_of_parameters_is_used_once() -> None:
    ours, theirs = MAKES["float32"](0), MAKES["float32"](0)
    run = lg.init(mode="offline", model=ours)
    run.clip_grad_norm_(0.5, parameters=(p for p in ours))
    torch.nn.utils.clip_grad_norm_(theirs, 0.5)
    assert bits(ours) == bits(theirs)
    run.finish()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_gradients_that_are_not_finite_are_left_as_torch_leaves_them(bad: float) -> None:
    ours, theirs = MAKES["float32"](0), MAKES["float32"](0)
    for params in (ours, theirs):
        params[0].grad[0, 0] = bad
    run = lg.init(mode="offline", model=ours)
    norm = run.clip_grad_norm_(0.5)
    expected = torch.nn.utils.clip_grad_norm_(theirs, 0.5)
    assert (norm.isnan().item(), norm.isinf().item()) == (expected.isnan().item(), expected.isinf().item())
    for a, b in zip(ours, theirs, strict=True):
        assert torch.equal(torch.zeros(0) if a.grad is None else a.grad.nan_to_num(7.0, 8.0, 9.0),
                           torch.zeros(0) if b.grad is None else b.grad.nan_to_num(7.0, 8.0, 9.0))  # fmt: skip
    run.finish()


def test_no_gradients_at_all() -> None:
    run = lg.init(mode="offline", model=nn.Linear(2, 2))
    assert run.clip_grad_norm_(1.0).item() == 0.0
    run.finish()


def test_sparse_gradients_are_torchs_matter_and_are_measured(spool_folder: Path) -> None:
    """torch 2.13 cannot clip them; then it is torch that says so, as it would without lossguard."""

    def step(clip: Callable[[nn.Embedding], Tensor]) -> tuple[str, Tensor]:
        torch.manual_seed(0)
        table = nn.Embedding(6, 3, sparse=True)
        table(torch.tensor([1, 4, 1])).square().sum().backward()
        try:
            said = str(clip(table).item())
        except (NotImplementedError, RuntimeError) as error:
            said = type(error).__name__
        assert table.weight.grad is not None
        return said, table.weight.grad.to_dense()

    runs: list[lg.Run] = []

    def ours(table: nn.Embedding) -> Tensor:
        runs.append(lg.init(mode="offline", model=table))
        runs[0].boundary()
        return runs[0].clip_grad_norm_(0.1)

    said, grad = step(ours)
    expected_said, expected = step(lambda table: torch.nn.utils.clip_grad_norm_(table.parameters(), 0.1))
    assert said == expected_said
    assert torch.equal(grad, expected)
    runs[0].finish()
    (measured,) = points(spooled(spool_folder))["grad_norm/total"]
    assert measured[0] == 0
    if said == "NotImplementedError":
        assert measured[1] == pytest.approx(grad.norm().item(), rel=1e-6)


def test_the_norms_are_taken_once_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    real = norms.grad_norms

    def counted(*args: object, **kwargs: object) -> Tensor:
        calls.append(1)
        return real(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(norms, "grad_norms", counted)
    net = nn.Linear(3, 2)
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    run = lg.init(mode="offline", model=net, optimizer=opt)
    for _ in run.steps(range(5)):
        run.total(loss=net(torch.ones(1, 3)).sum()).backward()
        run.clip_grad_norm_(0.1)
        opt.step()
        opt.zero_grad()
    run.finish()
    assert len(calls) == 5
