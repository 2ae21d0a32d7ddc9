"""forecast: the arithmetic of a line through log values, and when it is shown."""

from math import inf, log

import pytest

from lossguard_server.rules.forecast import SQUARE_MAX, Fit, at_most_steps, numbers_of, steps_to, words


def line(slope: float = 0.01, error: float = 0.0001, level: float = 1.0, **more: float) -> Fit:
    return Fit(1000, 100, slope, error, log(level), 0.0, **more)


def test_a_limit_is_reached_when_the_line_is_there_and_the_interval_is_ten_percent_of_the_slope() -> None:
    steps = steps_to(line(), 5.0)
    assert steps == pytest.approx((log(5) / 0.011, log(5) / 0.01, log(5) / 0.009))


def test_three_errors_of_the_slope_widen_it_and_a_factor_of_four_is_not_shown() -> None:
    low, _, high = steps_to(line(error=0.001), 5.0) or (0, 0, 0)
    assert high / low == pytest.approx(1.3 / 0.7)
    assert steps_to(line(error=0.0019), 5.0) is not None
    assert steps_to(line(error=0.0021), 5.0) is None
    assert steps_to(line(error=0.004), 5.0) is None


@pytest.mark.parametrize(("slope", "limit"), [(0.0, 5.0), (-0.01, 5.0), (0.01, 0.5), (0.01, inf), (0.01, 0.0)])
def test_what_is_never_reached_or_reached_already_has_no_forecast(slope: float, limit: float) -> None:
    assert steps_to(line(slope), limit) is None


def test_growth_that_itself_grows_has_an_upper_bound_instead() -> None:
    fit = line(fastest=0.5)
    assert at_most_steps(fit, SQUARE_MAX) == pytest.approx(log(SQUARE_MAX) / 0.5)
    assert "overflows in less than 89 steps" in words(fit, 5.0, SQUARE_MAX)
    numbers = numbers_of(fit, 5.0, SQUARE_MAX)
    assert (numbers["overflow_step"], numbers["overflow_within_steps"]) == (None, 89)


def test_numbers_are_steps_of_the_run() -> None:
    numbers = numbers_of(line(level=2.0), 5.0, 65504.0)
    assert numbers["level"] == pytest.approx(2.0)
    assert numbers["doubles_every_steps"] == pytest.approx(log(2) / 0.01)
    assert numbers["threshold_step"] == [1083, 1092, 1102]
    assert numbers["overflow_step"][1] == 1000 + round(log(32752) / 0.01)
    assert words(line(level=2.0), 5.0, 65504.0).startswith("At this rate it crosses 5 at about step 1092 (1083 to")


def test_nothing_to_tell_is_no_words() -> None:
    assert words(line(error=0.1), 5.0, SQUARE_MAX) == ""
    assert numbers_of(line(error=0.1), 5.0, SQUARE_MAX)["threshold_step"] is None
