"""The timeline: the stages at a glance, and what happened, in order.

Rules of this file: pure.
"""

from ..markup import Markup, el
from ..overlay import Overlay
from ..record import Record
from ..timeline import timeline_of
from ..words import moment, step
from .parts import SHAPES, left_out, quiet, section, table


def timeline(record: Record, overlay: Overlay) -> Markup:
    """Nothing is left out unsaid."""
    entries, without = timeline_of(record)
    lines = [
        el(
            "li",
            el("span", SHAPES.get(entry.tone, "·"), class_=f"shape {entry.tone}".strip(), aria_hidden="true"),
            el("span", entry.kind, class_="kind"),
            el("span", "" if entry.step is None else f"step {step(entry.step)}", class_="at"),
            el("span", entry.text, class_="said"),
            el("time", moment(entry.at_s) if entry.at_s else "", class_="time"),
        )
        for entry in entries
    ]
    return section(
        "timeline",
        "Timeline",
        _stages(overlay),
        el("ol", *lines, class_="timeline") if lines else quiet("Nothing happened but steps."),
        left_out(len(entries), len(entries) + without, "entries"),
        left_out(len(record.events), record.of.get("events", 0), "events"),
    )


def _stages(overlay: Overlay) -> Markup | None:
    if not overlay.bands:
        return None
    rows = [
        (f"{at + 1}", band.name, f"{band.start:,}", "the end" if band.to is None else f"{band.to - 1:,}")
        for at, band in enumerate(overlay.bands)
    ]
    return table("Stages", ("#", "Stage", "From step", "To step"), rows)
