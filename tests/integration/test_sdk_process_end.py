"""However a training process ends, its spool tells how far it came."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import events, isolate, points, spooled

ENDS: dict[str, tuple[str, int, list[str]]] = {
    "as it should": ("pass", 0, ["finished"]),
    "by an error that nobody caught": ("raise RuntimeError('out of memory')", 1, ["crashed"]),
    "by a person": ("raise KeyboardInterrupt", -signal.SIGINT, ["stopped"]),
    "by sys.exit": ("sys.exit(3)", 3, ["finished"]),
    "by a kill": ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL, []),
}
# torch is imported once; each way to end is walked by a fork, which ends as an interpreter of its own does
SCRIPT = """
import json, os, signal, sys
import torch, lossguard as lg

ends, folder = json.loads(sys.argv[1]), sys.argv[2]
names = {}
for name, end in ends.items():
    pid = os.fork()
    if pid == 0:
        break
    names[pid] = name
else:
    codes = {}
    while names:
        pid, status = os.wait()
        codes[names.pop(pid)] = os.waitstatus_to_exitcode(status)
    print(json.dumps(codes), flush=True)
    os._exit(0)

run = lg.init(mode="offline", dir=f"{folder}/{name}")
for step in range(50):
    run.log({"a": float(step)})
while run._link._spool.last_seq < 3:  # declaration, schema, frame: the link has taken all
    pass
exec(end)
"""


def test_the_spool_is_whole_and_says_how_it_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch, tmp_path)
    ends = json.dumps({name: end for name, (end, _, _) in ENDS.items()})
    command = [sys.executable, "-c", SCRIPT, ends, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {name: exit_code for name, (_, exit_code, _) in ENDS.items()}, done.stderr
    for name, (_, _, states) in ENDS.items():
        messages = spooled(tmp_path / name)
        assert points(messages)["a"] == [(step, float(step)) for step in range(50)], name
        assert [event.data["state"] for event in events(messages, "finish")] == states, name
