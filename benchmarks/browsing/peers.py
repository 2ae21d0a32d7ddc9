"""TensorBoard and trackio at the same work: their own writers, servers and pages, in the same Chromium.

Rules of this file: where a choice has to be made it is in the peers' favour: first paint counts the first line of each
chart in view; log to pixel counts until the answer that holds the step is in the browser, without its drawing; their
servers have loaded all before the page is opened; TensorBoard's page is told to reload itself as often as it lets a
person choose (15 s), and its server to look each second. A peer that cannot be driven is told, never guessed.
"""

import argparse
import csv
import json
import os
import re
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Error

from processes import chromium_page

from .visits import opened

WRITER = Path(__file__).with_name("peer_writer.py")
WATCH = Path(__file__).with_name("peer_watch.js")
LIVE_S = 60
REST_MS = 3_000
PAINT_LIMIT_S = 60
RELOADING = """localStorage.setItem("_tb_global_settings", '{"autoReload":true,"autoReloadPeriodInMs":15000}')"""
STEPS_IN = re.compile(r'"step":\s*(\d+)')


@dataclass(frozen=True)
class Peer:
    """`serve`: Python's arguments for a folder and a port; `page`: what follows the address; `data`: its answers."""

    name: str
    serve: Callable[[Path, int], list[str]]
    page: str
    data: str
    charts: str
    is_loaded: Callable[[str, int], bool]


def _tensorboard_has(url: str, series: int) -> bool:
    found = json.load(urllib.request.urlopen(f"{url}/data/plugin/scalars/tags", timeout=5))
    return any(len(tags) >= series for tags in found.values())


def _answers(url: str, _series: int) -> bool:
    return bool(urllib.request.urlopen(url, timeout=5).status == 200)


SHOW = "import sys, trackio; trackio.show(project='bench', open_browser=False, block_thread=True, server_port={port})"
PEERS = (
    Peer(
        "TensorBoard",
        lambda folder, port: [
            *("-m", "tensorboard.main", "--logdir", str(folder), "--port", str(port), "--reload_interval", "1"),
        ],
        "/#timeseries",
        "/timeSeries",
        "line-chart",
        _tensorboard_has,
    ),
    Peer(
        "trackio",
        lambda _folder, port: ["-c", SHOW.format(port=port)],
        "/?project=bench",
        "/api/get_logs",
        ".vega-embed canvas",
        _answers,
    ),
)


def compared(options: argparse.Namespace, folder: Path, stored: Path) -> str:
    """A table of first paint and log to pixel; a line for each peer, and ours over as many steps."""
    ours = [paint.charts_ms for paint in opened(stored, 3)]
    size = f"{options.peer_steps:,} steps x {options.series} series"
    lines = [f"| {size} | first paint, ms | of lossguard's | log to pixel p50 | p95 |", "|---|---|---|---|---|"]
    lines.append(f"| lossguard | {np.median(ours):.0f} | 1 | above | above |")
    for peer in PEERS:
        if options.peers is None:
            lines.append(f"| {peer.name} | not installed: no --peers given | | | |")
            continue
        try:
            lines.append(_row(peer, options, folder, float(np.median(ours))))
        except (OSError, TimeoutError, subprocess.SubprocessError, Error) as error:
            lines.append(
                f"| {peer.name} | could not be driven: {type(error).__name__}: {error} | | | |".replace("\n", " ")
            )
    return "\n".join(lines)


def _row(peer: Peer, options: argparse.Namespace, folder: Path, ours_ms: float) -> str:
    tool = peer.name.lower()
    stored = folder / f"{tool}-{options.peer_steps}x{options.series}"
    if not stored.exists():
        command = [str(options.peers), str(WRITER), tool, str(stored), str(options.series), str(options.peer_steps)]
        subprocess.run(command, check=True, env=_environment(stored), stdout=subprocess.DEVNULL)
    paints = [_paint_ms(peer, options, stored) for _ in range(options.visits)]
    late_ms = _late_ms(peer, options)
    p50, p95 = np.percentile(late_ms, [50, 95]) if len(late_ms) else (np.nan, np.nan)
    paint_ms = float(np.median(paints))
    return f"| {peer.name} | {paint_ms:,.0f} | {paint_ms / ours_ms:.1f} x | {p50:,.0f} ms | {p95:,.0f} ms |"


def _paint_ms(peer: Peer, options: argparse.Namespace, stored: Path) -> float:
    """From the navigation until the last chart in view has its first line."""
    with _serving(peer, options, stored) as url, _fresh_page() as page:
        page.goto(url + peer.page, wait_until="commit")
        page.locator(peer.charts).first.wait_for(timeout=PAINT_LIMIT_S * 1e3)
        return _at_rest_ms(page)


def _at_rest_ms(page: Any) -> float:
    """When the last chart in view had its first line, once nothing more comes. Raises TimeoutError."""
    before: list[float] = []
    for _ in range(PAINT_LIMIT_S * 1_000 // REST_MS):
        page.wait_for_timeout(REST_MS)
        if (now := page.evaluate("() => window.drawnInView()")) == before and now:
            return float(max(now))
        before = now
    raise TimeoutError(f"no chart came to rest within {PAINT_LIMIT_S} s")


def _late_ms(peer: Peer, options: argparse.Namespace) -> Sequence[float]:
    """Of each step of a run under way, until the browser had an answer with it or a later one."""
    answers: list[tuple[float, Any]] = []
    with tempfile.TemporaryDirectory() as name, _writing(peer, options, Path(name)) as logged:
        with _serving(peer, options, Path(name)) as url, _fresh_page() as page:
            page.add_init_script(RELOADING)
            page.on("requestfinished", lambda request: answers.append((time.time() * 1e3, request)))
            page.goto(url + peer.page, wait_until="commit")
            page.wait_for_timeout(LIVE_S * 1e3)
            began_ms, ended_ms = answers[0][0] + 5_000, time.time() * 1e3
            had = [(at, _last_step(request)) for at, request in answers if peer.data in request.url]
        with logged.open() as file:
            at_ms = {int(row[0]): float(row[1]) for row in csv.reader(file) if len(row) == 2}
    reached = sorted((at, step) for at, step in had if step >= 0)
    late = []
    for step, at in at_ms.items():
        if began_ms < at < ended_ms - 20_000 and (shown := next((a for a, s in reached if s >= step and a > at), None)):
            late.append(shown - at)
    return late


def _last_step(request: Any) -> int:
    """The newest step in an answer, whatever its shape."""
    return max((int(step) for step in STEPS_IN.findall(request.response().text())), default=-1)


@contextmanager
def _serving(peer: Peer, options: argparse.Namespace, folder: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [str(options.peers), *peer.serve(folder, port)], env=_environment(folder), stdout=log, stderr=log
        )
    try:
        _until(lambda: peer.is_loaded(url, options.series), f"{peer.name}'s server has its data")
        time.sleep(3)  # until it has read what is left of a long file
        yield url
    finally:
        server.terminate()
        server.wait(20)


@contextmanager
def _writing(peer: Peer, options: argparse.Namespace, folder: Path) -> Iterator[Path]:
    steps = int(options.rate * (LIVE_S + 120))
    command = [str(options.peers), str(WRITER), peer.name.lower(), str(folder), str(options.series), str(steps)]
    with (folder / "writer.log").open("wb") as log:
        writer = subprocess.Popen([*command, str(options.rate)], env=_environment(folder), stdout=log, stderr=log)
    try:
        yield folder / "logged.csv"
    finally:
        writer.kill()
        writer.wait()


@contextmanager
def _fresh_page() -> Iterator[Any]:
    with tempfile.TemporaryDirectory() as profile, chromium_page(Path(profile)) as page:
        page.add_init_script(path=WATCH)
        yield page


def _until(probe: Callable[[], bool], what: str, timeout_s: float = 180.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        try:
            if probe():
                return
        except OSError:
            pass
        time.sleep(0.2)
    raise TimeoutError(f"not within {timeout_s:g} s: {what}")


def _environment(folder: Path) -> dict[str, str]:
    """Nothing of theirs goes anywhere but the folder."""
    return os.environ | {"TRACKIO_DIR": str(folder), "HF_HUB_OFFLINE": "1", "TRACKIO_DISABLE_TELEMETRY": "1"}
