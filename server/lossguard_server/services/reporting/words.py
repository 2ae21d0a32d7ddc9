"""Numbers, times and deeds as a person reads them.

Rules of this file: pure; every value may be of any type, because events and arguments come from the wire: what is no
number is said to be unknown, and nothing raises.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from math import inf, isfinite, nan
from typing import Any

UNKNOWN = "unknown"
TEXT_CHARS = 2_000  # of one text: a message that is longer is no message
LATEST_S = 253_402_300_799.0  # the end of the year 9999, the last that a datetime has


def number(value: object, digits: int = 3) -> str:
    """ "2.35", "0.0012", "1.6e+05", "NaN", "+Inf"."""
    if (found := as_float(value)) is None:
        return UNKNOWN
    if isfinite(found):
        return f"{found:.{digits}g}"
    return "NaN" if found != found else ("+Inf" if found > 0 else "−Inf")


def step(value: object) -> str:
    """ "1,230"."""
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else UNKNOWN


def plural(count: int, noun: str) -> str:
    """ "1 alert", "3 alerts"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def moment(at_s: object) -> str:
    """ "2026-11-21 14:14:04 UTC"."""
    found = as_float(at_s)
    if found is None or not 0 < found <= LATEST_S:
        return UNKNOWN
    return datetime.fromtimestamp(found, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def duration(seconds: object) -> str:
    """ "12 s", "3 min 20 s", "2 h 05 min"."""
    found = as_float(seconds)
    if found is None or not isfinite(found) or found < 0:
        return UNKNOWN
    whole = round(found)
    if whole < 60:
        return f"{whole} s"
    return (
        f"{whole // 60} min {whole % 60:02} s"
        if whole < 3_600
        else f"{whole // 3_600:,} h {whole % 3_600 // 60:02} min"
    )


def text(value: object) -> str:
    """A text of the wire as far as a person reads it; "" for what is none."""
    if not isinstance(value, str):
        return ""
    return value if len(value) <= TEXT_CHARS else f"{value[:TEXT_CHARS]}…"


def title(name: str) -> str:
    """ "Grad norm high" of "grad_norm_high"."""
    said = name.replace("_", " ")
    return f"{said[:1].upper()}{said[1:]}"


def as_float(value: object) -> float | None:
    """A number, or one of the words that JSON has for those that are not finite; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return {"NaN": nan, "Infinity": inf, "-Infinity": -inf}.get(value)
    try:
        return float(value) if isinstance(value, int | float) else None
    except OverflowError:
        return None


def as_map(value: object) -> Mapping[str, Any]:
    """A map of the wire; an empty one for what is none."""
    return value if isinstance(value, Mapping) else {}


def deed(kind: object, args: object) -> str:
    """A command in words: "set the weight of precursor to 2.1e-05, for 500 steps"."""
    given = as_map(args)
    said = _SAID.get(text(kind), _anything)(text(kind), given)
    for key, before in (("ramp_steps", "in a ramp of"), ("lease_steps", "for")):
        if key in given:
            said += f", {before} {step(given[key])} steps"
    return said


def _anything(kind: str, args: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in args.items() if key not in ("ramp_steps", "lease_steps")}
    return " ".join([kind.replace("_", " ") or "a command", *(f"{key} {value}" for key, value in rest.items())])


def _set_weight(_: str, args: Mapping[str, Any]) -> str:
    return f"set the weight of {args.get('component')} to {number(args.get('value'), 6)}"


def _scale(_: str, args: Mapping[str, Any]) -> str:
    whose = args.get("components")
    names = ", ".join(map(str, whose)) if isinstance(whose, Iterable) and whose else "every component"
    return f"multiply the weight of {names} by {number(args.get('factor'), 6)}"


def _gate(_: str, args: Mapping[str, Any]) -> str:
    return f"{'open' if args.get('open') else 'close'} the gate of {args.get('component')}"


_SAID: dict[str, Callable[[str, Mapping[str, Any]], str]] = {
    "set_weight": _set_weight,
    "scale_weights": _scale,
    "gate": _gate,
    "hold_stage": lambda _, args: "hold the stage",
    "release_stage": lambda _, args: "release the stage",
    "go_to_stage": lambda _, args: f"go to the stage {args.get('stage')}",
    "set_lr_scale": lambda _, args: f"multiply the learning rates by {number(args.get('value'), 6)}",
    "set_clip": lambda _, args: f"clip gradients at {number(args.get('value'), 6)}",
    "rollback": lambda _, args: (
        "roll back to the last healthy snapshot"
        + (f" before step {step(args['before_step'])}" if "before_step" in args else "")
    ),
    "instrument": lambda _, args: f"record full detail for {step(args.get('steps'))} steps",
    "revert": lambda _, args: "take an earlier command back",
}
