"""What several sections are made of: tables, lists of facts, badges, blame bars.

Rules of this file: pure; text comes in as it is and is escaped by `el`. A colour never says anything alone: a word or a
shape stands beside it.
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction

from ....rules.blame import round_to_hundred
from ..colours import PALETTE
from ..markup import Child, Markup, el, join
from ..record import INK, Item
from ..words import as_float, as_map, number, text

SHAPES = {"ok": "●", "warning": "▲", "critical": "■", "": "·"}
SAYS = {"ok": "healthy", "warning": "warning", "critical": "critical"}


def section(identity: str, heading: str, *children: Child) -> Markup:
    """One section of the report; its heading is a target of the contents."""
    return el("section", el("h2", heading, id=identity), *children, aria_labelledby=identity)


def facts(pairs: Iterable[tuple[str, Child]]) -> Markup:
    """Names and values; what is None or empty is left out."""
    shown = [el("div", el("dt", name), el("dd", value)) for name, value in pairs if value not in (None, "")]
    return el("dl", *shown, class_="facts")


def table(label: str, head: Sequence[str], rows: Iterable[Sequence[Child]]) -> Markup:
    """A table that scrolls within itself where there is no room."""
    lines = [el("tr", *(el("td", cell, data_name=name) for name, cell in zip(head, row, strict=True))) for row in rows]
    titles = el("thead", el("tr", *(el("th", name, scope="col") for name in head)))
    inner = el("table", titles, el("tbody", *lines))
    return el("div", inner, class_="wide", tabindex="0", role="group", aria_label=label)


def badge(tone: str, said: str) -> Markup:
    """A shape and a word."""
    return el("span", el("span", SHAPES.get(tone, "·"), aria_hidden="true"), " ", said, class_=f"badge {tone}".strip())


def quiet(*said: Child) -> Markup:
    """A remark."""
    return el("p", *said, class_="quiet")


def left_out(count: int, of: int, noun: str) -> Markup | None:
    """That not everything is here."""
    return quiet(f"{count:,} of {of:,} {noun} are here.") if count < of else None


def swatch(look: int, more: str = "") -> Markup:
    """The colour of a line, as a small rectangle; from the second round of colours on it is dashed."""
    colour = "ink" if look == INK else f"c{look % PALETTE}"
    is_again = look >= PALETTE
    return el("span", class_=f"swatch {colour}{' again' if is_again else ''} {more}".strip(), aria_hidden="true")


def blame_bar(blame: Item | None, components: Sequence[str]) -> Markup | None:
    """The blame as a bar whose widths are parts of all that moved, and whose percents add up to 100."""
    parts = blame_shares(as_map(blame))
    if not parts:
        return None
    texts = [part_text(part, shown) for part, shown, _ in parts]
    looks = [_look(text(part.get("component")), components) for part, _, _ in parts]
    at, rectangles = 0.0, []
    for (part, _, width), look in zip(parts, looks, strict=True):
        moved = "schedule" if part.get("cause") == "schedule" else "loss"
        class_ = f"c{look % PALETTE} {moved}"
        rectangles.append(
            el("rect", x=f"{at:.3f}", y="0", width=f"{max(0.0, 100 * width - 0.3):.3f}", height="6", class_=class_)
        )
        at += 100 * width
    lines = [
        el("li", swatch(look, text(part.get("cause"))), said)
        for (part, _, _), look, said in zip(parts, looks, texts, strict=True)
    ]
    bar = el(
        "svg", *rectangles, viewBox="0 0 100 6", preserveAspectRatio="none", role="img", aria_label="; ".join(texts)
    )
    return el("div", bar, el("ul", *lines), class_="blame")


def blame_shares(blame: Item) -> list[tuple[Item, int, float]]:
    """(part, percent, width) largest first: the percents add up to 100, the widths, of all that moved, to 1."""
    parts = [as_map(part) for part in blame.get("parts") or ()]
    percents = [as_float(part.get("percent")) for part in parts]
    known = [percent for percent in percents if percent is not None and abs(percent) < 1e9]
    if not parts or len(known) != len(parts):
        return []
    moved = sum(map(abs, known))
    whole = _whole(known)
    widths = [abs(percent) / moved if moved else 0.0 for percent in known]
    return sorted(zip(parts, whole, widths, strict=True), key=lambda each: -each[2])


def part_text(part: Item, shown: int) -> str:
    """ "precursor, its weight moved: +5.8 (103 %)"."""
    cause = {"schedule": "its weight moved", "loss": "its loss moved"}.get(text(part.get("cause")), "moved")
    delta = as_float(part.get("delta"))
    sign = "+" if delta is not None and 0 < delta < float("inf") else ""
    return f"{text(part.get('component'))}, {cause}: {sign}{number(delta)} ({shown} %)"


def _whole(percents: Sequence[float]) -> list[int]:
    total = sum(map(Fraction, percents))
    if not total:
        return [round(percent) for percent in percents]
    return round_to_hundred([Fraction(percent) / total for percent in percents])


def _look(component: str, components: Sequence[str]) -> int:
    return components.index(component) if component in components else len(components)


def listed(items: Iterable[Child], class_: str = "") -> Markup:
    """A list."""
    return el("ul", *(el("li", item) for item in items), class_=class_ or None)


def spaced(items: Iterable[Child]) -> Markup:
    """One after the other, apart."""
    return join(join([item, " "]) for item in items if item is not None)
