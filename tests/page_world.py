"""A run that trains in a thread of the test, and what tests of the page read off it.

Rules of this file: the trainer is a loop of two made-up losses in this process, because only its numbers matter. No
wait_for_function anywhere: it evaluates a string, which the page's CSP refuses.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from math import nan
from pathlib import Path
from typing import Any

import torch

import lossguard as lg
from processes import ServerProcess

STEP_S = 0.02
APPEARS_MS = 15_000


class Training:
    """A loop in a thread: two losses, `ce` and `aux`, of which `aux` is NaN at the next steps when told so."""

    def __init__(self, run: lg.Run, extra: str) -> None:
        self.run = run
        self.bad_steps = 0
        self._extra = extra
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._loop)

    def _loop(self) -> None:
        while not self._end.wait(STEP_S) and self.run.boundary():
            bad, self.bad_steps = self.bad_steps > 0, max(0, self.bad_steps - 1)
            self.run.total(ce=torch.tensor(2.0), aux=torch.tensor(nan if bad else 1.0))
            if self._extra:
                self.run.log({self._extra: 0.5})

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._end.set()
        self._thread.join()
        self.run.finish(timeout_s=5)


@contextmanager
def training(server: ServerProcess, folder: Path, name: str = "page", extra: str = "") -> Iterator[Training]:
    losses = {"ce": 1.0, "aux": 0.5}
    run = lg.init("test", name, losses=losses, url=server.url, token=server.ingest_token, dir=str(folder / "spool"))
    loop = Training(run, extra)
    loop.start()
    try:
        yield loop
    finally:
        loop.end()


def open_run(page: Any, address: str) -> None:
    page.set_default_timeout(APPEARS_MS)
    page.goto(address)
    # the first chart: on a phone the others lie below the screen, and are drawn when they are scrolled to
    page.locator(".chart-host[data-last-step]:not([data-last-step=''])").first.wait_for()


def drawn_step(page: Any) -> int:
    return int(page.get_by_test_id("chart-losses").get_attribute("data-last-step") or -1)


def says(page: Any, test_id: str, words: str) -> None:
    page.get_by_test_id(test_id).filter(has_text=words).wait_for()


def incident_of_nan(page: Any) -> Any:
    """The card that holds the alert about NaN."""
    nonfinite = page.locator("[data-testid=alert-line][data-rule=nonfinite]")
    return page.locator("[data-testid=incident]").filter(has=nonfinite).first
