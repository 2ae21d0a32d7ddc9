"""The weight that a person is offered."""

from math import inf, nan

import pytest

from lossguard.protocol.magnitudes import (
    TARGET_SHARE,
    exact_weight_for_share,
    ramp_steps,
    two_digits,
    weight_for_contribution,
    weight_for_share,
)


def test_the_numbers_of_the_report() -> None:
    assert weight_for_share(2.2, 700.0, TARGET_SHARE) == 1.6e-05
    assert weight_for_contribution(700.0, 0.01) == 1.4e-05
    assert exact_weight_for_share(2.2, 700.0, 0.05) == pytest.approx(1.65e-4, rel=0.005)
    assert weight_for_share(2.2, 700.0, 0.05) == 1.7e-4


def test_the_weight_gives_the_share() -> None:
    weight = exact_weight_for_share(3.0, -40.0, 0.2)
    assert weight is not None
    assert weight * 40.0 / (weight * 40.0 + 3.0) == pytest.approx(0.2, rel=1e-12)


@pytest.mark.parametrize(
    ("others", "loss"),
    [(0.0, 700.0), (2.2, 0.0), (nan, 1.0), (2.2, nan), (inf, 1.0), (2.2, inf), (1e308, 1e-308), (1e-300, 1e300)],
)
def test_where_no_weight_would_do_there_is_none(others: float, loss: float) -> None:
    assert weight_for_share(others, loss, TARGET_SHARE) is None


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, nan])
def test_a_share_is_between_0_and_1(share: float) -> None:
    assert weight_for_share(2.2, 700.0, share) is None


@pytest.mark.parametrize(("loss", "amount"), [(0.0, 0.01), (nan, 0.01), (700.0, 0.0), (700.0, inf), (1e-320, 1e300)])
def test_where_no_weight_adds_so_much_there_is_none(loss: float, amount: float) -> None:
    assert weight_for_contribution(loss, amount) is None


@pytest.mark.parametrize(
    ("value", "rounded"), [(1.579e-5, 1.6e-5), (0.0995, 0.1), (12345.0, 12000.0), (-0.0234, -0.023)]
)
def test_two_digits(value: float, rounded: float) -> None:
    assert two_digits(value) == rounded


@pytest.mark.parametrize(("jump", "steps"), [(4.2, 73), (2.0, 36), (1.02, 1), (1.0, None), (0.5, None), (inf, None)])
def test_a_ramp_is_so_long_that_no_step_adds_more_than_two_percent(jump: float, steps: int | None) -> None:
    assert ramp_steps(jump) == steps
    if steps is not None:
        assert jump ** (1 / steps) <= 1.02 + 1e-12
