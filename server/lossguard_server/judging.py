"""The health engine, put together: judge, incidents, parameters, backtests, verdicts and notifications.

Rules of this file: wiring only.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI

from .config_file import read_config
from .edges import channels as channel_routes
from .edges import incidents as incident_routes
from .edges import rules as rule_routes
from .edges.channels import ChannelRoutes
from .edges.incidents import Incidents
from .edges.reads import Reads
from .edges.rules import RulesApi
from .rules import default_rules
from .services.backtesting.backtest import Backtests
from .services.clock import Clock
from .services.engine import Engine
from .services.findings import Findings, Tellers
from .services.judge import Judge
from .services.notifying.assembly import Notifying
from .services.notifying.owing import owe_all
from .services.parameters import Parameters, Place
from .services.policies.standing import Standing
from .services.recall import Rules
from .services.registry import Registry
from .services.verdicts import Verdicts
from .settings import Settings
from .store.columns import Reading
from .store.points import Points
from .store.writer import Writer

Publish = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Store:
    """What is read and written."""

    writer: Writer
    reading: Reading
    points: Points


@dataclass(frozen=True)
class Told:
    """Who is told, from whichever thread: of an alert that the rules changed, of one of which a person said something,
    of an incident, and `wake` that something may be owed to people."""

    alert: Publish
    said: Publish
    incident: Publish
    wake: Callable[[], None]


class Judging:
    """`judge` follows the runs; `notifying` is to be run; `policies` are in force; `add_routes` puts the handlers on
    the app."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        clock: Clock,
        new_id: Callable[[], str],
        version: str,
        engine: Rules | None,
        told: Told,
    ) -> None:
        """`engine` None: the default one. Raises StartupError for a configuration file that is wrong."""
        writer, reading = store.writer, store.reading
        self._told = told
        file = read_config(settings.config_path, default_rules(), must_exist=settings.config is not None)
        self._parameters = Parameters(default_rules(), file.rules, writer, reading, clock)
        self.policies = Standing([rule.name for rule in default_rules()], file.policies, writer, reading, clock)
        rules: Rules = engine if engine is not None else Engine(clock.wall_s)
        findings = Findings(rules, writer, clock, Tellers(told.alert, self._incident, owe_all))
        self.judge = Judge(rules, self._parameters.rules_for, writer, reading, clock, findings)
        self._verdicts = Verdicts(writer, reading, clock, told.said)
        self._backtests = Backtests(store.points, reading, lambda rules: Engine(clock.wall_s, rules), clock)
        self._store = store
        self.notifying = Notifying(
            writer,
            reading,
            clock,
            new_id,
            public_url=settings.public_url or settings.url,
            allowed=settings.notify_allow,
            environ=os.environ,
            version=version,
        )

    def add_routes(self, app: FastAPI, registry: Registry, reads: Reads) -> None:
        """Incidents, blame, rules, backtests, verdicts, channels, the outbox."""
        incident_routes.add_routes(app, Incidents(registry, self._store.reading, self._store.points, reads))
        channel_routes.add_routes(app, ChannelRoutes(self.notifying.channels))
        rule_routes.add_routes(
            app,
            RulesApi(
                registry,
                self._parameters,
                self._verdicts,
                self._backtests,
                reads,
                self.judge.reconfigure,
                self.judge.health,
            ),
        )

    def rules_of(self, project: str, run_id: str) -> list[dict[str, Any]]:
        """Every rule, with its parameters, as it counts in this run."""
        found: list[dict[str, Any]] = self._parameters.view(Place(project, run_id))["rules"]
        return found

    def forget(self, run_id: str) -> None:
        """The run was deleted."""
        self.judge.forget(run_id)
        self._parameters.forget(run_id)

    def _incident(self, incident: dict[str, Any]) -> None:
        self._told.incident(incident)
        self._told.wake()  # after the commit: the courier must find what is owed
