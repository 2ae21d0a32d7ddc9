"""What a person waits for at the page, in a real Chromium, beside TensorBoard and trackio on the same numbers.

    python benchmarks/page.py [--steps 1000000] [--series 60] [--rate 50] [--seconds 60] [--minutes 3] [--visits 3]
                              [--only paint zoom live peers] [--data DIR] [--peers PYTHON] [--peer-steps 20000]
                              [--profile FILE]

A server process, headless Chromium (fresh, nothing cached) and a trainer process on one machine.

- paint: a stored run of `--steps` x `--series` is opened; until every chart in view is drawn up to the run's end, and
  until nothing more is drawn. The first visit finds the server's caches empty.
- zoom: drags by mouse events; until every chart in view shows the window, and until it has the server's finer points.
- live: `run.log` of `--series` numbers at `--rate` steps/s for `--seconds`, the whole run and the last 200 steps on the
  screen: from the call to the pixel, and the CPU of the renderer and of the whole browser. Then `--minutes` of it: what
  JavaScript holds after forced collections (the issue asks for 30).
- peers: `--peers` is a Python that has tensorboard and trackio (a venv of its own: lossguard needs neither); each one's
  own writer, server and page, over `--peer-steps`.

`--data` keeps the stored runs for the next time. `--profile` appends CPU profiles of the page (they slow it).
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from browsing import peers, visits
from browsing.material import stored_run
from browsing.table import Table

PARTS = ("paint", "zoom", "live", "peers")
PAINT_MS, ZOOM_MS, PIXEL_MS = 1_000.0, 100.0, 150.0
CPU_SHARE = 0.25  # of one core
HEAP_SLOPE_MB = 0.1  # a minute: 3 MB in the 30, which is what collections leave uncertain


def main() -> None:
    options = parsed()
    print(f"load average of the machine before: {os.getloadavg()[0]:.2f}\n")
    table = Table()
    with kept_or_temporary(options.data) as folder:
        if {"paint", "zoom"} & set(options.only):
            stored = prepared(folder, options.steps, options.series)
            if "paint" in options.only:
                tell_paint(table, stored, options)
            if "zoom" in options.only:
                tell_zoom(table, stored, options)
        if "live" in options.only:
            tell_live(table, options)
        print(table.text())
        if "peers" in options.only:
            stored = prepared(folder, options.peer_steps, options.series)
            print(peers.compared(options, folder, stored))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--series", type=int, default=60)
    parser.add_argument("--rate", type=float, default=50.0)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--visits", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--peer-steps", type=int, default=20_000)
    parser.add_argument("--profile", type=Path)
    return parser.parse_args()


@contextmanager
def kept_or_temporary(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        return
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def prepared(folder: Path, steps: int, series: int) -> Path:
    """The folder of the stored run of that size; made when it is not there."""
    stored = folder / f"stored-{steps}x{series}"
    if not stored.exists():
        stored_run(stored, steps, series)
    return stored


def tell_paint(table: Table, stored: Path, options: argparse.Namespace) -> None:
    """One line for the first visit of a fresh server, one for the later ones."""
    cold, warm = [], []
    for _ in range(options.visits):
        first, *later = visits.opened(stored, 3)
        cold.append(first)
        warm += later
    for name, found in (("server just started", cold), ("server's caches warm", warm)):
        charts = [paint.charts_ms for paint in found]
        table.add(f"first paint, {name}: charts drawn to the end (median)", np.median(charts), PAINT_MS, "ms")
        table.add(f"first paint, {name}: the slowest of {len(found)}", max(charts), PAINT_MS, "ms")
        table.note(f"first paint, {name}: first content", np.median([paint.something_ms for paint in found]), "ms")
        table.note(f"first paint, {name}: last redraw", np.median([paint.complete_ms for paint in found]), "ms")
    table.note("newest column of the charts begins at step", warm[-1].shown_step, f"of {options.steps:,}")


def tell_zoom(table: Table, stored: Path, options: argparse.Namespace) -> None:
    found = visits.zoomed(stored, options.visits, options.profile)
    for name, values in (
        ("shows the window", np.array([zoom.window_ms for zoom in found])),
        ("has the finer points", np.array([zoom.finer_ms for zoom in found])),
    ):
        table.add(
            f"zoom, mouse up to every chart in view {name} (median of {len(found)})",
            np.nanmedian(values),
            ZOOM_MS,
            "ms",
        )
        table.add(f"zoom, {name}: the slowest", np.nanmax(values), ZOOM_MS, "ms")
        if np.isnan(values).any():
            table.note(f"zoom, {name}: never seen", int(np.isnan(values).sum()), f"of {len(found)}")


def tell_live(table: Table, options: argparse.Namespace) -> None:
    lives, heap = visits.watched_live(options.seconds, options.minutes, options.series, options.rate, options.profile)
    for view, live in lives.items():
        p50, p95, p99 = np.nanpercentile(live.latency_ms, [50, 95, 99])
        table.note(f"live, {view}: log to pixel p50", p50, "ms")
        table.add(f"live, {view}: log to pixel p95", p95, PIXEL_MS, "ms")
        table.note(f"live, {view}: log to pixel p99", p99, "ms")
        spent = live.spent
        table.add(
            f"live, {view}: CPU of the renderer process",
            100 * spent.renderer_s / spent.wall_s,
            100 * CPU_SHARE,
            "% of a core",
        )
        table.note(f"live, {view}: CPU of the whole browser", 100 * spent.browser_s / spent.wall_s, "% of a core")
        main = ", ".join(f"{kind} {100 * s / spent.wall_s:.1f}" for kind, s in spent.main_s.items())
        table.note(
            f"live, {view}: the page's main thread ({main})", 100 * spent.main_s["task"] / spent.wall_s, "% of a core"
        )
        table.note(f"live, {view}: redraws", live.redraws / spent.wall_s, f"a second; {live.steps} steps")
    if not heap.minutes:
        return
    minutes = heap.minutes[-1]
    table.add(
        f"heap over {minutes:.1f} minutes, second half",
        visits.slope(heap.minutes, heap.objects_mb),
        HEAP_SLOPE_MB,
        "MB/minute",
    )
    table.note("heap in the end", heap.objects_mb[-1], "MB")
    table.note("buffers of numbers, second half", visits.slope(heap.minutes, heap.buffers_mb), "MB/minute")
    table.note("buffers of numbers in the end", heap.buffers_mb[-1], "MB")
    table.note("nodes of the page in the end", heap.nodes[-1], "")


if __name__ == "__main__":
    main()
