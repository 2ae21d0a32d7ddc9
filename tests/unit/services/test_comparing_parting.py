"""Where two curves part: jumps, drifts, noise alone, broken values. Curves are made, so that answers are known."""

import numpy as np
import pytest

from lossguard_server.services.comparing.curves import Cells, Curve, Floats, in_cells
from lossguard_server.services.comparing.parting import parting

CELLS = 512


def cells_of(values: Floats) -> Cells:
    is_broken = ~np.isfinite(values)
    return Cells(np.where(is_broken, np.nan, values), is_broken, np.ones(len(values), np.bool_))


def falling(noise: float, seed: int, correlation: float = 0.0) -> Floats:
    """A loss from 3 to 1 with log-normal noise, of which neighbours go together."""
    rng = np.random.default_rng(seed)
    found = rng.standard_normal(CELLS)
    for at in range(1, CELLS):
        found[at] = correlation * found[at - 1] + np.sqrt(1 - correlation**2) * found[at]
    return np.asarray((1 + 2 * np.exp(-np.arange(CELLS) / 120)) * np.exp(noise * found))


@pytest.mark.parametrize("noise", [0.01, 0.05, 0.2])
@pytest.mark.parametrize("at", [0, 100, 300, 480])
def test_a_jump_is_found_where_it_is(noise: float, at: int) -> None:
    one, other = falling(noise, 1), falling(noise, 2)
    other[at:] *= 3
    found = parting(cells_of(one), cells_of(other))
    assert found is not None
    assert abs(found.cell - at) <= 2
    assert found.other / found.one == pytest.approx(3, rel=0.5)
    assert not found.is_broken


def test_a_drift_is_found_once_it_is_above_the_noise() -> None:
    one, other = falling(0.05, 1), falling(0.05, 2)
    other[200:] *= np.exp(np.arange(CELLS - 200) / 300)
    found = parting(cells_of(one), cells_of(other))
    assert found is not None
    assert 200 <= found.cell <= 260


def test_what_is_apart_for_a_moment_does_not_part() -> None:
    one, other = falling(0.05, 1), falling(0.05, 2)
    other[200:210] *= 10
    assert parting(cells_of(one), cells_of(other)) is None


def test_runs_that_differ_by_their_seed_alone_do_not_part() -> None:
    parted = [
        (noise, correlation, seed)
        for noise in (0.01, 0.05, 0.3)
        for correlation in (0.0, 0.5, 0.8)
        for seed in range(40)
        if parting(cells_of(falling(noise, 2 * seed, correlation)), cells_of(falling(noise, 2 * seed + 1, correlation)))
    ]
    assert len(parted) <= 1, parted


def test_a_curve_of_tiny_values_is_judged_like_a_large_one() -> None:
    one, other = falling(0.05, 1), falling(0.05, 2)
    other[300:] *= 2
    found = [parting(cells_of(one * scale), cells_of(other * scale)) for scale in (1e-9, 1.0, 1e9)]
    assert len({None if each is None else each.cell for each in found}) == 1
    assert found[0] is not None


def test_values_that_are_not_positive_part_too() -> None:
    one, other = falling(0.05, 1) - 2, falling(0.05, 2) - 2
    other[300:] += 2
    found = parting(cells_of(one), cells_of(other))
    assert found is not None
    assert abs(found.cell - 300) <= 4


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [5, 300, 505])
def test_what_is_not_finite_parts_from_what_is(bad: float, at: int) -> None:
    one, other = falling(0.05, 1), falling(0.05, 1)
    other[at:] = bad
    found = parting(cells_of(one), cells_of(other))
    assert found is not None
    assert (found.cell, found.is_broken, found.sigmas) == (at, True, np.inf)
    assert np.isfinite(found.one)
    assert np.isnan(found.other)


def test_one_broken_value_does_not_part_and_two_broken_runs_do_not_either() -> None:
    one, other = falling(0.05, 1), falling(0.05, 2)
    other[300] = np.nan
    assert parting(cells_of(one), cells_of(other)) is None
    assert parting(cells_of(np.full(CELLS, np.nan)), cells_of(np.full(CELLS, np.nan))) is None


def test_too_few_cells_say_nothing() -> None:
    assert parting(cells_of(np.ones(20)), cells_of(np.full(20, 5.0))) is None


def test_a_cell_has_the_mean_of_what_is_finite() -> None:
    curve = Curve(
        x=np.array([0.0, 1.0, 2.0, 3.0]), mean=np.array([1e308, 1.7e308, np.nan, 5.0]),
        finite=np.array([1.0, 1.0, 0.0, 2.0]), broken=np.array([0.0, 0.0, 3.0, 1.0]),
    )  # fmt: skip
    found = in_cells(curve, 0.0, 3.0, 2)
    assert found.mean.tolist() == pytest.approx([1.35e308, 5.0])
    assert found.is_broken.tolist() == [False, True], "4 of the 6 values of the second one are not finite"
    assert found.has.all()
