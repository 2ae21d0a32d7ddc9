"""Hostile names and integers: each is stored or refused with a named error, and nobody else notices."""

import asyncio
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed

from faults.evidence import collect
from faults.history import Logged, check_run
from faults.hostile import HostileStream
from lossguard.protocol.codec import decode_to_trainer, encode
from lossguard.protocol.frames import checksum, pack_frame
from lossguard.protocol.messages import Ack, Event, Frame, Hello, Refusal, Schema, SeriesSpec, ToTrainer, Welcome
from processes import ServerProcess
from raw_trainer import RawTrainer

NAMES = {
    "a million characters": "x" * 1_000_000, "NUL": "a\0b", "a newline": "a\nb", "a tab": "a\tb", "nothing": "",
    "bidi": "loss/\u202ecba", "an invisible": "a\u200bb", "html": "<img src=x onerror=alert(1)>", "proto": "__proto__",
    "constructor": "constructor", "dots": "../../etc/passwd", "SQL": "x'); DROP TABLE journal; --", "a lone slash": "/",
    "a format": "%s%n{0}", "NaN": "NaN", "combining": "e" + "\u0301" * 200, "emoji": "\U0001f525" * 100,
    "512 bytes": "y" * 512, "513 bytes": "y" * 513,
}  # fmt: skip
STEPS = {
    "-1": -1, "2^53-1": (1 << 53) - 1, "2^53": 1 << 53, "2^53+1": (1 << 53) + 1, "2^63-1": (1 << 63) - 1,
    "2^63": 1 << 63, "2^64-1": (1 << 64) - 1, "-2^63": -(1 << 63),
}  # fmt: skip
REFUSALS = {
    "bad_name",
    "bad_message",
    "bad_frame",
    "unknown_series",
    "series_redefined",
    "bad_declaration",
    "bad_hello",
}


@dataclass
class World:
    """A server with an innocent stream on it."""

    server: ServerProcess
    innocent: HostileStream

    async def outcome(self, run: str, *payloads: bytes) -> tuple[str, int]:
        """(the refusal's error or "", the last acknowledged seq) of a stream that says this."""
        trainer = RawTrainer(self.server.url, self.server.admin_token, run=run)
        answer = await trainer.connect()
        if isinstance(answer, Refusal):
            return answer.error, 0
        assert isinstance(answer, Welcome)
        acked_seq = 0
        try:
            for payload in payloads:
                await trainer.socket.send(payload)
            while acked_seq < len(payloads):
                message = await answer_of(trainer)
                if isinstance(message, Refusal):
                    return message.error, acked_seq
                if isinstance(message, Ack):
                    acked_seq = message.seq
        except ConnectionClosed as closed:
            return f"closed {closed.rcvd.code if closed.rcvd else 0}", acked_seq
        finally:
            await trainer.socket.close()
        return "", acked_seq

    async def innocent_goes_on(self) -> None:
        """More of the innocent stream is stored than was before."""
        before = self.innocent.logged.acked_seq
        async with asyncio.timeout(10):
            while self.innocent.logged.acked_seq <= before:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    server = ServerProcess(folder / "data")
    await asyncio.to_thread(server.start)
    address = (server.url.replace("http", "ws", 1) + "/ws/trainer", server.admin_token)
    innocent = HostileStream(lambda: address, Hello(run="innocent", project="p", name="n"), 1, hostility=0.0)
    running = asyncio.create_task(innocent.run())
    try:
        yield World(server, innocent)
        innocent.stop()
        await running
        await innocent.drain()
        server.stop()
        check_innocent(server, innocent.logged)
        # one connection from its first message to its last: nobody else's fault has cut it
        assert not innocent.did, innocent.did
    finally:
        running.cancel()
        server.stop()


async def answer_of(trainer: RawTrainer) -> ToTrainer:
    """The next message, whatever the trainer's session would think of it: this one sends what it likes."""
    data = await asyncio.wait_for(trainer.socket.recv(), 10)
    assert isinstance(data, bytes)
    return decode_to_trainer(data)


def check_innocent(server: ServerProcess, logged: Logged) -> None:
    evidence = collect(server.folder)
    assert check_run([logged], list(evidence.streams["innocent"].values()), evidence.points["innocent"]) == []


def schema(name: str) -> bytes:
    return encode(Schema(seq=1, series=[SeriesSpec(0, name)]))


def frame(seq: int, steps: Sequence[int], values: Sequence[float]) -> bytes:
    return encode(pack_frame(seq, np.array(steps, dtype=np.int64), [0], np.array([values])))


def frame_at(seq: int, step: int) -> bytes:
    """A frame of one point whose step may be no step at all."""
    values = struct.pack("<d", 1.0)
    try:
        crc = checksum(seq, step, 1, [0], values, b"")
    except struct.error:  # it has no place in a checksum
        crc = 0
    return encode(Frame(seq=seq, first_step=step, n=1, series=[0], values=values, crc=crc))


async def test_names(tmp_path: Path) -> None:
    async with world(tmp_path) as hostile:
        for number, (what, name) in enumerate(NAMES.items()):
            error, acked_seq = await hostile.outcome(f"name{number}", schema(name), frame(2, [0], [1.0]))
            assert error in REFUSALS or (not error and acked_seq == 2), f"{what}: {error!r}"
            listed = hostile.server.get(f"/api/runs/name{number}/series")["items"]
            assert [item["name"] for item in listed] == ([name] if not error else []), what
        broken = schema("QQQ").replace(b"QQQ", b"\xed\xa0\x80")
        assert (await hostile.outcome("surrogate", broken))[0] in REFUSALS
        await hostile.innocent_goes_on()


async def test_names_of_runs_and_projects(tmp_path: Path) -> None:
    async with world(tmp_path) as hostile:
        for what, name in NAMES.items():
            if len(name) > 10_000:
                continue
            error, _ = await hostile.outcome(name)
            assert error in ("", "bad_hello"), f"{what}: {error!r}"
        assert hostile.server.get("/api/runs")["items"]
        await hostile.innocent_goes_on()


async def test_steps(tmp_path: Path) -> None:
    async with world(tmp_path) as hostile:
        for number, (what, step) in enumerate(STEPS.items()):
            error, acked_seq = await hostile.outcome(f"step{number}", schema("x"), frame_at(2, step))
            assert (error, acked_seq) == ("", 2) if 0 <= step < 1 << 53 else error in REFUSALS, f"{what}: {error!r}"
            told, _ = await hostile.outcome(f"event{number}", encode(Event(seq=1, kind="stage", step=step)))
            assert told in {"", *REFUSALS}, f"an event at {what}: {told!r}"
        for number, seq in enumerate((0, -1, 1 << 63, (1 << 64) - 1)):
            error, acked_seq = await hostile.outcome(f"seq{number}", encode(Event(seq=1, kind="stage", step=0)))
            assert not error
            assert acked_seq == 1
            trainer = RawTrainer(hostile.server.url, hostile.server.admin_token, run=f"seq{number}")
            await trainer.connect()
            await trainer.socket.send(encode(Event(seq=seq, kind="stage", step=0)))
            answer = await answer_of(trainer)  # a repeat, a hole, or no message at all; never stored
            assert type(answer).__name__ in ("Ack", "Nack", "Refusal")
            await trainer.socket.close()
        await hostile.innocent_goes_on()


@pytest.mark.parametrize(
    ("what", "steps"),
    [
        ("the same again", [[5, 6], [5, 6], [5, 6]]),
        ("backwards", [[9], [7], [5], [3]]),
        ("jumps", [[1, 900], [2], [800]]),
    ],
)
async def test_steps_that_repeat_and_go_back_are_all_kept(tmp_path: Path, what: str, steps: list[list[int]]) -> None:
    async with world(tmp_path) as hostile:
        frames = [frame(seq, row, [float(seq)] * len(row)) for seq, row in enumerate(steps, 2)]
        assert await hostile.outcome("r", schema("x"), *frames) == ("", len(steps) + 1)
        await hostile.innocent_goes_on()
        buckets = hostile.server.get("/api/runs/r/points?series=x")["series"]["x"]
        newest = {step: float(seq) for seq, row in enumerate(steps, 2) for step in row}  # the later message counts
        assert dict(zip(buckets["step"], buckets["last"], strict=True)) == newest


async def test_a_flood_of_nan(tmp_path: Path) -> None:
    async with world(tmp_path) as hostile:
        payloads = [frame(seq, range(100 * seq, 100 * seq + 100), [float("nan")] * 100) for seq in range(2, 200)]
        assert await hostile.outcome("nan", schema("loss/total"), *payloads) == ("", len(payloads) + 1)
        await hostile.innocent_goes_on()
        buckets = hostile.server.get("/api/runs/nan/points?series=loss/total&width=50")["series"]["loss/total"]
        assert sum(buckets["nan"]) == 100 * len(payloads)
