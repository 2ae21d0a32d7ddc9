"""The training as a user writes it, watched by lossguard.

Rules of this file: nothing here knows that an incident is coming. What is declared is what the training is meant to do.
"""

import time
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

import lossguard as lg
from lossguard.protocol.messages import ContractSpec

from ..catalogue import Options
from ..record import NullRecorder, Recorder
from .curricula import curriculum
from .masking import BERT, FIRST, Masked
from .setup import CLIP_NORM, Setup, build, readings


@dataclass(frozen=True)
class Summary:
    """How it ended. `steps`: those that were trained; `hidden_error`: mean squared, of hidden readings never seen."""

    steps: int
    last_total: float
    hidden_error: float
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
        curriculum=curriculum(options.curriculum, options.stage_steps),
        groups={"encoder": "encoder.*", "heads": ["numeric_head.*", "mode_head.*"]},
        contracts=[contract(options)],
    )
    if options.compile:
        setup.model.compile()
    with run:
        return _loop(options, setup, run, record)


def contract(options: Options) -> ContractSpec:
    """What is meant to be hidden: BERT's part; of the progressive schedule half of what it begins with at least.

    Of the readings that exist, which a user knows of the data: on average, because windows are not of one length.
    """
    if options.variant == "progressive" and options.curriculum == "original":
        return lg.counted("masked", at_least=0.5 * FIRST * readings(options))
    return lg.counted("masked", expected=float(round(BERT * readings(options))), at_least=1)


def _loop(options: Options, setup: Setup, run: lg.Run, record: Recorder) -> Summary:
    steps, total, began_s = 0, torch.tensor(torch.nan), time.perf_counter()
    for batch, planned in run.steps(setup.batches):
        seen = setup.shown(batch, planned, run.stage)  # asked at every step: a person may have moved to another stage
        losses = setup.losses(batch, seen)
        total = run.total(losses)
        _count(run, seen)
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
    """Hide readings of windows that are never trained on; the mean squared error of what is guessed."""
    with run.evaluating():
        evaluated = setup.evaluated()
        run.total(evaluated.losses)
        _count(run, evaluated.seen)
    return evaluated.error


def _count(run: lg.Run, seen: Masked) -> None:
    run.count("masked", seen.hidden[..., :-1])
