"""What every test with a browser needs: a server process, a page, and its complaints."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from processes import ServerProcess, chromium_page


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    process = ServerProcess(tmp_path / "data").start()
    yield process
    assert process.stop() == 0


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Any]:
    with chromium_page(tmp_path / "profile") as opened:
        yield opened


@pytest.fixture
def complaints(page: Any) -> list[str]:
    """Errors of the page's console, exceptions and dialogs, as they come."""
    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("dialog", lambda dialog: (heard.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    return heard
