"""Which rules judge a run, and with which parameters.

Rules of this file:
- Defaults < [rules] of the configuration file < [project] of the file < what was set for the project < for the run.
- What people set is checked when it is set. What was stored and no longer fits is left out, told in answers, and never
  stops a run from being judged.
- What people set is in memory, as it is little: asking for a run's rules cannot fail, and does not wait for the disk.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlmodel import Session

from ..rules.base import Rule
from ..rules.tuning import Configuration, Tuning, described, fitting, layered, shaped, tuned
from ..store import audit, runs, settings
from ..store.columns import Reading
from ..store.writer import Writer
from .clock import Clock

KEY = "rules"
DEFAULT, FILE, FILE_PROJECT, PROJECT, RUN = "default", "file", "file project", "project", "run"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FileRules:
    """What the configuration file says of rules, checked: of all runs, and of a project's."""

    rules: Configuration = field(default_factory=dict)
    projects: Mapping[str, Configuration] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """Where a configuration is in force: everywhere, in a project, or in one run of it."""

    project: str | None = None
    run_id: str | None = None

    @property
    def scope(self) -> str:
        """Under which what is set here is stored."""
        if self.run_id is not None:
            return settings.of_run(self.run_id)
        return "server" if self.project is None else settings.of_project(self.project)

    def scopes(self) -> list[tuple[str, str]]:
        """(who says it, under which scope it is stored), nearer to the run last."""
        found = [] if self.project is None else [(PROJECT, settings.of_project(self.project))]
        return found + ([] if self.run_id is None else [(RUN, settings.of_run(self.run_id))])


@dataclass(frozen=True)
class Layers:
    """What counts at a place, by who said it, and the sentences about what no longer fits."""

    said: Mapping[str, Configuration]
    misfits: Sequence[str]

    def effective(self) -> dict[str, Tuning]:
        return layered(*self.said.values())

    def set_by(self, rule: str, parameter: str) -> str:
        """Who said it last."""
        speakers = [who for who, said in self.said.items() if parameter in said.get(rule, {}).get("parameters", {})]
        return speakers[-1] if speakers else DEFAULT

    def switched_by(self, rule: str) -> str:
        """Who said last whether the rule judges."""
        speakers = [who for who, said in self.said.items() if "enabled" in said.get(rule, {})]
        return speakers[-1] if speakers else DEFAULT


class Parameters:
    """Tells and changes them. Any thread may ask; `change` and `forget` are the event loop's."""

    def __init__(self, rules: Sequence[Rule], file: FileRules, writer: Writer, reading: Reading, clock: Clock) -> None:
        """`rules` with their default parameters. Raises StorageError."""
        self.defaults = tuple(rules)
        self._file, self._writer, self._reading, self._clock = file, writer, reading, clock
        with reading() as session:
            self._set = settings.of_key(session, KEY)  # by scope; replaced as a whole, so that any thread may look

    def rules_for(self, project: str, run_id: str) -> tuple[Rule, ...]:
        """What judges this run from now on; what is set for it and makes no sense any more does not count."""
        layers = self.layers(Place(project, run_id))
        for misfit in layers.misfits:
            log.warning("a setting of run %s does not count: %s", run_id, misfit)
        return tuned(self.defaults, layers.effective())

    def layers(self, place: Place) -> Layers:
        """What counts at a place."""
        return Layers(*fitting(self.defaults, self._said(place)))

    def view(self, place: Place) -> dict[str, Any]:
        """{scope, own, rules, ignored}: what is set here itself, and every rule as it counts here."""
        layers = self.layers(place)
        own = layers.said.get(_own(place), {})
        rules = [self._rule_view(rule, layers) for rule in self.defaults]
        return {"scope": place.scope, "own": own, "rules": rules, "ignored": list(layers.misfits)}

    def with_changes(self, place: Place, configuration: Mapping[str, Any]) -> tuple[Rule, ...]:
        """What would judge here if this were set instead of what is. Raises BadRules."""
        others = {**self._said(place), _own(place): {}}
        base, _ = fitting(self.defaults, others)
        return tuned(self.defaults, layered(*base.values(), shaped(self.defaults, configuration)))

    def tried(self, place: Place | None, configuration: Mapping[str, Any]) -> tuple[Rule, ...]:
        """These changes to what counts at a place; of nowhere, to the defaults. Raises BadRules."""
        base = {} if place is None else self.layers(place).effective()
        return tuned(self.defaults, layered(base, shaped(self.defaults, configuration)))

    async def change(self, place: Place, configuration: Mapping[str, Any], actor: str) -> list[str]:
        """Set what counts here, instead of what was set before; {} takes it away. Returns the runs that are judged by
        other rules from now on: `reconfigure` them. Raises BadRules, StorageError."""
        self.with_changes(place, configuration)  # refuses what makes no sense
        new = _without_empty(shaped(self.defaults, configuration))
        wall_s = self._clock.wall_s()

        def store(session: Session) -> list[str]:
            old = settings.put(session, place.scope, KEY, new or None)
            detail = {"scope": place.scope, "before": old or {}, "after": new}
            audit.add(session, wall_s, actor, audit.RULES_CHANGED, detail, place.run_id)
            if place.run_id is not None:
                return [place.run_id]
            return runs.of_project(session, place.project or "")

        concerned = await asyncio.wrap_future(self._writer.submit(store))
        self._set = {**self._set, place.scope: new}
        return concerned

    def concerned(self, place: Place) -> int:
        """How many stored runs are judged by what is set here. Raises StorageError."""
        if place.run_id is not None:
            return 1
        with self._reading() as session:
            return len(runs.of_project(session, place.project or ""))

    def forget(self, run_id: str) -> None:
        """The run was deleted, and what was set for it with it."""
        self._set = {scope: said for scope, said in self._set.items() if scope != settings.of_run(run_id)}

    def _said(self, place: Place) -> dict[str, Mapping[str, Any]]:
        """What was said there, whether it fits or not."""
        said: dict[str, Mapping[str, Any]] = {FILE: self._file.rules}
        said[FILE_PROJECT] = self._file.projects.get(place.project or "", {})
        return said | {who: self._set.get(scope, {}) for who, scope in place.scopes()}

    def _rule_view(self, rule: Rule, layers: Layers) -> dict[str, Any]:
        said = layers.effective().get(rule.name, {})
        shown = described(rule)
        for parameter in shown["parameters"]:
            name = parameter["name"]
            parameter["value"] = said.get("parameters", {}).get(name, parameter["default"])
            parameter["set_by"] = layers.set_by(rule.name, name)
        return {**shown, "enabled": said.get("enabled", True), "enabled_by": layers.switched_by(rule.name)}


def _own(place: Place) -> str:
    """Who says what is set at this very place."""
    return RUN if place.run_id is not None else PROJECT


def _without_empty(said: Mapping[str, Tuning]) -> dict[str, Tuning]:
    found: dict[str, Tuning] = {name: dict(of_rule) for name, of_rule in said.items()}  # type: ignore[misc]
    for of_rule in found.values():
        if not of_rule.get("parameters", True):
            del of_rule["parameters"]
    return {name: of_rule for name, of_rule in found.items() if of_rule}
