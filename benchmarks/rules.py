"""What the rules cost: microseconds a step for every rule on 20 and 60 series, as pages of a live and of a busy run.

    python benchmarks/rules.py [--rows 20000]

The limits are the project's: 20 us a step for 20 series, and 250 us a step for 60 series (1,000 steps/s in a quarter of
one core). Pages of 256 rows are what the judge takes when it has a backlog, pages of 50 what 1,000 steps/s bring in
50 ms. `baseline` is the same without any rule. Medians of interleaved repetitions.
"""

import argparse
import statistics
import time

import numpy as np

from lossguard.protocol.messages import Declaration, StageSpec
from lossguard_server.rules import default_rules
from lossguard_server.services.engine import Engine
from lossguard_server.store.rows import Rows

REPEATS = 5
LIMITS_US = {20: 20.0, 60: 250.0}
PAGES = (256, 50, 5)


def healthy(series: int, rows: int) -> tuple[Rows, Declaration]:
    """A run of three components with gradients by group: lognormal noise, nothing to find."""
    random = np.random.default_rng(0)
    weights = {"ce": 1.0, "spectrum": 0.15, "precursor": 0.01}
    losses = {name: 2.0 * np.exp(random.normal(0, 0.05, rows)) for name in weights}
    columns = {f"loss/{name}": values for name, values in losses.items()}
    columns |= {f"weight/{name}": np.full(rows, weight) for name, weight in weights.items()}
    columns |= {f"contribution/{name}": weight * losses[name] for name, weight in weights.items()}
    columns["loss/total"] = sum(weight * losses[name] for name, weight in weights.items())  # type: ignore[assignment]
    columns |= {"lr": np.full(rows, 1e-4), "skipped": np.zeros(rows), "step_time_s": np.full(rows, 0.02)}
    groups = ["total", *(f"group{number}" for number in range(series - len(columns) - 1))]
    columns |= {f"grad_norm/{group}": np.exp(random.normal(0, 0.3, rows)) for group in groups}
    declaration = Declaration(seq=1, components=list(weights), stages=[StageSpec("all", 0, dict(weights))])
    return Rows(np.arange(rows, dtype=np.int64), tuple(columns), np.array(list(columns.values()))), declaration


def cost_us(series: int, rows: int, page: int, with_rules: bool) -> float:
    """Microseconds a step, the run's first 1,000 rows apart."""
    data, declaration = healthy(series, rows + 1_000)
    engine = Engine(lambda: 0.0, default_rules() if with_rules else ())
    engine.declare("run", declaration)
    engine.observe("run", [Rows(data.steps[:1000], data.names, data.columns[:, :1000])])
    began_s = time.perf_counter()
    for at in range(1_000, rows + 1_000, page):
        engine.observe("run", [Rows(data.steps[at : at + page], data.names, data.columns[:, at : at + page])])
    took_s = time.perf_counter() - began_s
    assert not engine.open_alerts("run"), "the run is healthy"
    return took_s / rows * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    rows = parser.parse_args().rows
    print("| series | rows a page | baseline us/step | all rules us/step | limit | of it | a core at 1,000/s |")
    print("|---|---|---|---|---|---|---|")
    for series in LIMITS_US:
        for page in PAGES:
            pairs = [[cost_us(series, rows, page, rules) for rules in (False, True)] for _ in range(REPEATS)]
            bare, full = (statistics.median(column) for column in zip(*pairs, strict=True))
            limit = LIMITS_US[series]
            print(
                f"| {series} | {page} | {bare:.1f} | {full:.1f} | {limit:g} | {full / limit:.2f} | {full / 1_000:.1%} |"
            )


if __name__ == "__main__":
    main()
