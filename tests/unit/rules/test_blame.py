"""The decomposition of a jump, on numbers one can check by hand."""

from math import inf, nan

import numpy as np
import pytest

from lossguard_server.rules.blame import Share, decompose, over_span


def test_the_report_the_schedule_moved_all_of_it() -> None:
    shares = [Share("ce", 1.0, 2.2, 1.0, 2.2), Share("precursor", 0.0, 700.0, 0.01, 700.0)]
    blame = decompose(9_999, 10_000, shares)
    assert blame is not None
    (part,) = blame.parts
    assert (part.component, part.cause, part.percent) == ("precursor", "schedule", 100)
    assert (part.delta, blame.delta_total) == pytest.approx((7.0, 7.0))
    assert blame.text == "The total rose by 7: 100 % of that is precursor, because its weight changed."


def test_loss_and_schedule_of_one_component_are_told_apart() -> None:
    blame = decompose(0, 1, [Share("a", 1.0, 2.0, 2.0, 4.0)])  # 2 -> 8; midpoints: 1.5 * 2 + 3 * 1
    assert blame is not None
    assert [(part.cause, part.delta, part.percent) for part in blame.parts] == [
        ("loss", 3.0, 50),
        ("schedule", 3.0, 50),
    ]


def test_what_pulls_the_other_way_is_negative_and_the_sum_stays_100() -> None:
    blame = decompose(0, 1, [Share("up", 1.0, 1.0, 1.0, 5.0), Share("down", 1.0, 3.0, 1.0, 2.0)])
    assert blame is not None
    assert [(part.component, part.percent) for part in blame.parts] == [("up", 133), ("down", -33)]


def test_three_equal_parts_add_up_to_100() -> None:
    blame = decompose(0, 1, [Share(name, 1.0, 0.0, 1.0, 1.0) for name in "abc"])
    assert blame is not None
    assert sorted(part.percent for part in blame.parts) == [33, 33, 34]


@pytest.mark.parametrize("bad", [nan, inf, -inf])
def test_a_component_that_is_not_finite_is_named_instead(bad: float) -> None:
    blame = decompose(0, 1, [Share("ce", 1.0, 2.0, 1.0, 2.0), Share("aux", 0.1, 1.0, 0.1, bad)])
    assert blame is not None
    assert [(part.component, part.percent) for part in blame.parts] == [("aux", 100)]
    assert "aux is not finite" in blame.text


def test_no_change_has_nobody_to_blame() -> None:
    assert decompose(0, 1, []) is None
    assert decompose(0, 1, [Share("a", 1.0, -0.0, 1.0, 0.0)]) is None
    assert decompose(0, 1, [Share("a", 1.0, 1.0, 1.0, 2.0), Share("b", 1.0, 2.0, 1.0, 1.0)]) is None


def test_sums_beyond_float64_are_split_all_the_same() -> None:
    blame = decompose(0, 1, [Share("a", 0.0, 1e300, 1e300, 1e300), Share("b", 0.0, 1e300, 1e300, 1e300)])
    assert blame is not None
    assert blame.delta_total == inf
    assert [part.percent for part in blame.parts] == [50, 50]


def test_a_span_is_compared_from_the_median_of_its_first_samples_to_that_of_its_last() -> None:
    losses = np.array([[1.0, 99.0, 1.0, 2.0, 3.0, 7.0, 5.0, 5.0, 99.0, 4.0, 5.0]])
    assert over_span(["a"], np.ones((1, 11)), losses) == [Share("a", 1.0, 2.0, 1.0, 5.0)]
    assert over_span(["a"], np.ones((1, 3)), losses[:, :3]) == [Share("a", 1.0, 1.0, 1.0, 1.0)]


def test_of_a_span_only_what_is_known_counts() -> None:
    losses, known = np.array([[50.0, 60.0, 1.0, 2.0, 2.0, 2.0]]), np.array([[False, False, True, True, True, True]])
    assert over_span(["a"], np.ones((1, 6)), losses, known) == [Share("a", 1.0, 1.0, 1.0, 2.0)]
    late = np.array([[False, False, False, True, True, False]])
    assert over_span(["a"], np.ones((1, 6)), losses, late) == [Share("a", 0.0, 2.0, 1.0, 2.0)]
    assert over_span(["a"], np.ones((1, 6)), losses, ~np.ones((1, 6), np.bool_)) == []


def test_what_is_not_finite_in_between_is_passed_over_and_at_the_very_end_is_told() -> None:
    losses = np.array([[nan, 1.0, 1.0, inf, nan, 2.0, 2.0, nan, 2.0, 2.0], [1.0] * 9 + [inf]])
    shares = over_span(["passing", "lasting"], np.ones((2, 10)), losses)
    assert shares[0] == Share("passing", 1.0, 1.0, 1.0, 2.0)
    assert shares[1].loss1 == inf
