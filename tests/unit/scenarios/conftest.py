"""Every scenario trains for its test alone: its spool goes to the test's folder, and no server is looked for."""

from pathlib import Path

import pytest

from helpers import isolate


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch, tmp_path)
    monkeypatch.setenv("LOSSGUARD_MODE", "offline")
