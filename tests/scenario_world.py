"""Scenarios really trained, in this process, and what the server's engine says of them as their rows come.

Rules of this file: nothing is made up; the rows are those of the trainer's own spool, in their order.
"""

import importlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from helpers import isolate, spooled
from lossguard.protocol.frames import unpack_frame
from lossguard.protocol.messages import Declaration, Event, Frame, Schema, Sequenced
from lossguard.scenarios import find
from lossguard_server.rules.alert import Alert
from lossguard_server.rules.incident import IncidentChange
from lossguard_server.services.engine import Engine
from lossguard_server.store.rows import Rows


@dataclass(frozen=True)
class Fired:
    """An alert as it was when it fired, and the step whose row made it fire."""

    at: int
    alert: Alert


@cache
def trained(scenario: str, variant: str, **options: Any) -> tuple[Sequenced, ...]:
    """What the trainer of that scenario would send, all of it; made once for all that ask for the same."""
    own = find(scenario)
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        isolate(patch, Path(folder))
        patch.setenv("LOSSGUARD_MODE", "offline")
        importlib.import_module(own.module).train(own.options(variant=variant, device="cpu", **options))
        return tuple(spooled(Path(folder) / "spool"))


def judged(messages: Sequence[Sequenced]) -> list[Fired]:
    """Every alert that fires, the rows given to the engine one by one."""
    return _replayed(Engine(lambda: 0.0), messages)


def told(messages: Sequence[Sequenced]) -> list[IncidentChange]:
    """Everything that is told of the run's incidents, in order."""
    engine = Engine(lambda: 0.0)
    _replayed(engine, messages)
    return engine.news("run")


def _replayed(engine: Engine, messages: Sequence[Sequenced]) -> list[Fired]:
    names, found = dict[int, str](), list[Fired]()
    for message in messages:
        if isinstance(message, Declaration):
            engine.declare("run", message)
        elif isinstance(message, Schema):
            names |= {series.id: series.name for series in message.series}
        elif isinstance(message, Event) and message.kind == "trip":
            found += _fired(message.step, engine.tripped("run", message.step, message.data))
        elif isinstance(message, Frame):
            steps, columns = unpack_frame(message)
            series = tuple(names[number] for number in message.series)
            for i, step in enumerate(steps.tolist()):
                rows = Rows(steps[i : i + 1], series, columns[:, i : i + 1])
                found += _fired(step, engine.observe("run", [rows]))
    last = max((each.at for each in found), default=0)
    return found + _fired(last, engine.flush("run"))


def _fired(step: int, changes: list[Any]) -> list[Fired]:
    return [Fired(step, change.alert) for change in changes if change.transition == "fired"]


def of_rule(found: list[Fired], rule: str) -> list[Fired]:
    """Those of one rule, in order."""
    return [each for each in found if each.alert.rule == rule]


def by_series(found: list[Fired], rule: str) -> Mapping[str, Fired]:
    """The first of each series."""
    return {each.alert.series: each for each in reversed(of_rule(found, rule))}
