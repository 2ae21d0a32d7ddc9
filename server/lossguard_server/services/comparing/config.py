"""What is different between the declarations of runs, path by path.

Rules of this file: pure. Only what differs is listed; a path that a run does not have is absent there, not null.
Bounded: a person's config may be of any size.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from lossguard.protocol.messages import Declaration

PATHS_MAX = 5_000  # of a run
ROWS_MAX = 200
DEPTH_MAX = 12
TEXT_MAX = 500


@dataclass(frozen=True)
class Differences:
    """`rows`: (path, {run: value}); a run that lacks the path is left out of it. `left_out`: rows beyond the bound;
    `same`: how many paths are alike in all of them."""

    rows: tuple[tuple[str, Mapping[str, Any]], ...]
    left_out: int
    same: int

    def to_dict(self) -> dict[str, Any]:
        """Keys as in docs/protocol.md."""
        rows = [{"path": path, "values": dict(values)} for path, values in self.rows]
        return {"rows": rows, "left_out": self.left_out, "same": self.same}


def differences(runs: Mapping[str, Mapping[str, Any]]) -> Differences:
    """Between facts, each a tree of maps, lists and values."""
    flat = {run: dict(_limited(_paths(facts, (), 0))) for run, facts in runs.items()}
    paths = list(dict.fromkeys(path for each in flat.values() for path in each))
    rows = []
    for path in paths:
        values = {run: each[path] for run, each in flat.items() if path in each}
        if len(values) < len(flat) or len({_key(value) for value in values.values()}) > 1:
            rows.append((path, values))
    return Differences(tuple(rows[:ROWS_MAX]), max(0, len(rows) - ROWS_MAX), len(paths) - len(rows))


def facts_of(declaration: Declaration, rank_count: int) -> dict[str, Any]:
    """What a run declared, as a tree whose paths are compared."""
    told = msgspec.to_builtins(declaration)
    return {
        "components": {name: True for name in declaration.components},
        "stages": {stage["name"]: {"start": stage["start"], "weights": stage["weights"]} for stage in told["stages"]},
        "controls": told["controls"],
        "contracts": {_contract(each): each for each in told["contracts"]},
        "groups": told["groups"],
        "environment": {"device": declaration.device, "ranks": rank_count, "guard": told["guard"]},
        "config": told["config"],
    }


def _contract(told: Mapping[str, Any]) -> str:
    return f"{told['series']} {told['kind']}".strip()


def _paths(value: Any, path: Sequence[str], depth: int) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value and depth < DEPTH_MAX:
        for name, each in value.items():
            yield from _paths(each, (*path, str(name)), depth + 1)
    elif isinstance(value, list) and any(isinstance(each, Mapping | list) for each in value) and depth < DEPTH_MAX:
        for number, each in enumerate(value):
            yield from _paths(each, (*path, str(number)), depth + 1)
    else:
        yield ".".join(path), value if isinstance(value, bool | int | float | None) else _text(value)


def _text(value: Any) -> Any:
    if isinstance(value, Mapping | list) and not value:
        return value  # empty: as it is
    said = value if isinstance(value, str) else ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return said if len(said) <= TEXT_MAX else f"{said[:TEXT_MAX]}..."


def _limited(paths: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    for number, each in enumerate(paths):
        if number == PATHS_MAX:
            return
        yield each


def _key(value: Any) -> tuple[str, str]:
    """Values that are alike: NaN is like itself, True is not 1, and 1 is 1.0."""
    if isinstance(value, float) and value.is_integer():
        return "number", str(int(value))
    kind = "bool" if isinstance(value, bool) else "number" if isinstance(value, int | float) else type(value).__name__
    return kind, str(value)
