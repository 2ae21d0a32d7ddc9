"""The same seed with and without lossguard: identical losses and parameters, bit for bit."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import lossguard as lg
from helpers import points, spooled

STEPS = 50
CURRICULUM = lg.Curriculum(
    lg.Stage("copy", weights={"ce": 1.0, "smooth": 0.0}),
    lg.Stage("smooth", start=20, weights={"ce": 1.0, "smooth": lg.ramp(0.0, 0.1, 15)}),
)


class Reader(nn.Module):
    """A transformer of a few thousand parameters, with dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(12, 16)
        layer = nn.TransformerEncoderLayer(16, 2, dim_feedforward=32, dropout=0.2, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(16, 12)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.encoder(self.embed(tokens))
        return self.head(hidden), hidden


Outcome = tuple[list[Tensor], list[Tensor]]


def train(loop: Callable[[Reader, torch.optim.Optimizer, list[Tensor]], list[Tensor]]) -> Outcome:
    """Losses of each step and the parameters after the last one."""
    torch.manual_seed(11)
    model = Reader()
    opt = torch.optim.AdamW(model.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(5)
    batches = [torch.randint(12, (4, 7), generator=generator) for _ in range(STEPS)]
    losses = loop(model, opt, batches)
    return losses, [p.detach().clone() for p in model.parameters()]


def parts(model: Reader, batch: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    logits, hidden = model(batch)
    ce = nn.functional.cross_entropy(logits.flatten(0, 1), batch.flatten())
    return ce, hidden.diff(dim=1).square().mean(), hidden[0] @ hidden[0].T


def by_hand(model: Reader, opt: torch.optim.Optimizer, batches: list[Tensor]) -> list[Tensor]:
    losses = []
    for step, batch in enumerate(batches):
        ce, smooth, _ = parts(model, batch)
        weights = CURRICULUM.weights_at(step)
        loss = weights["ce"] * ce + weights["smooth"] * smooth
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.7)
        opt.step()
        opt.zero_grad()
        losses.append(loss.detach())
    return losses


def with_lossguard(mode: str, clips: bool) -> Callable[[Reader, torch.optim.Optimizer, list[Tensor]], list[Tensor]]:
    def loop(model: Reader, opt: torch.optim.Optimizer, batches: list[Tensor]) -> list[Tensor]:
        losses = []
        run = lg.init(mode=mode, model=model, optimizer=opt, curriculum=CURRICULUM, groups={"body": "encoder"})
        for batch in run.steps(batches):
            ce, smooth, gram = parts(model, batch)
            loss = run.total(ce=ce, smooth=smooth)
            run.matrix("gram", gram)
            run.log({"ce2": ce * 2, "n": 1})
            loss.backward()
            if clips:
                run.clip_grad_norm_(0.7)
            else:
                torch.nn.utils.clip_grad_norm_(model.parameters(), 0.7)
            opt.step()
            opt.zero_grad()
            losses.append(loss.detach())
        run.finish(timeout_s=0.2)
        return losses

    return loop


@pytest.mark.parametrize("clips", [True, False], ids=["its clipping", "torch's clipping"])
@pytest.mark.parametrize("mode", ["off", "offline", "online"])
def test_no_bit_differs(mode: str, clips: bool, spool_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOSSGUARD_URL", "http://127.0.0.1:9")  # discard: nobody answers
    losses, parameters = train(with_lossguard(mode, clips))
    wanted_losses, wanted_parameters = train(by_hand)
    assert all(map(torch.equal, losses, wanted_losses))
    assert all(map(torch.equal, parameters, wanted_parameters))
    assert len(losses) == STEPS
    assert not torch.equal(losses[0], losses[-1])
    if mode != "off":
        measured = points(spooled(spool_folder))
        assert measured["loss/total"] == [(step, loss.item()) for step, loss in enumerate(losses)]
        assert len(measured["matrix/gram/fro"]) == len(measured["grad_norm/body"]) == STEPS
