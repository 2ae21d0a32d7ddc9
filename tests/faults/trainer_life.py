"""A trainer process of the SDK that a test may kill at any instant: it logs numbers, and keeps a record that survives.

Rules of this file: what a step's value is, is a function of the step, so that the record is three numbers in memory
shared with the kernel's file, written before and after each call: steps begun, steps logged, the seq up to which the
server acknowledged.
"""

import mmap
import os
import struct
import time
from collections.abc import Mapping
from pathlib import Path

import lossguard as lg
from faults.sabotage import SABOTAGES
from lossguard import link
from lossguard.protocol.messages import Ack, Command, ToTrainer, Welcome
from lossguard.protocol.session import TrainerSession

STEP_S = 0.002
_QUIET = 0x7FF8000000000000
SPECIAL = (_QUIET | 1, _QUIET | 0xBEEF, 1 << 63, 0x7FF0000000000000, 0xFFF0000000000000, 1)


def bits_at(step: int) -> int:
    """The 64 bits of the value of a step: a number, and now and then one of those that careless code destroys."""
    if step % 5 == 4:
        return SPECIAL[step // 5 % len(SPECIAL)]
    return int(struct.unpack("<Q", struct.pack("<d", step * 0.7310585786300049))[0])


class Record:
    """Three counters in shared memory, which a kill -9 leaves as they are."""

    def __init__(self, folder: Path) -> None:
        path = folder / "record"
        if not path.exists():
            path.write_bytes(bytes(24))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 24)

    def __getitem__(self, index: int) -> int:
        return int(struct.unpack_from("<q", self._memory, 8 * index)[0])

    def __setitem__(self, index: int, value: int) -> None:
        struct.pack_into("<q", self._memory, 8 * index, value)


BEGUN, LOGGED, ACKED = range(3)


def live(folder: Path, environ: Mapping[str, str], sabotage: str = "") -> None:
    """The body of the process: log until `folder`/stop exists, then finish."""
    with (folder / "log").open("wb", buffering=0) as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    os.environ.update(environ)
    if sabotage:
        SABOTAGES[sabotage]()
    record = Record(folder)

    class Recorded(TrainerSession):
        def receive(self, message: ToTrainer) -> Command | None:
            command = super().receive(message)
            if isinstance(message, Ack | Welcome):
                record[ACKED] = max(record[ACKED], message.seq if isinstance(message, Ack) else message.last_seq)
            return command

    link.TrainerSession = Recorded  # type: ignore[misc]  # the link's own: orphans deliver other runs' messages
    run = lg.init("chaos", "life")
    (folder / "run").write_text(run.id)
    step = 0
    while not (folder / "stop").exists():
        record[BEGUN] = step + 1
        run.log({"x": struct.unpack("<d", struct.pack("<Q", bits_at(step)))[0]}, step=step)
        step += 1
        record[LOGGED] = step
        time.sleep(STEP_S)
    run.finish(timeout_s=30)
