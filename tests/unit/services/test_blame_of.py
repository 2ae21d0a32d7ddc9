"""Blame over a range that a person chose: only both ends are read, and what is said of them is what was in force."""

from collections.abc import Iterator, Sequence
from math import inf, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lossguard.protocol.frames import Columns, Steps
from lossguard.protocol.messages import Declaration, StageSpec
from lossguard_server.errors import RunChanged
from lossguard_server.errors.blaming import NothingToBlame
from lossguard_server.services.blame_of import blame_of
from lossguard_server.store.points import Branch, Points, SeriesExtent
from store_world import Store, frame, opened_store, rollback, schema

PLAIN = Declaration(seq=1, components=["ce", "aux"])
Series = dict[str, tuple[Steps, Columns]]


class Run:
    """A source in memory, which counts what it reads."""

    def __init__(self, **series: Any) -> None:
        """Values by name, `_` for `/`, at the steps 0, 1, 2, ..., or (steps, values)."""
        self.read = 0
        self.series: Series = {}
        self.branches = [Branch(1.0, frozenset())]
        for name, given in series.items():
            steps, values = given if isinstance(given, tuple) else (range(len(given)), given)
            self.series[name.replace("_", "/")] = np.array(steps, np.int64), np.array(values, np.float64)

    def extents(self, run_id: str) -> list[SeriesExtent]:
        return [SeriesExtent(n, int(s[0]), int(s[-1]), len(s)) for n, (s, _) in self.series.items()]

    def branch(self, run_id: str) -> Branch:
        return self.branches.pop(0) if len(self.branches) > 1 else self.branches[0]

    def raw(self, run_id: str, names: Sequence[str], first_step: int | None, last_step: int | None) -> Series:
        found = {}
        for name in names:
            steps, values = self.series[name]
            part = slice(steps.searchsorted(first_step), steps.searchsorted(last_step, "right"))
            found[name] = steps[part], values[part]
            self.read += len(found[name][0])
        return found


def of(run: Run, first: int | None = None, last: int | None = None, declaration: Declaration = PLAIN) -> dict[str, Any]:
    return blame_of(run, "r", declaration, first, last)


def parts_of(found: dict[str, Any]) -> list[tuple[str, str, int]]:
    return [(part["component"], part["cause"], part["percent"]) for part in found["parts"]]


def test_what_the_schedule_moved_is_told_from_what_the_loss_moved() -> None:
    weight = np.repeat([0.0, 0.01], 10)
    run = Run(
        loss_total=np.repeat([2.2, 9.2], 10), loss_ce=np.full(20, 2.2), loss_aux=np.full(20, 700.0),
        weight_ce=np.ones(20), weight_aux=weight,
    )  # fmt: skip
    found = of(run)
    assert parts_of(found) == [("aux", "schedule", 100)]
    assert (found["from_step"], found["to_step"], found["samples"]) == (0, 19, 5)
    assert found["text"] == "The total rose by 7: 100 % of that is aux, because its weight changed."
    assert found["total"] == pytest.approx({"from": 2.2, "to": 9.2, "delta": 7.0, "unexplained": 0.0})
    assert found["components"][1] == {"component": "aux", "weight": [0.0, 0.01], "loss": [700.0, 700.0]}
    assert found["assumed"] == []


def test_each_end_is_the_median_of_its_samples_and_one_stray_decides_nothing() -> None:
    losses = np.array([1, 1, 50, 1, 1, 9, 9, 9, 2, 2, 90, 2, 2], float)
    found = of(Run(loss_total=losses, loss_ce=losses, weight_ce=np.ones(13)))
    assert (found["delta_total"], found["samples"]) == (1.0, 5)


def test_a_million_steps_cost_as_little_as_a_hundred() -> None:
    n = 1_000_000
    rise = np.linspace(1.0, 2.0, n)
    run = Run(loss_total=rise, loss_ce=rise, weight_ce=np.ones(n))
    assert of(run)["delta_total"] == pytest.approx(1.0, rel=1e-4)
    assert run.read < 200
    run.read = 0
    assert of(run, 300_000, 600_000)["delta_total"] == pytest.approx(0.3, rel=1e-4)
    assert run.read < 200


def test_rows_far_apart_are_found() -> None:
    steps = np.arange(30) * 100_000
    losses = np.linspace(1.0, 3.0, 30)
    found = of(Run(loss_total=(steps, losses), loss_ce=(steps, losses), weight_ce=(steps, np.ones(30))))
    assert (found["from_step"], found["to_step"]) == (0, 2_900_000)
    assert found["delta_total"] == losses[-3] - losses[2]


def test_series_of_different_cadence_cost_little_too() -> None:
    sparse, n = np.arange(0, 300_000, 10_000), 300_000
    run = Run(loss_total=(sparse, np.ones(30)), loss_ce=np.ones(n), weight_ce=np.ones(n))
    assert of(run)["samples"] == 5
    assert run.read < 500, "not each loss between two totals"
    rare = np.arange(10_000) * 100
    run = Run(loss_total=(rare, np.ones(10_000)), loss_ce=(rare, np.ones(10_000)), weight_ce=(rare, np.ones(10_000)))
    assert of(run)["to_step"] == 999_900
    assert run.read < 500, "not all rows because the first look found too few"


def test_few_rows_are_shared_between_the_ends_and_one_is_no_range() -> None:
    run = Run(loss_total=[1.0, 2.0, 4.0], loss_ce=[1.0, 2.0, 4.0], weight_ce=np.ones(3))
    assert (of(run)["samples"], of(run)["delta_total"]) == (1, 3.0)
    assert (of(run, 1, 2)["from_step"], of(run, 1, 2)["delta_total"]) == (1, 2.0)
    with pytest.raises(NothingToBlame, match=r"one row, at step 2, with loss/total"):
        of(run, 2, 2)
    for first, last in ((2, 1), (3, 9), (-5, -1)):
        with pytest.raises(NothingToBlame, match="no row with loss/total"):
            of(run, first, last)
    with pytest.raises(NothingToBlame, match="no component"):
        of(Run(loss_total=[1.0, 2.0]))


def test_a_weight_logged_only_when_it_moves_stays_in_force() -> None:
    run = Run(
        loss_total=np.full(2_000, 1.0), loss_ce=np.full(2_000, 1.0), weight_ce=([0, 700], [1.0, 0.25]),
    )  # fmt: skip
    assert of(run, 1_000, 1_900)["components"][0]["weight"] == [0.25, 0.25]
    assert of(run, 600, 1_900)["components"][0]["weight"] == [1.0, 0.25]


def test_what_nobody_reports_is_as_declared_and_an_operator_overrides_it() -> None:
    stages = [StageSpec("a", 0, {"ce": 1.0}), StageSpec("b", 50, {"ce": 1.0, "aux": 0.5})]
    declaration = Declaration(seq=1, components=["ce", "aux"], stages=stages)
    run = Run(loss_ce=np.full(100, 2.0), loss_aux=np.full(100, 4.0))
    found = of(run, declaration=declaration)
    assert (parts_of(found), found["delta_total"], found["total"]) == ([("aux", "schedule", 100)], 2.0, None)
    overridden = Run(loss_ce=np.full(100, 2.0), loss_aux=np.full(100, 4.0), weight_aux=([80], [0.1]))
    assert of(overridden, declaration=declaration)["components"][1]["weight"] == [0.0, 0.1]


def test_a_weight_that_nobody_knows_is_1_and_said_to_be() -> None:
    found = of(Run(loss_ce=[1.0, 1.0, 3.0, 3.0]), declaration=Declaration(seq=1))
    assert (found["delta_total"], found["assumed"]) == (2.0, ["ce"])


def test_a_component_that_came_later_was_brought_in_by_the_schedule() -> None:
    run = Run(loss_total=np.repeat([1.0, 5.0], 20), loss_ce=np.ones(40), weight_ce=np.ones(40),
              loss_aux=(range(20, 40), np.full(20, 8.0)), weight_aux=(range(20, 40), np.full(20, 0.5)))  # fmt: skip
    assert parts_of(of(run)) == [("aux", "schedule", 100)]
    assert of(run)["delta_total"] == 4.0
    assert parts_of(of(run, 0, 19)) == []


def test_a_component_computed_now_and_then_counts_with_its_last_value() -> None:
    run = Run(loss_total=np.ones(1_000), loss_ce=np.ones(1_000), loss_aux=(range(0, 1_000, 250), [1.0, 2.0, 3.0, 4.0]),
              weight_ce=np.ones(1_000), weight_aux=np.ones(1_000))  # fmt: skip
    assert of(run, 300, 700)["components"][1]["loss"] == [2.0, 3.0]


@pytest.mark.parametrize("bad", [nan, inf, -inf])
def test_an_end_that_is_not_finite_names_who_is_not(bad: float) -> None:
    losses = np.ones(20)
    losses[-1] = bad
    found = of(Run(loss_total=losses, loss_ce=np.ones(20), loss_aux=losses, weight_ce=np.ones(20)))
    assert parts_of(found) == [("aux", "loss", 100)]
    assert "aux is not finite" in found["text"]
    healed = np.ones(20)
    healed[[1, 17]] = bad
    found = of(Run(loss_total=healed, loss_ce=np.ones(20), loss_aux=healed, weight_ce=np.ones(20)))
    assert (found["parts"], found["delta_total"]) == ([], 0.0)


def test_a_run_that_goes_back_while_it_is_read_is_read_again() -> None:
    run = Run(loss_total=np.ones(20), loss_ce=np.ones(20))
    one, other = Branch(1.0, frozenset()), Branch(1.0, frozenset({(1, 4, 10)}))
    run.branches = [one, other, other, other]
    assert of(run)["delta_total"] == 0.0
    run.branches = [one, other] * 3
    with pytest.raises(RunChanged):
        of(run)


# -- on the real store -------------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened_store(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("is_folded", [False, True])
def test_of_a_run_that_was_rolled_back_the_branch_that_is_shown_counts(store: Store, is_folded: bool) -> None:
    stream, first, second = store.stream(), list(range(40)), list(range(20, 30))
    lost = [1.0] * 20 + [90.0] * 20
    store.append(stream, schema(1, "loss/total", "loss/ce", "weight/ce"), frame(2, first, lost, lost, [1.0] * 40))
    store.append(stream, rollback(3, 39, 20), frame(4, second, [3.0] * 10, [3.0] * 10, [1.0] * 10))
    if is_folded:
        store.fold(stream)
    found = blame_of(Points(store.reading), "r1", PLAIN, None, None)
    assert (found["from_step"], found["to_step"], found["delta_total"]) == (0, 29, 2.0)
    with pytest.raises(NothingToBlame):
        blame_of(Points(store.reading), "r1", PLAIN, 30, 39)
