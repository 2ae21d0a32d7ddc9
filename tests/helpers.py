"""What several test files share: waiting without sleeping, a world of one's own, a reader of spools.

Rules of this file: nothing here knows a particular test; waiting is polling against a deadline.
"""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from lossguard.protocol.codec import decode_sequenced
from lossguard.protocol.frames import unpack_frame
from lossguard.protocol.messages import Event, Frame, Schema, Sequenced
from lossguard.protocol.spool_format import SUFFIX
from lossguard.spool import Spool
from segments import parse_segment

T = TypeVar("T")

# whatever msgpack can say
wire_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats() | st.text(max_size=8)
    | st.binary(max_size=16) | st.builds(msgspec.msgpack.Ext, st.integers(-128, 127), st.binary(max_size=12)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


EXAMPLES = float(os.environ.get("LOSSGUARD_EXAMPLES", "0.6"))  # CI must end in twenty minutes


def examples(count: int) -> settings:
    """So many examples of a property, or the part of them that there is time for. Nothing is timed: two busy cores make
    any deadline a coin toss."""
    return settings(
        max_examples=max(10, round(count * EXAMPLES)), deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )


def soon(probe: Callable[[], T], what: str, timeout_s: float = 20.0) -> T:
    """The first truthy value of `probe`; fails with `what` when none comes in time."""
    deadline_s = time.monotonic() + timeout_s
    pause = threading.Event()
    while time.monotonic() < deadline_s:
        if value := probe():
            return value
        pause.wait(0.005)
    pytest.fail(f"not within {timeout_s:g} s: {what}")


def isolate(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """No variable and no file of the developer's own machine reaches the test."""
    for variable in ("URL", "TOKEN", "MODE", "DIR"):
        monkeypatch.delenv(f"LOSSGUARD_{variable}", raising=False)
    for variable in ("RANK", "WORLD_SIZE", "TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("LOSSGUARD_DATA", str(folder / "data"))
    monkeypatch.setenv("LOSSGUARD_DIR", str(folder / "spool"))


def read(spool: Spool, seq: int) -> bytes:
    """What goes out under this number; fails when it is damaged. Raises KeyError when it is not there."""
    found = spool.find(seq)
    assert isinstance(found, bytes), found
    return found


def spooled(folder: Path) -> list[Sequenced]:
    """Every message in the segments of `folder`, in order; fails when a byte of them is damaged."""
    messages: list[Sequenced] = []
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        content = parse_segment(path.read_bytes())
        assert content.damaged_bytes == 0
        messages += [decode_sequenced(payload) for _, payload in content.records]
    return messages


def points(messages: list[Sequenced]) -> dict[str, list[tuple[int, float]]]:
    """The (step, value) of each series, in the order in which they were sent."""
    names: dict[int, str] = {}
    found: dict[str, list[tuple[int, float]]] = {}
    for message in messages:
        if isinstance(message, Schema):
            names |= {series.id: series.name for series in message.series}
        elif isinstance(message, Frame):
            steps, columns = unpack_frame(message)
            for number, column in zip(message.series, columns, strict=True):
                found.setdefault(names[number], []).extend(zip(steps.tolist(), column.tolist(), strict=True))
    return found


def events(messages: list[Sequenced], kind: str) -> list[Event]:
    """The events of one kind."""
    return [message for message in messages if isinstance(message, Event) and message.kind == kind]
