"""Runs a function of a test on several ranks, under a real torchrun, on the CPU.

Rules of this file: the function is a module's own, takes (rank, folder) and returns what JSON can hold; its module is
imported by each rank. Whatever hangs is ended with its whole process group, by its id, after `limit_s`.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parent
LIMIT_S = 60.0


@dataclass(frozen=True)
class Ended:
    """What became of a job: its exit status, what it printed, and what each rank returned (by its last attempt)."""

    status: int
    printed: str
    returned: dict[int, Any]


def torchrun(
    script: Callable[..., Any],
    world: int,
    folder: Path,
    *options: str,
    at_once: bool = False,
    agent: bool = True,
    limit_s: float = LIMIT_S,
) -> Ended:
    """Run `script` on `world` ranks and wait for its end; `options` go to torchrun.

    `at_once`: the ranks leave without the interpreter's end. Where FSDP2 was used on gloo, torch 2.13 aborts there one
    time in three ("terminate called without an active exception"), with lossguard and without. `agent`: False starts
    the ranks alone, with nobody who ends them all when one has failed.
    """
    work = [str(Path(__file__)), script.__code__.co_filename, script.__name__, str(folder)]
    # one thread a rank: they share two cores. Warnings as a script has them, not as errors of the test
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    # with the agent's own store, torch 2.13 reads the addresses of killed ranks after a restart, and cannot connect
    env["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    env["ENDS_AT_ONCE"] = script.__name__ if at_once else ""
    if agent:
        rendezvous = ["--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0"]
        launch = ["-m", "torch.distributed.run", "--nproc-per-node", str(world), *rendezvous, *options]
        jobs = [_started([*launch, *work], env)]
    else:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = str(free.getsockname()[1])
        env |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(world)}
        jobs = [_started(work, {**env, "RANK": str(rank)}) for rank in range(world)]
    printed = _ended(jobs, limit_s)
    found = {int(path.stem): json.loads(path.read_text()) for path in folder.glob("[0-9]*.json")}
    return Ended(max(job.returncode for job in jobs), printed, found)


def _started(command: Sequence[str], env: Mapping[str, str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, *command],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def _ended(jobs: "Sequence[subprocess.Popen[str]]", limit_s: float) -> str:
    printed, end_s, late = "", time.monotonic() + limit_s, False
    for job in jobs:
        try:
            printed += job.communicate(timeout=max(0.1, end_s - time.monotonic()))[0]
        except subprocess.TimeoutExpired:
            late = True
            os.killpg(job.pid, signal.SIGKILL)
            printed += job.communicate()[0]
    assert not late, f"the job hangs after {limit_s:g} s:\n{printed[-8000:]}"
    return printed


def _main(file: str, name: str, folder: str) -> None:
    import importlib.util

    sys.path.insert(0, str(TESTS))
    spec = importlib.util.spec_from_file_location("ranked", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    rank = int(os.environ["RANK"])
    returned = getattr(module, name)(rank, Path(folder))
    (Path(folder) / f"{rank}.json").write_text(json.dumps(returned))
    if name in os.environ.get("ENDS_AT_ONCE", "").split():
        os._exit(0)


if __name__ == "__main__":
    _main(*sys.argv[1:])
