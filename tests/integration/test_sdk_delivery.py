"""What a trainer recorded reaches a server over a real socket, whatever happens to that server."""

import asyncio
import threading
from pathlib import Path

import pytest

import lossguard as lg
from helpers import events, isolate, points, soon, spooled
from lossguard import link
from lossguard.link import LinkThread
from lossguard.protocol.messages import Frame, Nack, Sequenced, ToTrainer
from lossguard.protocol.session import WINDOW_MESSAGES
from lossguard.run import Run
from tiny_server import TinyServer


@pytest.fixture(autouse=True)
def _own_world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch, tmp_path)
    monkeypatch.setattr(link, "PUMP_S", 0.005)
    monkeypatch.setattr(link, "HEARTBEAT_S", 0.1)


def log_steps(run: Run, first: int, count: int) -> None:
    """One row a step, with an event of its own now and then so that there are many messages."""
    for step in range(first, first + count):
        run.log({"a": float(step), f"b{step % 7}": -float(step)})


def link_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "lossguard-link"}


def check_whole(messages: list[Sequenced], steps: int) -> None:
    """Each message once and in order, each value of each step there, once."""
    assert [message.seq for message in messages] == list(range(1, len(messages) + 1))
    found = points(messages)
    assert found["a"] == [(step, float(step)) for step in range(steps)]
    others = sorted(pair for name, column in found.items() if name != "a" for pair in column)
    assert others == [(step, -float(step)) for step in range(steps)]


def test_everything_arrives_once_and_the_spool_is_empty_after_it(tmp_path: Path) -> None:
    with TinyServer() as server:
        run = lg.init("proj", "name", url=server.url, token="t0ken")
        log_steps(run, 0, 500)
        run.finish()
        check_whole(server.messages, 500)
        assert [event.data["state"] for event in events(server.messages, "finish")] == ["finished"]
        assert spooled(tmp_path / "spool") == []
        (hello,) = server.hellos
        assert (hello.project, hello.name, hello.run, hello.rank, hello.attempt) == ("proj", "name", run.id, 0, 0)
        assert server.authorizations == ["Bearer t0ken"]
        assert {beat.state for beat in server.beats} <= {"running", "finished"}


def test_without_a_server_training_goes_on_and_the_spool_keeps_everything(tmp_path: Path) -> None:
    with TinyServer() as server:
        url = server.url  # nobody will answer there
    before = link_threads()
    run = lg.init(url=url)
    log_steps(run, 0, 200)
    run.finish(timeout_s=0.3)
    check_whole(spooled(tmp_path / "spool"), 200)
    assert link_threads() == before


def test_a_server_that_comes_later_gets_everything(tmp_path: Path) -> None:
    with TinyServer() as early:
        port = early.port
    run = lg.init(url=f"http://127.0.0.1:{port}")
    log_steps(run, 0, 100)
    soon(lambda: sum(path.stat().st_size for path in (tmp_path / "spool").iterdir()) > 5000, "the rows are spooled")
    with TinyServer(port) as server:
        soon(lambda: server.messages, "the trainer comes by itself")
        log_steps(run, 100, 100)
        run.finish()
        check_whole(server.messages, 200)


def test_a_server_that_comes_while_the_run_ends_gets_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """A finish gets one more try: a link that rests between two attempts makes it at once."""
    rests, is_up = threading.Event(), threading.Event()

    async def rest(self: LinkThread, seconds: float) -> None:
        rests.set()
        while not is_up.is_set():
            await asyncio.sleep(0.01)

    monkeypatch.setattr(LinkThread, "_sleep", rest)
    with TinyServer() as early:
        port = early.port
    run = lg.init(url=f"http://127.0.0.1:{port}")
    log_steps(run, 0, 100)
    assert rests.wait(20)  # a finish that meets the first attempt would not wait for a server that never answered
    ending = threading.Thread(target=run.finish, daemon=True)
    ending.start()
    with TinyServer(port) as server:
        is_up.set()
        ending.join(20)
        check_whole(server.messages, 100)


@pytest.mark.parametrize("deaths", [1, 4])
def test_a_server_that_dies_and_comes_back_has_each_message_once(deaths: int) -> None:
    journal: dict[tuple[str, int, int], list[Sequenced]] = {}
    server = TinyServer(0, journal).__enter__()
    run = lg.init(url=server.url)
    for life in range(deaths):
        before = len(next(iter(journal.values()), []))
        log_steps(run, 60 * life, 60)
        soon(lambda: len(next(iter(journal.values()), [])) > before + 5, "the server takes some")  # noqa: B023
        server.die()
        server = TinyServer(server.port, journal).__enter__()
    log_steps(run, 60 * deaths, 60)
    run.finish()
    server.die()
    check_whole(server.messages, 60 * (deaths + 1))


@pytest.mark.parametrize("dies_after", [1, 2, 3, 40, 64, 65, 100])
def test_a_connection_that_breaks_between_accept_and_commit(dies_after: int) -> None:
    with TinyServer() as server:
        server.dies_after = dies_after
        run = lg.init(url=server.url)
        log_steps(run, 0, 100)
        run.finish()
        assert len(server.hellos) == 2
        check_whole(server.messages, 100)


@pytest.mark.parametrize("nack_at", [1, 2, 30, 90])
def test_a_hole_is_filled_on_the_same_connection(nack_at: int) -> None:
    with TinyServer() as server:
        server.nack_at = nack_at
        run = lg.init(url=server.url)
        log_steps(run, 0, 100)
        run.finish()
        assert len(server.hellos) == 1
        check_whole(server.messages, 100)


def test_acknowledgements_that_were_lost_are_made_up_for_by_the_next_welcome(tmp_path: Path) -> None:
    with TinyServer() as server:
        server.acknowledges = False
        run = lg.init(url=server.url)
        log_steps(run, 0, 10)
        soon(lambda: len(server.messages) > 10, "the server has some")
        assert list((tmp_path / "spool").iterdir())
        server.die()
        with TinyServer(server.port, server.journal) as again:
            log_steps(run, 10, 10)
            run.finish()
            check_whole(again.messages, 20)


def test_a_server_that_never_acknowledges_gets_one_window_and_no_more(tmp_path: Path) -> None:
    with TinyServer() as server:
        server.acknowledges = False
        run = lg.init(url=server.url)
        log_steps(run, 0, 300)
        soon(lambda: len(server.messages) >= WINDOW_MESSAGES, "the window is full")
        beats = len(server.beats)
        soon(lambda: len(server.beats) > beats + 2, "the trainer goes on with its heartbeats")
        assert len(server.messages) == WINDOW_MESSAGES
        assert server.beats[-1].points_queued > 0
        run.finish(timeout_s=0.3)
    check_whole(spooled(tmp_path / "spool"), 300)


def test_a_server_that_stops_reading_stops_nobody(tmp_path: Path) -> None:
    with TinyServer() as server:
        server.reads = False
        before = link_threads()
        run = lg.init(url=server.url)
        soon(lambda: server.hellos, "the trainer is connected")
        wide = {f"wide/{i}": 0.5 for i in range(4000)}
        for _ in range(300):  # 10 MB, more than the sockets hold
            assert run.boundary()
            run.log(wide)
        run.finish(timeout_s=0.3)
        assert server.messages == []
    frames = [message for message in spooled(tmp_path / "spool") if isinstance(message, Frame)]
    assert sum(frame.n for frame in frames if len(frame.series) == 4000) == 300
    assert link_threads() == before


def test_two_runs_at_once_do_not_mix() -> None:
    with TinyServer() as server:
        runs = [lg.init(name=f"r{i}", url=server.url) for i in range(3)]
        for step in range(50):
            for run in runs:
                run.log({"a": float(step), f"b{step % 7}": -float(step)})
        for run in runs:
            run.finish()
        assert len(server.journal) == 3
        for messages in server.journal.values():
            check_whole(messages, 50)


def test_a_nack_outside_the_window_costs_a_connection_and_nothing_else() -> None:
    with TinyServer() as server:
        run = lg.init(url=server.url)
        log_steps(run, 0, 20)
        soon(lambda: len(server.messages) > 10, "the server has some")
        lie: ToTrainer = Nack(expected=10**9)
        server.send(lie)
        log_steps(run, 20, 20)
        run.finish()
        check_whole(server.messages, 40)


def test_two_runs_that_took_one_identity_both_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    """A restart that did not raise TORCHELASTIC_RESTART_COUNT: the second process is a new attempt, nothing is lost."""
    monkeypatch.setattr("lossguard.identity.run_id", lambda *names: "same")
    with TinyServer() as server:
        for value in (1.0, 2.0):
            run = lg.init(url=server.url)
            for _ in range(30):
                run.log({"a": value})
            run.finish()
        assert [hello.attempt for hello in server.hellos] == [0, 0, 1]
        assert [[value for _, value in points(stream)["a"]] for stream in server.journal.values()] == [
            [1.0] * 30, [2.0] * 30,
        ]  # fmt: skip
