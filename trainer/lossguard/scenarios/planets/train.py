"""The training as a user writes it, watched by lossguard.

Rules of this file: what is declared is what the training is meant to do.
"""

import time
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

import lossguard as lg
from lossguard.protocol.messages import ContractSpec

from ..catalogue import Options
from ..record import NullRecorder, Recorder
from .setup import CLIP_NORM, COMPONENT, Setup, build, foretold, rows_foretold


@dataclass(frozen=True)
class Summary:
    """How it ended. `steps`: those that were trained; `unseen_error`: mean squared, of systems never trained on."""

    steps: int
    last_total: float
    unseen_error: float
    steps_per_s: float
    state: str


def train(options: Options, recorder: Recorder | None = None) -> Summary:
    """Train to the end or until stopped; raises UnknownChoice and ConfigError before the first step."""
    setup, record = build(options), recorder or NullRecorder()
    options = setup.options
    run = lg.init(
        project=options.project,
        name=options.name or f"{options.variant}-{options.seed}",
        config=asdict(options),
        model=setup.model,
        optimizer=setup.optimizer,
        guard=options.guard,
        scheduler=setup.scheduler,
        losses={COMPONENT: 1.0},
        groups={"embedding": ["embed.*", "place"], "decoder": "decoder.*", "head": "head.*"},
        contracts=[contract(options)],
    )
    if options.compile:
        setup.model.compile()
    with run:
        return _loop(options, setup, run, record)


def contract(options: Options) -> ContractSpec:
    """Every row of a system but the first is foretold; on average, because systems are not of one length."""
    return lg.counted("foretold", expected=rows_foretold(options), at_least=1)


def _loop(options: Options, setup: Setup, run: lg.Run, record: Recorder) -> Summary:
    steps, total, began_s = 0, torch.tensor(torch.nan), time.perf_counter()
    for batch in run.steps(setup.batches):
        losses = {COMPONENT: setup.loss(batch)}
        total = run.total(losses)
        run.count("foretold", foretold(batch))
        total.backward()
        run.clip_grad_norm_(CLIP_NORM)
        setup.optimizer.step()
        setup.optimizer.zero_grad()
        if run.replaying:
            continue  # the batch of a step that was kept out of the weights, once more
        setup.scheduler.step()
        record.write(run.step, losses, run.weights, total)
        if steps % options.eval_every == 0:
            _evaluate(run, setup)
        steps += 1
    last_total = total.item()  # waits for the device, so that the rate below is true
    rate = steps / (time.perf_counter() - began_s)
    state = "stopped" if steps < options.steps else "finished"
    return Summary(steps, last_total, float(_evaluate(run, setup)), rate, state)


@torch.no_grad()
def _evaluate(run: lg.Run, setup: Setup) -> Tensor:
    """The loss of systems that are never trained on, 0-d."""
    with run.evaluating():
        loss = setup.loss(setup.validation)
        run.total({COMPONENT: loss})
        run.count("foretold", foretold(setup.validation))
    return loss
