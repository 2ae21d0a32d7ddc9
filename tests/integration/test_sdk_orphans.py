"""A living trainer delivers what dead ones left in its folder."""

import asyncio
import contextlib
import fcntl
import os
from pathlib import Path

import pytest

import lossguard as lg
from helpers import events, points, soon
from lossguard import controller, orphans
from lossguard.protocol.messages import Declaration, Refusal
from orphan_world import hurry, looking_after, one_round
from spool_damage import HELLO, check, stream, write
from tiny_server import TinyServer


@pytest.fixture(autouse=True)
def _own_world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hurry(monkeypatch, tmp_path, first_s=0.05, every_s=0.2)


def test_the_next_trainer_delivers_the_spool_of_one_that_died(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    dead = lg.init("p", "dead", mode="offline")
    for step in range(200):
        dead.log({"a": float(step), f"b{step % 5}": 0.5})
    dead.finish()
    with TinyServer() as server:
        run = lg.init("p", "living", url=server.url)
        run.log({"x": 1.0})
        soon(lambda: not list(folder.glob(f"{dead.id}*")), "the orphan is delivered and gone")
        run.log({"x": 2.0})
        run.finish()
        by_run = {key[0]: messages for key, messages in server.journal.items()}
    assert [value for _, value in points(by_run[dead.id])["a"]] == [float(step) for step in range(200)]
    assert events(by_run[dead.id], "finish")
    assert [value for _, value in points(by_run[run.id])["x"]] == [1.0, 2.0]
    assert list(folder.iterdir()) == []


def test_segments_are_deleted_as_they_are_acknowledged_and_not_before(tmp_path: Path) -> None:
    written = stream(120)
    files = write(tmp_path / "spool", written, segment_bytes=3000)
    with TinyServer() as server:
        server.acknowledges = False
        with contextlib.suppress(TimeoutError):
            asyncio.run(asyncio.wait_for(looking_after(tmp_path / "spool", server).deliver_all(), 0.5))
        assert server.messages
        assert {path.name for path in (tmp_path / "spool").iterdir()} == set(files)
        server.acknowledges = True
        one_round(tmp_path / "spool", server)
        assert check(written, server.messages, "whole") == 0
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_damaged_orphan_arrives_with_gaps_and_is_kept_aside(tmp_path: Path) -> None:
    written = stream(120)
    files = write(tmp_path / "spool", written, segment_bytes=3000)
    name = list(files)[1]
    (tmp_path / "spool" / name).write_bytes(files[name][:1000] + b"\x55" + files[name][1001:])
    with TinyServer() as server:
        one_round(tmp_path / "spool", server)
        assert check(written, server.messages, "damaged") == 1
    assert [path.name for path in (tmp_path / "spool" / "bad").iterdir()] == [name]
    assert list((tmp_path / "spool").glob("*.lgs")) == []


def test_the_living_and_what_another_delivers_are_left_alone(tmp_path: Path) -> None:
    files = write(tmp_path / "spool", stream(60), segment_bytes=3000)
    fd = os.open(tmp_path / "spool" / list(files)[-1], os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with TinyServer() as server:
        one_round(tmp_path / "spool", server)
        assert server.hellos == []
        os.close(fd)
        one_round(tmp_path / "spool", server)
        assert len(server.hellos) == 1


def test_an_orphan_for_another_server_is_left_for_it(tmp_path: Path) -> None:
    dead = lg.init("p", "dead", url="http://127.0.0.1:9", token="t")
    dead.log({"a": 1.0})
    dead.finish(timeout_s=0.1)
    with TinyServer() as server:
        one_round(tmp_path / "spool", server)
        assert server.hellos == []
    assert list((tmp_path / "spool").glob(f"{dead.id}*"))


def test_a_refused_orphan_is_left_and_told_once_and_the_next_has_its_turn(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "spool", stream(20))
    runs = [lg.init("p", f"dead{number}", mode="offline") for number in range(2)]
    for run in runs:
        run.log({"a": 1.0})
        run.finish()
    with TinyServer() as server:
        server.refusal = Refusal(error="bad_hello", message="No.", hint="Go away.")
        looked_after = looking_after(tmp_path / "spool", server)
        asyncio.run(looked_after.deliver_all())
        asyncio.run(looked_after.deliver_all())
        assert len(server.hellos) == 3
    assert len(list((tmp_path / "spool").iterdir())) == 3
    assert sum("left the spool" in record.getMessage() for record in caplog.records) == 3


def test_a_poisoned_message_of_an_orphan_is_set_aside(tmp_path: Path) -> None:
    written = stream(60)
    write(tmp_path / "spool", written)
    with TinyServer() as server:
        server.refuses = lambda message: Refusal(error="bad_frame", message="m") if message == written[30] else None
        one_round(tmp_path / "spool", server)
        assert check(written, server.messages, "poisoned") == 1
        assert len(server.hellos) == 4
    assert {path.suffix for path in (tmp_path / "spool" / "bad").iterdir()} == {".msgpack", ".txt"}
    assert list((tmp_path / "spool").glob("*.lgs")) == []


def test_two_spools_of_one_identity_both_arrive(tmp_path: Path) -> None:
    """A restart that did not raise its attempt, both offline: the second is a later attempt, not a repeat."""
    first, second = stream(40, seed=1), stream(40, seed=2)
    write(tmp_path / "spool", first)
    write(tmp_path / "spool", second)
    assert len(list((tmp_path / "spool").iterdir())) == 2
    with TinyServer() as server:
        one_round(tmp_path / "spool", server)
        assert server.journal == {("r", 0, 0): first, ("r", 0, 1): second}
    assert list((tmp_path / "spool").iterdir()) == []


@pytest.mark.parametrize("dies_after", [1, 5, 39, 40])
def test_a_delivery_that_broke_off_goes_on_where_it_was(tmp_path: Path, dies_after: int) -> None:
    written = stream(40)
    write(tmp_path / "spool", written)
    with TinyServer() as server:
        server.dies_after = dies_after
        one_round(tmp_path / "spool", server)
        one_round(tmp_path / "spool", server)
        assert server.journal == {("r", 0, 0): written}
    assert list((tmp_path / "spool").iterdir()) == []


def test_hostile_names_are_names(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    (data,) = write(folder, [Declaration(seq=1)]).values()
    for path in folder.iterdir():
        path.unlink()
    names = ["a\nb", "..", "x.y.z", "ü", "%s{}", "-rf", "a" * 150]
    for name in names:
        (folder / f"{name}.{1:020d}.lgs").write_bytes(data)
    for name in (".lgs", "x.lgs", f"x.{'9' * 20}.lgs", f"x.{'٣' * 20}.lgs", "x.1.lgs"):
        (folder / name).write_bytes(data)
    with TinyServer() as server:
        one_round(folder, server)
        assert server.hellos[0].run == HELLO.run
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [".lgs", "x.lgs", f"x.{'9' * 20}.lgs", f"x.{'٣' * 20}.lgs", "x.1.lgs"]
    )


def test_the_end_of_a_run_does_not_wait_for_an_orphan(tmp_path: Path) -> None:
    write(tmp_path / "spool", stream(3000))
    with TinyServer() as server:
        run = lg.init(url=server.url)
        soon(lambda: len(server.journal.get(("r", 0, 0), [])) > 20, "the orphan is under way")
        server.acknowledges = False
        run.finish(timeout_s=0.5)
        assert list((tmp_path / "spool").glob("r-0-0*"))


def test_a_run_that_goes_on_waits_at_its_first_boundary_for_what_its_earlier_life_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orphans, "FIRST_S", 600.0)  # for what others left
    monkeypatch.setattr(orphans, "PAUSE_S", 0.3)
    monkeypatch.setattr(controller, "QUIET_S", 0.0)
    earlier = lg.init("p", "r", mode="offline")
    assert earlier.boundary()
    state = earlier.state_dict()
    earlier.finish()
    other = lg.init("p", "other", mode="offline")
    other.finish()
    with TinyServer() as server:
        run = lg.init("p", "r", url=server.url, resume=state, resume_wait_s=60.0)
        assert run.boundary()
        assert events(server.journal[earlier.id, 0, 0], "finish"), "the word of its earlier life was waited for"
        assert not list((tmp_path / "spool").glob(f"{earlier.id}-0-0.*"))
        run.finish()


def test_what_an_earlier_life_of_the_run_left_goes_before_what_others_left(tmp_path: Path) -> None:
    runs = [lg.init("p", f"dead{number}", mode="offline") for number in range(2)]
    for run in runs:
        run.finish()
    for own in runs:
        with TinyServer() as server:
            server.refusal = Refusal(error="bad_hello", message="No.", hint="Go away.")
            looked_after = looking_after(tmp_path / "spool", server, lambda stem, own=own: stem.startswith(own.id))
            asyncio.run(looked_after.deliver_all())
            assert server.hellos[0].run == own.id


def test_what_the_server_refuses_of_an_earlier_life_is_not_waited_for(tmp_path: Path) -> None:
    dead = lg.init("p", "dead", mode="offline")
    dead.finish()
    with TinyServer() as server:
        server.refusal = Refusal(error="bad_hello", message="No.", hint="Go away.")
        looked_after = looking_after(tmp_path / "spool", server, lambda stem: stem.startswith(dead.id))
        assert looked_after.is_awaited()
        asyncio.run(looked_after.deliver_all())
        assert not looked_after.is_awaited()
    assert not looking_after(tmp_path / "spool", server).is_awaited()
