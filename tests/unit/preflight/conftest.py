"""A preflight's tests reach no server, no spool of the developer's, and are no preflight themselves."""

from pathlib import Path

import pytest

from helpers import isolate
from lossguard.preflight.asked import BATCHES, FILE


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch, tmp_path)
    monkeypatch.delenv(BATCHES, raising=False)
    monkeypatch.delenv(FILE, raising=False)
