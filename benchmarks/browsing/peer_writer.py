"""Writes the same numbers by the writers of TensorBoard and trackio; runs in the Python that has them.

    PYTHON benchmarks/browsing/peer_writer.py tensorboard|trackio FOLDER SERIES STEPS [RATE]

Rules of this file: one call a step with all its numbers, which is the least that each of them asks for; without RATE as
fast as it goes. `FOLDER`/logged.csv: a line "step,epoch ms" a step, taken just before the call.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from material import blocks, names_of

Log = Callable[[int, list[str], list[float]], None]


def tensorboard(folder: Path) -> tuple[Log, Callable[[], None]]:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(folder / "run"), flush_secs=1)

    def log(step: int, names: list[str], values: list[float]) -> None:
        numbers = [Summary.Value(tag=name, simple_value=value) for name, value in zip(names, values, strict=True)]
        writer.add_event(Event(step=step, wall_time=time.time(), summary=Summary(value=numbers)))

    return log, writer.close


def trackio(folder: Path) -> tuple[Log, Callable[[], None]]:
    os.environ["TRACKIO_DIR"] = str(folder)
    import trackio

    trackio.init(project="bench", name="run", embed=False)

    def log(step: int, names: list[str], values: list[float]) -> None:
        trackio.log(dict(zip(names, values, strict=True)), step=step)

    return log, trackio.finish


WRITERS = {"tensorboard": tensorboard, "trackio": trackio}


def main(tool: str, folder: Path, series: int, steps: int, rate: float | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    log, close = WRITERS[tool](folder)
    names, began_s = names_of(series), time.perf_counter()
    with (folder / "logged.csv").open("w") as logged:
        for start, _end, values in blocks(steps, series):
            for step, row in enumerate(values.T.tolist(), start):
                logged.write(f"{step},{time.time() * 1e3:.3f}\n")
                log(step, names, row)
                if rate is not None:
                    time.sleep(max(0.0, began_s + step / rate - time.perf_counter()))
    close()


if __name__ == "__main__":
    main(
        sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]) if sys.argv[5:] else None
    )
