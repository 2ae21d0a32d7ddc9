"""A curriculum as a file: the stages as they were declared, and what was done to them.

Rules of this file: JSON, made to be read and mended by people, too. Numbers come back with the bits with which they
were written. What is wrong is said with its file and its place; a key that this version does not know is left alone.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from .errors import ConfigError
from .operations import as_dict
from .protocol.messages import Operation, StageSpec

MARK, VERSION = "curriculum", 1
BYTES_MAX = 64 << 20  # far more than 100,000 operations
HINT = "write one by `lossguard export --curriculum` or Curriculum.save"


@dataclass(frozen=True)
class Content:
    """What a file holds, not yet checked beyond its shape."""

    stages: list[StageSpec]
    operations: object


def read(path: Path) -> Content:
    """Raises ConfigError for what is no curriculum file of this version."""
    try:
        if path.stat().st_size > BYTES_MAX:
            raise ConfigError(f"{path} has more than {BYTES_MAX >> 20} MiB; a curriculum file does not: {HINT}.")
        given = json.loads(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror or error}); {HINT}.") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is no JSON ({error}); {HINT}.") from None
    if not isinstance(given, dict) or given.get("lossguard") != MARK:
        raise ConfigError(f'{path} is no curriculum file: it lacks "lossguard": "{MARK}"; {HINT}.')
    if given.get("version") != VERSION:
        raise ConfigError(
            f"{path} has version {given.get('version')!r:.40}; this lossguard reads {VERSION}: install a newer one."
        )
    try:
        stages = msgspec.convert(given.get("stages"), list[StageSpec])
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: its stages cannot be read ({error}); {HINT}.") from None
    return Content(stages, given.get("operations", []))


def write(path: Path, stages: Sequence[StageSpec], operations: Sequence[Operation]) -> None:
    """Raises OSError."""
    content: dict[str, Any] = {
        "lossguard": MARK,
        "version": VERSION,
        "run": None,
        "exported_at_step": None,
        "stages": [msgspec.to_builtins(stage) for stage in stages],
        "operations": [as_dict(operation) for operation in operations],
    }
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
