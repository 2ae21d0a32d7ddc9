"""What a person declares of a series before training; the server judges it from the first step on.

Rules of this file: a contract is a range of one series. Judging is not done here.
"""

import math

from .errors import ConfigError
from .protocol import names
from .protocol.messages import ContractSpec


def bounded(series: str, low: float, high: float) -> ContractSpec:
    """Every value of `series` lies within [low, high]."""
    return _checked(series, low, high)


def at_least(series: str, low: float) -> ContractSpec:
    """No value of `series` is below `low`."""
    return _checked(series, low, None)


def at_most(series: str, high: float) -> ContractSpec:
    """No value of `series` is above `high`."""
    return _checked(series, None, high)


def matrix(name: str, *, fro: tuple[float, float]) -> ContractSpec:
    """The Frobenius norm of the watched matrix `name` lies within `fro` = (low, high)."""
    return _checked(names.matrix(name, "fro"), *fro)


def _checked(series: str, low: float | None, high: float | None) -> ContractSpec:
    if (fault := names.fault_in(series)) is not None:
        raise ConfigError(f"A contract names the series {series!r}: {fault}.")
    for bound in (low, high):
        if bound is not None and not math.isfinite(bound):
            raise ConfigError(f"The contract of {series!r} has the bound {bound!r}; bounds are finite numbers.")
    if low is not None and high is not None and low > high:
        raise ConfigError(f"The contract of {series!r} has its low bound {low} above its high bound {high}.")
    return ContractSpec(series, low, high)
