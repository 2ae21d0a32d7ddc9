"""A user's configuration as JSON types, to be shown beside the run.

Rules of this file: pure; secrets are left out by the name they go under; whatever has no JSON type becomes text.
"""

import argparse
import dataclasses
import itertools
import re
from collections.abc import Mapping
from pathlib import PurePath
from types import SimpleNamespace
from typing import Any

TEXT_MAX = 2_000  # characters of one value: a config is shown, not stored for replay
CONFIG_TEXT_MAX = 100_000  # characters in all: a declaration beyond the message limit would block its stream for ever
ITEMS_MAX = 1_000
DEPTH_MAX = 6
# the last word of a name: "hf_token" is one, "max_tokens" and "tokenizer" are none
_SECRET = re.compile(
    r"(?:^|[^a-z0-9])(?:token|secret|password|passwd|pwd|api_?key|access_?key|private_?key|credentials?)$"
)


def plain_config(config: object) -> dict[str, Any]:
    """A config (mapping, dataclass, argparse.Namespace, or any object with attributes) as JSON types.

    Values under a name that looks like a secret's are left out; what has no JSON type is shown as text.
    """
    if config is None:
        return {}
    fields = _fields(config)
    if fields is None:
        fields = getattr(config, "__dict__", {"config": config})
    return _within(_plain_fields(fields, 0))


def _within(plain: dict[str, Any]) -> dict[str, Any]:
    room = CONFIG_TEXT_MAX
    kept: dict[str, Any] = {}
    for key, value in plain.items():
        room -= len(key) + len(repr(value))
        if room < 0:
            return {**kept, "...": "(the rest of the config is too long to show)"}
        kept[key] = value
    return kept


def _fields(value: object) -> Mapping[Any, Any] | None:
    # not dataclasses.asdict: it copies deeply, and a lock or a module in a config cannot be copied
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name, None) for f in dataclasses.fields(value)}
    if isinstance(value, argparse.Namespace | SimpleNamespace):
        return vars(value)
    return value if isinstance(value, Mapping) else None


def _plain_fields(fields: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    texts = {_text(str(key)): value for key, value in fields.items()}
    return {key: "(hidden)" if _is_secret(key) else _plain(value, depth) for key, value in texts.items()}


def _text(text: str) -> str:
    # a path may hold bytes that are no UTF-8 (lone surrogates), which no message can carry
    return text[:TEXT_MAX].encode(errors="replace").decode()


def _plain(value: object, depth: int) -> Any:
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -(2**53) < value < 2**53 else str(value)
    if isinstance(value, str | PurePath):
        return _text(str(value))
    fields = _fields(value)
    if depth >= DEPTH_MAX and (fields is not None or isinstance(value, list | tuple | set)):
        return "..."  # not its repr, in which a secret would stand openly
    if fields is not None:
        return _plain_fields(fields, depth + 1)
    if isinstance(value, list | tuple | set):
        rest = ["..."] if len(value) > ITEMS_MAX else []
        return [_plain(item, depth + 1) for item in itertools.islice(value, ITEMS_MAX)] + rest
    return _text(repr(value))


def _is_secret(key: str) -> bool:
    return _SECRET.search(key.lower()) is not None
