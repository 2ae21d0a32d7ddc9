"""What is exported is fixed at the start, read in bounded parts, and laid out row by row; missing is not NaN."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossguard.protocol.frames import MAX_STEP, Columns, Steps
from lossguard_server.errors import RunChanged, SeriesNotThere
from lossguard_server.services.exporting.table import Window, blocks, cut, windows
from lossguard_server.store.buckets import bucketise
from lossguard_server.store.points import Branch, PointsAnswer, SeriesExtent


class Run:
    """A source in memory, which counts what is asked of it."""

    def __init__(self, **series: Sequence[int]) -> None:
        """Steps by series; a point's value is its step."""
        self.series: dict[str, tuple[Steps, Columns]] = {}
        self.largest = self.asked = 0
        self.shown = Branch(1.0, frozenset())
        for name, steps in series.items():
            self.grow(name, steps)

    def grow(self, name: str, steps: Sequence[int]) -> None:
        self.series[name] = np.array(steps, np.int64), np.array(steps, np.float64)

    def extents(self, run_id: str) -> list[SeriesExtent]:
        return [SeriesExtent(n, int(s[0]), int(s[-1]), len(s)) for n, (s, _) in self.series.items()]

    def branch(self, run_id: str) -> Branch:
        return self.shown

    def raw(self, run_id: str, names: Sequence[str], first_step: int | None, last_step: int | None) -> Window:
        self.asked += 1
        assert first_step is not None
        assert last_step is not None
        found = {}
        for name in names:
            steps, values = self.series[name]
            part = slice(steps.searchsorted(first_step), steps.searchsorted(last_step, "right"))
            found[name] = steps[part], values[part]
        self.largest = max(self.largest, sum(len(steps) for steps, _ in found.values()))
        return found

    def query(
        self, run_id: str, names: Sequence[str], first_step: int | None, last_step: int | None, width: int | None
    ) -> PointsAnswer:
        self.asked += 1
        assert first_step is not None
        assert last_step is not None
        found = self.raw(run_id, names, first_step, last_step)
        self.asked -= 1
        return PointsAnswer({n: bucketise(*found[n], first_step, last_step, width) for n in names}, -1)


def read_back(run: Run, points: int) -> dict[str, list[int]]:
    """The steps that all windows bring, by series."""
    found: dict[str, list[int]] = {name: [] for name in run.series}
    for window in windows(run, cut(run, "r", [], None, None), points):
        assert sum(len(steps) for steps, _ in window.values()) <= max(points, len(run.series))
        for name, (steps, _) in window.items():
            found[name] += steps.tolist()
    return found


STEPS = st.lists(st.integers(0, 40) | st.integers(0, MAX_STEP), min_size=1, max_size=60, unique=True).map(sorted)


@given(st.lists(STEPS, min_size=1, max_size=4), st.integers(1, 50))
def test_windows_bring_each_point_once_and_never_too_many(series: list[list[int]], points: int) -> None:
    run = Run(**{f"s{index}": steps for index, steps in enumerate(series)})
    assert read_back(run, points) == {f"s{index}": steps for index, steps in enumerate(series)}


def test_bursts_far_apart_cost_a_few_questions_each() -> None:
    bursts = [start + step for start in (0, 1 << 40, 1 << 52) for step in range(1_000)]
    run = Run(a=bursts, b=bursts)
    assert read_back(run, 500)["b"] == bursts
    assert run.asked < 400


def test_a_growing_run_is_cut_at_the_last_step_of_the_start() -> None:
    run = Run(a=range(100))
    asked = cut(run, "r", [], 10, None)
    run.grow("a", range(500))
    steps = np.concatenate([window["a"][0] for window in windows(run, asked, 8)])
    assert steps.tolist() == list(range(10, 100))


@pytest.mark.parametrize("changed", [Branch(2.0, frozenset()), Branch(1.0, frozenset({(1, 9, 40)}))])
def test_a_run_that_is_another_meanwhile_is_not_exported_further(changed: Branch) -> None:
    run = Run(a=range(100))
    found = windows(run, cut(run, "r", [], 10, None), 8)
    assert next(found)["a"][0].tolist() == list(range(10, 18))
    run.shown = Branch(1.0, frozenset({(1, 9, 100)}))
    assert next(found)["a"][0].tolist() == list(range(18, 26)), "cut behind what is exported"
    run.shown = changed
    with pytest.raises(RunChanged):
        next(found)


def test_the_series_come_in_the_order_of_the_run_and_unknown_ones_are_named() -> None:
    run = Run(b=[1, 2], a=[5], c=[9])
    asked = cut(run, "r", ["a", "b", "a"], None, None)
    assert (asked.names, asked.first_step, asked.last_step) == (("b", "a"), 1, 5)
    with pytest.raises(SeriesNotThere, match=r"'x0', 'x1', 'x2' and 1 more"):
        cut(run, "r", ["a", "x0", "x1", "x2", "x3"], None, None)
    with pytest.raises(SeriesNotThere):
        cut(Run(), "r", ["a"], None, None)


def test_a_run_without_points_has_no_windows() -> None:
    assert list(windows(Run(), cut(Run(), "r", [], None, None), 9)) == []
    beyond = cut(Run(a=[1]), "r", [], 7, None)
    assert list(windows(Run(a=[1]), beyond, 9)) == []


def test_a_row_says_what_is_missing_and_keeps_every_bit() -> None:
    odd = np.array([0x7FF8000000000ABC, 0x8000000000000000], np.uint64).view(np.float64)
    window = {"a": (np.array([3, 4]), odd), "b": (np.array([1, 4]), np.array([1.0, np.inf]))}
    [block] = blocks(window, ["a", "b", "c"], 100)
    assert block.steps.tolist() == [1, 3, 4]
    assert block.present.tolist() == [[False, True, False], [True, False, False], [True, True, False]]
    assert block.values[1:, 0].view(np.uint64).tolist() == odd.view(np.uint64).tolist()
    assert block.values[[0, 2], [1, 1]].tolist() == [1.0, np.inf]


@pytest.mark.parametrize("cells", [1, 3, 4, 7, 1_000])
def test_blocks_hold_no_more_than_their_cells(cells: int) -> None:
    window = {"a": (np.arange(0, 20, 2), np.arange(10.0)), "b": (np.arange(0, 20, 3), np.arange(7.0))}
    found = list(blocks(window, ["a", "b"], cells))
    assert all(block.values.size <= max(cells, 2) for block in found)
    assert np.concatenate([block.steps for block in found]).tolist() == sorted({*range(0, 20, 2), *range(0, 20, 3)})
    assert sum(int(block.present.sum()) for block in found) == 17
