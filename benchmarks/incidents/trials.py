"""What happens to one variant of a scenario: watched to its end, without a guard, and mended while it trains.

Rules of this file: the truth is the catalogue's; here is what was seen. Nothing decides whether that is well.
"""

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite

from lossguard.protocol.names import kind_of
from lossguard.scenarios import Options, Scenario, Truth

from .onset import begins
from .watching import Bench, Item, Training, calm

AFTER = 200  # steps after the remedy and the onset, whichever is later, at which the result is read
LATE = 100  # of them: the last
SMOOTH = 20  # rows of which the median is a total: one batch is noise
BEHIND_S = 60.0  # by which a verdict may come after the steps that it is of
UNDECIDED = "not decided"  # of a verdict: the server said that these steps tell nothing
NO_SIGN = "time"  # a kind of series: it says how busy the machine was


@dataclass(frozen=True)
class Seen:
    """A run of a variant, nobody pressing anything, to its end. `began`: where its series say the incident did.

    `ran`, `skipped`: of the steps that have a total. The guard's replay of a tripped batch has none: it is no step of
    the training, and its update is left out by design.
    """

    fired: Mapping[str, Item]  # the first alert of each rule
    first_bad: str | None
    total: tuple[float, float]  # at first and at last, medians
    skipped: int
    nan_loss: int | None  # the first step with a loss that is not finite
    nan_weights: int | None  # the first evaluation that is not finite from then on: the weights are broken
    ran: int
    began: int | None = None


@dataclass(frozen=True)
class Pressed:
    """A run whose alert's remedy was pressed while it trained. `said`: why nothing came of it, else empty.

    `finite`: every total is, and the gradient norm of every step that was taken. `late`: how many of the last 100
    updates were skipped; a GradScaler goes on halving its scale until the gradients fit, and now and then later.
    """

    kind: str = ""
    args: Item = field(default_factory=dict)
    state: str = ""
    at: int = -1
    total: tuple[float, float] = (float("nan"), float("nan"))
    finite: bool = False
    skipped: int = 0
    late: int = 0
    verdict: str = ""
    incident: str = ""
    said: str = ""


def watched(bench: Bench, scenario: Scenario, truth: Truth, name: str, arguments: Mapping[str, object]) -> Seen:
    """Train it to its end, and read what the server found."""
    training = bench.train(scenario.name, name, arguments)
    try:
        training.finish()
        return _seen(training, truth)
    finally:
        training.end()


def _seen(training: Training, truth: Truth) -> Seen:
    fired: dict[str, Item] = {}
    for alert in sorted(training.items("alerts"), key=lambda each: (each["step"], each["fired_s"])):
        fired.setdefault(alert["rule"], alert)
    incidents = sorted(training.items("incidents"), key=lambda each: (each["severity"] != "critical", each["opened_s"]))
    signs = [sign["series"] for sign in (incidents[0]["first_bad"] if incidents else [])]
    signs = [series for series in signs if kind_of(series) != NO_SIGN]
    names = [each["name"] for each in training.items("series")]
    losses = training.series(*[name for name in names if name.startswith("loss/")])
    evaluated = training.series(*[name for name in names if name.startswith("eval/loss/")])
    by_step, skipped = losses["loss/total"], training.series("skipped")["skipped"]
    total = list(by_step.values())
    return Seen(
        fired=fired,
        first_bad=signs[0] if signs else None,
        total=(statistics.median(total[:SMOOTH]), statistics.median(total[-SMOOTH:])),
        skipped=sum(skipped.get(step, 0) > 0 for step in by_step),
        nan_loss=min((step for each in losses.values() for step, v in each.items() if not isfinite(v)), default=None),
        nan_weights=_broken_for_good(evaluated),
        ran=len(by_step),
        began=None if truth.first_bad is None else _began(training, truth.first_bad, by_step),
    )


def _began(training: Training, first_bad: str, total: Mapping[int, float]) -> int | None:
    limits = {each["name"]: each["contract"] for each in training.items("series")}
    return begins(first_bad, total, training.series(first_bad)[first_bad], limits.get(first_bad))


def _broken_for_good(evaluated: Mapping[str, Mapping[int, float]]) -> int | None:
    """The evaluation goes through its own batches: when it is NaN to the end, the weights are."""
    found = []
    for points in evaluated.values():
        good = max((step for step, value in points.items() if isfinite(value)), default=-1)
        found += [step for step in points if step > good][:1]
    return min(found, default=None)


def pressed(
    bench: Bench, scenario: Scenario, truth: Truth, name: str, arguments: Mapping[str, object], own: Options
) -> Pressed:
    """Train it, press the remedy as soon as an alert has it, within `own.steps`, and look `AFTER` steps later: later
    than the onset as well, for a remedy may be pressed before it."""
    training = bench.train(scenario.name, name, arguments)
    try:
        found = _remedy(training, str(truth.remedy), own.steps)
        if found is None:
            return Pressed(said=f"no alert offered {truth.remedy}")
        alert, kind, args = found
        command = training.press(kind, args, alert)
        if command["state"] != "applied":
            return Pressed(kind, args, command["state"], said=str(command.get("refusal") or command["state"]))
        end = max(int(command["step"]), truth.onset_step(own.stage_steps) or 0) + AFTER
        return _result(training, _judged(training, command, end, bench.limit_s), end)
    finally:
        training.end()


def _remedy(training: Training, kind: str, steps: int) -> tuple[str, str, Item] | None:
    """An alert that has the truth's kind of remedy: the command that it has ready. Going to a later stage is in the
    words of an alert, and which one is the operator's choice: the next."""
    while training.step() <= steps and training.is_running():
        alerts = [each for each in reversed(training.items("alerts")) if each["state"] in ("firing", "acknowledged")]
        for alert in alerts:
            remedy = alert["remedy"]
            if remedy and remedy["kind"] == kind:
                return str(alert["id"]), kind, dict(remedy["args"])
            if kind == "go_to_stage" and (later := _later(training)) and f"{later!r}" in alert["evidence"]["text"]:
                return str(alert["id"]), kind, {"stage": later}
        calm()
    return None


def _later(training: Training) -> str | None:
    position = training.ask("schedule")["position"]
    return next((str(each["name"]) for each in training.items("stages") if each["start"] > position), None)


def _result(training: Training, command: Item, end: int) -> Pressed:
    """Of the steps before `end`."""
    at = int(command["step"])
    names = ("loss/total", "grad_norm/total", "skipped")
    before = training.series("loss/total", first=max(0, at - SMOOTH), last=at - 1)["loss/total"]
    after = training.series(*names, first=at, last=end - 1)
    total = after["loss/total"]
    missing = set(range(at, end)) - total.keys() - after["skipped"].keys()  # a replay has no total
    skips = [step for step in total if after["skipped"].get(step, 0) > 0]
    norms = {step: norm for step, norm in after["grad_norm/total"].items() if step not in skips}
    states = {each["state"] for each in training.items("incidents")}
    return Pressed(
        kind=command["kind"],
        args=command["args"],
        state="applied",
        at=at,
        total=(_median(list(before.values())), _median(list(total.values())[-SMOOTH:])),
        finite=bool(norms) and all(isfinite(value) for value in (*total.values(), *norms.values())),
        skipped=len(skips),
        late=sum(step >= end - LATE for step in skips),
        verdict=_verdict(command["effect"]),
        incident="open" if "open" in states else "closed",
        said=f"{len(missing)} of its steps are missing" if missing else "",
    )


def _verdict(effect: Item | None) -> str:
    if effect is None:
        return "no verdict"
    return str(effect["verdict"]) if effect["decided"] else UNDECIDED


def _judged(training: Training, command: Item, end: int, limit_s: float) -> Item:
    """The command when its effect is told, at step `end` at the earliest. On a busy machine rules follow behind."""
    deadline_s = time.monotonic() + limit_s
    while training.is_running() and time.monotonic() < deadline_s:
        if training.step() >= end:
            deadline_s = min(deadline_s, time.monotonic() + BEHIND_S)
            if training.command(command["id"])["effect"] is not None:
                break
        calm()
    return training.command(command["id"])


def _median(values: list[float]) -> float:
    return statistics.median(values) if values else float("nan")
