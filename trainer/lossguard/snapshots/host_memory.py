"""How much more memory this process may take on its host.

Rules of this file: reads files of the kernel, changes nothing. The tighter of the machine and the control group counts:
in a container the machine's free memory is not ours. Where neither is known the answer is 0, and snapshots stay off.
"""

import os
from pathlib import Path

_ROOT = Path("/")


def free_bytes(root: Path = _ROOT) -> int:
    """Bytes that can be taken without swapping. `root`: where proc and sys are."""
    machine = _meminfo(root / "proc/meminfo")
    groups = (_group_v2(root / "sys/fs/cgroup"), _group_v1(root / "sys/fs/cgroup/memory"))
    known = [limit for limit in groups if limit is not None]
    return max(0, min([machine if machine is not None else _half_of_physical(), *known]))


def _meminfo(path: Path) -> int | None:
    for line in _lines(path):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _group_v2(folder: Path) -> int | None:
    return _room(_number(folder / "memory.max"), _number(folder / "memory.current"), folder, "inactive_file")


def _group_v1(folder: Path) -> int | None:
    limit, used = _number(folder / "memory.limit_in_bytes"), _number(folder / "memory.usage_in_bytes")
    return _room(limit, used, folder, "total_inactive_file")


def _room(limit: int | None, used: int | None, folder: Path, cache_key: str) -> int | None:
    """What is left of a limit; cached file pages count as used, but are given back when asked for."""
    if limit is None or used is None:
        return None
    cache = next((int(line.split()[1]) for line in _lines(folder / "memory.stat") if line.split()[0] == cache_key), 0)
    return limit - used + cache


def _number(path: Path) -> int | None:
    text = "".join(_lines(path)).strip()
    return int(text) if text.isdigit() else None  # "max": no limit


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _half_of_physical() -> int:
    """Where the kernel does not tell (macOS): half of what is built in, as a guess on the safe side."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError):
        return 0
