"""A Chromium that tells what it drew and when, what it burnt, and what it keeps.

Rules of this file: times are the page's own (watch.js), in epoch milliseconds when compared with another process; the
processes of the browser are found among the children of this one, never by name over the whole machine.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from processes import chromium_page

WATCH = Path(__file__).with_name("watch.js")
QUIET_MS = 700  # nothing drawn for so long: what was asked for is all there
IN_VIEW = """() => [...document.querySelectorAll(".chart-host")].filter((host) => {
  const { top, bottom } = host.getBoundingClientRect();
  return bottom > 0 && top < innerHeight;
}).map((host) => host.dataset.testid)"""


@dataclass(frozen=True)
class Drawn:
    """A chart was drawn: when (ms since the page's time origin), which, up to which step."""

    at_ms: float
    chart: str
    last_step: int


@dataclass(frozen=True)
class Spent:
    """CPU seconds over a while: of the busiest renderer, of the whole browser, of the main thread by kinds of work."""

    wall_s: float
    renderer_s: float
    browser_s: float
    main_s: dict[str, float]


class Watched:
    """A page with watch.js in it."""

    def __init__(self, page: Any) -> None:
        self.page = page
        page.add_init_script(path=WATCH)
        self.devtools = page.context.new_cdp_session(page)
        self.devtools.send("Performance.enable", {"timeDomain": "timeTicks"})

    def drawn(self) -> list[Drawn]:
        return [Drawn(*each) for each in self.page.evaluate("() => window.kept.drawn")]

    def kept(self, what: str) -> Any:
        return self.page.evaluate("(what) => window.kept[what]", what)

    def time_origin_ms(self) -> float:
        return float(self.page.evaluate("() => performance.timeOrigin"))

    def now_ms(self) -> float:
        return float(self.page.evaluate("() => performance.now()"))

    def in_view(self) -> set[str]:
        return set(self.page.evaluate(IN_VIEW))

    def settle(self, least: int = 1, since_ms: float = 0.0, timeout_s: float = 30.0) -> list[Drawn]:
        """Waits until `least` charts were drawn after `since_ms` and then nothing more; what was drawn."""
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            self.page.wait_for_timeout(100)
            found = [each for each in self.drawn() if each.at_ms > since_ms]
            if len(found) >= least and self.now_ms() - found[-1].at_ms > QUIET_MS:
                return found
        raise TimeoutError(f"the charts did not come to rest within {timeout_s:g} s")

    def heap(self) -> dict[str, float]:
        """Bytes that JavaScript holds after a forced collection (`usedSize`), and its buffers beside it."""
        self.devtools.send("HeapProfiler.collectGarbage")
        return dict(self.devtools.send("Runtime.getHeapUsage"))

    def metrics(self) -> dict[str, float]:
        found = self.devtools.send("Performance.getMetrics")["metrics"]
        return {each["name"]: float(each["value"]) for each in found}


@contextmanager
def watched_page(profile: Path) -> Iterator[Watched]:
    """In a browser of its own, with nothing cached."""
    with chromium_page(profile) as page:
        yield Watched(page)


class Meter:
    """What the browser burns between `start` and `stop`."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched

    def start(self) -> None:
        self._processes = [p for p in psutil.Process().children(recursive=True) if "chrom" in p.name().lower()]
        self._before = {p: _cpu_s(p) for p in self._processes}
        self._metrics = self._watched.metrics()
        self._began_s = time.perf_counter()

    def stop(self) -> Spent:
        wall_s = time.perf_counter() - self._began_s
        burnt = {p: _cpu_s(p) - before for p, before in self._before.items() if p.is_running()}
        renderers = [spent for p, spent in burnt.items() if "--type=renderer" in p.cmdline()]
        after = self._watched.metrics()
        kinds = ("TaskDuration", "ScriptDuration", "LayoutDuration", "RecalcStyleDuration")
        main = {kind.removesuffix("Duration").lower(): after[kind] - self._metrics[kind] for kind in kinds}
        return Spent(wall_s, max(renderers), sum(burnt.values()), main)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
