"""Too few elements really enter a loss: masked positions, valid samples, tokens that are no padding.

Formula   C elements in the last n rows (at most 20): the Garwood upper limit of a Poisson mean at 99.9 % is
          U = chi2inv(0.999, 2 (C + 1)) / 2 / n. Critical: U < the least number a row, or U < 0.2 times the declared
          one; or a row below a third of a declared least number, or not finite. Warning: no element in more than 1 % of
          the last 200 rows (a mean over none is 0 / 0), a mean of 20 rows outside 0.5 to 2 times the declared one, or
          three rows in a row outside the declared [least, most].
          Each stage, and each stay that an operator's go_to_stage begins, is counted anew: what a mask hid before it
          says nothing of it, so a mend is over after the usual calm rows.
Defaults  least 32 a row where none is declared. No warm-up: one row without any says U = 6.9.
Source    the tabular report: a mask probability of 1e-5 masks 0.08 of 8,192 positions, so 92 % of the batches train
          identity; Garwood 1936. scipy agrees to 1e-6 with what is computed here.
False     only declared counts are judged. A short last batch of an epoch is one of twenty rows; counts that vary more
alarms    than Poisson ones do move U by less than the factor of 5.
Remedy    words (mask probability 0.15 to 0.75, at least 32 / p positions a batch, divide by max(n, 1); a later stage,
          where there is one that an operator may go to), and a pause.
"""

from dataclasses import dataclass
from functools import partial
from math import exp, inf

import numpy as np

from lossguard.protocol.messages import ContractSpec

from . import advice, scale
from .base import AT_ONCE, Finding, Hits, Hold, Info, Memory, Rule, Severity, parameter
from .bound import range_text
from .moment import Moment
from .window import Counts, Floats, Mask, Window

NAME = "count"
INFO = Info(
    "R15",
    NAME,
    "Too few elements",
    "series declared with `counted`, and `count/` series with a declared range",
    "Garwood upper limit of the mean of 20 rows below 32, or below 0.2 times the declared number",
    "Garwood 1936; the tabular report: mask probability 1e-5",
    "only declared counts; the limit allows for chance, and 20 rows for a short batch",
)
HOLD = Hold(3, 3)
CONFIDENCE = 0.999
NORMAL_QUANTILE = 3.090232306167813  # of it
EXACT_MAX = 1000  # above so many elements the approximation is right to 1e-5
FAR = 3.0  # below a third of a declared least number it is critical at once, as in contract.py
COUNT_MAX = 1e12  # elements a row: one value beyond it would swallow all others of the running sum
SHORT = 20  # rows: what a mean is of
SUMS, ZEROS, STAY = "sums", "zeros", "stay"


@dataclass(frozen=True)
class Parameters:
    """How few are too few."""

    least: float = parameter(32, "elements a row where the script declares no least number", low=0, high=1e9)
    part: float = parameter(0.2, "a mean surely below this part of the declared number is critical", low=0, high=1)
    off: float = parameter(2.0, "a mean off the declared number by this factor is a warning", low=1.01, high=1e6)
    empty: float = parameter(0.01, "rows without any element, as a part of all", low=0, high=1)
    empty_rows: float = parameter(200, "... of so many", low=20, high=10_000, unit="rows", whole=True)


@dataclass(frozen=True)
class Tally:
    """What is known of a count at each of its rows in the window, [n] each."""

    rows: Counts
    values: Floats
    sums: Floats  # over the last `spans` rows of the stage
    spans: Floats
    zeros: Floats  # rows without any in the last `zero_spans` rows
    zero_spans: Floats

    @property
    def means(self) -> Floats:
        return self.sums / self.spans


def rule(parameters: Parameters = Parameters()) -> Rule:
    return Rule(INFO, parameters, judge)


def judge(window: Window, parameters: Parameters, memory: Memory) -> list[Hits]:
    """What is wrong with the declared counts of the window."""
    hits: list[Hits] = []
    tallies: dict[int, Tally] = {}
    for contract in window.schedule.declaration.contracts:
        number = window.number(contract.series)
        if not is_count(contract) or number is None or not window.fresh[:, number].any():
            continue
        if number not in tallies:
            tallies[number] = _tally(window, number, parameters, memory)
        hits += _judged(window, contract, tallies[number], parameters)
        broken = np.flatnonzero(window.fresh[:, number] & ~window.live[:, number])
        if len(broken):
            explain = partial(_explain_broken, window, number)
            hits.append(Hits(contract.series, broken, Severity.CRITICAL, AT_ONCE, explain))
    return hits


def is_count(contract: ContractSpec) -> bool:
    """Whether the contract is about a count of elements; before 1.3 a range of a `count/` series was one."""
    return contract.kind == NAME or (contract.kind == "" and contract.series.startswith("count/"))


def least_of(contract: ContractSpec, parameters: Parameters) -> float:
    """So many elements a row there must be on average."""
    usual = parameters.least if contract.kind == NAME else 0.0
    return max(usual if contract.low is None else contract.low, parameters.part * (_expected(contract) or 0.0))


def _expected(contract: ContractSpec) -> float | None:
    """The declared number; one that is not above 0 declares nothing."""
    return contract.expected if contract.expected is not None and contract.expected > 0 else None


def upper_limit(count: float) -> float:
    """The Poisson mean at which `count` or fewer elements have the probability 0.001."""
    guess = float(_approximate(np.array([count]))[0])
    if count > EXACT_MAX:
        return guess
    low, high = 0.5 * guess, 2.0 * guess
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(count, middle) > 1 - CONFIDENCE else (low, middle)
    return (low + high) / 2


def _at_most(count: float, mean: float) -> float:
    """P(X <= count) of a Poisson variable with that mean."""
    upto = np.arange(int(np.ceil(count)) + 1, dtype=np.float64)
    logs = np.concatenate([[0.0], np.cumsum(np.log(upto[1:]))])
    return float(np.exp(upto * np.log(mean) - mean - logs).sum())


def _approximate(counts: Floats) -> Floats:
    """Wilson and Hilferty's: 2.3 % too high at 0 elements, 0.2 % at 5."""
    degrees = 2 * (counts + 1)
    root = 1 - 2 / (9 * degrees) + NORMAL_QUANTILE * np.sqrt(2 / (9 * degrees))
    return np.asarray(degrees * root * root * root / 2)


def _is_below(sums: Floats, means: Floats) -> Mask:
    """[n]: the upper limit of `sums` elements is below `means`, the number that is due in the same rows."""
    approximate = _approximate(np.maximum(sums, 0.0))
    below = approximate < means
    close = np.flatnonzero((approximate < 1.05 * means) & (approximate > 0.95 * means) & (sums <= EXACT_MAX))
    known: dict[tuple[float, float], bool] = {}  # counts repeat
    for at in close.tolist():
        pair = float(sums[at]), float(means[at])
        if pair not in known:
            known[pair] = _at_most(*pair) < 1 - CONFIDENCE
        below[at] = known[pair]
    return below


def _tally(window: Window, number: int, parameters: Parameters, memory: Memory) -> Tally:
    rows = np.flatnonzero(window.live[:, number])
    values, stays = window.values[rows, number], _stays(window)[rows]
    kept = memory.get(window.names[number], {SUMS: np.zeros(1), ZEROS: np.zeros(1)})
    long = int(parameters.empty_rows)
    # from the run's beginning on, and one by one, so it does not matter where the window begins
    counts = np.clip(values, 0.0, COUNT_MAX)
    sums = np.concatenate([kept[SUMS], np.cumsum(np.concatenate([kept[SUMS][-1:], counts]))[1:]])
    zeros = np.concatenate([kept[ZEROS], kept[ZEROS][-1] + np.cumsum(values <= 0)])
    at = len(kept[SUMS]) + np.arange(len(rows))
    anew = (np.diff(np.concatenate([kept.get(STAY, stays[:1]), stays]), axis=0) != 0).any(axis=1)
    first = np.maximum.accumulate(np.where(anew, at - 1, 0))  # where the sums of the row's stay begin
    before, long_before = np.maximum(at - SHORT, first), np.maximum(at - long, first)
    spans, zero_spans = (at - before).astype(np.float64), (at - long_before).astype(np.float64)
    if len(rows):
        begin = max(int(first[-1]), len(sums) - long - 1)
        memory[window.names[number]] = {SUMS: sums[begin:], ZEROS: zeros[begin:], STAY: stays[-1:]}
    return Tally(rows, values, sums[at] - sums[before], spans, zeros[at] - zeros[long_before], zero_spans)


def _stays(window: Window) -> Counts:
    """[T, 2]: the stage of each row, and how often an operator had gone to one by then."""
    operations = window.schedule.declaration.operations
    gone = np.sort(np.array([each.step for each in operations if each.kind == "go_to_stage"], dtype=np.int64))
    return np.stack([window.stages, np.searchsorted(gone, window.steps, side="right")], axis=1).astype(np.int64)


def _judged(window: Window, contract: ContractSpec, tally: Tally, parameters: Parameters) -> list[Hits]:
    values, spans, means = tally.values, tally.spans, tally.means
    critical = _is_below(tally.sums, least_of(contract, parameters) * spans)
    outside = np.zeros(len(values), np.bool_)
    if contract.low is not None:
        outside |= values < contract.low
        critical |= values < contract.low / FAR
    if contract.high is not None:
        outside |= values > contract.high
    warning = _is_often_empty(contract, tally, parameters)
    if expected := _expected(contract):
        off = (means < expected / parameters.off) | (means > expected * parameters.off)
        warning |= (spans >= SHORT) & off
    explain = partial(_explain, window, contract, tally, parameters)
    levels = (
        (outside & ~warning & ~critical, Severity.WARNING, HOLD),
        (warning & ~critical, Severity.WARNING, AT_ONCE),
        (critical, Severity.CRITICAL, AT_ONCE),
    )
    return [
        Hits(contract.series, tally.rows[mask], severity, hold, explain)
        for mask, severity, hold in levels
        if mask.any()
    ]


def _is_often_empty(contract: ContractSpec, tally: Tally, parameters: Parameters) -> Mask:
    """[n]: more than 1 % of the rows have no element; one such row alone is none too many."""
    if contract.low == 0 or (contract.low is None and _expected(contract) is None):
        return np.zeros(len(tally.values), np.bool_)
    return np.asarray((tally.zeros >= 2) & (tally.zeros > parameters.empty * tally.zero_spans))


def _explain(window: Window, contract: ContractSpec, tally: Tally, parameters: Parameters, row: int) -> Finding:
    moment, at = Moment(window, row), int(np.searchsorted(tally.rows, row))
    value, mean, total, span = (float(column[at]) for column in (tally.values, tally.means, tally.sums, tally.spans))
    least, expected = least_of(contract, parameters), _expected(contract)
    upper = upper_limit(total) / span
    name = contract.series.removeprefix("count/")
    empty = _empty_text(contract, tally, at, name)
    slip = scale.slip(mean, expected / parameters.off, expected * parameters.off) if expected else None
    text = (
        f"{total:g} elements in {span:g} rows: with 99.9 % confidence at most {upper:.3g} a row; least {least:g}."
        + (f" {empty}" if empty else "")
        + (f" {slip.text}" if slip else "")
        + " Mend: for a mask, a probability of 0.15 to 0.75 and at least 32 / p positions a batch; divide by max(n, 1)."
        + _later(moment)
    )
    numbers = {"value": value, "mean": mean, "upper": upper, "least": least, "expected": expected, "rows": int(span)}
    why = f"too few elements of {name} enter the loss; no weight mends that."
    return Finding(
        _message(contract, tally, at, moment.step, least, empty),
        text,
        None,
        numbers | {"empty_share": float(tally.zeros[at] / tally.zero_spans[at])},
        None,
        advice.pause(moment.schedule, why) if upper < least or value <= 0 else None,
    )


def _later(moment: Moment) -> str:
    """A mask that grows with the curriculum is larger in a stage that has not come yet."""
    later = moment.schedule.stage_after(moment.step) if moment.schedule.allows("go_to_stage") else None
    return "" if later is None else f" If more is due in the later stage {later.name!r}, go to it now."


def _message(contract: ContractSpec, tally: Tally, at: int, step: int, least: float, empty: str) -> str:
    value, mean, span, due = tally.values[at], tally.means[at], tally.spans[at], _due(contract, least)
    if value > 0:
        mean_text = f", a mean of {mean:.3g} in {span:g} batches" if span > 1 else ""
        said = f"{contract.series} is {value:g} at step {step}{mean_text}; {due}."
        return f"{said} {empty}" if empty else said
    name, zeros, of = contract.series.removeprefix("count/"), tally.zeros[at], tally.zero_spans[at]
    said = f"No element of {name} entered the loss in {zeros:g} of {of:g} batches; {due}."
    return f"{said} {empty}" if _is_foretold(contract, of) else said


def _is_foretold(contract: ContractSpec, span: float) -> bool:
    """Few batches are known, and the declared number itself leaves many of them empty."""
    expected = _expected(contract)
    return span < SHORT and expected is not None and 0 < expected < SHORT / 2


def _due(contract: ContractSpec, least: float) -> str:
    if expected := _expected(contract):
        return f"{expected:g} a batch are expected"
    if contract.high is not None:
        return f"declared is {range_text(-inf if contract.low is None else contract.low, contract.high)}"
    return f"at least {least:g} are due"


def _empty_text(contract: ContractSpec, tally: Tally, at: int, name: str) -> str:
    """How many batches have nothing to learn from: as seen, and before that as the declared number foretells."""
    zeros, span, expected = float(tally.zeros[at]), float(tally.zero_spans[at]), _expected(contract)
    if zeros == 0:
        return ""
    if span >= SHORT:
        part = f"{100 * zeros / span:.3g} % of batches have"
    elif expected is not None and _is_foretold(contract, span):
        part = f"{100 * exp(-expected):.3g} % of batches have"
    else:
        part = f"{zeros:g} of the first {span:g} batches had"
    return f"{part} no {name} element: what they train is not what the loss is meant for."


def _explain_broken(window: Window, number: int, row: int) -> Finding:
    series, value = window.names[number], float(window.values[row, number])
    moment = Moment(window, row)
    return Finding(
        f"{series} is {value} at step {moment.step}.",
        f"A count is a number; {value} elements is none.",
        None,
        {"value": value},
        None,
        advice.pause(moment.schedule, f"{series} is not finite."),
    )
