"""A loop that does nothing but log, on time, as a process of its own; writes down when it logged which step.

    python benchmarks/browsing/trainer.py URL TOKEN FOLDER SERIES RATE

Rules of this file: every step is due at its own time, so a late one does not move the ones behind it; the time of a
step is taken just before the call that logs it; it ends at SIGTERM. `FOLDER`/logged.csv: a line "step,epoch ms" a step.
"""

import signal
import sys
import threading
import time
from pathlib import Path

from material import COMPONENTS, names_of, values_of

import lossguard as lg

AHEAD = 20_000  # steps whose values are made before the loop; then they come again


def main(url: str, token: str, folder: Path, series: int, rate: float) -> None:
    end = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: end.set())
    # contributions are the server's: it makes them of loss and weight
    kept = [(index, name) for index, name in enumerate(names_of(series)) if not name.startswith("contribution/")]
    values = values_of(0, AHEAD, series, AHEAD)
    losses = {f"part{number}": 1.0 for number in range(COMPONENTS)}
    run = lg.init("bench", "live", url=url, token=token, dir=str(folder / "spool"), losses=losses)
    began_s = time.perf_counter()
    with (folder / "logged.csv").open("w") as log:
        step = 0
        while not end.is_set():
            column = values[:, step % AHEAD].tolist()
            found = {name: column[index] for index, name in kept}
            log.write(f"{step},{time.time() * 1e3:.3f}\n")
            run.log(found, step=step)
            step += 1
            end.wait(max(0.0, began_s + step / rate - time.perf_counter()))
    run.finish(timeout_s=5)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
