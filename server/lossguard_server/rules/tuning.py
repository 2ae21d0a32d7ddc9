"""Rules with other parameters than their defaults, or switched off: what a person may say, checked.

Rules of this file:
- A configuration is `{rule: {"enabled": bool, "parameters": {name: number}}}`; what it does not name stays as it is.
- Whoever writes one is told what is wrong with it (`checked`). One that was stored and no longer fits, because a rule
  or a bound has changed since, must not stop a run from being judged: what still fits of it counts (`fitting`).
- Each value is checked alone (`shaped`), what counts for a rule together: one layer may say `need`, another `of`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import Field, asdict, fields, replace
from difflib import get_close_matches
from typing import Any, TypedDict

from ..errors.rules import BadRules, ParameterOutOfBounds, UnknownParameter, UnknownRule
from .base import Rule

ENABLED, PARAMETERS = "enabled", "parameters"


class Tuning(TypedDict, total=False):
    """What is said of one rule."""

    enabled: bool
    parameters: dict[str, float]


Configuration = Mapping[str, Tuning]
_Piece = tuple[str, dict[str, Tuning]]  # who says one thing


def tuned(rules: Sequence[Rule], configuration: Configuration) -> tuple[Rule, ...]:
    """The rules that are left, with their parameters. Raises BadRules (UnknownRule, UnknownParameter,
    ParameterOutOfBounds)."""
    known = checked(rules, configuration)
    return tuple(_with(rule, known.get(rule.name, {})) for rule in rules if known.get(rule.name, {}).get(ENABLED, True))


def tuning_of(rules: Sequence[Rule], chosen: Sequence[Rule]) -> dict[str, Tuning]:
    """The configuration by which `tuned` makes `chosen` of `rules`."""
    by_name = {rule.name: rule for rule in chosen}
    return {
        rule.name: Tuning(enabled=True, parameters=_parameters(by_name[rule.name]))
        if rule.name in by_name
        else Tuning(enabled=False)
        for rule in rules
    }


def _parameters(rule: Rule) -> dict[str, float]:
    return {} if rule.parameters is None else asdict(rule.parameters)


def checked(rules: Sequence[Rule], configuration: Mapping[str, Any]) -> dict[str, Tuning]:
    """The same configuration, in the one shape, where it makes sense by itself. Raises BadRules as `tuned` does."""
    found = shaped(rules, configuration)
    for rule in rules:
        _with(rule, found.get(rule.name, {}))
    return found


def shaped(rules: Sequence[Rule], configuration: Mapping[str, Any]) -> dict[str, Tuning]:
    """The same configuration, in the one shape; whether it makes sense together is not asked. Raises BadRules."""
    by_name = {rule.name: rule for rule in rules}
    found: dict[str, Tuning] = {}
    for name, said in configuration.items():
        if name not in by_name:
            raise UnknownRule(name, nearest(name, by_name))
        found[name] = _tuning(by_name[name], said)
    return found


def fitting(
    rules: Sequence[Rule], layers: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[str, dict[str, Tuning]], list[str]]:
    """What of stored configurations still fits, and a sentence for each thing that does not.

    `layers`: by who said it, what counts most last; the answer has the same keys.
    """
    pieces: dict[str, list[_Piece]] = {}
    misfits: list[str] = []
    for who, configuration in layers.items():
        for name, said in configuration.items():
            for each in _pieces(said):
                try:
                    pieces.setdefault(name, []).append((who, shaped(rules, {name: each})))
                except BadRules as error:
                    misfits.append(error.message)
    found: dict[str, dict[str, Tuning]] = {who: {} for who in layers}
    for rule in rules:
        kept, strange = _together(rule, pieces.get(rule.name, []))
        misfits += strange
        for who, piece in kept:
            found[who] = layered(found[who], piece)
    return found, misfits


def _together(rule: Rule, pieces: Sequence[_Piece]) -> tuple[list[_Piece], list[str]]:
    """Those that make sense together, as many as there are, and a sentence for each other."""
    kept: list[int] = []
    waiting = list(range(len(pieces)))
    if _sense(rule, pieces) is None:
        return list(pieces), []
    while True:  # again, as what is said later may make room for what was said before
        refused = {}
        for number in waiting:
            asked = sorted([*kept, number])
            if (sentence := _sense(rule, [pieces[each] for each in asked])) is None:
                kept = asked
            else:
                refused[number] = sentence
        if len(refused) in (0, len(waiting)):
            return [pieces[each] for each in kept], list(refused.values())
        waiting = list(refused)


def _sense(rule: Rule, pieces: Sequence[_Piece]) -> str | None:
    """Why they make no sense together; None where they do."""
    try:
        _with(rule, layered(*(piece for _, piece in pieces)).get(rule.name, {}))
    except BadRules as error:
        return error.message
    return None


def layered(*configurations: Configuration) -> dict[str, Tuning]:
    """All of them at once; of what several say, the last counts."""
    found: dict[str, Tuning] = {}
    for configuration in configurations:
        for name, said in configuration.items():
            now = found.setdefault(name, {})
            if ENABLED in said:
                now["enabled"] = said["enabled"]
            if PARAMETERS in said:
                now["parameters"] = {**now.get("parameters", {}), **said["parameters"]}
    return found


def described(rule: Rule) -> dict[str, Any]:
    """What a person reads of a rule: its Info, and each parameter with its meaning, unit, bounds and default."""
    return {
        **asdict(rule.info),
        PARAMETERS: [
            {
                "name": entry.name,
                "text": entry.metadata["text"],
                "unit": entry.metadata["unit"],
                "low": entry.metadata["low"],
                "high": entry.metadata["high"],
                "whole": entry.metadata["whole"],
                "default": float(getattr(rule.parameters, entry.name)),
            }
            for entry in _settable(rule)
        ],
    }


def nearest(word: str, known: Iterable[str]) -> str | None:
    """What was probably meant; None when nothing is like it."""
    return next(iter(get_close_matches(word, list(known), 1, 0.5)), None)


def _settable(rule: Rule) -> list[Field[Any]]:
    return [entry for entry in fields(rule.parameters) if "low" in entry.metadata]


def _with(rule: Rule, said: Tuning) -> Rule:
    if not (values := said.get("parameters")):
        return rule
    try:
        return replace(rule, parameters=replace(rule.parameters, **values))
    except ValueError as error:  # each is within its bounds, and together they make no sense
        raise BadRules(f"{rule.name}: {error}.") from error


def _tuning(rule: Rule, said: Any) -> Tuning:
    if not isinstance(said, Mapping):
        raise BadRules(f"{rule.name} is {said!r:.80}.", "It takes a table of `enabled` and `parameters`.")
    if strange := [key for key in said if key not in (ENABLED, PARAMETERS)]:
        raise UnknownParameter(rule.name, str(strange[0]), [ENABLED, PARAMETERS], nearest(str(strange[0]), _keys(rule)))
    found: Tuning = {}
    if ENABLED in said:
        if not isinstance(said[ENABLED], bool):
            raise BadRules(f"{rule.name}.enabled is {said[ENABLED]!r:.80}.", "It takes true or false.")
        found["enabled"] = said[ENABLED]
    if PARAMETERS in said:
        if not isinstance(said[PARAMETERS], Mapping):
            raise BadRules(f"{rule.name}.parameters is {said[PARAMETERS]!r:.80}.", "It takes a table of numbers.")
        found["parameters"] = {name: _number(rule, name, value) for name, value in said[PARAMETERS].items()}
    return found


def _keys(rule: Rule) -> list[str]:
    return [ENABLED, PARAMETERS, *(entry.name for entry in _settable(rule))]


def _number(rule: Rule, name: str, value: Any) -> float:
    by_name = {entry.name: entry for entry in _settable(rule)}
    if name not in by_name:
        raise UnknownParameter(rule.name, name, list(by_name), nearest(name, by_name))
    low, high, whole = (by_name[name].metadata[key] for key in ("low", "high", "whole"))
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # compared, never converted before: TOML has whole numbers that no float holds; NaN lies within no bounds
    if not is_number or not low <= value <= high or (whole and value != int(value)):
        raise ParameterOutOfBounds(rule.name, name, value, low, high, whole)
    return float(value)


def _pieces(said: Any) -> list[dict[str, Any]]:
    """Each thing that is said, alone."""
    if not isinstance(said, Mapping):
        return [{"": said}]
    values = said.get(PARAMETERS)
    pieces: list[dict[str, Any]] = [{key: value} for key, value in said.items() if key != PARAMETERS]
    if isinstance(values, Mapping):
        return pieces + [{PARAMETERS: {name: value}} for name, value in values.items()]
    return pieces + ([{PARAMETERS: values}] if PARAMETERS in said else [])
