"""How much one server process takes durably, and how soon it says so, with its load on the same cores.

    python benchmarks/ingest.py [--frames 100000] [--trainers 200] [--seconds 20] [--data DIR]

Frames of 100 points (10 series, 10 steps), values as a training makes them (float32 turned into float64).
- limit: the same bytes into one plain SQLite table (WAL, synchronous=FULL), 64 frames a commit, nothing else.
- saturated: four trainers with full windows; points a second until the last acknowledgement.
- paced: `--trainers` times ten frames a second; the time from sending a frame to its acknowledgement.
Then, when everything is folded: bytes a point on disk, the server's memory, and the time of a restart.
Budgets: >= 1 M points/s durable, acknowledgement p99 <= 100 ms, <= 6 bytes a point, RSS <= 300 MB, restart <= 2 s.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from lossguard.protocol.codec import encode
from lossguard.protocol.frames import pack_frame
from lossguard.protocol.messages import Declaration, Event, Schema, SeriesSpec

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from processes import ServerProcess, until
from raw_trainer import RawTrainer

try:
    import pysqlite3 as sqlite3
except ImportError:
    import sqlite3  # type: ignore[no-redef]

NAMES = (
    "loss/total", "loss/ce", "weight/ce", "loss/aux", "weight/aux",
    "grad_norm/total", "grad_norm/backbone", "grad_norm/head", "lr", "step_time_s",
)  # fmt: skip
STEPS = 10
POINTS = STEPS * len(NAMES)
FRAMES_A_S = 10.0
SATURATING = 4


def stream_bytes(frames: int, seed: int) -> list[bytes]:
    """The messages of one healthy run, encoded: declaration, schema, frames, finish."""
    noise = np.random.default_rng(seed)
    steps = frames * STEPS
    falling = 2.0 + 3.0 * np.exp(-np.arange(steps) / steps * 4)
    values = np.empty((len(NAMES), steps))
    for row in range(len(NAMES)):
        values[row] = (falling * (1 + 0.05 * noise.standard_normal(steps))).astype(np.float32)
    values[2], values[4], values[8] = 1.0, 0.1, 1e-4
    head = [
        Declaration(seq=1, components=["ce", "aux"]),
        Schema(seq=2, series=[SeriesSpec(number, name) for number, name in enumerate(NAMES)]),
    ]
    messages = [encode(message) for message in head]
    for number in range(frames):
        at = slice(number * STEPS, (number + 1) * STEPS)
        steps_of = np.arange(at.start, at.stop, dtype=np.int64)
        messages.append(encode(pack_frame(number + 3, steps_of, range(len(NAMES)), values[:, at])))
    messages.append(encode(Event(seq=frames + 3, kind="finish", step=steps - 1, data={"state": "finished"})))
    return messages


def sqlite_limit(folder: Path, messages: list[bytes]) -> float:
    """Points a second of one plain table, durable."""
    database = sqlite3.connect(folder / "limit.db", isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=2000"):
        database.execute(f"PRAGMA {pragma}").fetchall()
    database.execute("CREATE TABLE journal (stream INT, seq INT, payload BLOB, PRIMARY KEY (stream, seq))")
    began_s = time.perf_counter()
    for start in range(0, len(messages), 64):
        database.execute("BEGIN IMMEDIATE")
        rows = [(1, start + offset, payload) for offset, payload in enumerate(messages[start : start + 64])]
        database.executemany("INSERT INTO journal VALUES (?, ?, ?)", rows)
        database.execute("COMMIT")
    elapsed_s = time.perf_counter() - began_s
    database.close()
    return len(messages) * POINTS / elapsed_s


async def deliver(trainer: RawTrainer, messages: list[bytes], due_s: list[float] | None = None) -> list[float]:
    """Send everything, each message when it is due (None: at once); the seconds that each waited to be acknowledged."""
    sent_at_s = [0.0] * (len(messages) + 1)
    waits_s: list[float] = []
    session, room = trainer.session, asyncio.Event()

    async def send() -> None:
        for seq, payload in enumerate(messages, start=1):
            if due_s is not None and (early_s := due_s[seq - 1] - time.perf_counter()) > 0:
                await asyncio.sleep(early_s)
            while session.next_to_send(len(messages)) is None:
                room.clear()
                await room.wait()
            sent_at_s[seq] = time.perf_counter()
            session.sent(seq)
            await trainer.socket.send(payload)

    sending = asyncio.create_task(send())
    acked = 0
    while acked < len(messages):
        await trainer.receive()
        now_s = time.perf_counter()
        waits_s += [now_s - sent_at_s[seq] for seq in range(acked + 1, session.acked_seq + 1)]
        acked = session.acked_seq
        room.set()
    await sending
    await trainer.socket.close()
    return waits_s


def load(options: argparse.Namespace) -> None:
    """The load generator's process: prints what it measured as JSON."""
    asyncio.run(_load(options))


async def _load(options: argparse.Namespace) -> None:
    saturated = options.load == "saturated"
    count = SATURATING if saturated else options.trainers
    frames = options.frames // SATURATING if saturated else int(options.seconds * FRAMES_A_S)
    streams = [stream_bytes(frames, seed) for seed in range(count)]
    trainers = [RawTrainer(options.url, options.token, f"{options.load}-{n}") for n in range(count)]
    for trainer in trainers:
        await trainer.connect()
    began_s = time.perf_counter()
    due_s: list[list[float] | None] = [None] * count
    if not saturated:
        starts_s = [began_s + n / count / FRAMES_A_S for n in range(count)]
        due_s = [[start_s + m / FRAMES_A_S for m in range(frames + 3)] for start_s in starts_s]
    jobs = [deliver(trainer, stream, due) for trainer, stream, due in zip(trainers, streams, due_s, strict=True)]
    waits_s = [wait_s for found in await asyncio.gather(*jobs) for wait_s in found]
    elapsed_s = time.perf_counter() - began_s
    cuts = statistics.quantiles(waits_s, n=100)
    print(json.dumps({"points": count * frames * POINTS, "elapsed_s": elapsed_s, "p50_s": cuts[49], "p99_s": cuts[98]}))


def run_load(kind: str, server: ServerProcess, options: argparse.Namespace) -> dict[str, float]:
    """Run the load generator beside the server."""
    command = [sys.executable, __file__, "--load", kind, "--url", server.url, f"--token={server.ingest_token}"]
    command += ["--frames", str(options.frames), "--trainers", str(options.trainers), "--seconds", str(options.seconds)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(answer.stdout))


def unfolded_frames(folder: Path) -> int:
    database = sqlite3.connect(f"file:{folder / 'lossguard.db'}?mode=ro", uri=True)
    (count,) = database.execute("SELECT count(*) FROM journal WHERE kind = 'frame'").fetchone()
    database.close()
    return int(count)


def stored_points(folder: Path) -> int:
    database = sqlite3.connect(f"file:{folder / 'lossguard.db'}?mode=ro", uri=True)
    (count,) = database.execute("SELECT sum(count) FROM part").fetchone()
    database.close()
    return int(count or 0)


def used_bytes(folder: Path) -> int:
    """The database's pages in use; what is free will be used again."""
    database = sqlite3.connect(f"file:{folder / 'lossguard.db'}?mode=ro", uri=True)
    page, pages, free = (
        database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_size", "page_count", "freelist_count")
    )
    database.close()
    return int(page * (pages - free))


def row(what: str, measured: str, limit: str = "", held: bool | None = None) -> None:
    """`held` None: there is no budget."""
    print(f"| {what} | {measured} | {limit} | {'' if held is None else 'held' if held else 'MISSED'} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--trainers", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--data", type=Path)
    for name in ("--load", "--url", "--token"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.load:
        load(options)
        return
    with tempfile.TemporaryDirectory(dir=options.data) as name:
        measure(Path(name), options)


def measure(folder: Path, options: argparse.Namespace) -> None:
    limit = sqlite_limit(folder, stream_bytes(options.frames // SATURATING, 0))
    server = ServerProcess(folder / "data").start()
    try:
        process = psutil.Process(server._process.pid)
        # first, on an empty queue: what the saturated load leaves behind is judged and folded for a while
        paced = run_load("paced", server, options)
        saturated = run_load("saturated", server, options)
        after_s = time.perf_counter()
        until(lambda: unfolded_frames(server.folder) == 0, "everything is folded", 600)
        folding_s = time.perf_counter() - after_s
        rss_mb = process.memory_info().rss / 1e6
        points, size = stored_points(server.folder), used_bytes(server.folder)
        server.kill()
        began_s = time.perf_counter()
        server.start()
        restart_s = time.perf_counter() - began_s
    finally:
        server.stop()
    rate = saturated["points"] / saturated["elapsed_s"]
    sent = saturated["points"] + paced["points"]
    print("| what | measured | budget | |\n|---|---|---|---|")
    row("plain SQLite, same bytes (limit)", f"{limit / 1e6:.2f} M points/s")
    row("saturated, 4 trainers", f"{rate / 1e6:.2f} M points/s, {rate / limit:.2f} of the limit", "1 M", rate >= 1e6)
    row("its acknowledgement p50, p99", f"{saturated['p50_s'] * 1e3:.0f}, {saturated['p99_s'] * 1e3:.0f} ms")
    paced_rate = paced["points"] / paced["elapsed_s"]
    words = f"{paced['p50_s'] * 1e3:.1f}, {paced['p99_s'] * 1e3:.0f} ms at {paced_rate / 1e3:.0f} k points/s"
    row(f"{options.trainers} trainers x 10 frames/s, p50, p99", words, "p99 100 ms", paced["p99_s"] <= 0.1)
    row(
        "bytes a stored point, pyramid included",
        f"{size / points:.2f} ({points / sent:.2f} stored a sent one)",
        "6",
        size / points <= 6,
    )
    row("judged and folded after the load", f"{folding_s:.0f} s")
    row("server's RSS at the end", f"{rss_mb:.0f} MB", "300 MB", rss_mb <= 300)
    row("kill -9, restart to ready", f"{restart_s:.2f} s", "2 s", restart_s <= 2)


if __name__ == "__main__":
    main()
