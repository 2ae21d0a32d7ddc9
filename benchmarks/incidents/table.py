"""What was seen of every variant beside its truth, as one table, and what of it is wrong.

Rules of this file: text and comparisons only.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from lossguard.scenarios import Truth

from .trials import AFTER, LATE, Pressed, Seen

LATE_MAX = 5  # of the last updates after a remedy may be skipped: a GradScaler of a healthy run tries at 1 % of them

HEADS = (
    "scenario", "variant", "incident begins", "alert", "lead", "first bad", "remedy", f"{AFTER} steps after the remedy",
    "with the guard", "without it", "",
)  # fmt: skip


@dataclass(frozen=True)
class Trial:
    """One variant. `bare`: without the guard; `mended`: the variant whose code is mended, where only that helps."""

    scenario: str
    variant: str
    truth: Truth
    onset: int | None
    seen: Seen
    bare: Seen | None = None
    pressed: Pressed | None = None

    @property
    def faults(self) -> list[str]:
        """What is not as the truth has it."""
        fired, truth = set(self.seen.fired), self.truth
        found = [f"{rule} did not fire" for rule in truth.must_fire if rule not in fired]
        found += [f"{rule} fired" for rule in truth.must_not_fire if rule in fired]
        if truth.onset_stage is None:
            critical = [each["rule"] for each in self.seen.fired.values() if each["severity"] == "critical"]
            found += [f"{rule} paged" for rule in critical if rule not in truth.must_not_fire]
        if truth.first_bad and self.seen.first_bad != truth.first_bad:
            found.append(f"first bad is {self.seen.first_bad}, not {truth.first_bad}")
        if (done := self.pressed) is not None and (done.said or not done.finite or done.late > LATE_MAX):
            found.append(f"after the remedy: {done.said or ('not finite' if not done.finite else 'still skipping')}")
        return found


def head() -> str:
    return f"| {' | '.join(HEADS)} |\n|{'---|' * len(HEADS)}"


def line(trial: Trial, mend: Seen | None) -> str:
    """A row; `mend`: what was seen of the variant whose code is mended."""
    first = _first(trial)
    cells = [
        trial.scenario,
        trial.variant,
        "never" if trial.onset is None else f"{trial.onset}",
        _alert(trial),
        "" if trial.onset is None or first is None else f"{trial.onset - first}",
        _first_bad(trial),
        _remedy(trial),
        _after(trial, mend),
        _guarded(trial.seen),
        "" if trial.bare is None else _bare(trial.bare),
        "as it must be" if not trial.faults else f"WRONG: {'; '.join(trial.faults)}",
    ]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def verdict(trials: Sequence[Trial]) -> str:
    wrong = [f"{trial.scenario} {trial.variant}: {fault}" for trial in trials for fault in trial.faults]
    return "\n".join(wrong) if wrong else f"All {len(trials)} as their truth says."


def _wanted(trial: Trial) -> list[str]:
    """The rules whose alerts count for the lead."""
    return [rule for rule in trial.truth.must_fire if rule in trial.seen.fired]


def _first(trial: Trial) -> int | None:
    return min((int(trial.seen.fired[rule]["step"]) for rule in _wanted(trial)), default=None)


def _alert(trial: Trial) -> str:
    if trial.truth.onset_stage is None:
        return ", ".join(f"{each['rule']} at {each['step']}" for each in trial.seen.fired.values()) or "none"
    found = sorted((int(trial.seen.fired[rule]["step"]), rule) for rule in _wanted(trial))
    return ", ".join(f"{rule} at {step}" for step, rule in found) or "none"


def _first_bad(trial: Trial) -> str:
    if trial.truth.first_bad is None:
        return ""
    return f"{trial.seen.first_bad}" + (" (true)" if trial.seen.first_bad == trial.truth.first_bad else "")


def _remedy(trial: Trial) -> str:
    if trial.truth.onset_stage is None:
        return ""
    if trial.pressed is None:
        return f"code: {trial.truth.mend}" if trial.truth.mend else "none"
    args = ", ".join(f"{key}={_word(value)}" for key, value in trial.pressed.args.items())
    return f"{trial.pressed.kind} {args}".strip() + f" at {trial.pressed.at}"


def _after(trial: Trial, mend: Seen | None) -> str:
    done = trial.pressed
    if done is not None and not done.said:
        finite = "finite" if done.finite else "NOT FINITE"
        skipped = f"{done.skipped} skipped" + (f", {done.late} of the last {LATE}" if done.skipped else "")
        return f"total {_change(done.total)}, {finite}, {skipped}; {done.verdict}; incident {done.incident}"
    if done is not None:
        return done.said
    return f"as {trial.truth.mend}: total {_change(mend.total)}, {mend.skipped} skipped" if mend is not None else ""


def _guarded(seen: Seen) -> str:
    weights = "weights finite" if seen.nan_weights is None else f"WEIGHTS NaN from {seen.nan_weights}"
    return f"{weights}, {seen.skipped} of {seen.ran} skipped, total {_change(seen.total)}"


def _bare(seen: Seen) -> str:
    loss = "losses finite" if seen.nan_loss is None else f"a loss NaN at {seen.nan_loss}"
    weights = "weights finite" if seen.nan_weights is None else f"weights NaN by {seen.nan_weights}"
    return f"{loss}, {weights}, total {_change(seen.total)}"


def _change(total: tuple[float, float]) -> str:
    return f"{total[0]:.3g} -> {total[1]:.3g}"


def _word(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else repr(value)
