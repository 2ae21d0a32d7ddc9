"""The training as a user writes it, watched by lossguard; in half precision with a GradScaler, as the report's was, and
at size "large" in bfloat16 without one.

Rules of this file: nothing here knows that an incident is coming. The contracts are the report's checklist. The
evaluation goes through its own pipeline, as in the report.
"""

import time
from dataclasses import asdict, dataclass

import torch

import lossguard as lg

from ..catalogue import Options
from ..record import NullRecorder, Recorder
from .array import ELEMENTS
from .setup import CLIP_NORM, WEIGHTS, Matrices, Setup, build


@dataclass(frozen=True)
class Summary:
    """How it ended. `steps`: those that were trained; `angle_error_deg`: root mean square, on unseen scenes."""

    steps: int
    last_total: float
    angle_error_deg: float
    steps_per_s: float
    state: str


def train(options: Options, recorder: Recorder | None = None) -> Summary:
    """Train to the end or until stopped; raises UnknownChoice and ConfigError before the first step."""
    setup, record = build(options), recorder or NullRecorder()
    run = lg.init(
        project=options.project,
        name=options.name or f"{options.variant}-{options.seed}",
        config=asdict(options),
        model=setup.model,
        optimizer=setup.optimizer,
        guard=options.guard,
        scheduler=setup.scheduler,
        scaler=setup.scaler,
        losses=WEIGHTS,
        groups={"backbone": "backbone.*", "head": "head.*"},
        contracts=[
            lg.matrix("R_samp", fro=(30, 60)),
            lg.matrix("R_blend", fro=(50, 100)),
            lg.ranged("loss/total", 1, 1_000),
            lg.psd("R_samp", trace=ELEMENTS),
            lg.blend("R_blend", of=["R_pred", "R_samp"]),
        ],
    )
    if options.compile:
        setup.model.compile()
    with run:
        return _loop(options, setup, run, record)


def _loop(options: Options, setup: Setup, run: lg.Run, record: Recorder) -> Summary:
    steps, total, began_s = 0, torch.tensor(torch.nan), time.perf_counter()
    for batch in run.steps(setup.batches):
        losses, matrices = setup.losses(batch)
        total = run.total(losses)
        _watch(run, matrices)
        setup.scaler.scale(total).backward()
        setup.scaler.unscale_(setup.optimizer)
        run.clip_grad_norm_(CLIP_NORM)
        setup.scaler.step(setup.optimizer)
        setup.scaler.update()
        setup.optimizer.zero_grad()
        setup.scheduler.step()
        record.write(run.step, losses, run.weights, total)
        if steps % options.eval_every == 0:
            _evaluate(run, setup)
        steps += 1
    last_total = total.item()  # waits for the device, so that the rate below is true
    rate = steps / (time.perf_counter() - began_s)
    state = "stopped" if steps < options.steps else "finished"
    return Summary(steps, last_total, _evaluate(run, setup), rate, state)


@torch.no_grad()
def _evaluate(run: lg.Run, setup: Setup) -> float:
    """Look at scenes that are never trained on; the angles' error in degrees."""
    with run.evaluating():
        losses, matrices = setup.evaluated(setup.validation)
        run.total(losses)
        _watch(run, matrices)
    return float(losses["angle"].sqrt())


def _watch(run: lg.Run, matrices: Matrices) -> None:
    run.matrix("R_pred", matrices.predicted)
    run.matrix("R_samp", matrices.sampled)
    run.matrix("R_blend", matrices.blended)
