"""A chart as a Plotly figure.

Rules of this file:
- Made with plotly's own classes, which refuse what plotly.js would not understand. Imported when the first report is
  made: that takes 0.2 s and 30 MB, which a server without reports does not need.
- Every text goes through `plain`: Plotly reads markup.
- What must not be lost when somebody zooms (alerts, commands, what is not finite) lies in a strip of its own above the
  curves, whose height does not zoom.
"""

from math import ceil
from typing import Any

import numpy as np

from .colours import LIGHT, look_colour, look_dash
from .drawing import shares, stacked
from .markup import plain
from .overlay import GLYPHS, Mark, Overlay
from .record import INK, Chart, Contract, Line, NotFinite
from .words import step

TOP = 0.88  # of the height belongs to the curves, what is above it to the marks
LINES_MAX = 60  # through the curves; more of them hide what they are about
NAMED_BANDS, NAME_CHARS = 12, 28
TICKS_MAX = 8  # of a logarithmic axis
MARK_ROW, LOST_ROW = 1.0, 0.0
SYMBOLS = {"alert": "triangle-up", "command": "diamond", "trip": "square", "rollback": "triangle-left"}
SEVERITIES = {"critical": LIGHT["critical"], "warning": LIGHT["warning"], "none": LIGHT["accent"]}
MOSTLY = 0.2  # of the points may be negative where an axis is a logarithm


def figure_of(chart: Chart, overlay: Overlay, first_step: int, last_step: int) -> str:
    """The figure as JSON of plotly.js; `first_step` and `last_step` are the ends of its x axis."""
    import plotly.graph_objects as go

    is_log = is_logarithmic(chart)
    traces = _areas(chart) if chart.form in ("areas", "shares") and can_stack(chart) else _lines(chart, is_log)
    marks = [mark for mark in overlay.marks if first_step <= mark.step <= last_step]
    traces += [*_strip(marks), *_lost(chart)]
    layout = _layout(chart, overlay, is_log, first_step, last_step)
    layout["shapes"] = [
        *_band_shapes(overlay, first_step, last_step),
        *_contract_shapes(chart, is_log),
        *(_upright(mark.step, SEVERITIES[mark.severity], "dot") for mark in _through(marks)),
    ]
    found: str = go.Figure({"data": traces, "layout": layout}).to_json()
    return found


def is_logarithmic(chart: Chart) -> bool:
    """Whether the chart is drawn upon a logarithm: it wants to be, and has what a logarithm can show; or what would be
    stacked goes over so many decades, or below 0, that nothing could be seen."""
    values = np.concatenate([line.values[np.isfinite(line.values)] for line in chart.lines] or [np.empty(0)])
    if not len(values) or not (values > 0).any() or (values < 0).mean() > MOSTLY:
        return False
    return chart.is_log or (chart.form == "areas" and not can_stack(chart))


def can_stack(chart: Chart) -> bool:
    """Areas upon each other say something where none is negative, and the largest is not all that one sees."""
    if chart.form == "shares":
        return True
    means = [line.mean[np.isfinite(line.mean)] for line in chart.lines if line.look != INK]
    found = np.concatenate(means or [np.empty(0)])
    if not len(found) or (found < 0).any():
        return not len(found)
    totals = stacked([line for line in chart.lines if line.look != INK])[1].sum(axis=0)
    usual = float(np.median(totals))
    return not (usual > 0 and float(totals.max()) > 1_000 * usual)


def floor_of(chart: Chart) -> float:
    """Where a logarithmic axis shows what is at or below 0: a bit below the least positive value."""
    positive = _positive(chart)
    return float(positive.min()) / 3 if len(positive) else 1.0


def has_floor(chart: Chart) -> bool:
    """Whether some of its points have no logarithm."""
    return is_logarithmic(chart) and any(bool((line.values <= 0).any()) for line in chart.lines)


# -- traces -----------------------------------------------------------------------------------------------------------


def _lines(chart: Chart, is_log: bool) -> list[dict[str, Any]]:
    floor = floor_of(chart) if is_log else None
    return [_line(line, "hv" if chart.form == "steps" else "linear", floor) for line in chart.lines]


def _line(line: Line, shape: str, floor: float | None) -> dict[str, Any]:
    drawn = np.where(np.isfinite(line.values), line.values, np.nan)
    y = drawn if floor is None else np.where(drawn <= 0, floor, drawn)
    return {
        "type": "scatter",
        "mode": "lines" if len(line.steps) > 1 else "markers",
        "name": plain(line.label),
        "x": line.steps,
        "y": y,
        "connectgaps": False,
        "line": {
            "color": look_colour(line.look),
            "width": 2.2 if line.look == INK else 1.4,
            "dash": look_dash(line.look),
            "shape": shape,
        },
        "marker": {"color": look_colour(line.look)},
        "hovertemplate": "%{customdata:.4~g}" if floor is not None else "%{y:.4~g}",
        **({"customdata": drawn} if floor is not None else {}),
    }


def _areas(chart: Chart) -> list[dict[str, Any]]:
    parts, totals = ([line for line in chart.lines if (line.look == INK) is is_ink] for is_ink in (False, True))
    steps, means = stacked(parts)
    heights = shares(means) if chart.form == "shares" else means
    percent = ".1%" if chart.form == "shares" else ".4~g"
    areas = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": plain(line.label),
            "x": steps,
            "y": height,
            "stackgroup": "parts",
            "line": {"color": look_colour(line.look), "width": 0.8, "dash": look_dash(line.look)},
            "hovertemplate": f"%{{y:{percent}}}",
        }
        for line, height in zip(parts, heights, strict=True)
    ]
    return areas + [_line(line, "linear", None) for line in totals]


def _strip(marks: list[Mark]) -> list[dict[str, Any]]:
    """Marks of all kinds, in the strip's upper row."""
    if not marks:
        return []
    return [
        {
            **_MARKERS,
            "name": "marks",
            "x": [mark.step for mark in marks],
            "y": [MARK_ROW] * len(marks),
            "text": [f"{GLYPHS[mark.kind]} {plain(_wrapped(mark.text))}" for mark in marks],
            "marker": {
                "symbol": [SYMBOLS[mark.kind] for mark in marks],
                "color": [SEVERITIES[mark.severity] for mark in marks],
                "size": 9,
            },
        }
    ]


def _lost(chart: Chart) -> list[dict[str, Any]]:
    """What is not finite, in the strip's lower row: x is NaN, the triangles are the infinities."""
    found = [(line, lost) for line in chart.lines for lost in line.not_finite]
    if not found:
        return []
    return [
        {
            **_MARKERS,
            "name": "not finite",
            "x": [lost.step for _, lost in found],
            "y": [LOST_ROW] * len(found),
            "text": [plain(lost_text(line.label, lost)) for line, lost in found],
            "marker": {
                "symbol": [_lost_symbol(lost) for _, lost in found],
                "color": LIGHT["critical"],
                "size": 9,
            },
        }
    ]


_MARKERS: dict[str, Any] = {
    "type": "scatter", "mode": "markers", "yaxis": "y2", "hoverinfo": "text", "cliponaxis": False,
}  # fmt: skip


def lost_text(label: str, lost: NotFinite) -> str:
    """ "loss: 3 NaN, 1 +Inf in steps 12 to 20"."""
    kinds = [(lost.nan, "NaN"), (lost.pos_inf, "+Inf"), (lost.neg_inf, "−Inf")]
    said = ", ".join(f"{count:,} {name}" for count, name in kinds if count)
    where = f"at step {step(lost.step)}" if lost.to == lost.step else f"in steps {step(lost.step)} to {step(lost.to)}"
    return f"{label}: {said} {where}"


def _lost_symbol(lost: NotFinite) -> str:
    if lost.nan:
        return "x"
    return "triangle-up-open" if lost.pos_inf else "triangle-down-open"


def _wrapped(said: str, width: int = 90) -> str:
    return said if len(said) <= 2 * width else f"{said[: 2 * width]}…"


# -- layout -----------------------------------------------------------------------------------------------------------


def _layout(chart: Chart, overlay: Overlay, is_log: bool, first_step: int, last_step: int) -> dict[str, Any]:
    axis = {"gridcolor": LIGHT["grid"], "linecolor": LIGHT["grid"], "zerolinecolor": LIGHT["grid"]}
    bounds = {"range": list(chart.bounds)} if chart.bounds and not is_log else {}
    percent = {"tickformat": ".0%"} if chart.form == "shares" else {}
    form: dict[str, Any] = {"type": "log" if is_log else "linear", "exponentformat": "e"}
    if is_log and (over := decades(chart)) > 2:
        form["dtick"] = ceil(over / TICKS_MAX)
    return {
        "template": {},
        "paper_bgcolor": LIGHT["surface"],
        "plot_bgcolor": LIGHT["surface"],
        "font": {"color": LIGHT["ink-muted"], "size": 11, "family": "system-ui, sans-serif"},
        "hovermode": "x unified",
        "hoverlabel": {"bgcolor": LIGHT["surface"], "bordercolor": LIGHT["line"], "font": {"color": LIGHT["ink"]}},
        "showlegend": False,
        "margin": {"l": 56, "r": 12, "t": 26, "b": 36},
        "height": 300,
        "xaxis": {
            **axis, "title": {"text": "step", "standoff": 4}, "range": [first_step, max(last_step, first_step + 1)],
            "tickformat": ",d", "nticks": 8,
        },
        "yaxis": {**axis, **form, **bounds, **percent, "domain": [0, TOP], "title": {"text": plain(chart.unit)}},
        "yaxis2": {"domain": [TOP, 1], "range": [-0.7, 1.7], "visible": False, "fixedrange": True},
        "annotations": _names(overlay, first_step, last_step),
    }  # fmt: skip


def decades(chart: Chart) -> float:
    """Over so many powers of ten its positive values go."""
    positive = _positive(chart)
    return float(np.log10(positive.max()) - np.log10(positive.min())) if len(positive) else 0.0


def _positive(chart: Chart) -> np.ndarray:
    found = [line.values[(line.values > 0) & np.isfinite(line.values)] for line in chart.lines]
    return np.concatenate(found or [np.empty(0)])


def _band_shapes(overlay: Overlay, first_step: int, last_step: int) -> list[dict[str, Any]]:
    shapes = []
    for at, band in enumerate(overlay.bands):
        low, high = max(band.start, first_step), min(last_step if band.to is None else band.to, last_step)
        if high <= low:
            continue
        if at % 2:
            shapes.append(_rectangle(low, high, 0, TOP, LIGHT["band"], 1.0, "paper"))
        if low > first_step:
            shapes.append(_upright(low, LIGHT["band-line"], "solid"))
    return shapes[:LINES_MAX]


def _contract_shapes(chart: Chart, is_log: bool) -> list[dict[str, Any]]:
    """One declared range is a band; of several each bound is a line in its series' colour."""
    ranges = {(each.low, each.high) for each in chart.contracts}
    if len(ranges) == 1 and (ends := _drawn_ends(chart, chart.contracts[0], is_log)) is not None:
        return [_rectangle(0, 1, *ends, LIGHT["ok"], 0.1, "y")]
    looks = {line.label: line.look for line in chart.lines}
    bounds = [(each, bound) for each in chart.contracts for bound in (each.low, each.high) if bound is not None]
    return [
        {
            "type": "line", "layer": "below", "xref": "paper", "yref": "y", "x0": 0, "x1": 1, "y0": bound, "y1": bound,
            "line": {"color": look_colour(looks.get(each.label, INK)), "width": 1, "dash": "dash"},
        }
        for each, bound in bounds[:LINES_MAX]
        if np.isfinite(bound) and (bound > 0 or not is_log)
    ]  # fmt: skip


def _drawn_ends(chart: Chart, contract: Contract, is_log: bool) -> tuple[float, float] | None:
    """What is open ends where the curves end."""
    finite = [line.values[np.isfinite(line.values) & ((line.values > 0) | (not is_log))] for line in chart.lines]
    values = np.concatenate(finite or [np.empty(0)])
    if not len(values):
        return None
    low = float(values.min()) if contract.low is None else contract.low
    high = float(values.max()) if contract.high is None else contract.high
    low = max(low, floor_of(chart)) if is_log else low
    return (low, high) if np.isfinite(low) and np.isfinite(high) and low < high else None


def _names(overlay: Overlay, first_step: int, last_step: int) -> list[dict[str, Any]]:
    """Of the stages; where there is little room, their numbers, which the timeline explains."""
    span = max(1, last_step - first_step)
    seen = [band for band in overlay.bands if band.start <= last_step and (band.to is None or band.to > first_step)]
    found = []
    for at, band in enumerate(seen[: 4 * NAMED_BANDS]):
        low, high = max(band.start, first_step), min(last_step if band.to is None else band.to, last_step)
        room = int(130 * (high - low) / span)  # characters of 11 px on a wide screen
        name = band.name if len(band.name) <= min(room, NAME_CHARS) else f"{band.name[: max(room - 1, 0)]}…"
        said = name if len(seen) <= NAMED_BANDS and room >= 8 else ""
        found.append({
            "text": plain(said), "name": plain(str(at + 1) if room >= 3 else ""), "x": low, "xref": "x", "y": 1,
            "yref": "paper", "yanchor": "bottom", "xanchor": "left", "showarrow": False,
            "font": {"color": LIGHT["ink-muted"], "size": 11},
        })  # fmt: skip
    return found


def _through(marks: list[Mark]) -> list[Mark]:
    """Those whose line goes through the curves: the worst of each step, and not too many."""
    order = {"critical": 0, "none": 1, "warning": 2}
    chosen = sorted({mark.step: mark for mark in sorted(marks, key=lambda mark: -order[mark.severity])}.values(),
                    key=lambda mark: order[mark.severity])  # fmt: skip
    return chosen[:LINES_MAX]


def _upright(at: int, colour: str, dash: str) -> dict[str, Any]:
    return {
        "type": "line", "layer": "below", "xref": "x", "yref": "paper", "x0": at, "x1": at, "y0": 0, "y1": TOP,
        "line": {"color": colour, "width": 1, "dash": dash},
    }  # fmt: skip


def _rectangle(x0: float, x1: float, y0: float, y1: float, fill: str, opacity: float, of: str) -> dict[str, Any]:
    """`of` "paper": x are steps, y parts of the height; "y": x are parts of the width, y values."""
    xref, yref = ("x", "paper") if of == "paper" else ("paper", "y")
    return {
        "type": "rect", "layer": "below", "xref": xref, "yref": yref, "x0": x0, "x1": x1, "y0": y0, "y1": y1,
        "fillcolor": fill, "opacity": opacity, "line": {"width": 0},
    }  # fmt: skip
