"""What happens to one variant of a scenario: watched to its end, without a guard, and mended while it trains.

Rules of this file: the truth is the catalogue's; here is what was seen. Nothing decides whether that is well.
"""

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite

from lossguard.protocol.names import kind_of
from lossguard.scenarios import Scenario, Truth

from .watching import Bench, Item, Training, calm

AFTER = 200  # steps after the remedy at which its result is read
LATE = 100  # of them: the last
SMOOTH = 20  # rows of which the median is a total: one batch is noise
NO_SIGN = "time"  # a kind of series: it says how busy the machine was


@dataclass(frozen=True)
class Seen:
    """A run of a variant, nobody pressing anything, to its end."""

    fired: Mapping[str, Item]  # the first alert of each rule
    first_bad: str | None
    total: tuple[float, float]  # at first and at last, medians
    skipped: int
    nan_loss: int | None  # the first step with a loss that is not finite
    nan_weights: int | None  # the first evaluation that is not finite from then on: the weights are broken
    ran: int


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


def watched(bench: Bench, scenario: Scenario, name: str, arguments: Mapping[str, object]) -> Seen:
    """Train it to its end, and read what the server found."""
    training = bench.train(scenario.name, name, arguments)
    try:
        training.finish()
        return _seen(training)
    finally:
        training.end()


def _seen(training: Training) -> Seen:
    fired: dict[str, Item] = {}
    for alert in sorted(training.items("alerts"), key=lambda each: (each["step"], each["fired_s"])):
        fired.setdefault(alert["rule"], alert)
    incidents = sorted(training.items("incidents"), key=lambda each: (each["severity"] != "critical", each["opened_s"]))
    signs = [sign["series"] for sign in (incidents[0]["first_bad"] if incidents else [])]
    signs = [series for series in signs if kind_of(series) != NO_SIGN]
    names = [each["name"] for each in training.items("series")]
    losses = training.series(*[name for name in names if name.startswith("loss/")])
    evaluated = training.series(*[name for name in names if name.startswith("eval/loss/")])
    total, skipped = list(losses["loss/total"].values()), training.series("skipped")["skipped"]
    return Seen(
        fired=fired,
        first_bad=signs[0] if signs else None,
        total=(statistics.median(total[:SMOOTH]), statistics.median(total[-SMOOTH:])),
        skipped=sum(value > 0 for value in skipped.values()),
        nan_loss=min((step for each in losses.values() for step, v in each.items() if not isfinite(v)), default=None),
        nan_weights=_broken_for_good(evaluated),
        ran=len(total),
    )


def _broken_for_good(evaluated: Mapping[str, Mapping[int, float]]) -> int | None:
    """The evaluation goes through its own batches: when it is NaN to the end, the weights are."""
    found = []
    for points in evaluated.values():
        good = max((step for step, value in points.items() if isfinite(value)), default=-1)
        found += [step for step in points if step > good][:1]
    return min(found, default=None)


def pressed(
    bench: Bench, scenario: Scenario, truth: Truth, name: str, arguments: Mapping[str, object], steps: int
) -> Pressed:
    """Train it, press the remedy as soon as an alert has it, within `steps`, and look `AFTER` steps later."""
    training = bench.train(scenario.name, name, arguments)
    try:
        found = _remedy(training, str(truth.remedy), steps)
        if found is None:
            return Pressed(said=f"no alert offered {truth.remedy}")
        alert, kind, args = found
        command = training.press(kind, args, alert)
        if command["state"] != "applied":
            return Pressed(kind, args, command["state"], said=str(command.get("refusal") or command["state"]))
        return _result(training, command, bench.limit_s)
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


def _result(training: Training, command: Item, limit_s: float) -> Pressed:
    at, told = int(command["step"]), _judged(training, command, limit_s)
    names = ("loss/total", "grad_norm/total", "skipped")
    before = training.series("loss/total", first=max(0, at - SMOOTH), last=at - 1)["loss/total"]
    after = training.series(*names, first=at, last=at + AFTER - 1)
    total, skips = after["loss/total"], [step for step, value in after["skipped"].items() if value > 0]
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
        late=sum(step >= at + AFTER - LATE for step in skips),
        verdict=str((told["effect"] or {}).get("verdict", "not judged")),
        incident="open" if "open" in states else "closed",
        said="" if len(total) == AFTER else f"{len(total)} steps after it",
    )


def _judged(training: Training, command: Item, limit_s: float) -> Item:
    """The command when its effect is told, `AFTER` steps later at the earliest."""
    at, deadline_s = int(command["step"]), time.monotonic() + limit_s
    while training.is_running() and time.monotonic() < deadline_s:
        step, told = training.step(), training.command(command["id"])
        if step >= at + AFTER and (told["effect"] is not None or step > at + 3 * AFTER):
            break
        calm()
    return training.command(command["id"])


def _median(values: list[float]) -> float:
    return statistics.median(values) if values else float("nan")
