"""What a server lacks: room on its disk, file descriptors, viewers that read; and a trainer without room to spool."""

import asyncio
import contextlib
import json
import os
import socket
import struct
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

import lossguard as lg
from faults.evidence import collect
from faults.history import check_points, check_run
from faults.hostile import HostileStream
from faults.trainer_life import bits_at
from lossguard.protocol.messages import Hello
from processes import ServerProcess, until
from server_inside import Inside

DISK_MIB = 48
BACK_S = 15.0  # promised are 5 s; the rest is for a machine that does other things too
FREED_S = 25.0  # promised are 10 s after the tab's buffers are full
FEW_FILES = (
    "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (72, 72)); "
    "runpy.run_module('lossguard_server', run_name='__main__', alter_sys=True)"
)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of its own; skipped where mounting is not permitted."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(folder)]
    with contextlib.suppress(FileNotFoundError):
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            try:
                yield folder
            finally:
                subprocess.run(["umount", "-l", str(folder)], check=True)
            return
    pytest.skip("a small disk needs the right to mount a tmpfs (root); this process may not")


def fill(folder: Path) -> Path:
    """Takes what room there is left."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4_096)) == 4_096:
            pass
    return path


@contextlib.asynccontextmanager
async def streaming(server: ServerProcess, run: str) -> AsyncIterator[HostileStream]:
    """A well-behaved stream under way."""
    await asyncio.to_thread(server.start)
    address = (server.url.replace("http", "ws", 1) + "/ws/trainer", server.admin_token)
    stream = HostileStream(lambda: address, Hello(run=run, project="p", name="n"), 3, hostility=0.0)
    running = asyncio.create_task(stream.run())
    try:
        await acked(stream, 50)
        yield stream
        stream.stop()
        await running
        await stream.drain()
        await asyncio.to_thread(server.stop)
        evidence = collect(server.folder)
        assert stream.faults == []
        assert check_run([stream.logged], list(evidence.streams[run].values()), evidence.points[run]) == []
    finally:
        running.cancel()
        server.kill()


async def acked(stream: HostileStream, more: int, timeout_s: float = 30.0) -> None:
    aim = stream.logged.acked_seq + more
    async with asyncio.timeout(timeout_s):
        while stream.logged.acked_seq < aim:
            await asyncio.sleep(0.01)


async def heard(stream: HostileStream, what: str) -> None:
    async with asyncio.timeout(30):
        while not stream.did[what]:
            await asyncio.sleep(0.01)


async def test_a_full_disk(small_disk: Path) -> None:
    """Told, nothing acknowledged is lost, a command gets through, and when there is room again it goes on by itself."""
    server = ServerProcess(small_disk / "data")
    async with streaming(server, "full") as stream:
        filler = fill(small_disk)
        await heard(stream, "held")
        headers = {"Authorization": f"Bearer {server.admin_token}"}
        async with httpx.AsyncClient(base_url=server.url, headers=headers, trust_env=False) as http:
            assert (await http.get("/healthz")).json()["status"] == "degraded"
            assert (await http.get("/api/runs/full")).status_code == 200
            for kind in ("pause", "stop"):
                body = {"kind": kind, "args": {}, "idempotency_key": kind}
                answer = await http.post("/api/runs/full/commands", json=body)
                assert answer.status_code == 201, answer.text
                await heard(stream, f"command: {kind}")
        assert stream.is_connected
        filler.unlink()
        await acked(stream, 50, BACK_S)
        await heard(stream, "released")


async def test_a_server_killed_on_a_full_disk(small_disk: Path) -> None:
    """What was acknowledged is there, though the disk is still full when it starts again."""
    server = ServerProcess(small_disk / "data")
    async with streaming(server, "full") as stream:
        filler = fill(small_disk)
        await heard(stream, "held")
        server.kill()
        filler.unlink()
        await asyncio.to_thread(server.start)
        await acked(stream, 50)


def test_a_trainer_without_room_for_its_spool(small_disk: Path, tmp_path: Path) -> None:
    fill(small_disk)
    server = ServerProcess(tmp_path / "data").start()
    run = lg.init("p", "n", url=server.url, token=server.admin_token, dir=small_disk / "spool", handle_sigterm=False)
    try:
        for step in range(500):
            run.log({"x": struct.unpack("<d", struct.pack("<Q", bits_at(step)))[0]}, step=step)
        run.finish(timeout_s=30)
        server.stop()
        evidence = collect(server.folder)
        expected = {"x": [(step, bits_at(step)) for step in range(500)]}
        assert check_points([expected], {"x": evidence.points[run.id]["x"]}) == []
        assert evidence.gaps(run.id) == []
    finally:
        run.finish(timeout_s=1)
        server.stop()


async def test_too_few_file_descriptors(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data", entry=["-c", FEW_FILES])
    async with streaming(server, "few") as stream:
        crowd = []
        for _ in range(150):
            one = socket.socket()
            one.setblocking(False)
            with contextlib.suppress(OSError):
                one.connect(("127.0.0.1", server.port))
            crowd.append(one)
        await acked(stream, 50)  # who is inside goes on
        for one in crowd:
            one.close()
        async with httpx.AsyncClient(base_url=server.url, trust_env=False) as http, asyncio.timeout(BACK_S):
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    if (await http.get("/healthz")).status_code == 200:
                        break
                await asyncio.sleep(0.1)
        log = (tmp_path / "data-server.log").read_text(errors="replace")
        assert len(log.splitlines()) < 5_000, "16,304 lines in a few seconds is what the loop writes by itself"


async def test_frozen_viewers_are_freed_and_nobody_waits_for_them(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data")
    async with streaming(server, "watched") as stream:
        headers = {"Authorization": f"Bearer {server.admin_token}"}
        async with httpx.AsyncClient(base_url=server.url, headers=headers, trust_env=False) as http:
            inside = Inside(server.url, "", None, http)  # type: ignore[arg-type]
            frozen = [await inside.watch("watched") for _ in range(10)]
            lively = await inside.watch("watched")
            ports = set()
            for viewer in frozen:
                viewer.socket.transport.pause_reading()
                ports.add(viewer.socket.local_address[1])
            pid = json.loads((server.folder / "server.json").read_text())["pid"]
            assert len(open_ports(pid) & ports) == len(frozen)
            async with asyncio.timeout(FREED_S + 20):
                while open_ports(pid) & ports:
                    before = stream.logged.acked_seq
                    await lively.expect("points")
                    await acked(stream, 1)
                    assert stream.logged.acked_seq > before
            for viewer in [*frozen, lively]:
                viewer.socket.transport.abort()
        assert await asyncio.to_thread(until, lambda: len(os.listdir(f"/proc/{pid}/fd")) < 60, "descriptors are freed")


def open_ports(pid: int) -> set[int]:
    """The other ends' ports of the connections that a process holds."""
    return {
        connection.raddr.port
        for connection in psutil.Process(pid).net_connections("tcp")
        if connection.raddr and connection.status == psutil.CONN_ESTABLISHED
    }
