"""Operations as they come from a file or a checkpoint: read and checked.

Rules of this file: pure. What makes sense where was decided when they were applied, and a rollback may have brought
them together since; here it is checked that each can be meant for this curriculum, so that no step fails by it later.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from .errors import ConfigError
from .protocol.commands import checked
from .protocol.frames import MAX_STEP
from .protocol.messages import Operation
from .protocol.steering import GO_TO, REVERT, SCALE, STEERING_KINDS, NotPossible

FIELDS = ("step", "id", "kind", "args")


def as_list(operation: Operation) -> list[Any]:
    """[step, id, kind, args]: as it lies in a checkpoint and in a `resume` event."""
    return [operation.step, operation.id, operation.kind, operation.args]


def as_dict(operation: Operation) -> dict[str, Any]:
    """By name: as it lies in a curriculum file."""
    return dict(zip(FIELDS, as_list(operation), strict=True))


def read(entries: object, components: Collection[str], stages: Collection[str], where: str) -> tuple[Operation, ...]:
    """The operations in order; each a list, a dict or an Operation. Raises ConfigError, which names `where`."""
    if not isinstance(entries, Sequence) or isinstance(entries, str | bytes):
        raise ConfigError(f"{where}: the operations are {_short(entries)}, not a list.")
    found: dict[str, Operation] = {}
    for number, entry in enumerate(entries):
        operation = _read_one(entry, f"{where}, operation {number}")
        if operation.id in found:
            raise ConfigError(f"{where}, operation {number}: {operation.id!r} is there already; each has its own id.")
        _check_meant(operation, found, components, stages, f"{where}, operation {number} ({operation.kind})")
        found[operation.id] = operation
    return tuple(found.values())


def _read_one(entry: object, where: str) -> Operation:
    if isinstance(entry, Operation):
        entry = as_list(entry)
    if isinstance(entry, Mapping):
        if missing := [name for name in FIELDS if name not in entry]:
            raise ConfigError(f"{where}: it has no {missing[0]!r}; it needs {', '.join(FIELDS)}.")
        entry = [entry[name] for name in FIELDS]
    if not isinstance(entry, list | tuple) or len(entry) != len(FIELDS):
        raise ConfigError(f"{where} is {_short(entry)}; it must give {', '.join(FIELDS)}.")
    step, id, kind, args = entry
    if type(step) is not int or not 0 <= step <= MAX_STEP:
        raise ConfigError(f"{where}: its step is {_short(step)}; a step is a whole number from 0.")
    if not isinstance(id, str) or not 0 < len(id) <= 512:
        raise ConfigError(f"{where}: its id is {_short(id)}; an id is a text.")
    if kind not in STEERING_KINDS:
        raise ConfigError(f"{where}: its kind is {_short(kind)}; known are {', '.join(STEERING_KINDS)}.")
    if not isinstance(args, Mapping):
        raise ConfigError(f"{where}: its args are {_short(args)}, not a dict.")
    try:
        return Operation(step, id, kind, checked(kind, args))
    except NotPossible as fault:
        raise ConfigError(f"{where}: {fault}.") from None


def _check_meant(
    operation: Operation,
    earlier: Mapping[str, Operation],
    components: Collection[str],
    stages: Collection[str],
    where: str,
) -> None:
    args = operation.args
    named = (
        args.get("components", ()) if operation.kind == SCALE else [args["component"]] if "component" in args else ()
    )
    if unknown := [name for name in named if name not in components]:
        known = ", ".join(components)
        raise ConfigError(f"{where}: the curriculum has no component {unknown[0]!r}; it has {known}.")
    if operation.kind == GO_TO and args["stage"] not in stages:
        raise ConfigError(f"{where}: the curriculum has no stage {args['stage']!r}; it has {', '.join(stages)}.")
    if operation.kind == REVERT and args["command"] not in earlier:
        raise ConfigError(f"{where}: no operation {args['command']!r} stands before it, which it could revert.")


def _short(value: object) -> str:
    return repr(value)[:80]
