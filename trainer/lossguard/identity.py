"""Which run this process is: its id, rank and attempt, from the environment that torchrun sets.

Rules of this file: composition's small change; no socket, no file but the kernel's own.
"""

import hashlib
import os
import time
import uuid
from pathlib import Path

from .protocol.messages import Hello


def hello(run_id: str, project: str, name: str, sdk: str) -> Hello:
    """Who is calling, for the server."""
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    return Hello(
        run=run_id,
        project=project,
        name=name,
        sdk=sdk,
        rank=rank(),
        world_size=world_size(),
        attempt=int(attempt) if attempt.isdigit() else 0,
        started_at=time.time(),
    )


def run_id(project: str, name: str, number: int) -> str:
    """A fresh id; under torchrun one that the restarts of a job share, and no other job and no other run of it.

    `number` counts the runs of this process: a restarted process makes them in the same order.
    """
    elastic = os.environ.get("TORCHELASTIC_RUN_ID", "none")
    if elastic == "none":
        return uuid.uuid4().hex[:12]
    # the same --rdzv-id is often used again: the agent, the workers' parent, is what tells one job from the next
    parts = [elastic, str(os.getppid()), _started_at(os.getppid()), project, name, str(number)]
    return hashlib.sha256("\0".join(parts).encode(errors="replace")).hexdigest()[:12]


def rank() -> int:
    return _whole("RANK", 0)


def world_size() -> int:
    return max(1, _whole("WORLD_SIZE", 1))


def _started_at(pid: int) -> str:
    """When a process began, in the kernel's ticks; empty where it does not say."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _whole(variable: str, default: int) -> int:
    text = os.environ.get(variable, "")
    return int(text) if text.isdigit() else default
