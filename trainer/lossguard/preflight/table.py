"""A report as plain text.

Rules of this file: at most WIDTH columns whatever the names; what is cut is a name only, in its middle.
"""

import textwrap
from collections.abc import Sequence
from math import isfinite

from .report import FINE, Component, Report, Row, StageReport

WIDTH = 100
NAME_MAX = 36
COLUMN = 12
NOT_MEASURED = "-"


def table(report: Report) -> str:
    """The components, then each stage with its verdict, then the whole in one sentence."""
    name = min(max([len(each.name) for each in report.components] + [len("component")]), NAME_MAX)
    lines = [f"Preflight over {report.batches} batch{'es' if report.batches != 1 else ''}", ""]
    heads = ("raw median", "lowest", "highest", "not finite", "gradient")
    lines.append(_line(name, "component", heads))
    lines += [_line(name, each.name, _measured(each)) for each in report.components]
    for stage in report.stages:
        lines += ["", *_stage(stage, name)]
    if report.notes:
        lines += ["", *(line for note in report.notes for line in _wrapped(note, "Note: "))]
    return "\n".join([*lines, "", *_wrapped(report.sentence, "")])


def _measured(each: Component) -> list[str]:
    numbers = [number(value) for value in (each.raw, each.low, each.high)]
    return [*numbers, f"{each.nonfinite} of {each.seen}" if each.nonfinite else "0", number(each.grad_norm)]


def _stage(stage: StageReport, name: int) -> list[str]:
    jump = "" if stage.jump is None else f", {stage.jump:.2f} times the one before"
    head = f"Stage {stage.name!r} from step {stage.start}: total {number(stage.total)}{jump}"
    lines = _wrapped(head, "")
    lines.append(_line(name, "component", ("raw", "weight", "adds", "share", "gradient")))
    lines += [_line(name, row.component, _row(row)) for row in stage.rows if row.weight or not isfinite(row.raw)]
    if not stage.findings:
        return [*lines, f"  {FINE}"]
    return [*lines, *(line for found in stage.findings for line in _wrapped(found.text, f"  {found.severity}: "))]


def _row(row: Row) -> list[str]:
    share = NOT_MEASURED if not isfinite(row.share) else f"{100 * row.share:.3g} %"
    return [number(row.raw), f"{row.weight:.4g}", number(row.contribution), share, number(row.grad_norm)]


def _line(width: int, name: str, cells: Sequence[str]) -> str:
    return f"  {_cut(name, width):<{width}}" + "".join(f"{cell:>{COLUMN}}" for cell in cells)


def _cut(name: str, width: int) -> str:
    if len(name) <= width:
        return name
    half = (width - 2) // 2
    return f"{name[:half]}..{name[-half:]}"


def _wrapped(text: str, begin: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=begin, subsequent_indent=" " * len(begin)) or [begin]


def number(value: float | None) -> str:
    """Four digits; what is not finite by its name."""
    return NOT_MEASURED if value is None else f"{value:.4g}"
