"""A training in a process of its own, and what the server knows of it, asked over HTTP.

Rules of this file: nothing is read from the trainer itself; what is shown here a person can see. Waiting is polling
against a deadline. A value that is not finite is the float that it is.
"""

import os
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
from lossguard.scenarios import Options, Scenario
from processes import LoggedProcess, ServerProcess, clean_environment, until

Item = dict[str, Any]
Series = dict[int, float]
CALM_S = 0.5  # between two looks at a run, so that the server has its time for the trainer


@dataclass(frozen=True)
class Bench:
    """One server, its folder, and what every training is started with."""

    server: ServerProcess
    folder: Path
    common: tuple[str, ...]  # arguments of every training
    limit_s: float  # of one training
    mark: str  # of the names of its runs: a name that comes again is the same run, begun again

    def ask(self, path: str, **query: Any) -> Any:
        """GET; raises httpx.HTTPStatusError."""
        return self._answered("GET", path, params=query)

    def items(self, path: str, **query: Any) -> list[Item]:
        """Of a list, every page."""
        found, cursor = [], None
        while True:
            page = self.ask(path, **query, **({"cursor": cursor} if cursor else {}))
            found += page["items"]
            if not (cursor := page.get("next")):
                return found

    def post(self, path: str, body: Item) -> Any:
        """POST; raises httpx.HTTPStatusError."""
        return self._answered("POST", path, json=body)

    def train(self, scenario: str, name: str, arguments: Mapping[str, object]) -> "Training":
        """Start one; `arguments`: options of `python -m lossguard.scenarios`."""
        name = f"{name}{self.mark}"
        given = [word for key, value in arguments.items() for word in (f"--{key.replace('_', '-')}", str(value))]
        env = clean_environment() | {
            "LOSSGUARD_URL": self.server.url,
            "LOSSGUARD_TOKEN": self.server.ingest_token,
            "LOSSGUARD_DIR": str(self.folder / "spool" / name),
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
        }
        (self.folder / "logs").mkdir(exist_ok=True)
        command = ["-W", "ignore", "-m", "lossguard.scenarios", scenario, "--name", name, *given, *self.common]
        return Training(self, name, LoggedProcess(command, self.folder / "logs" / f"{name}.log", env))

    def _answered(self, method: str, path: str, **asked: Any) -> Any:
        """Over a connection of its own: one that is kept open may be closed by the server while a run trains."""
        headers = {"Authorization": f"Bearer {self.server.admin_token}"}
        with httpx.Client(base_url=self.server.url, headers=headers, trust_env=False, timeout=30) as client:
            return client.request(method, path, **asked).raise_for_status().json()


class Training:
    """One run."""

    def __init__(self, bench: Bench, name: str, process: LoggedProcess) -> None:
        self._bench, self._name, self._process, self._id = bench, name, process, ""

    @property
    def id(self) -> str:
        """Waits until the server knows the run."""
        if not self._id:
            self._id = until(self._known, f"the run {self._name} is known", 120.0)
        return self._id

    def _known(self) -> str:
        assert self._process.running() or self._process.wait() == 0, self._process.log_text()[-3_000:]
        runs = self._bench.items("/api/runs")
        return next((str(run["id"]) for run in runs if run["name"] == self._name), "")

    def ask(self, what: str, **query: Any) -> Any:
        """GET of something of the run: "" of the run itself."""
        return self._bench.ask(f"/api/runs/{self.id}{what and '/' + what}", **query)

    def items(self, what: str) -> list[Item]:
        """Of a list of the run, every item."""
        return self._bench.items(f"/api/runs/{self.id}/{what}")

    def finish(self) -> None:
        """Wait until it has trained to its end, and every row is judged."""
        identity, status = self.id, self._process.wait(self._bench.limit_s)
        assert status == 0, f"{self._name} ended with {status}: {self._process.log_text()[-3_000:]}"
        until(lambda: self.ask("")["state"] in ("finished", "stopped"), f"{identity} is over", 60.0)
        until(lambda: self._bench.ask("/api/rules/health")["lagging_runs"] == 0, "every row is judged", 60.0)

    def end(self) -> None:
        """Whatever it does, it ends."""
        self._process.end()

    def step(self) -> int:
        return int(self.ask("")["step"] or 0)  # null until the first row has come

    def is_running(self) -> bool:
        return self._process.running()

    def press(self, kind: str, args: Item, alert: str | None) -> Item:
        """Give the command as the page does, and wait until it is applied or refused."""
        body = {"kind": kind, "args": args, "idempotency_key": f"{self._name}/{kind}", "reason": "benchmark"}
        given = self._bench.post(f"/api/runs/{self.id}/commands", body | ({"alert": alert} if alert else {}))
        path, over = f"/api/commands/{given['id']}", ("applied", "rejected", "expired", "superseded")
        return until(lambda: command if (command := self._bench.ask(path))["state"] in over else None, kind, 120.0)

    def command(self, identity: str) -> Item:
        return dict(self._bench.ask(f"/api/commands/{identity}"))

    def series(self, *names: str, first: int = 0, last: int | None = None) -> dict[str, Series]:
        """Every stored point of these series, by step; a series that the run has not is empty."""
        known = {each["name"] for each in self.items("series")}
        asked = [name for name in names if name in known]
        span = {"from": first} | ({} if last is None else {"to": last})
        found = self.ask("points", series=asked, **span)["series"] if asked else {}
        return {name: _points(found[name]) if name in found else {} for name in names}


def _points(buckets: Item) -> Series:
    return {int(step): float(value) for step, value in zip(buckets["step"], buckets["last"], strict=True)}


def calm() -> None:
    """Between two looks."""
    threading.Event().wait(CALM_S)


def shortened(own: Scenario | Options, factor: float) -> dict[str, int]:
    """Its steps and its stages, shortened alike."""
    return {name: max(1, round(factor * getattr(own, name))) for name in ("steps", "stage_steps")}
