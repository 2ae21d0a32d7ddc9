"""A folder of spools whose trainers are dead, and a round of deliveries over it, without the pauses."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers import isolate
from lossguard import link, orphans
from lossguard.environment import Endpoint
from lossguard.orphans import Orphans
from tiny_server import TinyServer


def hurry(monkeypatch: pytest.MonkeyPatch, folder: Path, first_s: float, every_s: float) -> None:
    """No file of the developer's own; the first round after `first_s`, then one each `every_s`."""
    isolate(monkeypatch, folder)
    monkeypatch.setattr(link, "PUMP_S", 0.005)
    monkeypatch.setattr(orphans, "FIRST_S", first_s)
    monkeypatch.setattr(orphans, "EVERY_S", every_s)
    monkeypatch.setattr(orphans, "PAUSE_S", 0.001)


def address(server: TinyServer) -> str:
    """The trainer's socket, as a label names it."""
    return f"ws://127.0.0.1:{server.port}/ws/trainer"


def looking_after(folder: Path, server: TinyServer, is_own: Callable[[str], bool] = lambda stem: False) -> Orphans:
    """What delivers the folder to the server, whose own stream leaves room always."""
    return Orphans(folder, lambda: Endpoint(address(server), "", False), lambda: True, is_own)


def one_round(folder: Path, server: TinyServer) -> None:
    """Deliver what can be."""
    asyncio.run(looking_after(folder, server).deliver_all())
