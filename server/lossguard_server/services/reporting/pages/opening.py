"""The report's head: which run it is, how it ended, and what one must know of it in three sentences.

Rules of this file: pure.
"""

from ..markup import Child, Markup, el
from ..record import Record
from ..story import story_of
from ..words import duration, moment, number, plural, step, text
from .parts import SAYS, badge, facts, section

ENDS = {
    "finished": "finished by itself",
    "stopped": "stopped by a person or a signal",
    "crashed": "crashed",
    "lost": "lost: nothing was heard of it any more",
    "running": "still running when this report was made",
    "paused": "paused when this report was made",
    "waiting": "had not begun when this report was made",
}
NAMES_MAX = 8


def opening(record: Record) -> Markup:
    """The title, the facts."""
    run = record.run
    label = text(run.get("label"))
    tags = [el("span", tag, class_="tag") for tag in run.get("tags") or ()]
    note = text(run.get("note"))
    return el(
        "header",
        el("p", "lossguard report", class_="kicker"),
        el("h1", label or text(run["name"])),
        el("p", f"{text(run['project'])} / {text(run['name'])}", *([" ", *tags] if tags else []), class_="quiet"),
        el("p", note, class_="note") if note else None,
        facts(_facts(record)),
    )


def verdict(record: Record) -> Markup:
    """Three sentences."""
    story = story_of(record)
    lines = (("What", story.what), ("Why", story.why), ("Done", story.done))
    return section(
        "verdict",
        "Verdict",
        el("p", badge(story.tone, SAYS[story.tone])),
        el("dl", *(el("div", el("dt", name), el("dd", said)) for name, said in lines), class_="verdict"),
    )


def _facts(record: Record) -> list[tuple[str, Child]]:
    run = record.run
    state = text(run["state"])
    took_s = record.seen_s - run["started_s"]
    return [
        ("Ended", ENDS.get(state, state)),
        ("Steps", f"{record.last_step + 1:,}"),
        ("Total at the end", number(run["total"]) if run["total"] is not None else None),
        ("Began", moment(run["started_s"])),
        ("Took", duration(took_s)),
        ("Attempts", f"{int(run['attempt']) + 1:,}"),
        ("Device", text(run["device"]) or None),
        ("Ranks", f"{int(run['rank_count']):,}"),
        ("First not finite", _first_not_finite(record)),
        ("Gaps", _gaps(record)),
        ("Guard", _guard(record)),
        ("Stored", f"{plural(record.points, 'point')} of {record.series:,} series"),
        ("Run", text(run["id"])),
        ("Report made", f"{moment(record.made_s)}, lossguard {record.version}"),
    ]


def _first_not_finite(record: Record) -> str:
    first = record.first_not_finite
    if first is None:
        return "never"
    names = ", ".join(first.series[:NAMES_MAX])
    more = f" and {len(first.series) - NAMES_MAX} more" if len(first.series) > NAMES_MAX else ""
    said = "; gradients only, as a float16 GradScaler makes them on purpose" if first.is_gradients else ""
    return f"step {step(first.step)}{f': {names}{more}' if names else ''}{said}"


def _gaps(record: Record) -> str:
    gaps, dropped = int(record.run["gaps"]), int(record.run["points_dropped"])
    said = plural(gaps, "gap") if gaps else "none"
    return f"{said}; {plural(dropped, 'point')} dropped by the trainer" if dropped else said


def _guard(record: Record) -> str:
    guard = record.run["guard"]
    modes = ", ".join(text(mode) for mode in guard["modes"]) or "off"
    trips = int(record.run["trips"])
    return f"{modes}; {plural(trips, 'trip')}" if trips else modes
