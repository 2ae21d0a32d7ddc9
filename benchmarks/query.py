"""What the points of a chart cost in the server, whatever the run's length and the zoom.

    python benchmarks/query.py [--steps 1000000] [--crowd 60] [--longest 10000000] [--data DIR]

Runs of one series of 10^4 ... `--longest` steps, and one of `--crowd` series of `--steps`, are journalled and folded by
the server's own code; then `Points.query` is asked for 1,500 buckets of the whole run and of windows of it, with our
caches cold (the system's are warm), and again and again. Beside it, in the same run: as many points as rows of a SQLite
table, grouped by SQL; and all chunks decoded. Values are as a training makes them (float32 turned into float64).
Budgets: one series over 10^6 steps <= 5 ms at any zoom, flat from 10^4 to 10^7 steps; 60 series <= 150 ms.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from lossguard_server.store import journal
from lossguard_server.store.folded import folding
from lossguard_server.store.points import Points
from store_world import Store, frame, opened_store, schema

try:
    import pysqlite3 as sqlite3
except ImportError:
    import sqlite3  # type: ignore[no-redef]

WIDTH = 1_500
FRAME_VALUES = 100_000  # of one message: below its 1 MiB
ZOOMS = (1.0, 0.5, 0.1, 0.01, 0.001)


def make_run(store: Store, run: str, names: list[str], steps: int) -> float:
    """A run, journalled and folded; seconds that the folding took."""
    stream = store.stream(run)
    store.append(stream, schema(1, *names))
    noise = np.random.default_rng(0)
    rows, seq, folding_s = FRAME_VALUES // len(names), 2, 0.0
    for start in range(0, steps, rows):
        at = np.arange(start, min(start + rows, steps))
        values = 2 + np.exp(-at / steps * 4) * (1 + 0.05 * noise.standard_normal((len(names), len(at))))
        store.append(stream, frame(seq, at, *values.astype(np.float32).astype(np.float64)))
        store.write(lambda session, seq=seq: journal.set_judged(session, stream.id, seq))
        began_s = time.perf_counter()
        while (found := store.read(lambda session: folding.plan(session, stream.id))) is not None:
            folded = folding.fold(found)
            store.write(lambda session, folded=folded: folding.store(session, folded))
        folding_s += time.perf_counter() - began_s
        seq += 1
    return folding_s


def rows_table(folder: Path, steps: int) -> "sqlite3.Connection":
    """The same points as rows, the usual way."""
    database = sqlite3.connect(folder / "rows.db", isolation_level=None)
    database.execute("CREATE TABLE point (series INT, step INT, value REAL, PRIMARY KEY (series, step)) WITHOUT ROWID")
    database.execute("BEGIN")
    values = np.random.default_rng(0).standard_normal(steps).tolist()
    database.executemany("INSERT INTO point VALUES (1, ?, ?)", enumerate(values))
    database.execute("COMMIT")
    return database


def grouped(database: "sqlite3.Connection", steps: int) -> object:
    query = "SELECT min(step), min(value), max(value), count(*) FROM point WHERE series = 1 GROUP BY step / ?"
    return database.execute(query, (max(1, steps // WIDTH),)).fetchall()


def ms(call: Callable[[], object], times: int = 15) -> float:
    """The median of some calls."""
    found = []
    for _ in range(times):
        began_s = time.perf_counter()
        call()
        found.append((time.perf_counter() - began_s) * 1e3)
    return statistics.median(found)


def asked(points: Points, run: str, names: list[str], steps: int, zoom: float) -> Callable[[], object]:
    """A query of the window of `zoom` in the middle of the run."""
    low, high = int(steps * (0.5 - zoom / 2)), int(steps * (0.5 + zoom / 2)) - 1
    return lambda: points.query(run, names, low, high, WIDTH)


def verdict(measured: float, budget: float) -> str:
    return "held" if measured <= budget else "MISSED"


def cold_asked(store: Store, run: str, names: list[str], steps: int, zoom: float) -> Callable[[], object]:
    """The same by somebody who remembers nothing."""
    return lambda: asked(Points(store.reading), run, names, steps, zoom)()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--crowd", type=int, default=60)
    parser.add_argument("--longest", type=int, default=10_000_000)
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.data) as name, opened_store(Path(name)) as store:
        measure(store, Path(name), options)


def measure(store: Store, folder: Path, options: argparse.Namespace) -> None:
    lengths = [length for length in (10**4, 10**5, 10**6, 10**7) if length <= options.longest]
    for steps in lengths:
        make_run(store, f"one-{steps}", ["a"], steps)
    crowd = [f"metric/{number}" for number in range(options.crowd)]
    folding_s = make_run(store, "crowd", crowd, options.steps)
    print(f"folding: {options.steps * len(crowd) / folding_s / 1e6:.1f} M points/s in one thread\n")
    rss_mb = psutil.Process().memory_info().rss / 1e6
    print("| one series, ms | " + " | ".join(f"{zoom * 100:g} % of it" for zoom in ZOOMS) + " | cold, worst zoom |")
    print("|---" * (len(ZOOMS) + 2) + "|")
    worst: dict[int, float] = {}
    for steps in lengths:
        run, points = f"one-{steps}", Points(store.reading)
        warm = [ms(asked(points, run, ["a"], steps, zoom)) for zoom in ZOOMS]
        cold = [ms(cold_asked(store, run, ["a"], steps, zoom), 5) for zoom in ZOOMS]
        worst[steps] = max(cold)
        print(f"| {steps:,} steps | " + " | ".join(f"{each:.2f}" for each in warm) + f" | {max(cold):.2f} |")
    points = Points(store.reading)
    warm = [ms(asked(points, "crowd", crowd, options.steps, zoom), 5) for zoom in ZOOMS]
    cold = [ms(cold_asked(store, "crowd", crowd, options.steps, zoom), 3) for zoom in ZOOMS]
    print(
        f"| {len(crowd)} series of {options.steps:,} | "
        + " | ".join(f"{each:.1f}" for each in warm)
        + f" | {max(cold):.1f} |"
    )
    database = rows_table(folder, options.steps)
    rows_ms = ms(lambda: grouped(database, options.steps), 3)
    database.close()
    scan_ms = ms(lambda: Points(store.reading).raw("crowd", crowd[:1], None, None), 3)
    grown_mb = psutil.Process().memory_info().rss / 1e6 - rss_mb
    print("\n| limit, in the same run | measured | budget | |\n|---|---|---|---|")
    reference = worst.get(options.steps, worst[lengths[-1]])
    print(f"| {options.steps:,} rows, GROUP BY | {rows_ms:.0f} ms, {rows_ms / reference:.0f} x ours | | |")
    print(f"| every chunk of one series decoded | {scan_ms:.1f} ms, {scan_ms / reference:.1f} x ours | | |")
    words = f"{reference:.2f} ms | 5 ms | {verdict(reference, 5)}"
    print(f"| one series, {options.steps:,} steps, cold, worst zoom | {words} |")
    flat = worst[lengths[-1]] / worst[lengths[0]]
    print(f"| {lengths[-1]:,} to {lengths[0]:,} steps, worst zoom, cold | {flat:.1f} x | flat | |")
    crowd_ms = max(cold)
    words = f"{crowd_ms:.0f} ms, {crowd_ms / len(crowd):.1f} each"
    print(f"| {len(crowd)} series, cold, worst zoom | {words} | 150 ms | {verdict(crowd_ms, 150)} |")
    print(f"| memory that the queries took | {grown_mb:.0f} MB | | |")


if __name__ == "__main__":
    main()
