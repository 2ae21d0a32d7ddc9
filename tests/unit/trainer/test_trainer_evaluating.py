"""Evaluation mode: the same quantities beside the training's, and nothing of the training touched."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

import lossguard as lg
from helpers import events, points, spooled
from lossguard.evaluating import NAMES_MAX, Folded
from lossguard.norms import FOLDS, matrix_norms

X = torch.linspace(-1, 1, 12).reshape(4, 3)
EYE = torch.eye(3)


def world(**kwargs: object) -> tuple[lg.Run, nn.Linear, torch.optim.Optimizer]:
    torch.manual_seed(0)
    net = nn.Linear(3, 1)
    opt = torch.optim.AdamW(net.parameters(), lr=0.1)
    run = lg.init(model=net, optimizer=opt, losses={"fit": 1.0, "size": 0.3}, **{"mode": "offline", **kwargs})  # type: ignore[arg-type]
    return run, net, opt


def losses(net: nn.Linear) -> dict[str, Tensor]:
    out = net(X)
    return {"fit": out.square().mean(), "size": out.abs().sum()}


def look(run: lg.Run, net: nn.Linear) -> Tensor:
    """What a script does with its validation data."""
    with run.evaluating(), torch.no_grad():
        total = run.total(losses(net))
        run.matrix("R", torch.stack([EYE, 2 * EYE]))
        run.count("seen", X > 0)
        run.log({"acc": 0.5, "tensor": torch.tensor(2.0)})
    return total


def trained(steps: int, evaluates: Callable[[lg.Run, nn.Linear], object], **kwargs: object) -> list[float]:
    run, net, opt = world(**kwargs)
    totals = []
    for _ in run.steps(range(steps)):
        total = run.total(losses(net))
        run.matrix("R", EYE)
        run.count("seen", X > 0.5)
        run.log({"acc": 0.1})
        total.backward()
        run.clip_grad_norm_(1.0)
        opt.step()
        opt.zero_grad()
        totals.append(total.item())
        evaluates(run, net)
    run.finish()
    return totals


def fail(run: lg.Run, i: int) -> None:
    with run.evaluating():
        run.log({"seen": float(i)})
        raise ZeroDivisionError


def without_times(found: dict[str, list[tuple[int, float]]]) -> dict[str, list[tuple[int, float]]]:
    return {name: column for name, column in found.items() if not name.endswith("_s")}


def test_the_same_quantities_stand_beside_the_trainings_and_change_nothing_of_them(tmp_path: Path) -> None:
    wanted = trained(5, lambda run, net: None, dir=tmp_path / "alone")
    assert trained(5, look, dir=tmp_path / "both") == wanted
    alone, both = (points(spooled(tmp_path / name)) for name in ("alone", "both"))
    evaluated = {name: column for name, column in both.items() if name.startswith("eval/")}
    assert without_times(alone) == without_times({n: c for n, c in both.items() if n not in evaluated})
    norms = ("fro", "spec", "trace", "defect", "diag_min", "trace_min")
    assert set(evaluated) == {
        *(f"eval/{name}" for name in ("loss/fit", "loss/size", "loss/total", "count/seen", "acc", "tensor")),
        *(f"eval/matrix/R/{norm}" for norm in norms),
    }
    assert all([step for step, _ in column] == [0, 1, 2, 3, 4] for column in evaluated.values())
    assert [evaluated[f"eval/{name}"][0][1] for name in ("acc", "tensor", "count/seen")] == [0.5, 2.0, 6.0]
    assert evaluated["eval/matrix/R/trace_min"][0][1] == 3.0
    # after the update of step 0 the losses are those of step 1 before it
    assert [value for _, value in evaluated["eval/loss/total"]][:4] == wanted[1:]


@pytest.mark.parametrize("mode", ["offline", "off"])
@pytest.mark.parametrize("grad", [nullcontext, torch.no_grad, torch.inference_mode])
def test_the_total_has_the_bits_of_the_sum_written_by_hand(mode: str, grad: Callable[[], object]) -> None:
    run, net, _ = world(mode=mode)
    for _ in run.steps(range(2)):
        with run.evaluating(), grad():  # type: ignore[attr-defined]
            given = losses(net)
            by_hand = 1.0 * given["fit"] + 0.3 * given["size"]
            assert torch.equal(run.total(given), by_hand)
            assert run.total(given).requires_grad == by_hand.requires_grad
        run.total(losses(net)).backward()
    with pytest.raises(lg.UnknownComponent), run.evaluating():
        run.total(other=torch.ones(()))
    run.finish()


def test_off_takes_every_call_and_writes_nothing(tmp_path: Path) -> None:
    assert trained(3, look, mode="off") == trained(3, lambda run, net: None, mode="off")
    assert list(tmp_path.iterdir()) == []


def test_several_batches_are_folded_as_a_batch_is(spool_folder: Path) -> None:
    run, _, _ = world()
    for _ in run.steps(range(1)):
        with run.evaluating():
            for scale in (1.0, 4.0, -2.0):
                run.total(fit=torch.tensor(scale), size=torch.tensor(0.0))
                run.matrix("R", scale * EYE)
                run.log({"acc": scale, "tensor": torch.tensor(scale)})
    run.finish()
    found = points(spooled(spool_folder))
    assert found["eval/loss/fit"] == found["eval/acc"] == found["eval/tensor"] == [(0, 1.0)]
    assert found["eval/matrix/R/fro"] == [(0, pytest.approx(4 * 3**0.5))]
    assert found["eval/matrix/R/diag_min"] == [(0, -2.0)]
    assert found["eval/matrix/R/trace"] == [(0, 3.0)]


def test_a_nan_in_one_batch_is_a_nan_of_the_evaluation(spool_folder: Path) -> None:
    run, _, _ = world()
    for _ in run.steps(range(1)):
        with run.evaluating():
            for value in (torch.nan, 1.0):
                run.total(fit=torch.tensor(value))
                run.matrix("R", torch.full((2, 2), value))
    run.finish()
    found = points(spooled(spool_folder))
    assert all(str(found[name][0][1]) == "nan" for name in ("eval/loss/fit", "eval/matrix/R/fro"))
    assert not events(spooled(spool_folder), "trip")


def test_what_the_script_changes_afterwards_is_recorded_as_it_was(spool_folder: Path) -> None:
    run, _, _ = world()
    with run.evaluating():
        loss = torch.tensor(2.0, dtype=torch.float64)
        run.total(fit=loss)
        loss /= 4
    run.finish()
    assert points(spooled(spool_folder))["eval/loss/fit"] == [(0, 2.0)]


def test_nested_left_by_an_error_and_empty(spool_folder: Path) -> None:
    run, net, opt = world()
    for i in run.steps(range(3)):
        with run.evaluating():
            with run.evaluating():
                run.total(fit=torch.tensor(1.0))
            run.total(fit=torch.tensor(3.0))  # still within the outer one
        with pytest.raises(ZeroDivisionError):
            fail(run, i)
        with run.evaluating():
            pass
        run.total(losses(net)).backward()
        opt.step()
    run.finish()
    found = points(spooled(spool_folder))
    assert found["eval/loss/fit"] == [(0, 2.0), (1, 2.0), (2, 2.0)]
    assert found["eval/seen"] == [(0, 0.0), (1, 1.0), (2, 2.0)]
    assert [step for step, _ in found["loss/total"]] == [0, 1, 2]


def test_before_the_first_step_after_the_last_and_at_a_step_of_ones_own(spool_folder: Path) -> None:
    run, net, _ = world(start_step=7)
    look(run, net)
    for _ in run.steps(range(2)):
        pass
    look(run, net)
    with run.evaluating():
        run.log({"late": 1.0}, step=3)
    run.finish()
    look(run, net)  # of a run that has ended
    found = points(spooled(spool_folder))
    assert [step for step, _ in found["eval/loss/total"]] == [7, 8]
    assert found["eval/late"] == [(3, 1.0)]


def test_a_loop_over_steps_within_an_evaluation_makes_no_steps(spool_folder: Path) -> None:
    run, net, opt = world()
    for _ in run.steps(range(2)):
        with run.evaluating():
            assert list(run.steps("abc")) == ["a", "b", "c"]
            assert run.boundary()
        run.total(losses(net)).backward()
        opt.step()
    assert run.step == 1
    run.finish()
    assert [step for step, _ in points(spooled(spool_folder))["loss/total"]] == [0, 1]


def test_in_a_loop_that_its_optimizer_counts_an_evaluation_begins_no_step(spool_folder: Path) -> None:
    run, net, opt = world()
    for _ in range(3):
        run.total(losses(net)).backward()
        opt.step()
        opt.zero_grad()
        look(run, net)
    run.finish()
    found = points(spooled(spool_folder))
    assert [step for step, _ in found["loss/total"]] == [step for step, _ in found["eval/loss/total"]] == [0, 1, 2]


def test_the_gradients_of_components_and_the_clipping_of_an_evaluation_are_not_the_trainings(
    spool_folder: Path,
) -> None:
    run, net, opt = world()
    for _ in run.steps(range(2)):
        with run.evaluating():
            shared = run.shared(net(X))
            run.total(fit=shared.square().mean()).backward()
            run.clip_grad_norm_(1e-6)
            opt.zero_grad()
        run.total(losses(net)).backward()
        opt.step()
    run.finish()
    found = points(spooled(spool_folder))
    assert not any(name.startswith("grad_share/") or name == "clip_coef" for name in found)
    assert all(value > 1e-3 for _, value in found["grad_norm/total"])


def test_a_replay_does_not_tell_of_an_evaluation_again(spool_folder: Path) -> None:
    run, net, opt = world()
    for i in run.steps(range(4)):
        run.total(fit=net(X).square().mean() * (torch.nan if i == 1 else 1.0)).backward()
        opt.step()
        opt.zero_grad()
        look(run, net)
    run.finish()
    found = points(spooled(spool_folder))
    steps = [step for step, _ in found["loss/total"]]
    assert len(steps) == 4 < run.step + 1
    assert [step for step, _ in found["eval/loss/total"]] == steps


def test_what_an_evaluation_measures_is_not_taken_for_the_birth_of_a_nan(spool_folder: Path) -> None:
    run, net, opt = world()
    for i in run.steps(range(4)):
        with run.evaluating():
            run.matrix("R", torch.full((2, 2), torch.inf))  # its norms are computed by way of a NaN
        run.total(fit=net(X).square().mean() * (torch.nan if i == 1 else 1.0)).backward()
        opt.step()
        opt.zero_grad()
    run.finish()
    (origin,) = events(spooled(spool_folder), "origin")
    assert "test_trainer_evaluating.py" in origin.data["where"]
    assert (origin.data["reproduced"], origin.data["op"]) == (True, "aten.mul")


def test_a_matrix_that_is_none_switches_off_nothing_else(spool_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    run, net, opt = world()
    for _ in run.steps(range(5)):
        with run.evaluating():
            run.matrix("bad", torch.ones(2, 3))
            run.log({"x" * 508: 1.0, "text": "a"})
            run.total(fit=torch.tensor(1.0))
        run.matrix("R", EYE)
        run.total(losses(net)).backward()
        opt.step()
    run.finish()
    found = points(spooled(spool_folder))
    assert len(found["eval/loss/fit"]) == len(found["matrix/R/fro"]) == 5
    assert not any(len(name) > 500 for name in found)
    assert "run.log leaves out 'text'" in caplog.text


def test_names_made_up_for_each_batch_do_not_grow_it_for_ever() -> None:
    folded = Folded()
    for i in range(NAMES_MAX + 10):
        folded.add(f"a{i}", torch.ones(()), None)
    assert len(folded.values()) == NAMES_MAX


def test_nothing_here_looks_at_a_value() -> None:
    """A tensor without values refuses to be read, as reading one would make the host wait for a device."""
    with FakeTensorMode():
        folded = Folded()
        for _ in range(3):
            for i, (name, fold) in enumerate({**FOLDS, "mean": None}.items()):
                folded.add(name, matrix_norms(torch.empty(2, 4, 4))[i], fold)
        assert all(value.shape == () for value in folded.values().values())
