"""Real processes for the tests that need them: a server, a trainer, a Chromium.

Rules of this file: everything is started on 127.0.0.1 with a free port and ended by its process id; waiting is polling
against a deadline, never a bare sleep.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

T = TypeVar("T")

CHROMIUM_FLAGS = [
    "--no-sandbox",  # CI runs as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# a headless browser shows none: a page that runs this first keeps them as `window.told`
RECORD_NOTIFICATIONS = """
  window.told = [];
  window.Notification = class {
    static permission = "default";
    static requestPermission() { this.permission = "granted"; return Promise.resolve("granted"); }
    constructor(title, options) { window.told.push(`${title} | ${options.body}`); }
  };
"""


def until(probe: Callable[[], T], what: str, timeout_s: float = 60.0) -> T:
    """The first truthy value of `probe`; fails with `what` after `timeout_s`."""
    deadline_s = time.monotonic() + timeout_s
    pause = threading.Event()
    while time.monotonic() < deadline_s:
        if value := probe():
            return value
        pause.wait(0.05)
    pytest.fail(f"not within {timeout_s:g} s: {what}")


class ServerProcess:
    """`lossguard serve` on a folder; may be killed and started again on the same port.

    `entry`: what python runs; the tests of faults put another in the place of the server's own. `options`: of `serve`.
    """

    def __init__(
        self, folder: Path, entry: Sequence[str] = ("-m", "lossguard_server"), options: Sequence[str] = ()
    ) -> None:
        self.folder, self._entry, self._options = folder, entry, options
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "ServerProcess":
        (self.folder / "server.json").unlink(missing_ok=True)
        folder_of_log = self.folder.parent / f"{self.folder.name}-server.log"
        with folder_of_log.open("ab") as log:
            command = [sys.executable, *self._entry, "serve", "--port", str(self.port)]
            self._process = subprocess.Popen(
                [*command, "--data", str(self.folder), "--no-browser", *self._options],
                stdout=log,
                stderr=log,
                env=clean_environment(),
            )
        until(self._is_ready, f"the server answers; its log: {folder_of_log.read_text(errors='replace')[-2000:]}", 30)
        self.port = int(self.url.rpartition(":")[2])
        return self

    def _is_ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            pytest.fail(f"the server ended with {self._process.returncode}")
        try:
            return httpx.get(f"{self.url}/healthz", trust_env=False).status_code == 200
        except (OSError, ValueError, KeyError, httpx.HTTPError):
            return False

    @property
    def _facts(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "server.json").read_text()))

    @property
    def url(self) -> str:
        return str(self._facts["url"])

    @property
    def ingest_token(self) -> str:
        return str(self._facts["ingest_token"])

    @property
    def admin_token(self) -> str:
        return (self.folder / "token").read_text().strip()

    @property
    def page_url(self) -> str:
        return f"{self.url}/#t={self.admin_token}"

    def get(self, path: str) -> Any:
        answer = httpx.get(
            f"{self.url}{path}", headers={"Authorization": f"Bearer {self.admin_token}"}, trust_env=False, timeout=10
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def freeze(self) -> None:
        """SIGSTOP: it is there, and answers nothing until it is killed or thawed."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.terminate()
        try:
            return self._process.wait(30)  # that it ends in two seconds has a test of its own
        except subprocess.TimeoutExpired:
            self.kill()
            raise


class LoggedProcess:
    """A process of python's own, which says what it has to say to a file."""

    def __init__(self, arguments: Sequence[str], log: Path, env: Mapping[str, str]) -> None:
        self._log = log
        with log.open("wb") as file:
            self._process = subprocess.Popen([sys.executable, *arguments], stdout=file, stderr=file, env=dict(env))

    def running(self) -> bool:
        return self._process.poll() is None

    def wait(self, timeout_s: float = 120.0) -> int:
        return self._process.wait(timeout_s)

    def end(self) -> None:
        if self.running():
            self._process.kill()
            self._process.wait()

    def log_text(self) -> str:
        return self._log.read_text(errors="replace")


class TrainerProcess(LoggedProcess):
    """`python -m lossguard.scenarios ...` against a server, writing its own record."""

    def __init__(self, server: ServerProcess, folder: Path, *args: str, token: str | None = None) -> None:
        self.record_path = folder / "record.jsonl"
        env = clean_environment() | {
            "LOSSGUARD_URL": server.url,
            "LOSSGUARD_TOKEN": token or server.ingest_token,
            "LOSSGUARD_DIR": str(folder / "spool"),
        }
        arguments = ["-m", "lossguard.scenarios", *args, "--record", str(self.record_path)]
        super().__init__(arguments, folder / "trainer.log", env)

    def record(self) -> list[dict[str, Any]]:
        """What the trainer itself computed, a dict a step; numbers as float.hex() words."""
        lines = self.record_path.read_text().splitlines() if self.record_path.exists() else []
        return [json.loads(line) for line in lines if line.endswith("}")]


@contextmanager
def chromium_page(profile: Path, width: int = 1440, height: int = 900) -> Iterator[Any]:
    """A page in a fresh headless Chromium; skipped with a reason where there is none, save in CI."""
    from playwright.sync_api import sync_playwright

    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("CI must install Chromium")
        pytest.skip("no Chromium on this machine; install one, or set CHROMIUM to its path")
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(profile), executable_path=path, headless=True, args=CHROMIUM_FLAGS,
            viewport={"width": width, "height": height},
        )  # fmt: skip
        try:
            yield context.pages[0] if context.pages else context.new_page()
        finally:
            context.close()


def clean_environment() -> dict[str, str]:
    """The environment without the caller's own lossguard settings."""
    return {key: value for key, value in os.environ.items() if not key.startswith("LOSSGUARD_")}
