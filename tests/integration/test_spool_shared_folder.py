"""Living and dead trainers in one folder, and what delivers the dead: an orphan round, or `lossguard sync`.

Rules of this file: every test runs with both; what a server has in the end is what was written, once, under its name.
"""

import asyncio
import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

import lossguard as lg
from helpers import points, soon
from lossguard.orphans import held
from lossguard.protocol import delivery
from lossguard.protocol.messages import Event, Frame, Hello, Refusal, Schema, Sequenced
from lossguard.spool import Spool
from lossguard_server.terminal.client import Refused
from lossguard_server.terminal.sync import deliver_spools
from orphan_world import address, hurry, looking_after, one_round
from spool_damage import HELLO, stream, write
from tiny_server import TinyServer

Deliver = Callable[[Path, TinyServer], object]


def sync(folder: Path, server: TinyServer) -> list[str]:
    return list(deliver_spools(folder, server.url, ""))


both = pytest.mark.parametrize("deliver", [one_round, sync])


@pytest.fixture(autouse=True)
def _own_world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hurry(monkeypatch, tmp_path, first_s=0.01, every_s=0.05)
    monkeypatch.setattr(delivery, "BACKOFF_FIRST_S", 0.01)


@contextmanager
def living(folder: Path, run: str, written: list[Sequenced]) -> Iterator[None]:
    """A trainer that spools a stream and begins new segments all the time, until the block ends; then it dies."""
    is_over = threading.Event()

    def spools() -> None:
        spool = Spool(folder, msgspec.structs.replace(HELLO, run=run), 2000)
        for message in stream(20_000):
            if is_over.wait(0.001):
                break
            spool.append(message)
            written.append(message)
        spool.close()

    thread = threading.Thread(target=spools)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def test_a_dead_ones_delivery_takes_nothing_from_the_living_that_rotate(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    dead, y, z = stream(600), list[Sequenced](), list[Sequenced]()
    with TinyServer() as server:
        with living(folder, "y", y), living(folder, "z", z):
            write(folder, dead, segment_bytes=3000)
            run = lg.init("p", "n", url=server.url)
            soon(lambda: not list(folder.glob("r-0-0*")), "the dead one is delivered")
            count = len(z)
            soon(lambda: len(z) > count + 100, "the others go on")
            assert {key[0] for key in server.journal} == {"r", run.id}
        run.log({"x": 1.0})
        soon(lambda: not list(folder.glob("[yz]-0-0*")), "they died, and are delivered")
        run.finish()
        own = server.journal.pop((run.id, 0, 0))
        assert server.journal == {("r", 0, 0): dead, ("y", 0, 0): y, ("z", 0, 0): z}
    assert [value for _, value in points(own)["x"]] == [1.0]
    assert list(folder.iterdir()) == []


def test_a_sync_takes_nothing_from_the_living_that_rotate(tmp_path: Path) -> None:
    z: list[Sequenced] = []
    with TinyServer() as server:
        with living(tmp_path, "z", z):
            write(tmp_path, dead := stream(60))
            soon(lambda: z, "it lives")
            said = deliver_spools(tmp_path, server.url, "")
            assert "60 messages are at the server" in next(said)
            count = len(z)
            soon(lambda: len(z) > count + 100, "it has begun new segments")
            assert all("left alone" in line for line in said)
        sync(tmp_path, server)
        assert server.journal == {("r", 0, 0): dead, ("z", 0, 0): z}


def known(folder: Path, server: TinyServer, written: list[Sequenced], segment_bytes: int, acked_seq: int) -> None:
    """A dead trainer's spool of a stream that the server has welcomed, and knows up to `acked_seq`."""
    spool = Spool(folder, HELLO, segment_bytes, server=address(server))
    for message in written:
        spool.append(message)
    spool.confirm(HELLO, address(server))
    spool.acknowledged(acked_seq)
    spool.close()


@both
def test_a_restart_under_the_same_name_is_another_stream(tmp_path: Path, deliver: Deliver) -> None:
    """torchrun may repeat run, rank and attempt."""
    written = stream(60)
    with TinyServer() as server:
        known(tmp_path, server, written, 2000, 50)
        server.journal["r", 0, 0] = written[:50]
        second = Spool(tmp_path, HELLO, 2000, server=address(server))
        for message in written:
            second.append(message)
        deliver(tmp_path, server)
        assert server.journal == {("r", 0, 0): written}
        assert all(isinstance(second.find(message.seq), bytes) for message in written)
        second.close()


@both
def test_nothing_is_sent_before_the_spool_says_that_it_is_known(
    tmp_path: Path, deliver: Deliver, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, written := stream(40))
    (path,) = tmp_path.iterdir()
    path.chmod(0o400)
    real = os.open
    with TinyServer() as server:
        with monkeypatch.context() as refusing:
            refusing.setattr(os, "open", lambda *args: _refuses(real, *args))  # root may write all the same
            refusing.setattr(Path, "open", lambda self, mode, **how: _refuses_mode(self, mode, **how))
            deliver(tmp_path, server)
        assert server.journal == {("r", 0, 0): []}
        server.dies_after = 20
        for _ in range(2):
            try:
                deliver(tmp_path, server)
            except Refused:
                continue
        assert server.journal == {("r", 0, 0): written}


def _refuses(real: Callable[..., int], path: Path, flags: int, *mode: int) -> int:
    if flags & os.O_APPEND:
        raise OSError(errno.ENOSPC, "full")
    return real(path, flags, *mode)


def _refuses_mode(path: Path, mode: str, buffering: int = -1) -> object:
    if mode == "ab":
        raise OSError(errno.ENOSPC, "full")
    return open(path, mode, buffering)


def unreadable(server: TinyServer) -> Callable[[Sequenced], Refusal | None]:
    """As the real server: a frame whose series no schema names is refused."""

    def refuses(message: Sequenced) -> Refusal | None:
        (stored,) = server.journal.values()
        named = {series.id for each in stored if isinstance(each, Schema) for series in each.series}
        is_readable = not isinstance(message, Frame) or named.issuperset(message.series)
        return None if is_readable else Refusal(error="unknown_series", message=f"Series in {message.seq}.")

    return refuses


@both
def test_a_server_that_was_set_back_can_read_what_is_left(tmp_path: Path, deliver: Deliver) -> None:
    written = stream(100)
    with TinyServer() as server:
        known(tmp_path, server, written, 4000, 60)
        first = min(int(path.name.split(".")[1]) for path in tmp_path.iterdir())
        assert first > 3
        server.refuses = unreadable(server)
        deliver(tmp_path, server)
        assert server.messages[:2] == written[:2]
        assert isinstance(gap := server.messages[2], Event)
        assert gap.data["seqs"] == [3, first - 1]
        assert server.messages[first - 1 :] == written[first - 1 :]
    assert list(tmp_path.iterdir()) == []


@both
def test_frames_that_nobody_can_read_are_left_and_not_replaced_one_by_one(tmp_path: Path, deliver: Deliver) -> None:
    written = stream(40)
    files = write(tmp_path, [written[0], Event(seq=2, kind="gap", step=0), *written[2:]])  # its schema was refused
    with TinyServer() as server:
        server.refuses = unreadable(server)
        deliver(tmp_path, server)
        assert len(server.hellos) == 1
        assert len(server.messages) == 2
    assert {path.name for path in tmp_path.iterdir()} == set(files)


@both
def test_a_file_that_cannot_be_read_stops_its_own_stream_only(tmp_path: Path, deliver: Deliver) -> None:
    written = stream(60)
    first = min(write(tmp_path, written, segment_bytes=2000))
    (tmp_path / first).unlink()
    (tmp_path / first).mkdir()
    other = Spool(tmp_path, Hello(run="z", project="p", name="n"))
    for message in written:
        other.append(message)
    other.close()
    with TinyServer() as server:
        deliver(tmp_path, server)
        assert server.journal == {("r", 0, 0): [], ("z", 0, 0): written}


def test_a_server_that_says_later_is_asked_later(tmp_path: Path) -> None:
    write(tmp_path, written := stream(20))
    with TinyServer() as server:
        looking = looking_after(tmp_path, server)
        server.refusal = Refusal(error="stopping", message="It stops.", retry=True)
        asyncio.run(looking.deliver_all())
        assert len(server.hellos) == 1
        with pytest.raises(Refused, match="It stops"):
            sync(tmp_path, server)
        server.refusal = None
        asyncio.run(looking.deliver_all())
        assert server.journal == {("r", 0, 0): written}


@pytest.mark.parametrize("is_disowned", [False, True])
def test_a_forked_child_keeps_no_orphan(tmp_path: Path, is_disowned: bool) -> None:
    write(tmp_path, stream(5))
    (path,) = tmp_path.iterdir()
    (wait, go), (hear, tell) = os.pipe(), os.pipe()
    with held(path) as lock:
        assert lock is not None
        if not (pid := os.fork()):
            os.close(go)
            if is_disowned:
                lock.disown()
            os.write(tell, b"x")
            os.read(wait, 1)  # until the parent lets it go, or fails
            os._exit(0)
        os.close(tell)
        os.read(hear, 1)
        if is_disowned:
            lock.disown()  # as its death would, the parent lets go without a word
    with held(path) as again:
        is_free = again is not None
    os.close(go)
    os.waitpid(pid, 0)
    os.close(wait), os.close(hear)
    assert is_free


@both
def test_a_file_that_was_just_made_is_about_to_be_locked(tmp_path: Path, deliver: Deliver) -> None:
    write(tmp_path, stream(20))
    fresh = tmp_path / f"r-0-0.{21:020d}.lgs"
    fresh.touch()
    with TinyServer() as server:
        deliver(tmp_path, server)
        assert server.hellos == []
        os.utime(fresh, (0, 0))
        deliver(tmp_path, server)
        assert len(server.hellos) == 1
