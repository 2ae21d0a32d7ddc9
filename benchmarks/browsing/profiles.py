"""Where the page's main thread spends its time, by a CPU profile.

Rules of this file: a profile is only taken when asked for, because it costs; functions are told with the line of the
built script that holds them (build without minifying to read them).
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .watching import Watched

INTERVAL_US = 500
SHOWN = 25


@contextmanager
def profiled(watched: Watched, to: Path | None, title: str) -> Iterator[None]:
    """Appends what was slowest meanwhile to the file; nothing without one."""
    if to is None:
        yield
        return
    devtools = watched.devtools
    devtools.send("Profiler.enable")
    devtools.send("Profiler.setSamplingInterval", {"interval": INTERVAL_US})
    devtools.send("Profiler.start")
    try:
        yield
    finally:
        profile = devtools.send("Profiler.stop")["profile"]
        with to.open("a") as file:
            file.write(told(profile, title))


def told(profile: dict[str, Any], title: str) -> str:
    """The functions by their own time, and by the time within them, in ms of the whole profile."""
    nodes = {node["id"]: node for node in profile["nodes"]}
    parents = {child: node["id"] for node in profile["nodes"] for child in node.get("children", ())}
    own: Counter[str] = Counter()
    within: Counter[str] = Counter()
    for sample, delta_us in zip(profile["samples"], profile["timeDeltas"], strict=True):
        own[_name(nodes[sample])] += delta_us
        seen, at = set(), sample
        while at is not None:
            if (name := _name(nodes[at])) not in seen:
                seen.add(name)
                within[name] += delta_us
            at = parents.get(at)
    whole_ms = (profile["endTime"] - profile["startTime"]) / 1e3
    lines = [f"\n## {title}: {whole_ms:.0f} ms\n", "| own ms | within ms | function |", "|---|---|---|"]
    lines += [f"| {us / 1e3:.1f} | {within[name] / 1e3:.1f} | {name} |" for name, us in own.most_common(SHOWN)]
    lines += ["", "| within ms | function |", "|---|---|"]
    lines += [f"| {us / 1e3:.1f} | {name} |" for name, us in within.most_common(SHOWN * 2)]
    return "\n".join(lines) + "\n"


def _name(node: dict[str, Any]) -> str:
    frame = node["callFrame"]
    script = frame["url"].rpartition("/")[2]
    place = f" {script}:{frame['lineNumber'] + 1}" if script else ""
    return f"{frame['functionName'] or '(anonymous)'}{place}"
