"""A user's configuration as JSON types, to be shown beside the run.

Rules of this file: pure; secrets are left out by the name they go under; whatever has no JSON type becomes text.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

TEXT_MAX = 2_000  # characters of one value: a config is shown, not stored for replay
ITEMS_MAX = 1_000
DEPTH_MAX = 6
_SECRET_WORDS = ("token", "secret", "password", "passwd", "api_key", "apikey", "credential")


def plain_config(config: object) -> dict[str, Any]:
    """A config (mapping, dataclass, argparse.Namespace, or any object with attributes) as JSON types.

    Values under a name that looks like a secret's are left out; what has no JSON type is shown as text.
    """
    if config is None:
        return {}
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        config = dataclasses.asdict(config)
    if not isinstance(config, Mapping):
        config = getattr(config, "__dict__", {"config": config})
    return {str(key): "(hidden)" if _is_secret(str(key)) else _plain(value, 0) for key, value in config.items()}


def _plain(value: object, depth: int) -> Any:
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -(2**53) < value < 2**53 else str(value)
    if isinstance(value, str | PurePath):
        return str(value)[:TEXT_MAX]
    if depth < DEPTH_MAX and isinstance(value, Mapping):
        return {str(k): "(hidden)" if _is_secret(str(k)) else _plain(v, depth + 1) for k, v in value.items()}
    if depth < DEPTH_MAX and isinstance(value, list | tuple | set) and len(value) <= ITEMS_MAX:
        return [_plain(item, depth + 1) for item in value]
    return repr(value)[:TEXT_MAX]


def _is_secret(key: str) -> bool:
    return any(word in key.lower() for word in _SECRET_WORDS)
