"""Which run this process is: its id, rank and attempt, from torch.distributed or the environment that torchrun sets.

Rules of this file: composition's small change; no socket, no file but the kernel's own; torch is never imported here.
"""

import hashlib
import os
import sys
import time
import uuid
from pathlib import Path
from typing import Any

from .protocol.messages import Hello


def hello(run_id: str, project: str, name: str, sdk: str) -> Hello:
    """Who is calling, for the server."""
    return Hello(
        run=run_id,
        project=project,
        name=name,
        sdk=sdk,
        rank=rank(),
        world_size=world_size(),
        attempt=attempt(),
        started_at=time.time(),
    )


def run_id(project: str, name: str, number: int) -> str:
    """A fresh id; under torchrun one that the restarts of a job share, and no other job and no other run of it.

    `number` counts the runs of this process: a restarted process makes them in the same order. On several machines it
    differs by machine: ranks that have met take rank 0's.
    """
    elastic = os.environ.get("TORCHELASTIC_RUN_ID")
    if elastic is None:
        return uuid.uuid4().hex[:12]
    # the same --rdzv-id is often used again, and without one it is "none" for every job: the agent, the workers'
    # parent, is what tells one job from the next
    parts = [elastic, str(os.getppid()), _started_at(os.getppid()), project, name, str(number)]
    return hashlib.sha256("\0".join(parts).encode(errors="replace")).hexdigest()[:12]


def attempt() -> int:
    """How often the job was restarted."""
    return _whole("TORCHELASTIC_RESTART_COUNT", 0)


def rank() -> int:
    """This process among those of its job; what torch.distributed says counts where the script has initialised it."""
    return int(_distributed().get_rank()) if is_distributed() else _whole("RANK", 0)


def world_size() -> int:
    """How many processes train together."""
    return int(_distributed().get_world_size()) if is_distributed() else max(1, _whole("WORLD_SIZE", 1))


def local_world_size() -> int:
    """How many of them are on this machine, as far as the launcher says."""
    return max(1, _whole("LOCAL_WORLD_SIZE", 1))


def is_distributed() -> bool:
    """True where the script has initialised torch.distributed."""
    module = _distributed()
    return module is not None and module.is_available() and bool(module.is_initialized())


def _distributed() -> Any:
    return sys.modules.get("torch.distributed")


def _started_at(pid: int) -> str:
    """When a process began, in the kernel's ticks; empty where it does not say."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _whole(variable: str, default: int) -> int:
    text = os.environ.get(variable, "")
    return int(text) if text.isdigit() else default
