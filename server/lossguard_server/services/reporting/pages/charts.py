"""The charts: a place for each figure, what it shows in words, and its legend.

Rules of this file: pure; the figure itself is drawn by the report's script from the data block. What was left out is
said beneath each chart.
"""

from collections.abc import Sequence

from ..drawing import sampling_text
from ..markup import Markup, el
from ..plots import can_stack, has_floor
from ..record import Chart, Line, Record
from ..words import number, plural
from .parts import quiet, section, swatch


def charts(record: Record) -> Markup:
    """All of them, in reading order."""
    drawn = [chart for chart in record.charts if chart.lines]
    key = (
        "Grounds: stages. Above the curves: ▲ alerts, ◆ commands, ■ trips of the guard, ◀ rollbacks; below them ✕ NaN, "
        "△ +Inf, ▽ −Inf, whatever the zoom. Drag to zoom, double-click to see all."
    )
    return section(
        "charts",
        "Charts",
        quiet(key) if drawn else quiet("There is nothing to draw."),
        *(chart_figure(chart, chart.title) for chart in drawn),
    )


def chart_figure(chart: Chart, title: str) -> Markup:
    """Its place, its words, its legend."""
    unit = f" [{chart.unit}]" if chart.unit else ""
    return el(
        "figure",
        el("figcaption", el("span", f"{title}{unit}", class_="title"), " ", el("span", _notes(chart), class_="quiet")),
        el("div", class_="plot", data_figure=chart.id, role="group", aria_label=in_words(title, chart.lines)),
        _legend(chart),
    )


def in_words(title: str, lines: Sequence[Line]) -> str:
    """What the chart shows, for who cannot see it."""
    said = []
    for line in lines:
        finite = line.values[abs(line.values) < float("inf")]
        extent = f"{number(float(finite.min()))} to {number(float(finite.max()))}" if len(finite) else "no finite value"
        lost = sum(each.nan + each.pos_inf + each.neg_inf for each in line.not_finite)
        said.append(f"{line.label} {extent}{f', {lost:,} not finite' if lost else ''}")
    return f"{title}: {'; '.join(said)}."


def _notes(chart: Chart) -> str:
    notes = [sampling_text(chart)]
    if chart.form == "areas" and not can_stack(chart):
        notes.append("as lines, because areas would hide what goes below 0, or over many decades")
    if has_floor(chart):
        notes.append("what is at or below 0 lies at the bottom")
    if chart.left_out:
        notes.append(f"{plural(chart.left_out, 'more series')[: -1 if chart.left_out > 1 else None]} in the export")
    if len({(each.low, each.high) for each in chart.contracts}) == 1:
        notes.append("green ground: the declared range")
    elif chart.contracts:
        notes.append("dashed: declared bounds")
    return "; ".join(notes)


def _legend(chart: Chart) -> Markup:
    """A button a line, which hides and shows it."""
    keys = [
        el("button", swatch(line.look), line.label, type="button", aria_pressed="true", data_line=line.label)
        for line in sorted(chart.lines, key=lambda line: line.look >= 0)
    ]
    return el("div", *keys, class_="legend", role="group", aria_label="Lines of the chart")
