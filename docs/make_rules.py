"""Writes the part of docs/rules.md that follows from the rules themselves: what each judges, how, and its parameters.

    python docs/make_rules.py [--check]

Rules of this file: everything between the two marks is made; with --check nothing is written, and a difference is an
error. Measured rates come from benchmarks/rule_rates.json, which `benchmarks/detectors.py --rates` wrote.
"""

import json
import re
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from lossguard_server.rules import default_rules
from lossguard_server.rules.base import Rule

HERE = Path(__file__).resolve().parent
PAGE, MEASURED = HERE / "rules.md", HERE.parent / "benchmarks" / "rule_rates.json"
BEGIN, END = "<!-- made by docs/make_rules.py: begin -->", "<!-- made by docs/make_rules.py: end -->"


# of a series, in words that are for the page, too: with a slash or an underscore, or one of the two without
NAME = re.compile(r"`[^`]*`|[\w.]+(?:/[\w<>|]+)+|\w+_\w+|\b(?:lr|skipped)\b")


def made() -> str:
    """The tables, as Markdown."""
    rules = sorted(default_rules(), key=lambda rule: int(rule.info.number[1:]))
    rates = json.loads(MEASURED.read_text()).get("rules", {}) if MEASURED.exists() else {}
    return "\n\n".join([_overview(rules, rates), *(_section(rule) for rule in rules)])


def page(old: str) -> str:
    """The page with its made part renewed."""
    before, _, rest = old.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{made()}\n\n{END}{after}"


def _overview(rules: list[Rule], rates: dict[str, Any]) -> str:
    lines = [
        "| | rule | judges | samples of warm-up | false alarms per 100,000 healthy samples: critical, all |",
        "|---|---|---|---|---|",
    ]
    for rule in rules:
        info, rate = rule.info, rates.get(rule.name)
        said = f"{rate['critical']:.2f}, {rate['all']:.2f}" if rate else "not measurable on curves alone"
        lines.append(
            f"| {info.number} | `{rule.name}` | {_cell(_named(info.series))} | {info.warm_up or 'none'} | {said} |"
        )
    return "\n".join(lines)


def _named(words: str) -> str:
    """With every name of a series as code; what is code already stays."""
    return NAME.sub(lambda found: found[0] if found[0].startswith("`") else f"`{found[0]}`", words)


def _cell(text: str) -> str:
    """What a table takes: a bar would end the cell, in code as well."""
    return text.replace("|", "\\|")


def _section(rule: Rule) -> str:
    info = rule.info
    lines = [f"### {info.number} `{rule.name}`: {info.title}", ""]
    lines += [f"- **Formula** {info.formula}", f"- **Source** {info.source}", f"- **Quiet because** {info.quiet}"]
    lines += ["", "| parameter | default | from, to | |", "|---|---|---|---|"]
    for each in fields(rule.parameters):
        told, default = each.metadata, getattr(rule.parameters, each.name)
        unit = f" {told['unit']}" if told["unit"] else ""
        lines.append(
            f"| `{each.name}` | {default:g}{unit} | {told['low']:g}, {told['high']:g} | {_cell(told['text'])} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Renew the page, or with --check say whether it is as new."""
    old = PAGE.read_text()
    new = page(old)
    if "--check" in sys.argv[1:]:
        sys.exit(None if new == old else f"{PAGE} is not as the rules are: run python docs/make_rules.py")
    PAGE.write_text(new)


if __name__ == "__main__":
    main()
