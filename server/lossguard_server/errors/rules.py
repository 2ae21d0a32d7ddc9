"""What is wrong with a rules configuration, or with what was asked to be tried by it."""

from .base import ServerError
from .requests import BadRequest
from .running import StartupError


class BadRules(BadRequest):
    """The rules cannot be configured so."""

    code = "bad_rules"
    hint = "GET /api/rules lists every rule with its parameters and their bounds."


class UnknownRule(BadRules):
    """There is no such rule."""

    code = "unknown_rule"

    def __init__(self, rule: str, nearest: str | None) -> None:
        super().__init__(hint=f"Did you mean {nearest!r}?" if nearest else None)
        self.rule, self.nearest = rule, nearest

    @property
    def message(self) -> str:
        """The sentence, with the name in it."""
        return f"There is no rule {self.rule[:80]!r}."


class UnknownParameter(BadRules):
    """The rule has no such parameter."""

    code = "unknown_parameter"

    def __init__(self, rule: str, parameter: str, known: list[str], nearest: str | None) -> None:
        hint = f"Did you mean {nearest!r}?" if nearest else f"{rule} has {', '.join(known) or 'none'}."
        super().__init__(f"It is {parameter[:80]!r} of {rule}.", hint)
        self.rule, self.parameter, self.known, self.nearest = rule, parameter, known, nearest


class ParameterOutOfBounds(BadRules):
    """A rule's parameter lies outside of its bounds."""

    code = "parameter_out_of_bounds"

    def __init__(self, rule: str, parameter: str, given: object, low: float, high: float, whole: bool = False) -> None:
        kind = "whole number" if whole else "number"
        super().__init__(f"{rule}.{parameter} is {given!r:.80}.", f"It takes a {kind} from {low:g} to {high:g}.")
        self.rule, self.parameter, self.given, self.low, self.high = rule, parameter, given, low, high


class BadConfigFile(StartupError):
    """The configuration file cannot be used."""

    code = "bad_config_file"


class TooManyBacktests(ServerError):
    """Other backtests are running, and no more may."""

    code = "too_many_backtests"
    status = 429
    retry = True
    hint = "Try again when one of them has ended; closing its page or command ends it."


class BacktestTooLarge(BadRequest):
    """This is more than one backtest takes."""

    code = "backtest_too_large"
