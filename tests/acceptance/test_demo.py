"""`lossguard demo`: runs to its end by itself, and ends cleanly when interrupted."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from processes import clean_environment, until


def demo(data: Path, *args: str, before: Callable[[], object] | None = None) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "lossguard_server", "demo", "--port", "0", "--data", str(data), *args]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=clean_environment(), preexec_fn=before,
    )  # fmt: skip


def in_the_background() -> None:
    """As a script's `demo &` starts it: the shell has it ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def at_the_terminal() -> None:
    """Whatever started the tests."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_headless_runs_to_the_end_and_exits_0(tmp_path: Path) -> None:
    process = demo(tmp_path / "data", "--headless", "--steps", "60", "--stage-steps", "30")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    assert "/#t=" in output
    assert "precursor" in output, "the alert is told on the terminal"
    assert "finished" in output


@pytest.mark.parametrize("started", [at_the_terminal, in_the_background])
def test_ctrl_c_stops_trainer_and_server(tmp_path: Path, started: Callable[[], None]) -> None:
    process = demo(tmp_path / "data", "--steps", "100000", before=started)
    assert process.stdout is not None
    until(lambda: "step" in (process.stdout.readline() if process.stdout else ""), "the demo shows progress")
    server_pid = json.loads((tmp_path / "data" / "server.json").read_text())["pid"]
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert not Path(f"/proc/{server_pid}").exists()


def test_a_taken_port_is_said(tmp_path: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = [sys.executable, "-m", "lossguard_server", "serve", "--data", str(tmp_path), "--port"]
        done = subprocess.run(
            [*command, str(taken.getsockname()[1])], capture_output=True, text=True, env=clean_environment(), timeout=60
        )
    assert done.returncode == 1
    assert "port" in done.stderr.lower()


def test_an_unknown_scenario_is_said(tmp_path: Path) -> None:
    output, _ = (process := demo(tmp_path / "data", "nonsense", "--headless")).communicate(timeout=60)
    assert process.returncode == 1
    assert "denovo" in output, "it names what there is"
