"""The commands that look after a server's data, as a person types them."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from processes import ServerProcess, clean_environment


def lossguard(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "lossguard_server", *words],
        capture_output=True, text=True, timeout=60, env=clean_environment(), stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    process = ServerProcess(tmp_path / "data").start()
    (tmp_path / "a.csv").write_text("step,a\n0,1\n1,nan\n")
    try:
        assert lossguard("import", str(tmp_path / "a.csv"), "--data", str(process.folder)).returncode == 0
        yield process
    finally:
        assert process.stop() == 0


def test_the_doctor_looks_at_a_server_s_data_while_it_runs_and_after(server: ServerProcess) -> None:
    data = ("--data", str(server.folder))
    assert json.loads(lossguard("doctor", "--json", *data).stdout)["data"] == str(server.folder)
    server.stop()
    assert "healthy" in lossguard("doctor", "--full", *data).stdout


def test_a_run_is_deleted_when_somebody_says_so(server: ServerProcess) -> None:
    data = ("--data", str(server.folder))
    unsure = lossguard("delete", "a", *data)
    assert (unsure.returncode, "give --yes" in unsure.stderr) == (1, True), unsure.stderr
    gone = lossguard("delete", "a", "--yes", "--json", *data)
    assert gone.returncode == 0, gone.stderr
    assert server.get("/api/runs")["items"] == []


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (("doctor", "--data", "nowhere"), 1, "There is no database"),
        (("serve", "--keep-days", "0", "--data", "nowhere"), 1, "cannot be kept for 0"),
        (("serve", "--keep-days", "some"), 2, "--keep-days"),
        (("serve", "--port", "99999"), 2, "--port"),
    ],
)
def test_refusals(tmp_path: Path, words: tuple[str, ...], code: int, why: str) -> None:
    done = lossguard(*(str(tmp_path / word) if word == "nowhere" else word for word in words))
    assert (done.returncode, why in done.stderr) == (code, True), done.stderr
