"""The training as a user writes it, watched by lossguard.

Rules of this file: the loop is the one of the README; nothing here knows that an incident is coming.
"""

import time
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

import lossguard as lg

from ..catalogue import Options
from ..record import NullRecorder, Recorder
from . import DENOVO
from .curricula import curriculum, weight_bounds
from .data import Batch
from .setup import CLIP_NORM, Setup, build

# a cosine's bound as the report declares it; see rendering.py for why 1 is the true one
BOUNDED = {"huber": [], "gaussian": [lg.bounded("loss/spectrum", 0, 2)]}


@dataclass(frozen=True)
class Summary:
    """How it ended. `steps`: those that were trained, fewer than asked for when the run was stopped from outside."""

    steps: int
    last_total: float
    token_accuracy_easy: float
    token_accuracy_hard: float
    steps_per_s: float
    state: str


def train(options: Options, recorder: Recorder | None = None) -> Summary:
    """Train to the end or until stopped; raises UnknownChoice and ConfigError before the first step."""
    options = DENOVO.completed(options)
    setup, record = build(options), recorder or NullRecorder()
    factor = options.number("weight_factor")
    run = lg.init(
        project=options.project,
        name=options.name or f"{options.variant}-{options.seed}",
        config=asdict(options),
        model=setup.model,
        optimizer=setup.optimizer,
        guard=options.guard,
        scheduler=setup.scheduler,
        curriculum=curriculum(options.curriculum, options.stage_steps, factor),
        groups={"encoder": "encoder.*", "decoder": "decoder.*", "head": "head.*"},
        contracts=BOUNDED[options.word("spectrum")],
        controls=lg.Controls(weight_bounds=weight_bounds(factor)),
    )
    if options.compile:
        setup.model.compile()
    with run:
        return _loop(options, setup, run, record)


def _loop(options: Options, setup: Setup, run: lg.Run, record: Recorder) -> Summary:
    steps, total, began_s = 0, torch.tensor(torch.nan), time.perf_counter()
    for batch in run.steps(setup.batches):
        losses, features = setup.losses(batch)
        total = run.total(losses)
        run.matrix("encoder_cov", feature_covariance(features, batch))
        total.backward()
        run.clip_grad_norm_(CLIP_NORM)
        setup.optimizer.step()
        setup.optimizer.zero_grad()
        setup.scheduler.step()
        record.write(run.step, losses, run.weights, total)
        steps += 1
        if steps % options.eval_every == 0:
            run.log({f"val/token_accuracy/{name}": share for name, share in setup.accuracy().items()})
    last_total = total.item()  # waits for the device, so that the rate below is true
    rate = steps / (time.perf_counter() - began_s)
    state = "stopped" if steps < options.steps else "finished"
    accuracy = setup.accuracy()
    return Summary(steps, last_total, float(accuracy["easy"]), float(accuracy["hard"]), rate, state)


@torch.no_grad()
def feature_covariance(features: Tensor, batch: Batch) -> Tensor:
    """[width, width], over the peaks of a batch; features [B, P, width]."""
    present = batch.peak_mask[..., None]
    count = present.sum()
    mean = (features * present).sum((0, 1)) / count
    centred = ((features - mean) * present).flatten(0, 1)
    return centred.T @ centred / count
