"""What a person does at the page and waits for: open a long run, zoom by the mouse, watch a run go on, leave it open.

Rules of this file: each visit answers plain numbers and judges nothing. What a chart shows is what it says of itself
(`data-last-step`), read in the frame after the one that painted it. Where a column stands for several steps that is the
first one of the newest column, so a latency measured there is an upper bound; over the last 200 steps it is exact.
"""

import csv
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from processes import LoggedProcess, ServerProcess, clean_environment, until

from .material import STORED
from .profiles import profiled
from .watching import Drawn, Meter, Spent, Watched, watched_page

TRAINER = Path(__file__).with_name("trainer.py")
ZOOMS = ((0.30, 0.50), (0.10, 0.90), (0.62, 0.66), (0.90, 0.99), (0.05, 0.06))
PLOT_LEFT, PLOT_RIGHT = 58, 14  # uplot.ts: where the plot lies within its host
WARM_S = 5.0  # of a live run, before anything is measured
HEAP_EVERY_S = 10.0


@dataclass(frozen=True)
class Paint:
    """Milliseconds since the navigation began."""

    something_ms: float  # first contentful paint
    charts_ms: float  # every chart in view has the run's end on it
    complete_ms: float  # the last redraw: all series are there
    shown_step: int  # the newest column of the charts begins here


@dataclass(frozen=True)
class Zoom:
    """Milliseconds since the mouse button went up."""

    window_ms: float  # every chart in view shows the window
    finer_ms: float  # and has the server's finer points


@dataclass
class Live:
    """A while of a run under way."""

    latency_ms: np.ndarray
    redraws: int
    steps: int
    spent: Spent


@dataclass
class Heap:
    """Samples over minutes: what JavaScript holds, what its buffers hold beside it, nodes of the page."""

    minutes: list[float] = field(default_factory=list)
    objects_mb: list[float] = field(default_factory=list)
    buffers_mb: list[float] = field(default_factory=list)
    nodes: list[float] = field(default_factory=list)


@contextmanager
def served(folder: Path) -> Iterator[ServerProcess]:
    server = ServerProcess(folder).start()
    try:
        yield server
    finally:
        server.stop()


def painted(watched: Watched) -> Paint:
    """What the page that has just been navigated to drew; waits until it is at rest."""
    charts = watched.in_view()
    drawn = [each for each in watched.settle() if each.chart in watched.in_view() | charts]
    ends = {each.chart: each.last_step for each in drawn}
    firsts = [min(d.at_ms for d in drawn if d.chart == c and d.last_step >= end) for c, end in ends.items()]
    entry = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN"
    return Paint(watched.page.evaluate(entry), max(firsts), drawn[-1].at_ms, min(ends.values()))


def opened(folder: Path, visits: int) -> list[Paint]:
    """The stored run, opened by one server and fresh browsers; the first visit finds the server's caches empty."""
    paints = []
    with served(folder) as server:
        for _ in range(visits):
            with tempfile.TemporaryDirectory() as profile, watched_page(Path(profile)) as watched:
                watched.page.goto(stored_address(server))
                paints.append(painted(watched))
    return paints


def stored_address(server: ServerProcess) -> str:
    return f"{server.page_url}&run={STORED}"


def zoomed(folder: Path, rounds: int, profile_to: Path | None) -> list[Zoom]:
    """Drags over the stored run's charts, back to the whole run after each."""
    zooms = []
    with served(folder) as server, tempfile.TemporaryDirectory() as name, watched_page(Path(name)) as watched:
        watched.page.goto(stored_address(server))
        watched.settle()
        with profiled(watched, profile_to, "zoom"):
            for start, end in ZOOMS * rounds:
                zooms.append(one_zoom(watched, start, end))
                watched.page.get_by_role("button", name="whole run").click()
                watched.settle(least=0)
    return zooms


def one_zoom(watched: Watched, start: float, end: float) -> Zoom:
    page, charts = watched.page, watched.in_view()
    box = page.get_by_test_id("chart-losses").bounding_box()
    left, width, y = box["x"] + PLOT_LEFT, box["width"] - PLOT_LEFT - PLOT_RIGHT, box["y"] + box["height"] / 2
    page.mouse.move(left + start * width, y)
    page.mouse.down()
    page.mouse.move(left + end * width, y, steps=6)
    page.mouse.up()
    released_ms = watched.kept("released")[-1]
    drawn = watched.settle(since_ms=released_ms)
    answers = [ended for began, ended, _ in watched.kept("answers") if began > released_ms]
    window_ms = first_of_all(drawn, charts, released_ms) - released_ms
    return Zoom(window_ms, first_of_all(drawn, charts, max(answers)) - released_ms if answers else np.nan)


def first_of_all(drawn: Sequence[Drawn], charts: set[str], after_ms: float) -> float:
    """When the last of the charts was drawn for the first time after that."""
    firsts: dict[str, float] = {}
    for each in drawn:
        if each.at_ms > after_ms and each.chart in charts:
            firsts.setdefault(each.chart, each.at_ms)
    return max(firsts.values()) if set(firsts) == charts else np.nan


@contextmanager
def training(server: ServerProcess, folder: Path, series: int, rate: float) -> Iterator[Path]:
    """A run under way in another process; the file of when it logged what."""
    arguments = [str(TRAINER), server.url, server.ingest_token, str(folder), str(series), str(rate)]
    trainer = LoggedProcess(arguments, folder / "trainer.log", clean_environment())
    try:
        until(lambda: server.get("/api/runs")["items"], "the run is there; " + trainer.log_text())
        yield folder / "logged.csv"
    finally:
        trainer.end()


def watched_live(
    seconds: float, minutes: float, series: int, rate: float, profile_to: Path | None
) -> tuple[dict[str, Live], Heap]:
    """A run under way on the page: its whole, then its last 200 steps, for `seconds` each; then the heap."""
    with tempfile.TemporaryDirectory() as name, served(Path(name) / "data") as server:
        folder = Path(name)
        with training(server, folder, series, rate) as logged, watched_page(folder / "profile") as watched:
            watched.page.goto(server.page_url)
            until(lambda: watched.drawn(), "the charts are drawn")
            watched.page.wait_for_timeout(WARM_S * 1e3)
            found = {}
            for view in ("whole run", "last 200"):
                watched.page.get_by_role("button", name=view).click()
                watched.page.wait_for_timeout(1_000)
                with profiled(watched, profile_to, f"live, {view}"):
                    found[view] = one_live(watched, seconds, logged)
            watched.page.get_by_role("button", name="whole run").click()
            return found, heap_over(watched, minutes)


def one_live(watched: Watched, seconds: float, logged: Path) -> Live:
    meter, charts, since_ms = Meter(watched), watched.in_view(), watched.now_ms()
    meter.start()
    watched.page.wait_for_timeout(seconds * 1e3)
    spent = meter.stop()
    watched.page.wait_for_timeout(1_000)
    drawn = [each for each in watched.drawn() if each.at_ms > since_ms and each.chart in charts]
    origin_ms = watched.time_origin_ms()
    with logged.open() as file:
        at_ms = {int(step): float(at) - origin_ms for step, at in (row for row in csv.reader(file) if len(row) == 2)}
    steps = [step for step, at in at_ms.items() if since_ms + 500 < at < since_ms + seconds * 1e3]
    latency_ms = latencies(steps, at_ms, drawn, charts)
    return Live(latency_ms, len(drawn) // max(1, len(charts)), len(steps), spent)


def latencies(steps: Sequence[int], at_ms: dict[int, float], drawn: Sequence[Drawn], charts: set[str]) -> np.ndarray:
    """Of each step, until the slowest chart in view had drawn it or a later one; nan where one never did."""
    slowest = np.zeros(len(steps))
    for chart in charts:
        mine = [each for each in drawn if each.chart == chart]
        reached = np.maximum.accumulate([each.last_step for each in mine] or [-1])
        times = np.array([each.at_ms for each in mine] + [np.nan])
        slowest = np.maximum(slowest, times[np.searchsorted(reached, steps)])
    return slowest - np.array([at_ms[step] for step in steps])


def heap_over(watched: Watched, minutes: float) -> Heap:
    heap, began_s = Heap(), time.monotonic()
    while (passed_s := time.monotonic() - began_s) <= minutes * 60:
        used = watched.heap()
        heap.minutes.append(passed_s / 60)
        heap.objects_mb.append(used["usedSize"] / 1e6)
        heap.buffers_mb.append(used.get("backingStorageSize", np.nan) / 1e6)
        heap.nodes.append(watched.metrics()["Nodes"])
        watched.page.evaluate("() => { window.kept.drawn.length = 0; window.kept.long.length = 0; }")
        watched.page.wait_for_timeout(HEAP_EVERY_S * 1e3)
    return heap


def slope(minutes: Sequence[float], values: Sequence[float]) -> float:
    """MB a minute, by least squares over the second half."""
    half = len(minutes) // 2
    return float(np.polyfit(minutes[half:], values[half:], 1)[0]) if len(minutes) - half > 2 else np.nan
