"""What a person declares of a series before training; the server judges it from the first step on.

Rules of this file: a contract is a range of one series, or a property of a watched matrix. Judging is not done here.
"""

import math
from collections.abc import Iterable, Sequence

from .errors import ConfigError
from .protocol import names
from .protocol.messages import ContractSpec

SHOWN_CHARS = 100


def bounded(series: str, low: float, high: float) -> ContractSpec:
    """Every value of `series` lies within [low, high] by its definition, as 1 - cos within [0, 2]."""
    return _range("bound", series, low, high)


def ranged(series: str, low: float, high: float) -> ContractSpec:
    """Every value of `series` is expected within [low, high]."""
    return _range("range", series, low, high)


def at_least(series: str, low: float) -> ContractSpec:
    """No value of `series` is below `low`."""
    return _range("", series, low, None)


def at_most(series: str, high: float) -> ContractSpec:
    """No value of `series` is above `high`."""
    return _range("", series, None, high)


def matrix(name: str, *, fro: tuple[float, float]) -> ContractSpec:
    """The Frobenius norm of the watched matrix `name` lies within `fro` = (low, high)."""
    if not isinstance(fro, tuple | list) or len(fro) != 2:
        raise ConfigError(f"The norm of the matrix {name!r} is declared as fro={_shown(fro)}; give (low, high).")
    return _range("range", names.matrix(_name(name), "fro"), *fro)


def share(component: str, low: float, high: float) -> ContractSpec:
    """The component holds a share of the total within [low, high]: |contribution| / sum of all, so within 0 and 1."""
    contract = _range("range", names.share(_name(component)), low, high)
    if low is None or high is None or low < 0 or high > 1:
        raise ConfigError(
            f"The share of {component!r} is declared within [{low}, {high}]; shares are parts of 1, e.g. 0.005 to 0.01."
        )
    return contract


def counted(name: str, expected: float | None = None, at_least: float | None = None) -> ContractSpec:
    """What `run.count(name, mask)` records: `expected` elements a step on average, and in no step below `at_least`."""
    if expected is None and at_least is None:
        raise ConfigError(f"The count of {name!r} is declared without a number; give expected=, at_least= or both.")
    series = names.count(_name(name))
    for argument, number in (("expected", expected), ("at_least", at_least)):
        if number is not None and not _is_number(number, least=0.0):
            raise ConfigError(
                f"The count of {name!r} is declared with {argument}={_shown(number)}; give a number from 0."
            )
    if expected is not None and at_least is not None and at_least > expected:
        raise ConfigError(
            f"The count of {name!r} is declared with at_least={at_least} above expected={expected}; exchange them."
        )
    return ContractSpec(_checked(series), at_least, None, "count", [], expected)


def ratio(series: str, other: str, low: float, high: float) -> ContractSpec:
    """At each step `series` / `other` lies within [low, high]; where both were evaluated, also of `eval/` of them."""
    contract = _range("ratio", series, low, high)
    return ContractSpec(contract.series, low, high, "ratio", [_checked(other)])


def psd(name: str, trace: float | None = None) -> ContractSpec:
    """The watched matrix `name` is Hermitian and positive semi-definite; its trace, if given, is `trace`."""
    if trace is not None and not _is_number(trace, above=0.0):
        raise ConfigError(
            f"The matrix {name!r} is declared with the trace {_shown(trace)}; give a finite number above 0."
        )
    return ContractSpec(_matrix(name), None, None, "psd", [], trace)


def blend(name: str, of: Sequence[str]) -> ContractSpec:
    """The watched matrix `name` is a convex blend of the watched matrices `of`: its norms are not above theirs."""
    own = _matrix(name)
    parts = [of] if isinstance(of, str) or not isinstance(of, Iterable) else list(of)
    if len({part for part in parts if isinstance(part, str)} - {name}) < 2:
        raise ConfigError(
            f"The blend {name!r} is declared of {_shown(parts)}; name two other watched matrices at least."
        )
    return ContractSpec(own, None, None, "blend", [_matrix(part) for part in parts])


def _range(kind: str, series: str, low: float | None, high: float | None) -> ContractSpec:
    series = _checked(series)
    if low is None and high is None:
        raise ConfigError(f"The contract of {series!r} has no bound; give at least one.")
    for bound in (low, high):
        if bound is not None and not _is_number(bound):
            raise ConfigError(f"The contract of {series!r} has the bound {_shown(bound)}; bounds are finite numbers.")
    if low is not None and high is not None and low > high:
        raise ConfigError(f"The contract of {series!r} has its low bound {low} above its high bound {high}.")
    return ContractSpec(series, low, high, kind)


def _shown(value: object) -> str:
    """Of whatever was given, as much as a line holds; a whole number of 5,000 digits has no text at all."""
    try:
        text = repr(value)
    except ValueError:
        text = f"a {type(value).__name__}"
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}..."


def _is_number(value: object, least: float = -math.inf, above: float = -math.inf) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        value = float(value)
    except OverflowError:  # a whole number that no float holds
        return False
    return math.isfinite(value) and value >= least and value > above


def _matrix(name: str) -> str:
    _checked(names.matrix(_name(name), "trace_min"))  # the longest of the series that it has
    return names.matrix_prefix(name)


def _name(name: object) -> str:
    """Of a component, mask or matrix: a text that is not empty, else its series would seem to have one."""
    if (fault := names.fault_in(name)) is not None:
        raise ConfigError(f"A contract names {name!r}: {fault}.")
    return str(name)


def _checked(series: str) -> str:
    if (fault := names.fault_in(series)) is not None:
        raise ConfigError(f"A contract names the series {series!r}: {fault}.")
    return series
