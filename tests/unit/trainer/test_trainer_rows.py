"""What a step leaves behind: which series, in which order, with which values."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import lossguard as lg
from helpers import events, points, spooled
from lossguard.protocol.messages import Declaration, Schema

X = torch.linspace(-1, 1, 12).reshape(4, 3)


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 1))


def names_in_order(folder: Path) -> list[str]:
    return [series.name for m in spooled(folder) if isinstance(m, Schema) for series in m.series]


def test_a_full_step_has_every_series_in_its_order(spool_folder: Path) -> None:
    net = model()
    opt = torch.optim.SGD(net.parameters(), lr=0.5)
    run = lg.init(mode="offline", model=net, optimizer=opt, losses={"mse": 1.0, "size": 0.1}, groups={"first": "0"})
    wanted: list[tuple[float, float, float, float]] = []
    for _ in run.steps(range(3)):
        out = net(X)
        mse, size = out.square().mean(), out.abs().sum()
        loss = run.total(mse=mse, size=size)
        run.matrix("W", next(net.parameters())[:2, :2])
        loss.backward()
        norm = run.clip_grad_norm_(0.25)
        opt.step()
        opt.zero_grad()
        wanted.append((mse.item(), size.item(), loss.item(), norm.item()))
    run.finish()
    assert names_in_order(spool_folder) == [
        "weight/mse", "weight/size", "step_time_s", "data_wait_s", "skipped", "lr",
        "loss/mse", "loss/size", "loss/total",
        "matrix/W/fro", "matrix/W/spec", "matrix/W/trace", "matrix/W/defect", "matrix/W/diag_min",
        "clip_coef",
        "grad_norm/total", "grad_norm/first", "grad_norm/other",
    ]  # fmt: skip
    found = points(spooled(spool_folder))
    assert {name: [step for step, _ in column] for name, column in found.items()} == {n: [0, 1, 2] for n in found}
    values = {name: [value for _, value in column] for name, column in found.items()}
    for at, name in enumerate(("loss/mse", "loss/size", "loss/total", "grad_norm/total")):
        assert values[name] == [row[at] for row in wanted]
    assert (values["weight/mse"], values["weight/size"], values["lr"]) == ([1.0] * 3, [0.1] * 3, [0.5] * 3)
    assert values["clip_coef"] == pytest.approx([min(1.0, 0.25 / (row[3] + 1e-6)) for row in wanted], rel=1e-6)
    split = zip(values["grad_norm/first"], values["grad_norm/other"], strict=True)
    assert [math.hypot(a, b) for a, b in split] == pytest.approx(values["grad_norm/total"], rel=1e-6)
    assert all(value >= 0 for name in ("step_time_s", "data_wait_s") for value in values[name])


def test_without_clipping_the_optimizers_hook_takes_the_norms_of_the_whole_model(spool_folder: Path) -> None:
    net = model()
    optimizers = [torch.optim.SGD(net[0].parameters(), lr=0.1), torch.optim.Adam(net[2].parameters(), lr=0.2)]
    run = lg.init(mode="offline", model=net, optimizer=optimizers)
    norms: list[float] = []
    for _ in run.steps(range(2)):
        run.total(loss=net(X).square().mean()).backward()
        norms.append(torch.nn.utils.get_total_norm([p.grad for p in net.parameters() if p.grad is not None]).item())
        for opt in optimizers:
            opt.step()
            opt.zero_grad()
    run.finish()
    found = points(spooled(spool_folder))
    assert found["grad_norm/total"] == list(enumerate(norms))
    assert set(found) >= {"grad_norm/0", "grad_norm/2"}
    assert found["lr"] == [(0, 0.1), (1, 0.1)]


def test_the_declaration_says_what_the_run_is_made_of(spool_folder: Path) -> None:
    curriculum = lg.Curriculum(
        lg.Stage("a", weights={"x": 1.0}), lg.Stage("b", start=5, weights={"x": 1.0, "y": lg.ramp(0, 1, 3)})
    )
    contracts = [lg.at_least("count/masked", 1)]
    config = {"lr": 0.1, "api_key": "s3cret"}
    lg.init(mode="offline", model=model(), curriculum=curriculum, contracts=contracts, config=config).finish()
    declaration = spooled(spool_folder)[0]
    assert isinstance(declaration, Declaration)
    assert (declaration.seq, declaration.components, declaration.groups) == (1, ["x", "y"], ["0", "2"])
    assert declaration.stages == [stage.spec() for stage in curriculum.stages]
    assert (declaration.contracts, declaration.config) == (contracts, {"lr": 0.1, "api_key": "(hidden)"})
    assert declaration.controls.weight_bounds == {"x": (0.0, 10.0), "y": (0.0, 10.0)}
    assert declaration.device == "cpu"


def test_a_name_given_twice_in_a_step_has_its_last_value(spool_folder: Path) -> None:
    run = lg.init(mode="offline", losses={"a": 2.0})
    for step in run.steps(range(2)):
        for micro in range(3):  # gradient accumulation
            run.total(a=torch.tensor(10.0 * step + micro))
        run.log({"mine": torch.tensor(1.0)})
        run.log({"mine": torch.tensor(2.0 + step), "weight/a": torch.tensor(99.0)})
    run.finish()
    found = points(spooled(spool_folder))
    assert found["loss/a"] == [(0, 2.0), (1, 12.0)]
    assert found["loss/total"] == [(0, 4.0), (1, 24.0)]
    assert found["mine"] == [(0, 2.0), (1, 3.0)]
    assert found["weight/a"] == [(0, 2.0), (1, 2.0)]  # what is in force, not what somebody calls so


def test_a_series_that_is_not_finite_is_told_when_it_begins_and_not_again(spool_folder: Path) -> None:
    nan, inf = math.nan, math.inf
    run = lg.init(mode="offline", losses={"a": 1.0, "b": 0.5})
    losses = [(1.0, 1.0), (nan, 1.0), (nan, 1.0), (nan, -inf), (1.0, 1.0), (1.0, inf), (1.0, 1.0)]
    for a, b in run.steps(losses):
        run.total(a=torch.tensor(a), b=torch.tensor(b))
    run.finish()
    told = [(event.step, event.data["series"]) for event in events(spooled(spool_folder), "nonfinite")]
    assert told == [
        (1, ["loss/a", "loss/total"]),
        (3, ["loss/a", "loss/b", "loss/total"]),
        (5, ["loss/b", "loss/total"]),
    ]
    found = points(spooled(spool_folder))
    assert [math.isnan(value) for _, value in found["loss/a"]] == [math.isnan(a) for a, _ in losses]
    assert found["loss/b"] == [(step, b) for step, (_, b) in enumerate(losses)]


def test_thousands_of_bad_series_are_told_within_one_message(spool_folder: Path) -> None:
    run = lg.init(mode="offline")
    for _ in run.steps(range(1)):
        assert run._loop.parts is not None
        run._loop.parts.instrument.add_many([f"s{i}" + "x" * 400 for i in range(3000)], torch.full((3000,), math.nan))
    run.finish()
    (told,) = events(spooled(spool_folder), "nonfinite")
    assert len(told.data["series"]) == 1000


def test_stages_are_told_at_their_first_step(spool_folder: Path) -> None:
    curriculum = lg.Curriculum(
        lg.Stage("a", weights={"x": 1.0}), lg.Stage("b", start=2, weights={"x": lg.ramp(0, 1, 2)})
    )
    run = lg.init(mode="offline", curriculum=curriculum)
    seen: list[tuple[str, float]] = []
    for _ in run.steps(range(5)):
        seen.append((run.stage, run.total(x=torch.tensor(8.0)).item()))
    run.finish()
    assert seen == [("a", 8.0), ("a", 8.0), ("b", 0.0), ("b", 4.0), ("b", 8.0)]
    told = [(event.step, event.data) for event in events(spooled(spool_folder), "stage")]
    assert told == [(0, {"index": 0, "name": "a"}), (2, {"index": 1, "name": "b"})]
    assert points(spooled(spool_folder))["weight/x"] == [(0, 1.0), (1, 1.0), (2, 0.0), (3, 0.5), (4, 1.0)]


def test_a_run_may_begin_at_a_later_step(spool_folder: Path) -> None:
    run = lg.init(mode="offline", start_step=500, losses={"x": 1.0})
    for _ in run.steps(range(2)):
        run.total(x=torch.tensor(1.0))
    run.finish()
    assert [step for step, _ in points(spooled(spool_folder))["loss/total"]] == [500, 501]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.complex64])
def test_models_of_other_types_are_measured_too(spool_folder: Path, dtype: torch.dtype) -> None:
    params = [nn.Parameter(torch.full((3,), 2.0, dtype=dtype)), nn.Parameter(torch.ones(2))]
    opt = torch.optim.SGD(params, lr=0.0)
    run = lg.init(mode="offline", optimizer=opt)
    for _ in run.steps(range(4)):
        run.total(loss=params[0].abs().square().sum().float() + params[1].sum()).backward()
        opt.step()
        opt.zero_grad()
    run.finish()
    norm = math.sqrt(3 * 16 + 2)
    measured = points(spooled(spool_folder))["grad_norm/total"]
    assert [step for step, _ in measured] == [0, 1, 2, 3]
    assert [value for _, value in measured] == pytest.approx([norm] * 4, rel=1e-6)


def test_a_tensor_learning_rate_is_read_too(spool_folder: Path) -> None:
    weight = nn.Parameter(torch.ones(2))
    opt = torch.optim.Adam([weight], lr=torch.tensor(0.25), foreach=False)
    run = lg.init(mode="offline", optimizer=opt)
    for _ in run.steps(range(1)):
        run.total(loss=weight.sum()).backward()
        opt.step()
    run.finish()
    assert points(spooled(spool_folder))["lr"] == [(0, 0.25)]


@pytest.mark.parametrize("name", ["a\nb", "R" * 600, "\u202eR"])
def test_a_matrix_with_a_bad_name_is_left_out_and_nothing_else(spool_folder: Path, name: str) -> None:
    run = lg.init(mode="offline")
    for _ in run.steps(range(5)):
        run.total(loss=torch.tensor(1.0))
        run.matrix(name, torch.eye(2))
        run.matrix("good", torch.eye(2))
    run.finish()
    found = points(spooled(spool_folder))
    assert len(found["loss/total"]) == 5
    assert [series for series in found if series.startswith("matrix/")] == [
        "matrix/good/fro", "matrix/good/spec", "matrix/good/trace", "matrix/good/defect",
        "matrix/good/diag_min",
    ]  # fmt: skip


def test_the_matrix_may_be_changed_after_it_was_watched(spool_folder: Path) -> None:
    run = lg.init(mode="offline")
    matrix: Tensor = torch.eye(2) * 3
    for _ in run.steps(range(1)):
        run.matrix("R", matrix)
        matrix.zero_()
    run.finish()
    assert points(spooled(spool_folder))["matrix/R/trace"] == [(0, 6.0)]
