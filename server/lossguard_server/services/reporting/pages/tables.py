"""The tables at the end: audit trail, curriculum, rules, configuration.

Rules of this file: pure; what is long is folded away, and unfolded on paper.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

from lossguard.protocol.numbers import jsonable

from ..markup import Child, Markup, el
from ..record import Item, Record
from ..words import as_map, moment, number, text
from .parts import facts, left_out, quiet, section, table

DETAIL_CHARS = 400
PRE_CHARS = 200_000  # beyond it the file is in the link only
CONFIG_ROWS, CONFIG_CHARS = 500, 1_000
RULE_SOURCES = {"default": "default", "file": "the file", "file project": "the file, of the project"}


def audit(record: Record) -> Markup:
    """Who did what, oldest first."""
    rows = [
        (moment(each["at_s"]), text(each["actor"]), text(each["what"]), _short(each["detail"])) for each in record.audit
    ]
    shown = table("Audit trail", ("When", "Who", "What", "Detail"), rows) if rows else quiet("Nobody did anything.")
    return section("audit", "Audit trail", shown, left_out(len(rows), record.of.get("audit", 0), "entries"))


def curriculum(record: Record) -> Markup:
    """What was in force, with all that was done, and the file that repeats it."""
    patch = json.dumps(jsonable(dict(record.patch)), indent=2, allow_nan=False)
    data = base64.b64encode(patch.encode("utf-8", "replace")).decode()
    link = el("a", "Download curriculum.json", href=f"data:application/json;base64,{data}", download="curriculum.json")
    rows = [
        (f"{piece['from']:,}", "the end" if piece["to"] is None else f"{piece['to']:,}", text(piece["stage"]),
         _weights(piece["weights"]), _also(piece))
        for piece in record.patch.get("effective", ())
    ]  # fmt: skip
    return section(
        "curriculum",
        "Effective curriculum",
        quiet("What was in force at each step, with every command. ", el("code", "lg.Curriculum.load"),
              " reads the file, and repeats the run unattended."),
        table("Effective curriculum", ("From step", "To step", "Stage", "Weights", "Also"), rows),
        el("p", link),
        el("details", el("summary", "The file"), el("pre", patch, tabindex="0")) if len(patch) <= PRE_CHARS else None,
    )  # fmt: skip


def rules(record: Record) -> Markup:
    """The parameters in force; what somebody changed is marked."""
    rows = list(_parameters(record.rules))
    return section(
        "rules",
        "Rules in force",
        quiet(f"{len(record.rules)} rules; changed from their defaults: {_changed(record.rules)}."),
        el("details", el("summary", "Every parameter"),
           table("Rules in force", ("Rule", "Judges", "Parameter", "Value", "Set by"), rows)),
    )  # fmt: skip


def configuration(record: Record) -> Markup:
    """What the run said of itself."""
    config = as_map(record.run["config"])
    pairs: list[tuple[str, Child]] = list(_flat(config))
    notes = [text(note) for note in as_map(record.run["guard"]).get("notes", ())]
    return section(
        "configuration",
        "Configuration",
        facts(pairs[:CONFIG_ROWS]) if pairs else quiet("The run declared none."),
        left_out(min(len(pairs), CONFIG_ROWS), len(pairs), "entries"),
        *(quiet(note) for note in notes),
    )


def _short(detail: object) -> str:
    said = json.dumps(jsonable(detail), ensure_ascii=False)
    return said if len(said) <= DETAIL_CHARS else f"{said[:DETAIL_CHARS]}…"


def _weights(weights: Mapping[str, Any]) -> str:
    """ "ce 1, precursor 0 to 0.1"."""
    return ", ".join(
        f"{name} {' to '.join(number(each, 6) for each in (at if isinstance(at, list) else [at]))}"
        for name, at in weights.items()
    )


def _also(piece: Item) -> str:
    said = ["the stage is held"] if piece["held"] else []
    said += [f"gated: {', '.join(piece['gated'])}"] if piece["gated"] else []
    said += [f"learning rates times {number(piece['lr_scale'])}"] if piece["lr_scale"] != 1.0 else []
    said += [f"clipping at {number(piece['clip'])}"] if piece["clip"] is not None else []
    return ", ".join(said)


def _parameters(rules: Any) -> Iterator[tuple[Child, ...]]:
    for rule in rules:
        judges = "yes" if rule["enabled"] else f"no ({rule['enabled_by']})"
        for parameter in rule["parameters"] or [None]:
            if parameter is None:
                yield rule["title"], judges, "", "", ""
                continue
            unit, set_by = parameter["unit"], parameter["set_by"]
            said = f"{number(parameter['value'], 6)} {unit}".strip()
            is_own = set_by != "default"
            was = f"; default {number(parameter['default'], 6)}" if is_own else ""
            by = f"{RULE_SOURCES.get(set_by, set_by)}{was}"
            yield rule["title"], judges, parameter["name"], el("strong", said) if is_own else said, by


def _changed(rules: Any) -> str:
    found = [rule["title"] for rule in rules if not rule["enabled"]]
    named = [f"{title} (off)" for title in found]
    named += [
        f"{rule['title']} ({parameter['name']} {number(parameter['value'], 6)})"
        for rule in rules
        for parameter in rule["parameters"]
        if parameter["set_by"] != "default"
    ]
    return ", ".join(named) or "none"


def _flat(config: Item, before: str = "") -> Iterator[tuple[str, Child]]:
    """Maps within maps become names with dots."""
    for key, value in config.items():
        name = f"{before}{key}"
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{name}.")
            continue
        said = value if isinstance(value, str) else json.dumps(jsonable(value), ensure_ascii=False)
        yield name, said if len(said) <= CONFIG_CHARS else f"{said[:CONFIG_CHARS]}…"
