"""Whatever moved: the parts add up to the change, the percents to 100, exactly."""

from fractions import Fraction
from math import isfinite

from hypothesis import given
from hypothesis import strategies as st

from lossguard_server.rules.blame import Share, decompose, round_to_hundred

anything = st.floats(allow_nan=True, allow_infinity=True)
ordinary = st.floats(-1e6, 1e6)


@given(st.lists(st.tuples(anything, anything, anything, anything), max_size=6))
def test_percents_add_up_to_100_for_any_floats(rows: list[tuple[float, float, float, float]]) -> None:
    blame = decompose(0, 1, [Share(f"c{i}", *row) for i, row in enumerate(rows)])
    assert blame is None or sum(part.percent for part in blame.parts) == 100


@given(st.lists(st.tuples(ordinary, ordinary, ordinary, ordinary), min_size=1, max_size=6))
def test_the_parts_add_up_to_the_change_of_the_weighted_sum(rows: list[tuple[float, float, float, float]]) -> None:
    blame = decompose(0, 1, [Share(f"c{i}", *row) for i, row in enumerate(rows)])
    exact = sum((Fraction(w1) * Fraction(l1) - Fraction(w0) * Fraction(l0) for w0, l0, w1, l1 in rows), Fraction(0))
    assert (blame is None) == (exact == 0)
    if blame is not None:
        assert blame.delta_total == float(exact)
        largest = max(abs(part.delta) for part in blame.parts)
        assert abs(sum(part.delta for part in blame.parts) - blame.delta_total) <= 1e-9 * largest


@given(st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=12).filter(lambda amounts: sum(amounts) != 0))
def test_a_rounded_percent_is_less_than_one_away_from_the_true_one(amounts: list[int]) -> None:
    fractions = [Fraction(amount, sum(amounts)) for amount in amounts]
    percents = round_to_hundred(fractions)
    assert sum(percents) == 100
    assert all(abs(percent - 100 * fraction) < 1 for percent, fraction in zip(percents, fractions, strict=True))


@given(st.tuples(ordinary, ordinary, ordinary), st.sampled_from([float("nan"), float("inf"), float("-inf")]))
def test_only_components_that_are_not_finite_are_blamed_when_there_are_any(
    row: tuple[float, float, float], bad: float
) -> None:
    blame = decompose(0, 1, [Share("good", *row, 1.0), Share("bad", *row, bad)])
    assert blame is not None
    assert [part.component for part in blame.parts] == ["bad"]
    assert not isfinite(blame.delta_total)
