"""Processes that end, for the tests of what is left of them.

Rules of this file: torch is imported once; each way is walked by a fork of that process, which ends as an interpreter
of its own does. A way that hangs is killed by its alarm, and its exit code says so.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from helpers import events, points, spooled
from lossguard.protocol.messages import Sequenced

PATIENCE_S = 60  # two busy cores; a way takes well under a second
SCRIPT = """
import faulthandler, gc, json, os, signal, sys, threading, time
import torch, lossguard as lg, lossguard.assembly

torch.optim.SGD([torch.zeros(1)], lr=1.0)  # the first optimizer imports for seconds
gc.freeze()  # else each child spends a second on torch's modules as it ends
# each process, and each that it forks: one that hangs is killed by it, and says where it stood
faulthandler.register(signal.SIGALRM, chain=True)
os.register_at_fork(after_in_child=lambda: signal.alarm(PATIENCE_S))

ways, folder, url = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3]
pids = {}
for name, way in ways.items():
    pid = os.fork()
    if pid == 0:
        break
    pids[pid] = name
else:
    codes = {}
    while pids:
        pid, status = os.wait()
        codes[pids.pop(pid)] = os.waitstatus_to_exitcode(status)
    print(json.dumps(codes), flush=True)
    os._exit(0)

here = f"{folder}/{name}"
os.makedirs(here)
said = os.open(f"{here}/said", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.dup2(said, 1), os.dup2(said, 2)
MODE = dict(url=url) if url else dict(mode="offline")

def until(probe):
    while not probe():
        time.sleep(0.001)

def start(**options):
    return lg.init(dir=here, **MODE, **options)

def train(run, model, optimizer, batches):
    for batch in run.steps(batches):
        run.total(loss=model(torch.full((3,), float(batch))).square().sum()).backward()
        optimizer.step()
        optimizer.zero_grad()
        yield batch

def trainer():
    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    return start(model=model, optimizer=optimizer), model, optimizer

def log(run, first=0, count=50):
    for step in range(first, first + count):
        run.log({"a": float(step)})

def spool_of(run):
    return run._link._link._spool

exec(compile(way, name, "exec"))
""".replace("PATIENCE_S", str(PATIENCE_S))


@dataclass(frozen=True)
class Ended:
    """What is left of a process: its exit code (negative: a signal), its words, its spool."""

    code: int
    said: str
    messages: list[Sequenced]

    @property
    def states(self) -> list[str]:
        """How its runs ended, one word a run."""
        return [event.data["state"] for event in events(self.messages, "finish")]

    def steps_of(self, series: str) -> list[int]:
        """The steps at which a series has a point, in the order of the spool."""
        return [step for step, _ in points(self.messages).get(series, [])]


def walk(folder: Path, ways: Mapping[str, str], url: str = "") -> dict[str, Ended]:
    """Runs each piece of script to its end in a process of its own; offline, or against the server at `url`."""
    command = [sys.executable, "-c", SCRIPT, json.dumps(ways), str(folder), url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=2 * PATIENCE_S)
    assert done.returncode == 0, done.stderr
    codes = json.loads(done.stdout)
    said = {name: (folder / name / "said").read_text() for name in ways}
    return {name: Ended(codes[name], said[name], spooled(folder / name)) for name in ways}
