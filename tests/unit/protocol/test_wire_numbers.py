"""How numbers cross JSON."""

import json
import math

import pytest

from lossguard.protocol.numbers import dumps, jsonable, number_from_json, number_to_json


@pytest.mark.parametrize(("value", "word"), [(math.nan, "NaN"), (math.inf, "Infinity"), (-math.inf, "-Infinity")])
def test_a_non_finite_number_becomes_its_word_and_comes_back(value: float, word: str) -> None:
    assert number_to_json(value) == word
    assert repr(number_from_json(word)) == repr(value)


@pytest.mark.parametrize("value", [0.0, -0.0, 5e-324, 1.7976931348623157e308, 0.1])
def test_a_finite_number_is_itself_to_the_last_bit(value: float) -> None:
    assert number_from_json(json.loads(dumps(value))).hex() == value.hex()


def test_every_kind_of_nan_is_one_word() -> None:
    assert number_to_json(-math.nan) == "NaN"


@pytest.mark.parametrize(
    "value", ["nan", "inf", "1.0", "", "Infinity ", "+Infinity", None, True, [], {}, b"NaN", 10**400]
)
def test_nothing_else_is_a_number(value: object) -> None:
    with pytest.raises(ValueError, match="expected a number or one of NaN, Infinity, -Infinity"):
        number_from_json(value)


def test_containers_are_walked_and_the_rest_is_left_alone() -> None:
    given = {"a": [1.5, math.nan, (math.inf, "NaN")], 7: {"b": -math.inf}, "c": None, "d": True}
    assert jsonable(given) == {
        "a": [1.5, "NaN", ["Infinity", "NaN"]],
        "7": {"b": "-Infinity"},
        "c": None,
        "d": True,
    }


def test_what_is_written_is_json_for_a_strict_parser() -> None:
    def refuse(word: str) -> float:
        raise AssertionError(f"bare {word}")

    written = dumps({"x": math.nan, "y": [math.inf], "ü": "日本"})
    assert json.loads(written, parse_constant=refuse) == {"x": "NaN", "y": ["Infinity"], "ü": "日本"}
