"""A user's configuration as JSON types."""

import argparse
import dataclasses
import math
import threading
from pathlib import Path
from typing import Any

import pytest

from lossguard.config import CONFIG_TEXT_MAX, DEPTH_MAX, ITEMS_MAX, TEXT_MAX, plain_config
from lossguard.protocol.codec import encode
from lossguard.protocol.messages import MAX_MESSAGE_BYTES, Declaration


@dataclasses.dataclass
class Optimizer:
    lr: float
    api_key: str = "s3cret"
    lock: object = dataclasses.field(default_factory=threading.Lock)


@dataclasses.dataclass
class Settings:
    optimizer: Optimizer
    path: Path


def test_plain_values_are_themselves() -> None:
    config = {"a": 1, "b": 1.5, "c": True, "d": None, "e": "x", "f": [1, (2, "y")], "g": {"h": -(2**52)}}
    assert plain_config(config) == {**config, "f": [1, [2, "y"]]}
    assert math.isnan(plain_config({"x": math.nan})["x"])


@pytest.mark.parametrize("config", [None, {}, argparse.Namespace()])
def test_nothing_is_nothing(config: object) -> None:
    assert plain_config(config) == {}


def test_a_dataclass_is_walked_even_when_it_cannot_be_copied() -> None:
    shown = plain_config(Settings(Optimizer(0.1), Path("/data")))
    assert shown["path"] == "/data"
    assert shown["optimizer"]["lr"] == 0.1
    assert shown["optimizer"]["api_key"] == "(hidden)"
    assert "lock" in shown["optimizer"]["lock"]


def test_arguments_and_other_objects_are_walked() -> None:
    assert plain_config(argparse.Namespace(lr=0.1)) == {"lr": 0.1}
    assert plain_config({"args": argparse.Namespace(lr=0.1, wandb_token="s3cret")}) == {
        "args": {"lr": 0.1, "wandb_token": "(hidden)"}
    }
    assert plain_config(5) == {"config": 5}
    assert plain_config("yaml") == {"config": "yaml"}


@pytest.mark.parametrize("key", ["token", "HF_TOKEN", "db_password", "aws_secret_access_key", "Credentials", "apiKey"])
def test_a_secret_is_left_out_at_every_depth(key: str) -> None:
    config: dict[str, Any] = {key: "s3cret"}
    for _ in range(DEPTH_MAX + 3):
        assert "s3cret" not in repr(plain_config(config))
        assert "s3cret" not in repr(plain_config({"list": [config]}))
        config = {"inner": config}


@pytest.mark.parametrize("big", [2**53, -(2**53), 10**30])
def test_an_integer_that_json_cannot_carry_is_text(big: int) -> None:
    assert plain_config({"n": big}) == {"n": str(big)}


def test_text_that_is_no_unicode_can_be_sent() -> None:
    config = {"p\udcff": Path("/data/\udc80x"), "s": "\ud800", "o": {"\udcfe"}}
    encode(Declaration(seq=1, config=plain_config(config)))


def test_a_huge_config_still_fits_into_a_message() -> None:
    for config in (
        {f"key{i}": "x" * 3000 for i in range(10_000)},
        {"list": list(range(10**6))},
        {"nested": {f"k{i}": {f"l{j}": "é" * 50 for j in range(100)} for i in range(100)}},
        {"x" * 10**6: 1},
    ):
        assert len(encode(Declaration(seq=1, config=plain_config(config)))) < MAX_MESSAGE_BYTES / 2


def test_what_is_cut_says_so() -> None:
    assert len(plain_config({"t": "x" * 5000})["t"]) == TEXT_MAX
    assert plain_config({"l": list(range(ITEMS_MAX + 5))})["l"][-2:] == [ITEMS_MAX - 1, "..."]
    cut = plain_config({"small": 1, "large": {str(i): "x" * 1000 for i in range(CONFIG_TEXT_MAX // 1000)}, "last": 2})
    assert cut == {"small": 1, "...": "(the rest of the config is too long to show)"}


def test_a_config_that_contains_itself_ends() -> None:
    config: dict[str, Any] = {"lr": 0.1}
    config["self"] = config
    assert plain_config(config)["self"]["self"]["lr"] == 0.1
