"""The command line as a person types it: real processes, exit codes 0, 1 and 2."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import lossguard as lg
from journal_reader import stored_points
from processes import ServerProcess, clean_environment, until


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    process = ServerProcess(tmp_path / "data").start()
    yield process
    assert process.stop() == 0


def lossguard(*words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "lossguard_server", *words],
        capture_output=True, text=True, timeout=60, env=clean_environment() | environment,
    )  # fmt: skip


def offline_run(spool: Path, steps: int) -> lg.Run:
    run = lg.init("p", "n", mode="offline", dir=spool, losses={"a": 1.0})
    for step in range(steps):
        run.log({"x": float(step)})
    return run


def test_sync_delivers_what_was_spooled_offline_once(server: ServerProcess, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    run = offline_run(spool, 50)
    run.finish()
    done = lossguard("sync", str(spool), "--data", str(server.folder))
    assert (done.returncode, "messages are at the server" in done.stdout) == (0, True), done.stdout + done.stderr
    assert stored_points(server.folder, run.id)["x"] == [(step, float(step)) for step in range(50)]
    assert list(spool.iterdir()) == []
    assert "Nothing to deliver" in lossguard("sync", str(spool), "--data", str(server.folder)).stdout


def test_sync_leaves_the_spool_of_a_living_trainer_alone(server: ServerProcess, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    run = offline_run(spool, 5)
    until(lambda: list(spool.glob("*.lgs")), "the trainer has spooled")
    done = lossguard("sync", str(spool), "--data", str(server.folder))
    assert "its trainer is alive" in done.stdout
    run.finish()
    assert "messages are at the server" in lossguard("sync", str(spool), "--data", str(server.folder)).stdout


def test_commands_reach_the_run_and_say_what_became_of_them(server: ServerProcess, tmp_path: Path) -> None:
    data = ("--data", str(server.folder))
    run = lg.init("p", "named", url=server.url, token=server.ingest_token, dir=tmp_path / "spool", losses={"a": 1.0})
    steps = run.steps(iter(int, 1))  # endless
    next(steps)
    until(lambda: "named" in lossguard("runs", *data).stdout, "the run is listed")
    assert json.loads(lossguard("runs", "--json", *data).stdout)[0]["name"] == "named"
    sent = lossguard("weight", "named", "a", "0.5", "--json", *data)
    assert sent.returncode == 0, sent.stderr
    until(lambda: next(steps) == 0 and run.weights == {"a": 0.5}, "the weight is in force")
    reverted = lossguard("revert", json.loads(sent.stdout)["id"], *data)
    assert reverted.returncode == 0, reverted.stderr
    until(lambda: next(steps) == 0 and run.weights == {"a": 1.0}, "the schedule rules again")
    run.finish()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("weight", "nobody", "a", "0.5"), 1, "There is no run 'nobody'"),
        (("weight", "nobody", "a", "much"), 2, ""),
        (("nonsense",), 2, ""),
        (("pause",), 2, ""),
    ],
)
def test_refusals_end_with_1_and_wrong_usage_with_2(
    server: ServerProcess, words: tuple[str, ...], code: int, said: str
) -> None:
    done = lossguard(*words, *(("--data", str(server.folder)) if code == 1 else ()))
    assert done.returncode == code, done.stdout + done.stderr
    assert said in done.stderr


def test_no_server_and_a_wrong_token_are_told_apart(server: ServerProcess, tmp_path: Path) -> None:
    wrong = lossguard("runs", LOSSGUARD_URL=server.url, LOSSGUARD_TOKEN="wrong")
    assert (wrong.returncode, "token" in wrong.stderr.lower()) == (1, True), wrong.stderr
    absent = lossguard("runs", LOSSGUARD_URL="http://127.0.0.1:1")
    assert (absent.returncode, "lossguard serve" in absent.stderr) == (1, True), absent.stderr
