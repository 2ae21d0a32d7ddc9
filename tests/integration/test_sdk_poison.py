"""A message that a server will not take, a server that cannot store, a spool that is damaged: the stream goes on."""

import logging
from pathlib import Path

import pytest

import lossguard as lg
from helpers import events, isolate, points, soon, spooled
from lossguard import link
from lossguard.protocol.messages import Event, Frame, Hold, Refusal, Schema, Sequenced
from tiny_server import TinyServer


@pytest.fixture(autouse=True)
def _own_world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch, tmp_path)
    monkeypatch.setattr(link, "PUMP_S", 0.005)
    monkeypatch.setattr(link, "BACKOFF_FIRST_S", 0.02)


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == "lossguard" and r.levelno >= logging.WARNING]


def refusal(message: str = "I do not like it.", retry: bool = False) -> Refusal:
    return Refusal(error="bad_name", message=message, hint="Mend it.", retry=retry)


@pytest.mark.parametrize("retry", [False, True])
def test_a_frame_that_is_refused_three_times_becomes_a_gap_and_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, retry: bool
) -> None:
    with TinyServer() as server:
        tries: list[int] = []

        def refuses(message: Sequenced) -> Refusal | None:
            if isinstance(message, Frame) and message.first_step <= 20 < message.first_step + message.n:
                tries.append(message.seq)
                return refusal(retry=retry)
            return None

        server.refuses = refuses
        run = lg.init(url=server.url)
        for step in range(60):
            run.log({"a": float(step), f"b{step % 3}": 0.5})
        run.finish()
        messages = server.messages
    (gap,) = events(messages, "gap")
    assert (tries, len(server.hellos)) == ([gap.seq] * 3, 4)
    assert gap.data["seqs"] == [gap.seq, gap.seq]
    assert gap.data["from"] <= 20 <= gap.data["to"]
    assert "the server refused this message 3 times: I do not like it. (bad_name)" in gap.data["reason"]
    found = [step for step, _ in points(messages)["a"]]
    assert gap.data["points"] >= 2
    assert sorted({*found, 20}) == list(range(60))
    kept = sorted(path.name.rpartition(".")[2] for path in (tmp_path / "spool" / "bad").iterdir())
    assert kept == ["msgpack", "txt"]
    assert spooled(tmp_path / "spool") == []
    assert sum("3 times" in text for text in warnings_in(caplog)) == 1


def test_a_schema_that_is_refused_takes_its_series_along_and_nothing_else() -> None:
    with TinyServer() as server:
        server.refuses = lambda m: (
            refusal() if isinstance(m, Schema) and any(s.name == "bad" for s in m.series) else None
        )
        run = lg.init(url=server.url)
        run.log({"a": 0.0})
        soon(lambda: server.messages, "the first row is there")
        for step in range(1, 30):
            run.log({"a": float(step), "bad": 1.0})
        run.finish()
        assert points(server.messages)["a"] == [(step, float(step)) for step in range(30)]
        assert len(server.hellos) == 4
    assert len(events(server.messages, "gap")) == 1


def test_a_server_that_refuses_even_the_gap_gets_a_number_that_says_nothing() -> None:
    with TinyServer() as server:
        seqs: set[int] = set()

        def refuses(message: Sequenced) -> Refusal | None:
            if isinstance(message, Event) and message.kind == "stage":
                seqs.add(message.seq)
            is_gap = isinstance(message, Event) and message.kind == "gap"
            return refusal() if message.seq in seqs and (is_gap or not isinstance(message, Schema)) else None

        server.refuses = refuses
        run = lg.init(url=server.url)
        for step in run.steps(range(20)):
            run.log({"a": float(step)})
        run.finish()
        assert [message.seq for message in server.messages] == list(range(1, len(server.messages) + 1))
        assert len(points(server.messages)["a"]) == 20
        assert seqs


def test_a_refusal_of_a_message_that_was_never_sent_is_a_fault_of_the_server(caplog: pytest.LogCaptureFixture) -> None:
    with TinyServer() as server:
        run = lg.init(url=server.url)
        run.log({"a": 1.0})
        soon(lambda: points(server.messages), "the row is there")
        server.send(Refusal(error="bad_name", message="m", seq=10**12))
        run.log({"a": 2.0})
        run.finish()
        assert [value for _, value in points(server.messages)["a"]] == [1.0, 2.0]
    assert "which is not under way" in warnings_in(caplog)[0]


def test_a_hold_is_said_once_and_when_it_is_over_and_everything_else_goes_on(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "HEARTBEAT_S", 0.05)
    with TinyServer() as server:
        server.acknowledges = False
        run = lg.init(url=server.url)
        soon(lambda: server.messages, "the trainer is connected")
        hold = Hold(error="disk_full", message="The disk is full.", hint="Make room.")
        server.send(hold)
        server.send(hold)
        beats = len(server.beats)
        soon(lambda: len(server.beats) > beats + 3, "heartbeats go on")
        run.log({"a": 1.0})
        soon(lambda: points(server.messages), "the window is as it was")
        assert warnings_in(caplog) == ["lossguard: the server cannot store now: The disk is full. (Make room.)."]
        server.acknowledges = True
        server.send(Hold(error=""))
        run.log({"a": 2.0})
        run.finish()
        assert len(server.hellos) == 1
    assert warnings_in(caplog)[1:] == ["lossguard: the server stores again."]


def test_a_server_that_died_while_it_held_is_not_held_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    with TinyServer() as server:
        server.acknowledges = False
        run = lg.init(url=server.url)
        soon(lambda: server.messages, "the trainer is connected")
        server.send(Hold(error="disk_full", message="The disk is full.", hint="Make room."))
        soon(lambda: warnings_in(caplog), "it is said")
    with TinyServer(server.port):
        soon(lambda: len(warnings_in(caplog)) > 1, "the next one stores")
        run.finish()
    assert warnings_in(caplog)[1] == "lossguard: the server stores again."


def test_a_spool_that_is_damaged_under_a_living_trainer_costs_what_is_damaged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with TinyServer() as early:
        port = early.port  # nobody answers there for now
    run = lg.init(url=f"http://127.0.0.1:{port}")
    for step in range(100):
        run.log({"a": float(step), f"b{step % 7}": 0.5})
    folder = tmp_path / "spool"
    soon(lambda: sum(path.stat().st_size for path in folder.glob("*.lgs")) > 8000, "the rows are spooled")
    (path,) = folder.glob("*.lgs")
    with path.open("r+b") as file:
        file.seek(5000)
        damaged = file.read(1)
        file.seek(5000)
        file.write(bytes([damaged[0] ^ 4]))
    with TinyServer(port) as server:
        run.finish()
        (gap,) = events(server.messages, "gap")
        assert gap.data["reason"] == "the trainer's spool is damaged"
        found = points(server.messages)["a"]
        lost = set(range(100)) - {step for step, _ in found}
        assert all(value == step for step, value in found)
        assert lost
        assert lost <= set(range(gap.data["from"], gap.data["to"] + 1))
    assert [kept.name for kept in (folder / "bad").iterdir()] == [path.name]
    assert sum("spool is damaged" in text for text in warnings_in(caplog)) == 1
