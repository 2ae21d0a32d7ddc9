"""The weight that a person is offered."""

from math import inf, nan

import pytest

from lossguard_server.rules.remedy import TARGET_SHARE, two_digits, weight_for_share


def test_the_numbers_of_the_report() -> None:
    assert weight_for_share(2.2, 700.0, TARGET_SHARE) == 1.6e-05


def test_the_weight_gives_the_share() -> None:
    weight = weight_for_share(3.0, -40.0, 0.2)
    assert weight is not None
    assert weight * 40.0 / (weight * 40.0 + 3.0) == pytest.approx(0.2, rel=0.05)


@pytest.mark.parametrize(
    ("others", "loss"),
    [(0.0, 700.0), (2.2, 0.0), (nan, 1.0), (2.2, nan), (inf, 1.0), (2.2, inf), (1e308, 1e-308), (1e-300, 1e300)],
)
def test_where_no_weight_would_do_there_is_none(others: float, loss: float) -> None:
    assert weight_for_share(others, loss, TARGET_SHARE) is None


@pytest.mark.parametrize(
    ("value", "rounded"), [(1.579e-5, 1.6e-5), (0.0995, 0.1), (12345.0, 12000.0), (-0.0234, -0.023)]
)
def test_two_digits(value: float, rounded: float) -> None:
    assert two_digits(value) == rounded
