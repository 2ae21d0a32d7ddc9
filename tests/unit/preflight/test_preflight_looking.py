"""A script under LOSSGUARD_PREFLIGHT: what it is shown, that it ends, and that it trains nothing."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.optim import LBFGS, SGD, AdamW, Optimizer
from torch.optim.optimizer import _global_optimizer_pre_hooks as hooks

import lossguard as lg
from lossguard.preflight.asked import BATCHES, FILE

CURRICULUM = lg.Curriculum(
    lg.Stage("one", 0, {"ce": 1.0, "aux": 0.0}), lg.Stage("two", 1_000, {"ce": 1.0, "aux": 0.01})
)
OPTIMIZERS: dict[str, Callable[[nn.Module], Optimizer]] = {
    "sgd": lambda model: SGD(model.parameters(), 0.1, momentum=0.9, weight_decay=0.1),
    "adamw": lambda model: AdamW(model.parameters(), 0.1, weight_decay=0.1),
    "lbfgs": lambda model: LBFGS(model.parameters(), 0.1),
}


@pytest.fixture(autouse=True)
def two_batches(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(BATCHES, "2")
    before = dict(hooks)
    yield
    assert dict(hooks) == before  # the next training of the process is one


class Script:
    """A training as the README has it, ready to be run."""

    def __init__(self, optimizer: str = "adamw", aux: float = 700.0, given: bool = True) -> None:
        torch.manual_seed(0)
        self.model = nn.Linear(4, 1)
        self.optimizer = OPTIMIZERS[optimizer](self.model)
        self.before = [p.detach().clone() for p in self.model.parameters()]
        self.aux, self.given, self.steps, self.evaluations = aux, given, 0, 0

    def losses(self, batch: Tensor) -> dict[str, Tensor]:
        said = self.model(batch).square().mean()
        return {"ce": said + 2.2, "aux": said + self.aux}

    def train(self, count: int = 50) -> None:
        optimizer = self.optimizer if self.given else None
        run = lg.init("p", model=self.model, optimizer=optimizer, curriculum=CURRICULUM, mode="offline")
        with run:
            for batch in run.steps([torch.randn(6, 4) for _ in range(count)]):
                with run.evaluating(), torch.no_grad():
                    run.total(self.losses(batch * torch.nan))  # the look is at the training's
                self.evaluations += 1

                def closure(batch: Tensor = batch) -> float:
                    self.optimizer.zero_grad()
                    total = run.total(self.losses(batch))
                    total.backward()
                    return total.item()

                if isinstance(self.optimizer, LBFGS):
                    self.optimizer.step(closure)
                else:
                    closure()
                    run.clip_grad_norm_(1.0)
                    self.optimizer.step()
                self.steps += 1

    @property
    def is_untrained(self) -> bool:
        now = [p.detach() for p in self.model.parameters()]
        return all(map(torch.equal, now, self.before))


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_it_ends_the_script_and_no_update_reaches_the_weights(optimizer: str, given: bool) -> None:
    script = Script(optimizer, given=given)
    with pytest.raises(SystemExit) as ended:
        script.train()
    assert (ended.value.code, script.steps) == (1, 1)  # within the second
    assert script.is_untrained
    state = [each for kept in script.optimizer.state.values() for each in kept.values() if isinstance(each, Tensor)]
    assert all(not each.any() for each in state)


def test_the_report_is_printed_and_nothing_is_spooled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        Script().train()
    out = capsys.readouterr().out
    assert out.startswith("Preflight over 2 batches")
    assert out.endswith("Stage 'two' would blow up, by aux.\n")
    assert "nan" not in out
    assert not (tmp_path / "spool").exists()


def test_of_a_fine_curriculum_the_script_ends_with_0(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FILE, str(tmp_path / "report.json"))
    with pytest.raises(SystemExit) as ended:
        Script(aux=1.0).train()
    assert ended.value.code == 0
    found = json.loads((tmp_path / "report.json").read_text())
    assert (found["report"]["ok"], found["report"]["batches"]) == (True, 2)
    assert found["text"].endswith("Every stage is fine.")


def test_a_script_with_fewer_batches_is_told_of_too(capsys: pytest.CaptureFixture[str]) -> None:
    script = Script()
    script.train(1)
    assert capsys.readouterr().out.startswith("Preflight over 1 batch\n")
    assert script.is_untrained


def test_components_that_come_in_turns_are_all_seen(capsys: pytest.CaptureFixture[str]) -> None:
    model = nn.Linear(1, 1)
    run = lg.init("gan", model=model, losses={"d": 1.0, "g": 1.0, "never": 0.5})
    calls = []

    def train() -> None:
        with run:
            for name in "dgdgdgdg":
                calls.append(name)
                run.total({name: model(torch.ones(1)).square().sum()}).backward()

    with pytest.raises(SystemExit):
        train()
    assert "".join(calls) == "dgdgd"
    assert "never was not evaluated" in capsys.readouterr().out


def test_a_number_that_is_none_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BATCHES, "many")
    with pytest.raises(lg.ConfigError, match="LOSSGUARD_PREFLIGHT is 'many'"):
        lg.init("p")


def test_without_it_a_run_is_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(BATCHES)
    run = lg.init("p", mode="off")
    assert type(run) is lg.Run
    run.finish()
