"""Which charts a run has, and which of its series are on them.

Rules of this file: pure; it follows from the names of the series. A component keeps its colour over all charts. A chart
has at most LINES_MAX lines, a report CHARTS_MAX charts: what alerts are about comes first, and what is left out is
counted.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from lossguard.protocol.names import GRAD_NORM_TOTAL, LOSS_SCALE, SKIPPED, TOTAL, unit_of

from .record import INK
from .words import title

LINES_MAX, CHARTS_MAX = 16, 24
PALETTE = 8


@dataclass(frozen=True)
class Wanted:
    """A series that is to be drawn."""

    series: str
    label: str
    look: int


@dataclass(frozen=True)
class Plan:
    """A chart before its points are read; fields as of a Chart."""

    id: str
    title: str
    wanted: tuple[Wanted, ...]
    unit: str = ""
    form: str = "lines"
    is_log: bool = False
    bounds: tuple[float, float] | None = None
    left_out: int = 0


@dataclass(frozen=True)
class _Kind:
    id: str
    title: str
    prefix: str
    form: str = "lines"
    is_log: bool = False
    bounds: tuple[float, float] | None = None


KINDS = (
    _Kind("contributions", "Contributions to the total", "contribution/", "areas"),
    _Kind("shares", "Share of the total", "contribution/", "shares", bounds=(0, 1)),
    _Kind("losses", "Raw losses", "loss/", is_log=True),
    _Kind("gradients", "Gradient norms", "grad_norm/", is_log=True),
    _Kind("weights", "Weights", "weight/", "steps", is_log=True),
    _Kind("grad-shares", "Share of the gradient at the shared activation", "grad_share/", bounds=(0, 1)),
    _Kind("grad-cosines", "Cosines between gradients", "grad_cos/", bounds=(-1, 1)),
    _Kind("parameters", "Gradient norms of parameters", "param_grad_norm/", is_log=True),
    _Kind("activations", "Activations", "activation/", is_log=True),
)
MATRIX, NORMS = "matrix/", ("fro", "spec", "trace")
_WORST = "/worst"  # an index within the batch, not a norm
BEFORE_MATRICES = 4  # contributions, shares, losses, gradients
_SHOWN = (MATRIX, *(kind.prefix for kind in KINDS))
_TOTALS = {"contributions": TOTAL, "gradients": GRAD_NORM_TOTAL}


def plans_of(names: Collection[str], components: Sequence[str], named: Collection[str] = ()) -> list[Plan]:
    """The charts of a run in reading order. `named`: series that alerts are about."""
    known = sorted(names)
    found = [_of_kind(kind, known, components, named) for kind in KINDS]
    found[BEFORE_MATRICES:BEFORE_MATRICES] = _matrices(known, named)
    found += _others(known, named)
    return [plan for plan in found if plan.wanted][:CHARTS_MAX]


def _of_kind(kind: _Kind, names: Sequence[str], components: Sequence[str], named: Collection[str]) -> Plan:
    place = {name: at for at, name in enumerate(components)}
    mine = [name for name in names if name.startswith(kind.prefix) and not name.endswith(_WORST)]
    total = _TOTALS.get(kind.id, "")
    if kind.id == "losses" and not any(name.startswith("contribution/") for name in names):
        total = TOTAL  # of another tool's log: nothing else shows it
    parts = [name for name in mine if name not in (TOTAL, GRAD_NORM_TOTAL)]
    parts.sort(key=lambda name: (name not in named, place.get(name[len(kind.prefix) :], len(place)), name))
    is_there = total in names and bool(parts or kind.id != "contributions")
    drawn = parts[: LINES_MAX - is_there]
    wanted = [Wanted(total, "total", INK)] if is_there else []
    labels = sorted(drawn, key=lambda name: (place.get(name[len(kind.prefix) :], len(place)), name))
    for at, name in enumerate(labels):
        label = name[len(kind.prefix) :]
        wanted.append(Wanted(name, label, place.get(label, at + (len(place) if label not in place else 0))))
    return Plan(kind.id, kind.title, tuple(wanted), "", kind.form, kind.is_log, kind.bounds, len(parts) - len(drawn))


def _matrices(names: Sequence[str], named: Collection[str]) -> list[Plan]:
    """One chart a norm, because what was declared of one says nothing of another."""
    groups: dict[str, list[str]] = {norm: [] for norm in NORMS}
    for name in names:
        if name.startswith(MATRIX) and not name.endswith(_WORST):
            groups.setdefault(name.rpartition("/")[2], []).append(name)
    return [_of_norm(at, norm, members, named) for at, (norm, members) in enumerate(groups.items())]


def _of_norm(at: int, norm: str, members: Sequence[str], named: Collection[str]) -> Plan:
    drawn = sorted(sorted(members, key=lambda name: (name not in named, name))[:LINES_MAX])
    wanted = [Wanted(name, name[len(MATRIX) :].rpartition("/")[0], look) for look, name in enumerate(drawn)]
    left_out = len(members) - len(drawn)
    return Plan(f"matrices-{at}", f"Matrices: {norm}", tuple(wanted), is_log=True, left_out=left_out)


def _others(names: Sequence[str], named: Collection[str]) -> list[Plan]:
    """Whatever else is logged: one chart for what stands before the first slash and has one unit."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name in names:
        if name != SKIPPED and not name.endswith(_WORST) and not name.startswith(_SHOWN):
            groups.setdefault((name.partition("/")[0], unit_of(name)), []).append(name)
    return [_other(at, group, unit, members, named) for at, ((group, unit), members) in enumerate(groups.items())]


def _other(at: int, group: str, unit: str, members: Sequence[str], named: Collection[str]) -> Plan:
    drawn = sorted(members, key=lambda name: (name not in named, name))[:LINES_MAX]
    wanted = [Wanted(name, _label(name), look) for look, name in enumerate(sorted(drawn))]
    said = title(group.removesuffix(f"_{unit.lower()}") if unit else group)
    is_scale = group == LOSS_SCALE
    form = "steps" if is_scale else "lines"
    return Plan(f"other-{at}", said, tuple(wanted), unit, form, is_scale, None, len(members) - len(drawn))


def _label(name: str) -> str:
    return name.partition("/")[2] or name


def titles_of(rules: Sequence[Mapping[str, object]]) -> dict[str, str]:
    """What each rule is called."""
    return {str(rule.get("name")): str(rule.get("title") or title(str(rule.get("name")))) for rule in rules}
