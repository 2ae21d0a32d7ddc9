"""Which of the alerts of an incident is its headline, and what the incident's cause is.

Order, nearest to the root first: R15 > R12 > R14 > R13 > R2, R1 > R3 > R0 (of a component or matrix) > R10, R11 > R16 >
R9, R7, R8 > R6 > R4, R5 > R0 (of anything else) > what is no matter of a blow-up (R20, R19, R18, R17).
Formula: of the alerts that may be the cause the one of the lowest place, of equals the one that began first, then the
one that comes first in the computation (the parts of a blend before the blend). What is
measured by the way, and so may be a consequence, may be the cause only if it began at or before the first symptom (the
first step of R0, R4 to R9), and a warning only if it began no later than what is critical of a blow-up did (an alert
began at the first step that counted against it, though it became critical later); counts, train against eval and probes
come at their own times, and are no consequences.
Source: the order of the research report; a count that is wrong makes everything behind it wrong, and so on down.
False alarms: of a symptom alone the cause is a guess and is said as one; what was off first decides it (first_bad).

Rules of this file: pure, and facts about alerts only; `Facts` are plain so that they can be stored.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from .alert import Alert
from .base import Severity
from .first_bad import place_of, sort_of
from .window import BUFFERS

Kind = Literal["component", "matrix", "count", "data", "lr", "precision", "system"]

_ROOTS = ("count", "contract", "bound", "train_eval", "look_ahead", "contribution_dominates", "stage_mismatch")
_PLACES: dict[str, int] = {
    **dict(zip(_ROOTS, (0, 1, 2, 3, 4, 4, 5), strict=True)),
    "component_gradients": 7,
    "saturation": 7,
    "loss_scale": 8,
    "grad_cluster": 9,
    "grad_burst": 9,
    "grad_growth": 9,
    "grad_norm_high": 10,
    "loss_jump": 11,
    "drift": 11,
    "update_ratio": 13,
    "memory_headroom": 14,
    "throughput": 15,
    "plateau": 16,
}
_BROKEN_PART, _BROKEN, _OTHER = 6, 12, 17
SYMPTOMS = frozenset({"nonfinite", "grad_cluster", "grad_burst", "grad_growth", "grad_norm_high", "loss_jump", "drift"})
_AT_ANY_TIME = frozenset({"count", "train_eval", "component_gradients", "saturation"})
_GRAVE = Severity.CRITICAL.word
_SYSTEM = frozenset({"throughput", "memory_headroom"})
_KIND_BY_SORT: dict[str, Kind] = {
    "count": "count", "matrix": "matrix", "loss": "component", "contribution": "component", "weight": "component",
    "share": "component", "grad_share": "component", "lr": "lr", "loss_scale": "precision",
    "grad_norm": "precision", "param_grad_norm": "precision",
}  # fmt: skip
_SET = ("count", "lr", "weight", "matrix", "loss_scale")
LEAD_LEAST = 5  # steps: sooner after a move of weights, what was off is the move itself
HALF = 50  # percent of the blame at which a component counts as the one that moved the total


@dataclass(frozen=True)
class Facts:
    """What of an alert matters to the incident that it belongs to."""

    alert: str
    rule: str
    series: str
    component: str | None
    message: str
    step: int
    severity: str
    blame: dict[str, Any] | None
    remedy: dict[str, Any] | None
    depth: int = 0  # of the blends that the series is made of: Schedule.depth_of

    @classmethod
    def of(cls, alert: Alert, depth: int = 0) -> "Facts":
        return cls(
            alert.id, alert.rule, alert.series, alert.component, alert.message, alert.step, alert.severity,
            alert.blame, alert.remedy, depth,
        )  # fmt: skip

    @classmethod
    def load(cls, data: Mapping[str, Any]) -> "Facts":
        return cls(**{field.name: data[field.name] for field in fields(cls)})

    def dump(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def place(self) -> int:
        """In the order above; a contract or bound of the total or of gradients measures a symptom."""
        if self.rule == "nonfinite":
            is_part = self.component is not None or sort_of(self.series) == "matrix"
            return _BROKEN_PART if is_part else _BROKEN
        if self.rule in ("contract", "bound") and sort_of(self.series) in ("total", "grad_norm", "param_grad_norm"):
            return _PLACES["loss_jump"] if sort_of(self.series) == "total" else _PLACES["grad_norm_high"]
        return _PLACES.get(self.rule, _OTHER)

    @property
    def order(self) -> tuple[int, float, int]:
        """Of two of one place the lower is nearer to the root."""
        return self.step, place_of(self.series), self.depth

    @property
    def is_of_blow_up(self) -> bool:
        """Not of speed, memory, plateaus or the size of updates."""
        return self.place < _PLACES["update_ratio"]

    @property
    def is_symptom(self) -> bool:
        return self.rule in SYMPTOMS


@dataclass(frozen=True)
class Cause:
    """`name`: of the component, matrix or count, else the series; "" where nothing can be named."""

    kind: Kind
    component: str | None
    name: str
    rule: str
    text: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def symptom_step(facts: Iterable[Facts]) -> int | None:
    """The first step of the first symptom; None where there is none yet."""
    return min((each.step for each in facts if each.is_symptom), default=None)


def headline(facts: Sequence[Facts]) -> Facts:
    """The alert that is nearest to the root. `facts` must not be empty."""
    first = symptom_step(facts)
    grave = min((each.step for each in facts if each.severity == _GRAVE and each.is_of_blow_up), default=None)
    may_be = [
        each
        for each in facts
        if each.rule in _AT_ANY_TIME
        or ((first is None or each.step <= first) and (grave is None or each.step <= grave or each.severity == _GRAVE))
    ]
    return min(may_be or facts, key=lambda each: (each.place, each.order))


def cause_of(top: Facts, blame: Mapping[str, Any] | None, first_bad: Sequence[Mapping[str, Any]]) -> Cause:
    """What to call the cause. `blame`: of any alert of the incident; `first_bad`: as FirstBad orders it."""
    before = _set(first_bad, top.step - 1, ("count", "matrix")) if top.rule == "nonfinite" else None
    if before is None and (named := _named(top)) is not None:
        kind, name = named
        text = f"{_words(kind, name)}: {top.rule} found it off from step {top.step} on{_ahead(first_bad, top)}."
        return Cause(kind, name if kind == "component" else None, name, top.rule, text)
    found = before or _set(first_bad, top.step, _SET) or _led(first_bad) or _blamed(blame) or _first(first_bad)
    kind, name, why = found or ("lr", "", "nothing that goes into the loss was off before it, so the step is too long")
    return Cause(kind, name if kind == "component" else None, name, top.rule, f"{_words(kind, name)}: {why}.")


def _named(top: Facts) -> tuple[Kind, str] | None:
    """The cause that a rule itself names."""
    if top.rule in _SYSTEM:
        return "system", top.series
    if top.rule == "count":
        return "count", _short(top.series)
    if top.rule == "loss_scale":
        return "precision", top.series
    if top.rule in ("update_ratio", "plateau"):
        return "lr", top.series
    sort = sort_of(top.series)
    if top.series == BUFFERS:
        return "precision", ""
    if top.rule in ("contract", "bound", "train_eval", "nonfinite") and top.component is None and sort != "total":
        return None if top.place == _PLACES["grad_norm_high"] else (_KIND_BY_SORT.get(sort, "data"), _short(top.series))
    if top.component is not None and top.place < _PLACES["loss_scale"]:
        return "component", top.component
    return None


def _set(first_bad: Sequence[Mapping[str, Any]], until_step: int, sorts: Sequence[str]) -> tuple[Kind, str, str] | None:
    """What of these sorts goes into the loss and was off no later than that; the earliest."""
    for each in first_bad:
        sort, step = sort_of(each["series"]), each["step"]
        if step <= until_step and sort in sorts:
            verb = "moved" if sort in ("weight", "lr", "loss_scale") else "was off"
            return _KIND_BY_SORT[sort], _short(each["series"]), f"{each['series']} {verb} at step {step}"
    return None


def _blamed(blame: Mapping[str, Any] | None) -> tuple[Kind, str, str] | None:
    """The component that made most of the change, where there are others that could have."""
    parts = [] if blame is None else blame["parts"]
    percent: dict[str, int] = {}
    for part in parts:
        percent[part["component"]] = percent.get(part["component"], 0) + part["percent"]
    if len(percent) < 2:
        return None
    top = max(percent, key=lambda name: percent[name])
    if percent[top] < HALF:
        return None
    return "component", top, f"it made {min(percent[top], 100)} % of the total's change"


def _led(first_bad: Sequence[Mapping[str, Any]]) -> tuple[Kind, str, str] | None:
    """Gradients that were off before any loss: what the losses did then is what came of it."""
    entries = _measured(first_bad)
    step = entries[0]["step"] if entries else 0
    if not entries or any(sort_of(each["series"]) != "grad_norm" for each in entries if each["step"] == step):
        return None
    return "lr", "", f"the gradients were off at step {step}, before anything that goes into the loss"


def _first(first_bad: Sequence[Mapping[str, Any]]) -> tuple[Kind, str, str] | None:
    """Of losses and gradients what was off first."""
    entries = _measured(first_bad)
    if not entries:
        return None
    step = entries[0]["step"]
    together = [each["series"] for each in entries if each["step"] == step]
    parts = {_short(series) for series in together if sort_of(series) in ("loss", "contribution")}
    others = {_short(each["series"]) for each in entries if sort_of(each["series"]) in ("loss", "contribution")} - parts
    if len(parts) == 1 and (others or "loss/total" not in together):
        name = parts.pop()
        return "component", name, f"its loss was off at step {step}, before all else"
    if any(sort_of(series) == "grad_norm" for series in together):
        return "lr", "", f"losses and gradients were off together at step {step}"
    return "data", "", f"the losses were off together at step {step}, before the gradients"


def _measured(first_bad: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    kinds = ("loss", "total", "contribution", "grad_norm")
    return [each for each in first_bad if sort_of(each["series"]) in kinds]


def _short(series: str) -> str:
    """The name within a series' name: of matrix/R_samp/fro it is R_samp."""
    parts = series.removeprefix("eval/").split("/")
    if len(parts) == 1:
        return series
    return "/".join(parts[1:-1]) if parts[0] == "matrix" and len(parts) > 2 else "/".join(parts[1:])


def _words(kind: Kind, name: str) -> str:
    if kind in ("component", "matrix", "count"):
        return f"The {kind} {name}"
    word = {"data": "The data", "lr": "The learning rate", "precision": "The precision", "system": "The machine"}[kind]
    return word if name in ("", "lr") else f"{word} ({name})"


def _ahead(first_bad: Sequence[Mapping[str, Any]], top: Facts) -> str:
    """The lead of the first-bad signal over the alert that names the cause."""
    if not first_bad or first_bad[0]["lead_steps"] <= 0:
        return ""
    first = first_bad[0]
    lead = top.step - first["step"]
    moved = top.rule == "stage_mismatch" or _set(first_bad, first["step"], ("weight",)) is not None
    if lead <= 0 or (moved and lead < LEAD_LEAST):
        return ""
    steps = "step" if lead == 1 else "steps"
    return f"; the first sign was {first['series']} at step {first['step']}, {lead} {steps} before the alert"
