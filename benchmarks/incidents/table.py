"""What was seen of every variant beside its truth, as one table, and what of it is wrong.

Rules of this file: text and comparisons only.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from lossguard.scenarios import Truth

from .trials import AFTER, LATE, UNDECIDED, Pressed, Seen

WORKED = "worked"  # the server's verdict on a remedy
HEALTHY = 2.0  # a total after the remedy is at most so many times that of the mended code before it has learned
ONSET_OFF = 2  # steps by which the measured onset may miss the declared one
LATEST = 10  # steps behind the onset by which one of the rules that must fire has fired
LATEST_OF = {"train_eval": 50}  # it is seen at an evaluation, every 50 steps where nothing else is asked for
LATE_MAX = 5  # of the last updates after a remedy may be skipped: a GradScaler of a healthy run tries at 1 % of them

HEADS = (
    "scenario", "variant", "incident begins", "alert", "lead", "first bad", "remedy",
    f"{AFTER} steps after remedy and onset", "with the guard", "without it", "",
)  # fmt: skip


@dataclass(frozen=True)
class Trial:
    """One variant. `onset`: as declared; `bare`: without the guard; `mend`: of the variant whose code is mended."""

    scenario: str
    variant: str
    truth: Truth
    onset: int | None
    seen: Seen
    bare: Seen | None = None
    pressed: Pressed | None = None
    mend: Seen | None = None

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
        if self.seen.nan_weights is not None:
            found.append(f"weights NaN from {self.seen.nan_weights} with the guard")
        found += self._untimely()
        if (why := self._unmended()) is not None:
            found.append(f"after the remedy: {why}")
        return found

    def _untimely(self) -> list[str]:
        """What is wrong with when it began and when it was told. Before the onset is in time."""
        if self.onset is None:
            return []
        began, found = self.seen.began, []
        if began is None or abs(began - self.onset) > ONSET_OFF:
            found.append(f"began at {began}, not {self.onset}")
        for step, rule in _told(self)[:1]:
            if step - self.onset > LATEST_OF.get(rule, LATEST):
                found.append(f"{rule}, the first, is {step - self.onset} steps late")
        return found

    def _unmended(self) -> str | None:
        """The first thing that speaks against the remedy; None where nothing does, or none was pressed."""
        done = self.pressed
        if done is None:
            return None
        if done.said:
            return done.said
        if not done.finite:
            return "not finite"
        if done.late > LATE_MAX:
            return "still skipping"
        # the server decides nothing of a command beside which a stage began: there the total alone says
        if done.verdict != WORKED and not (done.verdict == UNDECIDED and self.mend is not None):
            return f"the verdict is {done.verdict!r}"
        # not the total before it: a mend may rightly raise one that had nothing to learn
        if self.mend is not None and not done.total[1] <= HEALTHY * self.mend.total[0]:
            return f"a total of {done.total[1]:.3g}, where {self.truth.mend} begins with {self.mend.total[0]:.3g}"
        return None


def head() -> str:
    return f"| {' | '.join(HEADS)} |\n|{'---|' * len(HEADS)}"


def line(trial: Trial) -> str:
    """A row."""
    cells = [
        trial.scenario,
        trial.variant,
        "never" if trial.onset is None else f"{trial.seen.began} (declared: {trial.onset})",
        _alert(trial),
        _lead(trial),
        _first_bad(trial),
        _remedy(trial),
        _after(trial),
        _guarded(trial.seen),
        "" if trial.bare is None else _bare(trial.bare),
        "as it must be" if not trial.faults else f"WRONG: {'; '.join(trial.faults)}",
    ]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def verdict(trials: Sequence[Trial]) -> str:
    wrong = [f"{trial.scenario} {trial.variant}: {fault}" for trial in trials for fault in trial.faults]
    return "\n".join(wrong) if wrong else f"All {len(trials)} as their truth says."


def _told(trial: Trial) -> list[tuple[int, str]]:
    """The rules that must fire and did, and where, the first one first."""
    return sorted(
        (int(trial.seen.fired[rule]["step"]), rule) for rule in trial.truth.must_fire if rule in trial.seen.fired
    )


def _lead(trial: Trial) -> str:
    """From the first alert to where the series say that it began."""
    return "".join(f"{trial.seen.began - step}" for step, _ in _told(trial)[:1] if trial.seen.began is not None)


def _alert(trial: Trial) -> str:
    if trial.truth.onset_stage is None:
        return ", ".join(f"{each['rule']} at {each['step']}" for each in trial.seen.fired.values()) or "none"
    return ", ".join(f"{rule} at {step}" for step, rule in _told(trial)) or "none"


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


def _after(trial: Trial) -> str:
    done, mend = trial.pressed, trial.mend
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
