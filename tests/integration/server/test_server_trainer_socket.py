"""A trainer's stream over a real socket: what is acknowledged is stored, once and in order, whatever the wire does."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from sqlmodel import Session
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from journal_reader import stored_messages
from lossguard.protocol.codec import encode
from lossguard.protocol.frames import pack_frame
from lossguard.protocol.messages import (
    Ack,
    Command,
    ControlsSpec,
    Declaration,
    Event,
    Heartbeat,
    Hello,
    Hold,
    Nack,
    Refusal,
    Schema,
    SeriesSpec,
    Welcome,
)
from raw_trainer import RawTrainer
from server_inside import Inside, running_server

T = TypeVar("T")


def some_steps(trainer: RawTrainer, frames: int = 20) -> None:
    trainer.declare(components=["ce"])
    for number in range(frames):
        trainer.frame(range(number * 5, number * 5 + 5), loss__ce=[float(number)] * 5, loss__total=[1.0] * 5)


async def test_what_is_acknowledged_is_stored_as_it_came(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer = inside.trainer()
        assert await trainer.connect() == Welcome(last_seq=0)
        some_steps(trainer)
        await trainer.deliver()
        assert stored_messages(tmp_path, "r1") == trainer.messages
        points = await inside.get("/api/runs/r1/points", series="loss/ce")
        assert points["series"]["loss/ce"]["step"] == list(range(100))
        assert points["last_step"] == 99


async def test_a_broken_connection_goes_on_where_it_stopped(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer = inside.trainer()
        for attempt in range(5):
            welcome = await trainer.connect()
            assert isinstance(welcome, Welcome)
            assert welcome.last_seq >= (0 if attempt == 0 else 1)
            some_steps(trainer, frames=3)
            await trainer.deliver()
            for message in trainer.messages[-3:]:
                await trainer.send(message)  # repeats, of which the acknowledgement is never read
            trainer.disconnect()
        assert stored_messages(tmp_path, "r1") == trainer.messages


async def test_a_repeat_is_acknowledged_and_a_hole_is_said(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer = inside.trainer()
        await trainer.connect()
        some_steps(trainer, frames=5)
        await trainer.deliver()
        await trainer.send(trainer.messages[2])
        assert await trainer.receive() == Ack(seq=len(trainer.messages))
        await trainer.send(Event(seq=99, kind="gap", step=1))
        assert await trainer.receive() == Nack(expected=len(trainer.messages) + 1, reason="hole")
        trainer.event("gap", 1)
        await trainer.deliver()
        assert stored_messages(tmp_path, "r1") == trainer.messages


async def test_a_newer_connection_of_a_stream_takes_over(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        first, second = inside.trainer(), inside.trainer()
        await first.connect()
        some_steps(first)
        await first.deliver()
        second.messages = first.messages
        assert await second.connect() == Welcome(last_seq=len(first.messages))
        refusal = await first.receive()
        assert isinstance(refusal, Refusal)
        assert (refusal.error, refusal.retry) == ("replaced", False)
        second.event("finish", 99)
        await second.deliver()
        assert (await inside.get("/api/runs/r1"))["state"] == "finished"


async def test_many_trainers_at_once_lose_nothing(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainers = [inside.trainer(f"r{number}") for number in range(10)]

        async def train(trainer: RawTrainer) -> None:
            await trainer.connect()
            some_steps(trainer, frames=200)
            await trainer.deliver()

        await asyncio.gather(*map(train, trainers))
        for trainer in trainers:
            assert stored_messages(tmp_path, trainer.hello.run) == trainer.messages


DAMAGED = pack_frame(3, np.array([5]), [0], np.array([[1.0]]))
DAMAGED_BYTES = encode(DAMAGED).replace(DAMAGED.values, bytes(8))
BAD = [
    (b"not msgpack", "bad_message", False),
    (b"", "bad_message", False),
    ("a text", "bad_message", False),
    (encode(Hello(run="r1", project="p", name="n")), "bad_message", False),
    (DAMAGED_BYTES, "bad_frame", True),
    (encode(pack_frame(3, np.array([5]), [7], np.array([[1.0]]))), "unknown_series", False),
    (encode(Schema(seq=3, series=[SeriesSpec(1, "a\nb")])), "bad_name", False),
    (encode(Event(seq=3, kind="party", step=1)), "bad_message", False),
]

UNNUMBERED = [bad for bad, _, _ in BAD[:4]]
BAD.append((encode(Event(seq=3, kind="stage", step=1)).replace(b"step", b"stop"), "bad_message", False))


@pytest.mark.parametrize(("bad", "error", "retry"), BAD, ids=[f"{error}-{n}" for n, (_, error, _) in enumerate(BAD)])
async def test_a_bad_message_is_refused_after_what_came_before_is_stored(
    tmp_path: Path, bad: bytes | str, error: str, retry: bool
) -> None:
    async with running_server(tmp_path) as inside:
        trainer = inside.trainer()
        await trainer.connect()
        trainer.frame([1], a=[1.0])
        for message in trainer.messages:
            await trainer.send(message)
            trainer.session.sent(message.seq)
        await trainer.socket.send(bad)
        trainer.session.sent(3)
        refusal = await trainer.expect(Refusal)
        assert (refusal.error, refusal.retry) == (error, retry)
        assert refusal.seq == (0 if bad in UNNUMBERED else 3)
        assert refusal.message
        assert refusal.hint
        with pytest.raises(ConnectionClosed):
            await trainer.socket.recv()
        assert trainer.session.acked_seq == 2, "what came before the fault is acknowledged before the refusal"
        assert stored_messages(tmp_path, "r1") == trainer.messages
        await other_runs_go_on(inside)


async def other_runs_go_on(inside: Inside) -> None:
    other = inside.trainer("r2")
    await other.connect()
    some_steps(other)
    await other.deliver()


@pytest.mark.parametrize(
    ("hello", "error"),
    [({"protocol": "9.0"}, "protocol_version"), ({"run": "a/b"}, "bad_hello"), ({"rank": 3}, "bad_hello")],
)
async def test_a_hello_that_cannot_be_served_is_refused(tmp_path: Path, hello: dict[str, object], error: str) -> None:
    async with running_server(tmp_path) as inside:
        refusal = await inside.trainer(**{"run": "r1", **hello}).connect()
        assert isinstance(refusal, Refusal)
        assert (refusal.error, refusal.retry) == (error, False)


async def test_a_message_that_is_too_large_ends_the_connection(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer = inside.trainer()
        await trainer.connect()
        await trainer.socket.send(b"x" * ((1 << 20) + 1))
        with pytest.raises(ConnectionClosed) as closed:
            await trainer.socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009


@pytest.mark.parametrize(
    ("token", "origin", "host", "status"),
    [("", None, None, 401), ("wrong", None, None, 401), ("view", None, None, 403),
     (None, "http://evil.example", None, 403), (None, None, "evil.example", 403)],
)  # fmt: skip
async def test_who_may_not_is_refused_before_the_handshake(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    token: str | None,
    origin: str | None,
    host: str | None,
    status: int,
) -> None:
    async with running_server(tmp_path) as inside:
        shown = await inside.token("view") if token == "view" else token
        port = int(inside.url.rpartition(":")[2])
        monkeypatch.setattr(logging.getLogger("uvicorn"), "propagate", True)
        with pytest.raises(InvalidStatus) as refused:
            await connect(
                f"ws://{host or '127.0.0.1'}:{port}/ws/trainer",
                host="127.0.0.1",  # where the name leads, as a rebinding DNS server would have it
                subprotocols=[Subprotocol("lossguard.1")],
                origin=None if origin is None else Origin(origin),
                additional_headers={"Authorization": f"Bearer {inside.ingest_token if shown is None else shown}"},
                proxy=None,
            )
        assert refused.value.response.status_code == status
        assert b'"hint"' in (refused.value.response.body or b"")
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [], "it is no fault of ours"


async def test_a_trainer_that_leaves_at_once_is_not_counted(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        for _ in range(20):
            trainer = inside.trainer()
            await trainer.start_to_connect()
            trainer.disconnect()
        last = inside.trainer()
        await last.connect()
        await last.socket.close()
        async with asyncio.timeout(5):
            while (await inside.get("/api/runs/r1"))["connected"]:
                await asyncio.sleep(0)


async def test_a_full_disk_holds_a_trainer_which_still_obeys_and_loses_nothing(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer, delivering = await fill_the_disk(inside)
        hold = await until(lambda: next((message for message in trainer.others if isinstance(message, Hold)), None))
        assert (hold.error, bool(hold.message), bool(hold.hint)) == ("disk_full", True, True)
        acked = trainer.session.acked_seq
        assert stored_messages(tmp_path, "r1") == trainer.messages[:acked]
        assert (await inside.get("/api/runs/r1"))["step"] is not None, "viewers are still served"
        health = await inside.get("/healthz")
        assert (health["status"], "disk is full" in health["reason"]) == ("degraded", True)
        limit_pages(inside, 3)  # as much as the ballast leaves: a command is small
        await inside.http.post("/api/runs/r1/commands", json={"kind": "stop", "args": {}, "idempotency_key": "k"})
        await until(lambda: any(isinstance(message, Command) for message in trainer.others))
        limit_pages(inside, 1_000_000)
        await asyncio.wait_for(delivering, 10)
        assert [message.error for message in trainer.others if isinstance(message, Hold)] == ["disk_full", ""]
        assert stored_messages(tmp_path, "r1") == trainer.messages
        async with asyncio.timeout(10):
            while (await inside.get("/healthz"))["status"] != "ok":
                await asyncio.sleep(0)


async def test_a_full_disk_refuses_a_trainer_that_knows_no_hold(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer, delivering = await fill_the_disk(inside, protocol="1.1")
        with pytest.raises(ConnectionClosed):
            await delivering
        assert trainer.session.refusal is not None
        assert (trainer.session.refusal.error, trainer.session.refusal.retry) == ("disk_full", True)
        assert stored_messages(tmp_path, "r1") == trainer.messages[: trainer.session.acked_seq]


async def test_a_server_that_stops_while_the_disk_is_full_does_not_wait(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer, delivering = await fill_the_disk(inside)
        await until(lambda: trainer.others)
        inside.assembly._stopping.set()
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(delivering, 5)
        assert stored_messages(tmp_path, "r1") == trainer.messages[: trainer.session.acked_seq]


async def fill_the_disk(inside: Inside, **hello: object) -> tuple[RawTrainer, "asyncio.Task[None]"]:
    """A trainer that is delivering more than there is room for."""
    trainer = inside.trainer(**hello)
    await trainer.connect()
    some_steps(trainer)
    trainer.messages[0] = Declaration(seq=1, components=["ce"], controls=ControlsSpec(kinds=["stop"]))
    await trainer.deliver()
    limit_pages(inside, 3)
    for number in range(60):
        trainer.frame(range(200 + number * 100, 300 + number * 100), loss__ce=[1.0] * 100, loss__total=[1.0] * 100)
    return trainer, asyncio.create_task(trainer.deliver())


async def until(found: Callable[[], T]) -> T:
    """What `found` says, as soon as it is something."""
    async with asyncio.timeout(10):
        while not (value := found()):
            await asyncio.sleep(0)
        return value


def limit_pages(inside: Inside, more: int) -> None:
    """SQLite says SQLITE_FULL beyond its page limit as it does on a full disk."""

    def limit(session: Session) -> None:
        pages = session.connection().exec_driver_sql("PRAGMA page_count").scalar_one()
        session.connection().exec_driver_sql(f"PRAGMA max_page_count={pages + more}")

    inside.assembly._writer.submit(limit).result(10)


async def test_the_view_follows_the_trainer(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer = inside.trainer()
        await trainer.connect()
        assert (await inside.get("/api/runs/r1"))["state"] == "waiting"
        some_steps(trainer, frames=2)
        trainer.event("gap", 5, **{"from": 1, "to": 2, "reason": "full"})
        await trainer.deliver()
        await trainer.send(Heartbeat(state="paused", step=9, points_queued=3, points_dropped=4))
        await trainer.send(trainer.messages[0])  # its acknowledgement says that the heartbeat was read
        await trainer.receive()
        run = await inside.get("/api/runs/r1")
        wanted = {"state": "paused", "connected": True, "step": 9, "gaps": 1, "points_queued": 3, "points_dropped": 4}
        assert {key: run[key] for key in wanted} == wanted
        assert [event["kind"] for event in await inside.items("/api/runs/r1/events")] == ["gap"]
