"""The server as a process: killed, stopped, started twice."""

import asyncio
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from journal_reader import stored_messages, stored_points
from lossguard.protocol.messages import Welcome
from processes import ServerProcess, clean_environment
from raw_trainer import RawTrainer

ENDED_S = 10.0  # alone it takes two; without a limit to what is drained it would take for ever


def serve(folder: Path, port: int, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [
        sys.executable,
        "-m",
        "lossguard_server",
        "serve",
        "--data",
        str(folder),
        "--port",
        str(port),
        "--no-browser",
    ]
    environment = clean_environment() | environment
    return subprocess.run(command, capture_output=True, text=True, timeout=30, env=environment, check=False)


async def test_kill_nine_between_frames_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Also the acknowledged at the instant of the kill must be on disk: a resume alone would heal a lie."""
    server = await asyncio.to_thread(ServerProcess(tmp_path / "data").start)
    trainer, steps = RawTrainer(server.url, server.ingest_token), list[int]()
    try:
        for kill in range(4):
            assert isinstance(await trainer.connect(), Welcome)
            steps += range(kill * 1_000, kill * 1_000 + 100)
            for step in steps[-100:]:
                trainer.frame([step], loss__total=[float(step)])
            delivering = asyncio.create_task(trainer.deliver())
            while trainer.session.acked_seq < len(trainer.messages) - 60:
                await asyncio.sleep(0)
            server.kill()
            await asyncio.gather(delivering, return_exceptions=True)
            acked = trainer.session.acked_seq
            trainer.disconnect()
            stored = stored_points(server.folder, "r1")["loss/total"]
            assert len(stored) >= acked - 1, "acknowledged, and not on disk when the server was killed"
            assert stored == [(step, float(step)) for step in steps[: len(stored)]]
            await asyncio.to_thread(server.start)
        await trainer.connect()
        await trainer.deliver()
        assert stored_points(server.folder, "r1")["loss/total"] == [(step, float(step)) for step in steps]
        points = await asyncio.to_thread(server.get, "/api/runs/r1/points?series=loss/total")
        assert points["series"]["loss/total"]["step"] == steps
    finally:
        server.stop()


async def test_sigterm_acknowledges_what_came_and_ends_quickly(tmp_path: Path) -> None:
    server = await asyncio.to_thread(ServerProcess(tmp_path / "data").start)
    trainer = RawTrainer(server.url, server.ingest_token)
    await trainer.connect()
    for step in range(500):
        trainer.frame([step], loss__total=[1.0])
    await trainer.deliver()
    began_s = time.monotonic()
    assert await asyncio.to_thread(server.stop) == 0
    assert time.monotonic() - began_s < ENDED_S
    await asyncio.wait_for(trainer.socket.wait_closed(), 5)
    assert trainer.socket.close_code == 1012
    assert not (server.folder / "lossguard.db-wal").exists(), "checkpointed"
    assert stored_messages(server.folder, "r1") == trainer.messages


def test_a_viewer_that_never_reads_does_not_keep_the_server(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data").start()
    with socket.create_connection(("127.0.0.1", server.port)) as idle, httpx.Client(trust_env=False) as http:
        idle.sendall(b"GET /plotly.min.js HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % server.port)
        assert http.get(f"{server.url}/healthz").status_code == 200
        began_s = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began_s < ENDED_S


def test_one_folder_one_server_and_one_port_one_program(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data").start()
    try:
        same_folder = serve(server.folder, 0)
        assert same_folder.returncode == 1
        assert "Another lossguard server uses this data folder" in same_folder.stdout + same_folder.stderr
        same_port = serve(tmp_path / "other", server.port)
        assert same_port.returncode == 1
        assert "another program has it" in same_port.stdout + same_port.stderr
    finally:
        assert server.stop() == 0


def test_a_token_that_cannot_be_the_admins_ends_the_start_in_one_sentence(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data").start()
    ingest = server.ingest_token
    assert server.stop() == 0
    for token, why in ((ingest, "is the stored token 'local trainers', with the scope ingest."), ("a", "has 1 of at")):
        refused = serve(server.folder, 0, LOSSGUARD_TOKEN=token)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert why in refused.stderr
        assert len(refused.stderr.splitlines()) == 2, "what, and what to do"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_server_can_start_again_at_once_on_its_port(tmp_path: Path, number: signal.Signals) -> None:
    server = ServerProcess(tmp_path / "data").start()
    port, token = server.port, server.admin_token
    assert server._process is not None
    server._process.send_signal(number)
    assert server._process.wait(10) == 0
    server.start()
    try:
        assert (server.port, server.admin_token) == (port, token)
    finally:
        assert server.stop() == 0
