"""What a person may let the server do by itself, checked.

Rules of this file:
- Pure. A policy is of one rule: `{"do": deed, "budget": n, "severity"?: ..., "pause_s"?: ...}`. `{"do": "off"}` takes
  back here what is in force further away (file < file's project < project < run).
- Whoever sets one is told what is wrong with it (`shaped`). What was stored and no longer fits, because a rule is gone,
  does not count, and is told (`fitting`).
- "skip" is the guard's, and the guard skips what is not finite and nothing else: of other rules nothing could be left
  to it.
"""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ...errors import BadPolicies, BadRequest, BudgetOutOfBounds, UnknownDeed, UnknownRule
from ...rules.tuning import nearest

SKIP, LOWER_WEIGHT, PAUSE, ROLLBACK = "skip", "lower_weight", "pause", "rollback"
OFF = "off"
# the command that a deed is made of; the guard's needs none
KIND_OF: Mapping[str, str | None] = {
    SKIP: None,
    LOWER_WEIGHT: "set_weight",
    "hold_stage": "hold_stage",
    "checkpoint": "checkpoint",
    PAUSE: PAUSE,
    ROLLBACK: ROLLBACK,
}
GUARDED = ("nonfinite",)  # the rules that judge what the guard skips
SEVERITIES = ("warning", "critical")
BUDGET_MAX = 100
PAUSE_S = 600.0  # as long as a person needs to see what the first action did
PAUSE_MAX_S = 7 * 24 * 3_600.0
KEYS = ("do", "budget", "severity", "pause_s")


@dataclass(frozen=True)
class Policy:
    """What to do when an alert of a rule begins to fire, from `severity` on; at most `budget` times in a run, and once
    in `pause_s`."""

    do: str
    budget: int = 1
    severity: str = "critical"
    pause_s: float = PAUSE_S

    def answers(self, severity: str) -> bool:
        """Whether an alert of this severity is one for it."""
        return self.do != OFF and (severity == "critical" or self.severity == "warning")

    def to_dict(self) -> dict[str, Any]:
        """As it was set."""
        return {"do": OFF} if self.do == OFF else asdict(self)


def shaped(rules: Collection[str], said: Mapping[str, Any]) -> dict[str, Policy]:
    """By rule. `rules`: the names of all there are. Raises BadPolicies, UnknownRule."""
    found = {}
    for rule, wish in said.items():
        if rule not in rules:
            raise UnknownRule(rule, nearest(rule, rules))
        found[rule] = _policy(rule, wish)
    return found


def fitting(rules: Collection[str], said: Mapping[str, Any]) -> tuple[dict[str, Policy], list[str]]:
    """What of it still fits, and a sentence for each that does not."""
    found: dict[str, Policy] = {}
    misfits = []
    for rule, wish in said.items():
        try:
            found |= shaped(rules, {rule: wish})
        except BadRequest as error:
            misfits.append(error.message)
    return found, misfits


def _policy(rule: str, wish: Any) -> Policy:
    if not isinstance(wish, Mapping):
        raise BadPolicies(f"{rule} is {wish!r:.80}.")
    if strange := [key for key in wish if key not in KEYS]:
        meant = nearest(str(strange[0]), KEYS)
        hint = f"Did you mean {meant!r}?" if meant else f"It takes {', '.join(KEYS)}."
        raise BadPolicies(f"{rule} has {str(strange[0])[:80]!r}.", hint)
    deed = wish.get("do")
    if deed == OFF and set(wish) == {"do"}:
        return Policy(OFF)
    _check_deed(rule, deed)
    return Policy(
        str(deed), _budget(rule, wish.get("budget")), _severity(rule, wish.get("severity", "critical")),
        _pause_s(rule, wish.get("pause_s", PAUSE_S)),
    )  # fmt: skip


def _check_deed(rule: str, deed: Any) -> None:
    known = [*KIND_OF, OFF]
    if not isinstance(deed, str) or deed not in KIND_OF:
        meant = nearest(deed, known) if isinstance(deed, str) else None
        hint = f"Did you mean {meant!r}?" if meant and meant != deed else f"It takes {', '.join(known)} (off: alone)."
        raise UnknownDeed(f"{rule} is to do {deed!r:.80}.", hint)
    if deed == SKIP and rule not in GUARDED:
        what = "The guard skips steps that are not finite, and nothing else"
        raise UnknownDeed(f"{rule} is to do 'skip'.", f"{what}: it is for {', '.join(GUARDED)}.")


def _budget(rule: str, budget: Any) -> int:
    if type(budget) is not int or not 1 <= budget <= BUDGET_MAX:  # a bool is an int
        raise BudgetOutOfBounds(f"{rule}.budget is {_short(budget)}.", f"Say how often it may act: 1 to {BUDGET_MAX}.")
    return budget


def _severity(rule: str, severity: Any) -> str:
    if severity not in SEVERITIES:
        raise BadPolicies(f"{rule}.severity is {severity!r:.80}.", "It takes warning or critical.")
    return str(severity)


def _pause_s(rule: str, pause_s: Any) -> float:
    is_number = isinstance(pause_s, int | float) and not isinstance(pause_s, bool)
    if not is_number or not 0 <= pause_s <= PAUSE_MAX_S:  # NaN lies within no bounds
        raise BadPolicies(f"{rule}.pause_s is {_short(pause_s)}.", f"It takes seconds, 0 to {PAUSE_MAX_S:g}.")
    return float(pause_s)


def _short(value: Any) -> str:
    return "not said" if value is None else f"{value!r:.80}"
