"""`lossguard sync` against a real socket: holes, damage, refusals, and spools that are not to be touched."""

from pathlib import Path

import pytest

from lossguard.protocol.messages import Hello, Refusal
from lossguard_server.terminal.client import Refused
from lossguard_server.terminal.sync import deliver_spools
from spool_damage import check, stream, write
from tiny_server import TinyServer


def sync(folder: Path, server: TinyServer) -> list[str]:
    return list(deliver_spools(folder, server.url, ""))


def test_everything_arrives_and_the_folder_is_empty_after_it(tmp_path: Path) -> None:
    written = stream(300)
    write(tmp_path, written, segment_bytes=4000)
    with TinyServer() as server:
        assert sync(tmp_path, server) == ["r-0-0: 300 messages are at the server"]
        assert check(written, server.messages, "whole") == 0
        assert sync(tmp_path, server) == [f"Nothing to deliver in {tmp_path}."]
    assert list(tmp_path.iterdir()) == []


def test_a_hole_and_damage_are_recorded_and_do_not_stop_it(tmp_path: Path) -> None:
    written = stream(300)
    files = write(tmp_path, written, segment_bytes=4000)
    names = list(files)
    (tmp_path / names[2]).unlink()
    data = files[names[4]]
    (tmp_path / names[4]).write_bytes(data[:2000] + bytes([data[2000] ^ 1]) + data[2001:])
    gone = int(names[3].split(".")[1]) - int(names[2].split(".")[1])
    with TinyServer() as server:
        (said,) = sync(tmp_path, server)
        assert check(written, server.messages, "damaged") == gone + 1
    assert said == (
        "r-0-0: 300 messages are at the server; what was damaged is recorded as gaps, and 1 damaged files are in bad/"
    )
    assert [path.name for path in (tmp_path / "bad").iterdir()] == [names[4]]
    assert list(tmp_path.glob("*.lgs")) == []


def test_a_poisoned_message_is_set_aside(tmp_path: Path) -> None:
    written = stream(100)
    write(tmp_path, written)
    with TinyServer() as server:
        server.refuses = lambda message: Refusal(error="bad_frame", message="m") if message == written[49] else None
        assert "1 messages were refused and are in bad/" in sync(tmp_path, server)[0]
        assert check(written, server.messages, "poisoned") == 1


def test_two_spools_of_one_identity_both_arrive(tmp_path: Path) -> None:
    first, second = stream(40, seed=1), stream(40, seed=2)
    write(tmp_path, first)
    write(tmp_path, second)
    with TinyServer() as server:
        assert len(sync(tmp_path, server)) == 2
        assert server.journal == {("r", 0, 0): first, ("r", 0, 1): second}


def test_a_broken_connection_says_that_nothing_is_lost_and_the_next_try_goes_on(tmp_path: Path) -> None:
    written = stream(100)
    files = write(tmp_path, written, segment_bytes=3000)
    with TinyServer() as server:
        server.dies_after = 50
        with pytest.raises(Refused, match="broke off"):
            sync(tmp_path, server)
        assert {path.name for path in tmp_path.iterdir()} == set(files)
        sync(tmp_path, server)
        assert server.journal == {("r", 0, 0): written}


def test_a_server_that_talks_nonsense_is_left_after_a_few_tries(tmp_path: Path) -> None:
    files = write(tmp_path, stream(20))
    with TinyServer() as server:
        server.garbage, server.acknowledges, server.claims = b"\xc1", False, 0
        assert "skipped." in sync(tmp_path, server)[0]
        assert len(server.hellos) < 20
    assert {path.name for path in tmp_path.iterdir()} == set(files)


def test_a_file_that_is_none_does_not_stop_the_others(tmp_path: Path) -> None:
    written = stream(20)
    write(tmp_path, written)
    (tmp_path / f"junk.{1:020d}.lgs").write_bytes(b"\x00" * 100_000)
    (tmp_path / f"far.{1:020d}.lgs").write_bytes(b"")
    (tmp_path / f"far.{10**18:020d}.lgs").write_bytes(b"\x00")
    (tmp_path / "a\nb.lgs").write_bytes(b"")
    with TinyServer() as server:
        said = sync(tmp_path, server)
        assert server.journal == {("r", 0, 0): written}
    assert "'a\\nb.lgs': skipped. It is not named as a spool segment." in said
    assert sum("header is damaged" in line for line in said) == 1
    assert sum("too far apart" in line for line in said) == 1


def test_a_killed_thinning_leaves_nothing_behind(tmp_path: Path) -> None:
    written = stream(20)
    ((name, _),) = write(tmp_path, written).items()
    (tmp_path / f"{name}.new").write_bytes(b"half")
    (tmp_path / f"other.{1:020d}.lgs.new").write_bytes(b"half")
    with TinyServer() as server:
        sync(tmp_path, server)
    assert [path.name for path in tmp_path.iterdir()] == [f"other.{1:020d}.lgs.new"]


def test_a_final_refusal_leaves_the_spool(tmp_path: Path) -> None:
    files = write(tmp_path, stream(20))
    with TinyServer() as server:
        server.refusal = Refusal(error="bad_hello", message="No.", hint="Go away.")
        assert sync(tmp_path, server) == ["r-0-0: refused: No. Go away."]
    assert {path.name for path in tmp_path.iterdir()} == set(files)
    assert Hello(run="r", project="p", name="n") == server.hellos[0]
