"""Whatever moved: the parts add up to the change, the percents to 100, exactly."""

from fractions import Fraction
from math import isfinite

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lossguard_server.rules.blame import Share, decompose, end_samples, over_span, round_to_hundred

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


finite = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def spans(draw: st.DrawFn, values: st.SearchStrategy[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights, raw losses and what is known of them: [K, n]."""
    shape = draw(st.tuples(st.integers(1, 4), st.integers(2, 14)))
    many = shape[0] * shape[1]
    arrays = [np.array(draw(st.lists(values, min_size=many, max_size=many))).reshape(shape) for _ in range(2)]
    known = np.array(draw(st.lists(st.booleans(), min_size=many, max_size=many))).reshape(shape)
    return arrays[0], arrays[1], known


@given(spans(finite))
def test_over_a_span_the_parts_add_up_to_100_and_to_the_change(span: tuple[np.ndarray, ...]) -> None:
    shares = over_span([f"c{k}" for k in range(len(span[0]))], *span)
    blame = decompose(0, 1, shares)
    exact = sum(
        (Fraction(s.weight1) * Fraction(s.loss1) - Fraction(s.weight0) * Fraction(s.loss0) for s in shares), Fraction(0)
    )
    assert (blame is None) == (exact == 0)
    if blame is not None:
        assert sum(part.percent for part in blame.parts) == 100
        assert blame.delta_total * (1 if exact > 0 else -1) >= 0  # a change too small for float64 is 0


@given(spans(anything))
def test_over_a_span_of_anything_percents_add_up_to_100(span: tuple[np.ndarray, ...]) -> None:
    blame = decompose(0, 1, over_span([f"c{k}" for k in range(len(span[0]))], *span))
    assert blame is None or sum(part.percent for part in blame.parts) == 100


@given(spans(finite))
def test_an_end_is_one_of_its_samples(span: tuple[np.ndarray, ...]) -> None:
    weights, losses, _ = span
    few = end_samples(weights.shape[1])
    for k, share in enumerate(over_span([f"c{k}" for k in range(len(weights))], weights, losses)):
        assert share.loss0 in losses[k, :few]
        assert share.loss1 in losses[k, -few:]
        assert (losses[k, -few:] <= share.loss1).sum() * 2 >= few
        assert (losses[k, -few:] >= share.loss1).sum() * 2 >= few
