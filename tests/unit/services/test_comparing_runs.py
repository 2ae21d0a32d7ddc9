"""Whole comparisons of runs that are made up: what is read, what a GradScaler's probes count for, what is the same."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lossguard.protocol.frames import Columns, Steps
from lossguard.protocol.messages import Declaration
from lossguard.protocol.steering import Plan
from lossguard_server.services.comparing.compare import compare
from lossguard_server.services.comparing.material import Happened, Told, material
from lossguard_server.store.buckets import bucketise
from lossguard_server.store.points import PointsAnswer, SeriesExtent

STEPS = 600
Curves = Mapping[str, Columns]


class Stored:
    """Points of runs, by run and series; `ranges`: what was read of which, save the whole."""

    def __init__(self, runs: Mapping[str, Curves]) -> None:
        self.runs, self.ranges = runs, Counter[str]()

    def extents(self, run_id: str) -> list[SeriesExtent]:
        return [SeriesExtent(name, 0, len(values) - 1, len(values)) for name, values in self.runs[run_id].items()]

    def query(
        self, run_id: str, names: Sequence[str], first_step: int | None, last_step: int | None, width: int | None
    ) -> PointsAnswer:
        self.ranges[run_id] += first_step is not None
        found = {}
        for name, (steps, values) in self.raw(run_id, names, first_step, last_step).items():
            found[name] = bucketise(steps, values, int(steps[0]), int(steps[-1]), width)
        return PointsAnswer(found, max(len(values) for values in self.runs[run_id].values()) - 1)

    def raw(
        self, run_id: str, names: Sequence[str], first_step: int | None, last_step: int | None
    ) -> dict[str, tuple[Steps, Columns]]:
        found = {}
        for name in names:
            values = self.runs[run_id][name]
            kept = slice(first_step or 0, len(values) if last_step is None else last_step + 1)
            found[name] = np.arange(len(values))[kept], values[kept]
        return found


def curves(length: int = STEPS, changed: Curves | None = None) -> Curves:
    noise = np.exp(0.05 * np.random.default_rng(7).standard_normal((2, length)))
    return {"loss/total": 2.0 * noise[0], "grad_norm/total": noise[1], **(changed or {})}


def compared(stored: Stored) -> dict[str, Any]:
    told = [Told(run, "p", run, "finished", Declaration(seq=0), Plan((), ()), 1) for run in stored.runs]
    return compare(stored, [material(stored, each, Happened({}, 0, ())) for each in told], "step")


def test_a_grad_scalers_probes_halve_no_weights() -> None:
    probed = np.ones(STEPS)
    probed[[3, 200]] = np.inf
    found = compared(Stored({"old": curves(), "new": curves(changed={"grad_norm/total": probed})}))
    [decision] = found["decisions"]
    assert (decision["advice"], decision["nodes"][0]["answer"]) == ("adopt", "no")
    assert "Of its gradient norm 2 values are not" in decision["nodes"][0]["why"]
    row = next(row for row in found["verdict"] if row["key"] == "not_finite")
    assert ([cell["value"] for cell in row["cells"]], row["equal"]) == ([0.0, 0.0], True)
    said = "not counted: of the gradient norm 2 +Inf, the first: grad_norm/total at step 3"
    assert row["cells"][1]["detail"] == said


def test_a_loss_that_broke_still_does() -> None:
    broken = curves()["loss/total"].copy()
    broken[5] = np.nan
    [decision] = compared(Stored({"old": curves(), "new": curves(changed={"loss/total": broken})}))["decisions"]
    assert (decision["advice"], "first loss/total at step 5" in decision["nodes"][0]["why"]) == ("reduce", True)


def test_the_first_run_is_read_once_for_all_that_it_shares_a_range_with() -> None:
    stored = Stored({"a": curves(), "b": curves(), "c": curves(), "d": curves(STEPS // 2)})
    compared(stored)
    assert stored.ranges == {"a": 2, "b": 1, "c": 1, "d": 1}, "of a the whole, and the half that d has"


def test_the_last_bit_is_spoken_of_only_where_each_value_was_compared() -> None:
    def said(length: int, at: int, factor: float) -> tuple[int | None, str]:
        other = curves(length)["loss/total"].copy()
        other[at] = other[at] * factor
        found = compared(Stored({"a": curves(length), "b": curves(length, {"loss/total": other})}))
        [pair] = next(each["pairs"] for each in found["parting"] if each["series"] == "loss/total")
        return pair["same_until"], pair["text"]

    same, text = said(STEPS, 300, 1.5)
    assert (same, "The same to the last bit up to step 299." in text) == (299, True)
    inner = int(np.argsort(curves(40_000)["loss/total"][20_000:20_040])[20]) + 20_000
    same, text = said(40_000, inner, 1.000001)
    assert same is not None
    assert inner - 80 < same < inner, "a value that is no end and no extreme of its bucket tells by the mean"
    assert "The same ends, extremes and means in every bucket up to step" in text


def test_a_median_of_means_is_called_so() -> None:
    def detail(length: int) -> str:
        row = compared(Stored({"a": curves(length), "b": curves(length)}))["verdict"][0]
        return str(row["cells"][0]["detail"])

    assert detail(STEPS).startswith("median of the last 60 values by step 599")
    assert detail(102_400).startswith("median of the last 64 means of 6,400 values by step 102,300")
