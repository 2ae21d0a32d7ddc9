"""What lossguard adds to a training step: paired and interleaved, so that a machine's moods fall on both sides.

    python benchmarks/overhead.py [--device cpu|cuda] [--steps 300] [--model denovo|small|large|all]

Copies of one model train on the same batches. In each round every variant makes one step, in a random order; the
ratio of a variant is the median over rounds of its step time over that of the variant it is compared with, with a
bootstrap interval. An A/A pair (the plain loop against itself) shows the noise. `run.log` is timed in the caller's
thread, and as a part of a loop of 1.5 ms steps that logs 300 metrics each.
"""

import argparse
import functools
import operator
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import lossguard as lg
from lossguard.scenarios.catalogue import Options
from lossguard.scenarios.denovo.setup import build

BUDGET = {"cpu": 1.03, "cuda": 1.01}
LOG_SCALARS, LOG_CALLS = 24, 20_000
METRICS, METRIC_STEP_S, METRIC_STEPS = 300, 1.5e-3, 2_000
BOOTSTRAPS = 2_000
WARM_UP_ROUNDS = 10  # the first steps allocate
SIZES = {"small": (128, 3, 16, 32), "large": (320, 8, 8, 64)}  # width, layers, batch, length: 0.7 M and 10 M parameters
WEIGHTS = {"ce": 1.0, "z": 1e-4, "spread": 0.01}


@dataclass(frozen=True)
class Subject:
    """A model to train, made afresh for each variant. `losses` gives the components and their shared activation."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    losses: Callable[[Any], tuple[dict[str, Tensor], Tensor]]
    weights: dict[str, float]


@dataclass
class Variant:
    """A way of making a step. `against`: the variant that its ratio is to."""

    name: str
    step: Callable[[Any], None]
    against: str
    close: Callable[[], None] = lambda: None


class Transformer(nn.Module):
    """An encoder with a head: `width`, `layers`; input [B, T] tokens, output [B, T, 256] and states [B, T, width]."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(256, width)
        layer = nn.TransformerEncoderLayer(width, 4, 4 * width, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Linear(width, 256)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        states = self.encoder(self.embed(tokens))
        return self.head(states), states


def transformer(size: str, device: str) -> Subject:
    torch.manual_seed(0)
    width, layers, _, _ = SIZES[size]
    model = Transformer(width, layers).to(device)

    def losses(tokens: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        logits, states = model(tokens)
        ce = nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
        return {"ce": ce, "z": logits.logsumexp(-1).square().mean(), "spread": logits.std()}, states

    return Subject(model, torch.optim.AdamW(model.parameters(), 1e-4), losses, WEIGHTS)


def denovo(device: str, steps: int) -> tuple[Subject, Iterator[Any]]:
    """The reference scenario's model and batches."""
    setup = build(Options(variant="l1", steps=steps, device=device, threads=torch.get_num_threads()))
    weights = {"ce": 1.0, "spectrum": 0.08, "precursor": 0.1}
    return Subject(setup.model, setup.optimizer, setup.losses, weights), iter(setup.batches)


def plain(name: str, subject: Subject, against: str, clip: bool = False, item: bool = False) -> Variant:
    """A person's loop: weighted sum, backward, step."""

    def step(batch: Any) -> None:
        part, _ = subject.losses(batch)
        functools.reduce(operator.add, [weight * part[key] for key, weight in subject.weights.items()]).backward()
        if item:  # what many people write: one host sync a parameter
            for parameter in subject.model.parameters():
                if parameter.grad is not None:
                    parameter.grad.norm().item()
        if clip:
            torch.nn.utils.clip_grad_norm_(subject.model.parameters(), 1.0)
        subject.optimizer.step()
        subject.optimizer.zero_grad()

    return Variant(name, step, against)


def watched(
    name: str,
    subject: Subject,
    against: str,
    folder: str,
    clip: bool = False,
    everything: bool = False,
    full: bool = False,
) -> Variant:
    """The same loop with lossguard, writing its spool as it does beside a server.

    everything: activations, a matrix, a count, component gradients every tenth step. full: full detail at each step.
    """
    run = lg.init(
        "bench", name, model=subject.model, optimizer=subject.optimizer, losses=subject.weights, mode="offline",
        dir=folder, activations=everything,
    )  # fmt: skip
    matrix = torch.randn(64, 64, device=next(subject.model.parameters()).device)
    loop = run.steps(_Endless())

    def step(batch: Any) -> None:
        next(loop)
        part, states = subject.losses(batch)
        if everything:
            run.shared(states)
            run.matrix("m", matrix)
            run.count("positive", matrix > 0)
        run.total({key: part[key] for key in subject.weights}).backward()
        if clip:
            run.clip_grad_norm_(1.0)
        subject.optimizer.step()
        subject.optimizer.zero_grad()

    if full:
        run.instrument(10**5)
    return Variant(name, step, against, lambda: run.finish(timeout_s=1.0))


class _Endless:
    """A loader of nothing: the batches come from the benchmark."""

    def __iter__(self) -> Iterator[int]:
        while True:
            yield 0


def variants(make: Callable[[], Subject], folder: str) -> list[Variant]:
    return [
        plain("nothing", make(), "nothing"),
        plain("nothing again (A/A)", make(), "nothing"),
        plain("clip_grad_norm_ alone", make(), "nothing", clip=True),
        plain("p.grad.norm().item() loop", make(), "nothing", item=True),
        watched("lossguard", make(), "nothing", folder),
        watched("lossguard, clipping", make(), "clip_grad_norm_ alone", folder, clip=True),
        watched("lossguard, everything on", make(), "clip_grad_norm_ alone", folder, clip=True, everything=True),
        watched(
            "everything, full detail", make(), "clip_grad_norm_ alone", folder, clip=True, everything=True, full=True
        ),
    ]


def measure(ways: list[Variant], batches: Iterator[Any], device: str, steps: int) -> dict[str, list[float]]:
    """Step times in s by variant; round i of each variant saw the same batch."""
    times: dict[str, list[float]] = {way.name: [] for way in ways}
    for round_ in range(steps + WARM_UP_ROUNDS):
        batch = next(batches)
        for way in random.sample(ways, len(ways)):
            _wait(device)
            began_s = time.perf_counter()
            way.step(batch)
            _wait(device)
            if round_ >= WARM_UP_ROUNDS:
                times[way.name].append(time.perf_counter() - began_s)
    return times


def ratio(times_s: list[float], base_s: list[float]) -> tuple[float, float, float]:
    """Median of the paired ratios, with a 95 % bootstrap interval."""
    ratios = np.array(times_s) / np.array(base_s)
    draws = np.random.default_rng(0).choice(ratios, (BOOTSTRAPS, len(ratios)))
    low, high = np.percentile(np.median(draws, axis=1), [2.5, 97.5])
    return float(np.median(ratios)), float(low), float(high)


def tokens(size: str, device: str) -> Iterator[Tensor]:
    _, _, batch, length = SIZES[size]
    generator = torch.Generator().manual_seed(1)
    while True:
        yield torch.randint(0, 256, (batch, length), generator=generator).to(device)


def log_latency_us() -> tuple[float, float]:
    """p50 and p99 of `run.log` of 24 scalars in the caller's thread, in us, paced so that the link keeps up."""
    with tempfile.TemporaryDirectory() as folder:
        run = lg.init("bench", "log", mode="offline", dir=folder)
        values = {f"scalar/{i}": float(i) for i in range(LOG_SCALARS)}
        taken = []
        for _ in range(LOG_CALLS):
            began_s = time.perf_counter()
            run.log(values)
            taken.append(time.perf_counter() - began_s)
            while time.perf_counter() - began_s < 200e-6:
                pass
        run.finish(timeout_s=2.0)
    return statistics.median(taken) * 1e6, float(np.percentile(taken, 99)) * 1e6


def metric_loop_ratio() -> tuple[float, float, float]:
    """A loop of 1.5 ms steps that logs 300 metrics each, over the same loop that does not; in blocks, interleaved."""
    values = {f"metric/{i}": float(i) for i in range(METRICS)}
    work = torch.randn(96, 96)
    rounds = 1
    while _block(lambda: None, work, rounds, 5) / 5 < METRIC_STEP_S:
        rounds += 1
    with_s, without_s = [], []
    with tempfile.TemporaryDirectory() as folder:
        run = lg.init("bench", "metrics", mode="offline", dir=folder)
        for _ in range(METRIC_STEPS // 50):
            without_s.append(_block(lambda: None, work, rounds, 50))
            with_s.append(_block(lambda: run.log(values), work, rounds, 50))
        run.finish(timeout_s=2.0)
    return ratio(with_s, without_s)


def _block(extra: Callable[[], None], work: Tensor, rounds: int, steps: int) -> float:
    began_s = time.perf_counter()
    for _ in range(steps):
        for _ in range(rounds):
            work @ work
        extra()
    return time.perf_counter() - began_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--model", default="all", choices=["denovo", *SIZES, "all"])
    options = parser.parse_args()
    threads = torch.get_num_threads()
    print(f"torch {torch.__version__}, {options.device}, {threads} threads; budget {BUDGET[options.device]}")
    print("| model | variant | median step ms | ratio | to | 95 % interval |\n|---|---|---|---|---|---|")
    for name in ["denovo", *SIZES] if options.model == "all" else [options.model]:
        table(name, options.device, options.steps if name != "large" else max(options.steps // 3, 30))
    p50, p99 = log_latency_us()
    print(f"\nrun.log of {LOG_SCALARS} scalars: p50 {p50:.1f} us (budget 10), p99 {p99:.1f} us (budget 100)")
    middle, low, high = metric_loop_ratio()
    print(f"300 metrics each 1.5 ms: ratio {middle:.4f} ({low:.4f} to {high:.4f}; budget 1.01)")


def table(name: str, device: str, steps: int) -> None:
    """Measure one model, print its lines."""
    if name == "denovo":
        batches = denovo(device, steps + WARM_UP_ROUNDS)[1]
        make: Callable[[], Subject] = lambda: denovo(device, 1)[0]  # noqa: E731
    else:
        batches, make = tokens(name, device), lambda: transformer(name, device)
    with tempfile.TemporaryDirectory() as folder:
        ways = variants(make, folder)
        times = measure(ways, batches, device, steps)
        for way in ways:
            way.close()
    for way in ways:
        middle, low, high = ratio(times[way.name], times[way.against])
        taken_ms = statistics.median(times[way.name]) * 1e3
        print(f"| {name} | {way.name} | {taken_ms:.2f} | {middle:.4f} | {way.against} | {low:.4f} to {high:.4f} |")


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
