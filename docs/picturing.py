"""A server, trainings and a page for make_pictures.py.

Rules of this file: nothing here knows which pictures there are; what is waited for is polled against a deadline.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from processes import ServerProcess, TrainerProcess, until

DESK, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
DARK, LIGHT, SMALL = ("", "dark", DESK), ("-light", "light", DESK), ("-phone", "light", PHONE)
CARD = {"width": 1440, "height": 4_400}  # the rail gives incidents half of it, and a card is then whole
Look = tuple[str, str, dict[str, int]]  # suffix of the file, colour scheme, size of the window

WAIT_S, TRAINED_S = 240, 900
WAIT_MS = WAIT_S * 1_000
SETTLE_MS = 1_500  # charts draw, fonts and details arrive
ENDLESS = ("--steps", "1000000")
DRAWN = ".chart-host:not([data-last-step=''])"  # on a phone the first one only is in view


def nothing(page: Any) -> None:
    """For a view that is pictured as it comes."""


@dataclass(frozen=True)
class View:
    """`address`: the page's, without the token. `of`: what is taken; all that a window shows where empty."""

    address: str
    wanted: str = DRAWN
    go: Callable[[Any], None] = nothing
    of: str = ""
    looks: tuple[Look, ...] = (DARK, LIGHT)


@dataclass
class Training:
    """A run as the server knows it."""

    server: ServerProcess
    process: TrainerProcess
    id: str

    def ask(self, what: str) -> Any:
        return self.server.get(f"/api/runs/{self.id}{what}")

    @property
    def step(self) -> int:
        return int(self.ask("")["step"] or 0)

    def reach(self, step: int) -> None:
        until(lambda: self.step >= step, f"step {step} is trained", WAIT_S)

    def incident_with(self, rule: str) -> str:
        """The incident's card, once that rule has fired."""
        alerts = until(lambda: [a for a in self.ask("/alerts")["items"] if a["rule"] == rule], f"{rule} fires", WAIT_S)
        return f"[data-incident='{alerts[0]['incident']}']"

    def applied(self, kind: str) -> int:
        """The step at which the newest command of that kind took effect."""

        def found() -> list[int]:
            return [each["step"] for each in self.ask("/commands")["items"] if each["kind"] == kind and each["ranks"]]

        return int(until(found, f"{kind} is applied", WAIT_S)[0])

    def judged(self, kind: str) -> None:
        """Wait until the server has said what came of the newest command of that kind."""

        def told() -> Any:
            return next((each["effect"] for each in self.ask("/commands")["items"] if each["kind"] == kind), None)

        until(told, f"the effect of {kind} is told", WAIT_S)

    def newest(self, series: str) -> list[float]:
        """Its last ten values."""
        last = self.step
        asked = f"/points?series={series}&from={last - 10}&to={last}&width=100"
        return [float(each) for each in self.ask(asked)["series"].get(series, {"last": []})["last"]]

    def facts(self) -> dict[str, Any]:
        """What docs/incidents.md quotes: alerts, incidents, commands."""
        alerts = sorted(self.ask("/alerts")["items"], key=lambda each: int(each["step"]))
        commands = sorted(self.ask("/commands")["items"], key=lambda each: int(each["step"] or 0))
        return {
            "step": self.step,
            "last": {name: self.newest(name) for name in ("loss/total", "grad_norm/total")},
            "alerts": [{key: a[key] for key in ("step", "rule", "severity", "state", "message", "evidence", "remedy")}
                       for a in alerts],
            "incidents": [{key: i[key] for key in ("state", "headline", "cause", "first_bad", "blame", "remedy")}
                          for i in self.ask("/incidents")["items"]],
            "commands": [{key: c[key] for key in ("step", "kind", "args", "state", "effect")} for c in commands],
        }  # fmt: skip


@dataclass
class Studio:
    """Takes pictures of `server`'s page into `folder`; trainings write below `scratch`."""

    server: ServerProcess
    page: Any
    scratch: Path
    folder: Path

    @contextmanager
    def training(self, name: str, *arguments: str) -> Iterator[Training]:
        """A trainer under way; its facts are printed when the picture is done with it."""
        (own := self.scratch / name).mkdir()
        process = TrainerProcess(self.server, own, *arguments, "--name", name, "--threads", "1")
        try:
            until(lambda: name in self.runs(), f"{name} is known; {process.log_text()[-500:]}", WAIT_S)
            run = Training(self.server, process, self.runs()[name])
            try:
                yield run
            finally:  # also of one that did not do what it should
                print(json.dumps({name: run.facts()}, indent=1), flush=True)
        finally:
            process.end()

    def trained(self, name: str, *arguments: str) -> str:
        """Train to the end; the run's id."""
        with self.training(name, *arguments) as run:
            assert run.process.wait(TRAINED_S) == 0, run.process.log_text()
            return run.id

    def runs(self) -> dict[str, str]:
        """Ids by name."""
        return {run["name"]: run["id"] for run in self.server.get("/api/runs")["items"]}

    def open(self, address: str) -> None:
        """The page at that address, as on a desk."""
        self.page.set_viewport_size(DESK)
        self.page.goto("about:blank")  # another fragment alone does not load anew
        self.page.goto(f"{self.server.page_url}&{address}")

    def take(self, views: Mapping[str, View]) -> None:
        """Every view in its looks."""
        for name, view in views.items():
            for suffix, scheme, size in view.looks:
                self.page.emulate_media(color_scheme=scheme)
                self.open(view.address)
                self.page.set_viewport_size(CARD if view.of else size)
                self.page.locator(view.wanted).first.wait_for(timeout=WAIT_MS)
                self.page.wait_for_timeout(SETTLE_MS)
                self.page.get_by_test_id("engine-badge").wait_for(state="hidden")  # the rules have caught up
                view.go(self.page)
                self.page.wait_for_timeout(SETTLE_MS)
                place = self.page.locator(view.of).first if view.of else self.page
                place.screenshot(path=self.folder / f"{name}{suffix}.png")
