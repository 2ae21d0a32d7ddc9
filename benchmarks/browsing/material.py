"""The run that is looked at: which series, which numbers, and a folder of the server's that holds a long one.

Rules of this file: the series are those of a real run (components with weights, groups, matrices, the machine, what a
person logs), because the page draws by their names; every tool gets the same numbers. It runs in the peers' Python too,
where there is no lossguard: what needs that is imported where it is used.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

STORED = "stored"  # the id of the long run
COMPONENTS, GROUPS = 8, 12
CONTRIBUTIONS = slice(1 + 2 * COMPONENTS, 1 + 3 * COMPONENTS)  # whose sum is the total, the first series
FRAME_VALUES = 100_000  # of one message: below its 1 MiB


def names_of(count: int) -> list[str]:
    """So many series: the first ones of what a run with 8 components and 12 groups has, then a person's own."""
    parts = [f"part{number}" for number in range(COMPONENTS)]
    found = ["loss/total", *(f"{kind}/{part}" for kind in ("loss", "weight", "contribution") for part in parts)]
    found += ["grad_norm/total", *(f"grad_norm/block{number}" for number in range(GROUPS))]
    found += [f"matrix/{name}/{norm}" for name in ("R_samp", "R_blend") for norm in ("fro", "spec", "trace")]
    found += ["lr", "clip_coef", "step_time_s", "data_wait_s", "memory/cpu/rss_gib"]
    return [*found, *(f"metric/m{number}" for number in range(count - len(found)))][:count]


def values_of(start: int, end: int, count: int, steps: int) -> np.ndarray:
    """[count, end - start] float64: noisy falling curves, with the digits of float32."""
    noise = np.random.default_rng(start)
    at = np.arange(start, end)
    falling = 2 + np.exp(-at / steps * 4)
    values = falling * (1 + 0.05 * noise.standard_normal((count, len(at))))
    values[0] = values[CONTRIBUTIONS].sum(axis=0) if count >= CONTRIBUTIONS.stop else values[0]
    return values.astype(np.float32).astype(np.float64)


def blocks(steps: int, count: int) -> Iterator[tuple[int, int, np.ndarray]]:
    """[start, end) and the values of each block of steps."""
    rows = FRAME_VALUES // count
    for start in range(0, steps, rows):
        end = min(start + rows, steps)
        yield start, end, values_of(start, end, count, steps)


def stored_run(folder: Path, steps: int, count: int) -> None:
    """A folder of the server's with one run in it, journalled and folded by the server's own code."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
    from lossguard_server.store import journal
    from lossguard_server.store.folded import folding
    from store_world import frame, opened_store, schema

    folder.mkdir(parents=True)
    began_s = time.perf_counter()
    with opened_store(folder) as store:
        stream = store.stream(STORED)
        store.append(stream, schema(1, *names_of(count)))
        for seq, (start, end, values) in enumerate(blocks(steps, count), 2):
            store.append(stream, frame(seq, np.arange(start, end), *values))
            store.write(lambda session, seq=seq: journal.set_judged(session, stream.id, seq))
            while (found := store.read(lambda session: folding.plan(session, stream.id))) is not None:
                folded = folding.fold(found)
                store.write(lambda session, folded=folded: folding.store(session, folded))
    print(f"{steps:,} steps x {count} series stored in {time.perf_counter() - began_s:.0f} s", file=sys.stderr)
