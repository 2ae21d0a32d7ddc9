"""Which policies are in force in a run.

Rules of this file: as services/parameters.py has it for the rules.
- [policies] of the configuration file < [project] of the file < what was set for the project < for the run; the nearest
  says all of a rule's policy, and "off" is a word like others.
- What people set is checked when it is set; what was stored and no longer fits does not count, and is told.
- What people set is in memory: asking which policy counts cannot fail, and does not wait for the disk.
"""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlmodel import Session

from ...store import audit, settings
from ...store.columns import Reading
from ...store.writer import Writer
from ..clock import Clock
from ..parameters import FILE, FILE_PROJECT, PROJECT, RUN, Place
from .wishes import OFF, Policy, fitting, shaped

KEY = "policies"


@dataclass(frozen=True)
class FilePolicies:
    """What the configuration file says of policies, checked: of all runs, and of a project's."""

    policies: Mapping[str, Policy] = field(default_factory=dict)
    projects: Mapping[str, Mapping[str, Policy]] = field(default_factory=dict)


@dataclass(frozen=True)
class InForce:
    """A policy, and who said it."""

    policy: Policy
    set_by: str

    def to_dict(self) -> dict[str, Any]:
        return {**self.policy.to_dict(), "set_by": self.set_by}


class Standing:
    """Tells and changes them. Any thread may ask; `change` and `forget` are the event loop's."""

    def __init__(
        self, rules: Collection[str], file: FilePolicies, writer: Writer, reading: Reading, clock: Clock
    ) -> None:
        """`rules`: the names of all there are. Raises StorageError."""
        self._rules, self._file = tuple(rules), file
        self._writer, self._clock = writer, clock
        with reading() as session:
            self._set = settings.of_key(session, KEY)  # by scope; replaced as a whole, so that any thread may look

    def in_force(self, place: Place) -> dict[str, InForce]:
        """By rule."""
        found: dict[str, InForce] = {}
        for who, (said, _) in self._layers(place).items():
            found |= {rule: InForce(policy, who) for rule, policy in said.items()}
        return {rule: each for rule, each in found.items() if each.policy.do != OFF}

    def view(self, place: Place) -> dict[str, Any]:
        """{scope, own, policies, ignored}: what is set here itself, what is in force, and what no longer fits."""
        layers = self._layers(place)
        own, _ = layers[PROJECT if place.run_id is None else RUN]
        return {
            "scope": place.scope,
            "own": {rule: policy.to_dict() for rule, policy in own.items()},
            "policies": {rule: each.to_dict() for rule, each in self.in_force(place).items()},
            "ignored": [sentence for _, misfits in layers.values() for sentence in misfits],
        }

    async def change(self, place: Place, said: Mapping[str, Any], actor: str) -> None:
        """Set what counts here, instead of what was set before; {} takes it away. Raises BadPolicies, UnknownRule,
        StorageError."""
        new = {rule: policy.to_dict() for rule, policy in shaped(self._rules, said).items()}
        wall_s = self._clock.wall_s()

        def store(session: Session) -> None:
            old = settings.put(session, place.scope, KEY, new or None)
            detail = {"scope": place.scope, "before": old or {}, "after": new}
            audit.add(session, wall_s, actor, audit.POLICIES_CHANGED, detail, place.run_id)

        await asyncio.wrap_future(self._writer.submit(store))
        self._set = {**self._set, place.scope: new}

    def forget(self, run_id: str) -> None:
        """The run was deleted, and what was set for it with it."""
        self._set = {scope: said for scope, said in self._set.items() if scope != settings.of_run(run_id)}

    def _layers(self, place: Place) -> dict[str, tuple[Mapping[str, Policy], list[str]]]:
        """By who says it, the nearest last: what of it fits, and what does not."""
        layers: dict[str, tuple[Mapping[str, Policy], list[str]]] = {
            FILE: (self._file.policies, []),
            FILE_PROJECT: (self._file.projects.get(place.project or "", {}), []),
        }
        return layers | {who: fitting(self._rules, self._set.get(scope, {})) for who, scope in place.scopes()}
