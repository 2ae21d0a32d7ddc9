"""What lossguard adds to a training step: paired and interleaved, so that a machine's moods fall on both sides.

    python benchmarks/overhead.py [--device cpu|cuda] [--steps 300] [--model small|large|both]

Two copies of one model train on the same batches. In each round every variant makes one step, in a random order; the
ratio of a variant is the median over rounds of its step time over the plain step's, with a bootstrap interval. An A/A
pair (plain against plain) shows the noise. `run.log` is timed alone, in the caller's thread.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

import lossguard as lg

BUDGET = {"cpu": 1.03, "cuda": 1.01}
LOG_SCALARS, LOG_CALLS = 24, 20_000
BOOTSTRAPS = 2_000


@dataclass
class Variant:
    """A way of making a step, with its own copy of the model."""

    name: str
    step: Callable[[Tensor], None]
    close: Callable[[], None] = lambda: None


class Transformer(nn.Module):
    """An encoder with a head: `width`, `layers`; input [B, T] tokens, output [B, T, 256]."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(256, width)
        layer = nn.TransformerEncoderLayer(width, 4, 4 * width, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Linear(width, 256)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.encoder(self.embed(tokens)))


SIZES = {"small": (128, 3, 16, 32), "large": (320, 8, 8, 64)}  # width, layers, batch, length: 0.7 M and 10 M parameters


def losses_of(model: nn.Module, tokens: Tensor) -> dict[str, Tensor]:
    logits = model(tokens)
    ce = nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
    return {"ce": ce, "z": logits.logsumexp(-1).square().mean(), "spread": logits.std()}


def plain(name: str, size: str, device: str, extra: Callable[[nn.Module], None] = lambda model: None) -> Variant:
    """A person's loop: weighted sum, backward, clip, step."""
    model, optimizer = _model(size, device)

    def step(tokens: Tensor) -> None:
        part = losses_of(model, tokens)
        (1.0 * part["ce"] + 1e-4 * part["z"] + 0.01 * part["spread"]).backward()
        extra(model)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return Variant(name, step)


def watched(name: str, size: str, device: str, folder: str, with_matrix: bool) -> Variant:
    """The same loop with lossguard, writing its spool as it does beside a server."""
    model, optimizer = _model(size, device)
    stages = lg.Curriculum(lg.Stage("all", weights={"ce": 1.0, "z": 1e-4, "spread": 0.01}))
    run = lg.init("bench", size, model=model, optimizer=optimizer, curriculum=stages, mode="offline", dir=folder)
    matrix = torch.randn(64, 64, device=device)

    def step(tokens: Tensor) -> None:
        run.boundary()
        run.total(losses_of(model, tokens)).backward()
        if with_matrix:
            run.matrix("m", matrix)
        run.clip_grad_norm_(1.0)
        optimizer.step()
        optimizer.zero_grad()

    return Variant(name, step, lambda: run.finish(timeout_s=1.0))


def item_loop(model: nn.Module) -> None:
    """What many people write: one host sync a parameter."""
    for parameter in model.parameters():
        if parameter.grad is not None:
            parameter.grad.norm().item()


def _model(size: str, device: str) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    width, layers, _, _ = SIZES[size]
    model = Transformer(width, layers).to(device)
    return model, torch.optim.AdamW(model.parameters(), 1e-4)


def measure(variants: list[Variant], size: str, device: str, steps: int) -> dict[str, list[float]]:
    """Step times in s by variant; round i of each variant saw the same batch."""
    _, _, batch, length = SIZES[size]
    generator = torch.Generator().manual_seed(1)
    times: dict[str, list[float]] = {variant.name: [] for variant in variants}
    for round_ in range(steps + 10):
        tokens = torch.randint(0, 256, (batch, length), generator=generator).to(device)
        for variant in random.sample(variants, len(variants)):
            _wait(device)
            began_s = time.perf_counter()
            variant.step(tokens)
            _wait(device)
            if round_ >= 10:  # the first steps allocate
                times[variant.name].append(time.perf_counter() - began_s)
    return times


def ratio(times_s: list[float], base_s: list[float]) -> tuple[float, float, float]:
    """Median of the paired ratios, with a 95 % bootstrap interval."""
    ratios = np.array(times_s) / np.array(base_s)
    draws = np.random.default_rng(0).choice(ratios, (BOOTSTRAPS, len(ratios)))
    low, high = np.percentile(np.median(draws, axis=1), [2.5, 97.5])
    return float(np.median(ratios)), float(low), float(high)


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--model", default="both", choices=["small", "large", "both"])
    options = parser.parse_args()
    print(
        f"torch {torch.__version__}, {options.device}, {torch.get_num_threads()} threads; "
        f"budget {BUDGET[options.device]}"
    )
    print("| model | variant | median step ms | ratio to plain | 95 % interval |\n|---|---|---|---|---|")
    for size in SIZES if options.model == "both" else [options.model]:
        with tempfile.TemporaryDirectory() as folder:
            variants = [
                plain("plain", size, options.device),
                plain("plain again (A/A)", size, options.device),
                watched("lossguard", size, options.device, folder, with_matrix=False),
                watched("lossguard + matrix 64x64", size, options.device, folder, with_matrix=True),
                plain("p.grad.norm().item() loop", size, options.device, item_loop),
            ]
            times = measure(variants, size, options.device, options.steps)
            for variant in variants:
                variant.close()
        for name, taken in times.items():
            middle, low, high = ratio(taken, times["plain"])
            print(
                f"| {size} | {name} | {statistics.median(taken) * 1e3:.2f} | {middle:.4f} | {low:.4f} to {high:.4f} |"
            )
    p50, p99 = log_latency_us()
    print(f"\nrun.log of {LOG_SCALARS} scalars: p50 {p50:.1f} us (budget 10), p99 {p99:.1f} us (budget 100)")


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
