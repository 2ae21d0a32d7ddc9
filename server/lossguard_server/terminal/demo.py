"""`lossguard demo`: a server and a reference trainer, each a process of its own, and a line that tells how they do.

Rules of this file: the children get no Ctrl-C of their own (a session each); they are ended in order, the trainer
first, so that its last words reach the server. Nothing is shared with them but the data folder and the environment.
"""

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from .client import Client, Refused, own_client, server_file

START_TIMEOUT_S = 30.0
POLL_S = 0.5
LINE_EVERY_S = 5.0
TRAINER_END_S, SERVER_END_S = 15.0, 5.0


class Demo:
    """One demo; `run` returns when it is over."""

    def __init__(self, folder: Path, port: int, trainer_args: list[str], headless: bool, console: Console) -> None:
        self._folder, self._port, self._trainer_args = folder, port, trainer_args
        self._headless, self._console = headless, console
        self._known_runs: set[str] = set()
        self._told: set[str] = set()

    def run(self) -> None:
        """Start both, follow the trainer to its end, stop both. Raises Refused when one cannot start or fails."""
        if importlib.util.find_spec("torch") is None:
            raise Refused("The demo trains a model; torch is not installed.", "pip install 'lossguard[server,demo]'")
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _interruptible(), contextlib.ExitStack() as ending:
            try:
                server = self._start("server", ["lossguard_server", "serve", "--port", str(self._port)], {})
                ending.callback(_end, server, signal.SIGTERM, SERVER_END_S)
                client = self._await_server(server)
                ending.callback(client.close)
                self._known_runs = {run["id"] for run in client.get("/api/runs")["items"]}
                page = f"{client.url}/#t={client.token}"
                self._console.print(f"\n  The page:  [bold]{page}[/bold]\n", soft_wrap=True, highlight=False)
                trainer = self._start(
                    "trainer", ["lossguard.scenarios", *self._trainer_args], self._trainer_env(client)
                )
                ending.callback(_end, trainer, signal.SIGINT, TRAINER_END_S)
                self._follow(client, trainer, server)
            except KeyboardInterrupt:
                self._console.print("\nStopping the trainer, then the server ...")

    def _start(self, name: str, module: list[str], extra_env: dict[str, str]) -> "subprocess.Popen[bytes]":
        log = (self._folder / f"{name}.log").open("wb")
        with log:
            env = {k: v for k, v in os.environ.items() if not k.startswith("LOSSGUARD_")}
            env |= {"LOSSGUARD_DATA": str(self._folder), "PYTHONUNBUFFERED": "1"} | extra_env
            return subprocess.Popen(
                [sys.executable, "-m", *module],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, start_new_session=True,
            )  # fmt: skip

    def _trainer_env(self, client: Client) -> dict[str, str]:
        return {
            "LOSSGUARD_URL": client.url,
            "LOSSGUARD_TOKEN": str(server_file(self._folder)["ingest_token"]),
            "LOSSGUARD_DIR": str(self._folder / "spool"),
        }

    def _await_server(self, server: "subprocess.Popen[bytes]") -> Client:
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline_s:
            if server.poll() is not None:
                raise Refused("The server did not start.", self._tail("server"))
            with contextlib.suppress(Refused):
                # the file of a server before this one may still lie there
                if server_file(self._folder).get("pid") == server.pid:
                    client = own_client(self._folder, {})
                    client.get("/healthz")
                    return client
            time.sleep(0.1)
        raise Refused(f"The server did not answer within {START_TIMEOUT_S:g} s.", self._tail("server"))

    def _follow(self, client: Client, trainer: "subprocess.Popen[bytes]", server: "subprocess.Popen[bytes]") -> None:
        line_due_s = 0.0
        while trainer.poll() is None:
            if server.poll() is not None:
                raise Refused("The server ended.", self._tail("server"))
            with contextlib.suppress(Refused):  # a slow answer is no reason to end a demo
                line_due_s = self._tell(client, line_due_s)
            time.sleep(POLL_S)
        self._tell(client, 0.0)
        if trainer.returncode != 0:
            raise Refused(f"The trainer failed with exit code {trainer.returncode}.", self._tail("trainer"))
        self._console.print("The trainer has finished.")
        if not self._headless:
            self._console.print("The page stays up; Ctrl-C ends the server.")
            while server.poll() is None:
                time.sleep(POLL_S)

    def _tell(self, client: Client, line_due_s: float) -> float:
        fresh = [run for run in client.get("/api/runs")["items"] if run["id"] not in self._known_runs]
        if not fresh:
            return line_due_s
        run = fresh[0]
        for alert in reversed(client.get(f"/api/runs/{run['id']}/alerts")["items"]):
            if alert["id"] not in self._told and alert["state"] != "pending":
                self._told.add(alert["id"])
                colour = "red" if alert["severity"] == "critical" else "yellow"
                said = f"[{colour}]{alert['severity']}[/{colour}] at step {alert['step']}: {escape(alert['message'])}"
                self._console.print(said, soft_wrap=True)
        if time.monotonic() < line_due_s or run["step"] is None:
            return line_due_s
        self._console.print(escape(_line(run)), highlight=False, soft_wrap=True)
        return time.monotonic() + LINE_EVERY_S

    def _tail(self, name: str) -> str:
        with contextlib.suppress(OSError):
            lines = (self._folder / f"{name}.log").read_text(errors="replace").strip().splitlines()
            return "\n".join([*lines[-8:], f"(all of it: {self._folder / f'{name}.log'})"])
        return ""


def _line(run: dict[str, Any]) -> str:
    stage = (run.get("stage") or {}).get("name", "-")
    total, rate = run.get("total"), run.get("steps_per_s")
    shown = f"{total:.3f}" if isinstance(total, float) else str(total)
    speed = f"{rate:.1f} steps/s" if isinstance(rate, int | float) else "-"
    alerts = run.get("alerts") or {}
    return f"step {run['step']}  {speed}  stage {stage}  total {shown}  {run['state']}  alerts {sum(alerts.values())}"


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM ends a demo as Ctrl-C does, and Ctrl-C does so too where a script's `&` had it ignored.

    What is handled here is the default again in a child; what is ignored stays ignored, and the trainer is ended by it.
    """

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(process: "subprocess.Popen[bytes]", how: signal.Signals, within_s: float) -> None:
    if process.poll() is None:
        process.send_signal(how)
    try:
        process.wait(within_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
