"""What was applied is on the disk before the next step begins; nothing else is waited for, and that not for ever."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest

import lossguard as lg
from helpers import events, spooled
from lossguard import controller, disk_sync, link
from lossguard.protocol.messages import Command


def order(run: lg.Run, number: int) -> None:
    assert run._loop.parts is not None
    command = Command(id=f"c{number}", number=number, kind="set_weight", args={"component": "loss", "value": 0.5})
    run._loop.parts.controller.offer(command)


def applied(folder: Path) -> list[tuple[str, int]]:
    found = events(spooled(folder), "command")
    return [(event.data["id"], event.step) for event in found if event.data["state"] == "applied"]


def test_an_application_is_on_the_disk_when_its_step_begins(
    spool_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "PUMP_S", 600.0)  # by itself nothing would be written
    synced: list[list[tuple[str, int]]] = []
    ask_for = disk_sync._ask_for

    def spy(path: Path, *rest: Any) -> None:
        synced.append(applied(spool_folder))
        ask_for(path, *rest)

    monkeypatch.setattr(disk_sync, "_ask_for", spy)
    run = lg.init(mode="offline")
    for step in range(4):
        if step in (1, 3):
            order(run, step)
        assert run.boundary()
        assert applied(spool_folder) == [[], [("c1", 1)], [("c1", 1)], [("c1", 1), ("c3", 3)]][step]
    assert [("c1", 1), ("c3", 3)] in synced, "the disk was asked to keep it"
    monkeypatch.setattr(link, "PUMP_S", 0.01)
    order(run, 5)
    assert run.boundary()  # it is in a hurry once more, and has its usual pace from then on
    run.finish()


def test_a_boundary_at_which_nothing_was_applied_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    run = lg.init(mode="offline")
    assert run._loop.parts is not None
    waits: list[float] = []
    monkeypatch.setattr(run._loop.parts.controller.wire, "journal", waits.append)
    for _ in run.steps(range(5)):
        pass
    order(run, 1)
    run._loop.parts.controller.offer(Command(id="no", number=2, kind="revert", args={"command": "x"}))
    for _ in run.steps(range(5)):
        pass
    assert waits == [controller.JOURNAL_S]
    run.finish()


def test_a_disk_that_hangs_holds_up_the_training_for_its_bound_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controller, "JOURNAL_S", 0.05)
    free = threading.Event()
    monkeypatch.setattr(disk_sync, "_ask_for", lambda *args: free.wait(60))
    run = lg.init(mode="offline")
    order(run, 1)
    began_s = time.monotonic()
    assert run.boundary()
    assert 0.04 < time.monotonic() - began_s < 30
    free.set()
    run.finish()


def test_a_disk_that_refuses_holds_up_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk_sync, "_ask_for", refuses)
    run = lg.init(mode="offline")
    order(run, 1)
    assert run.boundary()
    assert run.weights == {"loss": 0.5}
    run.finish()


def test_when_the_link_is_over_nobody_waits() -> None:
    run = lg.init(mode="offline")
    assert run._loop.parts is not None
    wire = run._loop.parts.controller.wire
    assert wire.journal(5.0)
    assert not wire.hears(), "offline"
    run.finish()
    began_s = time.monotonic()
    assert not wire.journal(60.0)
    assert time.monotonic() - began_s < 30
