"""Which of two configurations to take: the decision tree of the report, answered with the numbers.

    NaN losses?              yes -> halve the curriculum's weights, test again
    better accuracy?         yes -> adopt
    smoother, more stable?   yes -> adopt (stability before accuracy)
    more than 20 % slower?   yes -> a hybrid; no -> adopt

Rules of this file:
- "NaN losses?" is asked of the losses alone: a float16 GradScaler turns gradients infinite on purpose, and no weight
  is to be halved for that.
- Pure. The first run is the old configuration, the other one is the candidate; the tree is walked to its end, each
  node with its numbers, and what cannot be told is said and taken for a no.
- The tree's answer is the tree's. What it does not ask (a candidate that is worse, a baseline that broke, runs that
  were steered) stands beside it as a caution.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .measured import Measured
from .saying import listed, number, percent
from .verdict import Row, wins

SLOWER = 0.2
YES, NO, UNKNOWN = "yes", "no", "unknown"
REDUCE, ADOPT, HYBRID = "reduce", "adopt", "hybrid"
SHORT = 0.5  # a run of less than this part of the other's length was not compared where it matters


@dataclass(frozen=True)
class Node:
    """A question of the tree, its answer, why, and where that leads."""

    key: str
    question: str
    answer: str
    why: str
    leads: str

    def to_dict(self) -> dict[str, str]:
        return dict(self.__dict__)


@dataclass(frozen=True)
class Decision:
    """What the tree says of `run` against `against`."""

    run: str
    against: str
    advice: str
    text: str
    nodes: tuple[Node, ...]
    cautions: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Keys as in docs/protocol.md."""
        nodes, cautions = [node.to_dict() for node in self.nodes], list(self.cautions)
        return {**self.__dict__, "nodes": nodes, "cautions": cautions}


def decide(rows: Sequence[Row], old: Measured, new: Measured) -> Decision:
    """The tree, walked to its end."""
    nodes = [_is_broken(new)]
    if nodes[-1].answer == YES:
        advice, text = REDUCE, _reduce(new)
    else:
        nodes.append(_is_better(rows, old, new))
        if nodes[-1].answer != YES:
            nodes.append(_is_smoother(rows, old, new))
        if nodes[-1].answer != YES:
            nodes.append(_is_slower(rows, old, new))
            advice, text = (HYBRID, _hybrid(old, new)) if nodes[-1].answer == YES else (ADOPT, f"Adopt {new.name}.")
        else:
            advice, text = ADOPT, f"Adopt {new.name}."
    cautions = _cautions(rows, old, new, advice)
    return Decision(new.run, old.run, advice, text, tuple(nodes), tuple(cautions))


# -- the nodes ---------------------------------------------------------------------------------------------------------


def _is_broken(new: Measured) -> Node:
    found = new.broken
    if not found.count:
        more = f" Of its gradient norm {new.overflown.count:,} values are not." if new.overflown.count else ""
        return Node("nan", "NaN losses?", NO, f"All losses of {new.name} are finite.{more}", "compare")
    first = f"first {found.first_series} at step {found.first_step:,}"
    why = f"{found.count:,} values of {new.name}'s losses are not finite, {first}."
    return Node("nan", "NaN losses?", YES, why, "reduce the weights, test again")


def _is_better(rows: Sequence[Row], old: Measured, new: Measured) -> Node:
    results = [row for row in rows if row.key.startswith("result:")]
    found = [(row, won) for row in results if (won := wins(row, new.run, old.run)) is not None]
    said = " ".join(_told(row, won, old, new) for row, won in found)
    question = "Better accuracy?"
    if not found:
        return Node("accuracy", question, UNKNOWN, "The runs have no result in common.", "look at the curves")
    better = any(won > 0 for _, won in found) and not any(won < 0 for _, won in found)
    return Node("accuracy", question, YES if better else NO, said, "adopt" if better else "look at the curves")


def _is_smoother(rows: Sequence[Row], old: Measured, new: Measured) -> Node:
    """What broke less often; else what leaps less often; else what moves less from step to step."""
    question, said = "Smoother, more stable?", []
    for key in ("not_finite", "spikes", "roughness"):
        row = next((row for row in rows if row.key == key), None)
        won = None if row is None else wins(row, new.run, old.run)
        if row is None or won is None:
            continue
        said.append(_told(row, won, old, new))
        if won:
            answer = YES if won > 0 else NO
            return Node("smoother", question, answer, " ".join(said), "adopt" if won > 0 else "look at the speed")
    answer = NO if said else UNKNOWN
    return Node("smoother", question, answer, " ".join(said) or "Too few points to tell.", "look at the speed")


def _is_slower(rows: Sequence[Row], old: Measured, new: Measured) -> Node:
    question = f"More than {SLOWER:.0%} slower?".replace("%", " %")
    if old.step_s is None or new.step_s is None or not (old.step_s.value > 0 and new.step_s.value > 0):
        return Node("slower", question, UNKNOWN, "Step times of one of them are not known.", "adopt")
    ratio = new.step_s.value / old.step_s.value
    why = f"A step of {new.name} takes {number(ratio, 3)} times as long as one of {old.name}"
    why = f"{why} ({number(new.step_s.value)} s, {number(old.step_s.value)} s)."
    is_slower = ratio > 1 + SLOWER
    return Node("slower", question, YES if is_slower else NO, why, "a hybrid" if is_slower else "adopt")


def _told(row: Row, won: int, old: Measured, new: Measured) -> str:
    word = "better" if won > 0 else "worse" if won < 0 else "equal within noise"
    return f"{row.title}: {row.cell(new.run).text} against {row.cell(old.run).text}, {word}."


# -- the words ---------------------------------------------------------------------------------------------------------


def _reduce(new: Measured) -> str:
    return f"Halve the weights of {new.name}'s curriculum and test again."


def _hybrid(old: Measured, new: Measured) -> str:
    return (
        f"Take a hybrid: keep what is dear in {new.name} as it is in {old.name}, and take over the rest "
        "(in the report: the old spectrum loss with the new precursor loss)."
    )


def _cautions(rows: Sequence[Row], old: Measured, new: Measured, advice: str) -> list[str]:
    found = []
    worse = [row for row in rows if row.key.startswith("result:") and wins(row, new.run, old.run) == -1]
    if advice == ADOPT and worse:
        said = _by_noise(worse, old, new)
        found.append(f"The tree does not ask whether it is worse, and it is: {said}. Look before you adopt.")
    if old.broken.count:
        found.append(f"{old.name} broke itself: {old.broken.count:,} values of its losses are not finite.")
    shorter, longer = sorted((old, new), key=lambda run: run.last_step)
    if shorter.last_step + 1 < SHORT * (longer.last_step + 1):
        part = percent((shorter.last_step + 1) / (longer.last_step + 1))
        found.append(
            f"{shorter.name} has only {part} of the steps of {longer.name}: how it would have ended is not known."
        )
    steered = [run.name for run in (old, new) if run.interventions]
    if steered:
        found.append(f"People changed {listed(steered)} while it ran, so the numbers are of the run as it was mended.")
    return found


def _by_noise(worse: Sequence[Row], old: Measured, new: Measured) -> str:
    """A difference is beyond noise only where the noise of both ends is known."""
    beyond, unknown = list[str](), list[str]()
    for row in worse:
        said = f"{row.title} is {row.cell(new.run).text} against {row.cell(old.run).text}"
        (beyond if all(_has_noise(row, run) for run in (old, new)) else unknown).append(said)
    told = ((beyond, "beyond noise"), (unknown, "noise not known"))
    return "; ".join(f"{listed(rows)}, {noise}" for rows, noise in told if rows)


def _has_noise(row: Row, run: Measured) -> bool:
    name = row.key.removeprefix("result:")
    final = run.results.get(name) or run.total  # the total stands in where there is no result
    return final is not None and final.error is not None
