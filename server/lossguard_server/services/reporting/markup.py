"""HTML that is safe by construction: whatever is not Markup already is escaped as text.

Rules of this file:
- Pure. Names, reasons and messages come from the wire: only `el` and `join` make Markup of them.
- Plotly reads markup in text of its own (tags, entities, `$...$`): what it shows goes through `plain`.
- What turns the reading direction around, and what no screen shows, is replaced: one name must not look like another.
"""

import html
import re
from collections.abc import Iterable

VOID = frozenset({"meta", "br", "rect"})
_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class Markup(str):
    """Text that is HTML. Made by this file; elsewhere only of constants."""

    __slots__ = ()


Child = object  # Markup as it is, None nothing, everything else as text


def shown(value: object) -> str:
    """Any value as the text that a person sees, not escaped."""
    return _HIDDEN.sub("\N{REPLACEMENT CHARACTER}", str(value))


def escaped(value: Child) -> Markup:
    """Markup as it is, nothing for None, the text of everything else."""
    if isinstance(value, Markup):
        return value
    return Markup("") if value is None else Markup(html.escape(shown(value), quote=True))


def join(children: Iterable[Child]) -> Markup:
    """One after the other."""
    return Markup("".join(map(escaped, children)))


def el(name: str, /, *children: Child, **attributes: object) -> Markup:
    """An element. `class_`, `data_x` and the like are written `class`, `data-x`; None and False leave one out."""
    said = "".join(_attribute(key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items())
    return Markup(f"<{name}{said}/>") if name in VOID else Markup(f"<{name}{said}>{join(children)}</{name}>")


def plain(name: object) -> str:
    """Text that Plotly shows as it is: no tag, no entity, and no formula."""
    text = shown(name).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace("$", "\u200b$\u200b")


def _attribute(name: str, value: object) -> str:
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{escaped(str(value))}"'
