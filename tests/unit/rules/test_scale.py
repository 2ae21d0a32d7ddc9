"""By how much a value is off, and what slip makes it so."""

from math import inf, nan

import numpy as np
import pytest

from lossguard.protocol.messages import Declaration
from lossguard_server.rules import scale
from unit.rules.rule_world import moment_at


@pytest.mark.parametrize(
    ("value", "low", "high", "times", "decades"),
    [
        (2.85e-4, 30.0, 60.0, "1.6e5 times too small", -5.0),
        (3.46e12, 50.0, 100.0, "4.6e10 times too large", 10.5),
        (700.0, 0.5, 1.0, "930 times too large", 2.8),
        (-700.0, -1.0, -0.5, "930 times too large", 2.8),
        (1e6, 1e-3, 1e3, "1e6 times too large", 3.0),
        (5.0, 50.0, inf, "10 times too small", -1.0),
        (50.0, nan, 5.0, "10 times too large", 1.0),
    ],
)
def test_the_factor_and_the_decades(value: float, low: float, high: float, times: str, decades: float) -> None:
    slip = scale.slip(value, low, high)
    assert slip is not None
    assert (slip.times, round(slip.decades, 1)) == (times, decades)


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [(45.0, 30.0, 60.0), (0.0, 30.0, 60.0), (-1.0, 30.0, 60.0), (nan, 30, 60), (inf, 30, 60), (5.0, -1.0, 1.0)],
)
def test_where_a_factor_means_nothing_there_is_none(value: float, low: float, high: float) -> None:
    assert scale.slip(value, low, high) is None


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (100.0, "factor 10^2 (percent): check units, percent, ppm"),
        (1.1e-6, "factor 10^-6 (ppm or micro): check units"),
        (1000.0, "factor 10^3 (milli or kilo)"),
        (20.0, ""),
        (1.3, ""),
    ],
)
def test_whole_decades_are_units(factor: float, words: str) -> None:
    slip = scale.slip(factor, 0.99, 1.01)
    assert slip is not None
    assert words in slip.text
    assert ("check units" in slip.text) == bool(words)


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (1229.0, "a sum instead of a mean, or times count/masked (1229)"),
        (1 / 1229.0, "divided by count/masked (1229) once too often"),
        (144.0, "times the trace of matrix/R (144)"),
        (12.0, "a factor sqrt(n) of the trace of matrix/R (144)"),
        (1 / 12.0, "a factor sqrt(n) of the trace of matrix/R (144)"),
    ],
)
def test_a_factor_near_a_known_size_is_a_sum_or_a_mean(factor: float, words: str) -> None:
    slip = scale.slip(factor, 0.99, 1.01, {"count/masked": 1229.0}, {"the trace of matrix/R": 144.0})
    assert slip is not None
    assert words in slip.text


def test_small_sizes_are_near_everything_so_they_are_no_hint() -> None:
    slip = scale.slip(3.0, 0.99, 1.01, {"count/gpus": 3.0, "count/none": 0.0, "count/bad": nan})
    assert slip is not None
    assert slip.likely == ()


def test_known_sizes_are_the_counts_of_the_row_and_the_sizes_of_the_configuration() -> None:
    trace = {"count/masked": np.array([1229.0]), "count/bad": np.array([nan]), "loss/total": np.array([1.0])}
    config = {"batch_size": 64, "lr": 1, "hidden_size": 256, "is_batch": True, "name_length": "long"}
    moment = moment_at(trace, 0, Declaration(seq=1, config=config))
    assert scale.counts_of(moment) == {"count/masked": 1229.0, "batch_size": 64.0, "hidden_size": 256.0}


@pytest.mark.parametrize(
    ("value", "text"), [(157900.0, "1.6e5"), (933.0, "930"), (42.4, "42"), (0.1, "0.1"), (1e-7, "1e-7"), (inf, "inf")]
)
def test_two_digits_are_enough(value: float, text: str) -> None:
    assert scale.short(value) == text
