"""Servers that refuse, lie or talk nonsense: said once, no storm of attempts, nothing lost."""

import logging
import random
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import lossguard as lg
from helpers import events, isolate, points, soon, spooled
from lossguard import link
from lossguard.protocol.codec import encode
from lossguard.protocol.messages import MAX_MESSAGE_BYTES, Ack, Event, Hello, Refusal, Welcome
from tiny_server import TinyServer


@pytest.fixture(autouse=True)
def _own_world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch, tmp_path)
    monkeypatch.setattr(link, "PUMP_S", 0.005)


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == "lossguard" and r.levelno >= logging.WARNING]


def sleepless(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """No pause between two connections; returns how long each would have been at most."""
    delays_s: list[float] = []

    async def sleep(self: link.LinkThread, seconds: float) -> None:
        delays_s.append(seconds)

    monkeypatch.setattr(link.LinkThread, "_sleep", sleep)
    monkeypatch.setattr("random.Random.uniform", lambda self, low, high: high)
    return delays_s


def test_a_wrong_token_is_said_once_and_tried_again_only_now_and_then(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with TinyServer() as server:
        server.token = "right"
        run = lg.init(url=server.url, token="wrong")
        soon(lambda: warnings_in(caplog), "the refusal is said")
        for step in range(100):
            run.log({"a": float(step)})
        run.finish(timeout_s=5)
        assert set(server.authorizations) == {"Bearer wrong"}
        assert len(server.authorizations) <= 5
    refused, left = warnings_in(caplog)
    assert "refuses this trainer: HTTP 401" in refused
    assert "set LOSSGUARD_TOKEN to a token with the scope 'ingest'" in refused
    assert "`lossguard sync` delivers them" in left
    assert len(points(spooled(tmp_path / "spool"))["a"]) == 100


def test_no_token_is_no_header() -> None:
    with TinyServer() as server:
        lg.init(url=server.url).finish()
        assert server.authorizations == [None]


def test_a_redirect_does_not_carry_the_token_elsewhere() -> None:
    with TinyServer() as other, TinyServer() as server:
        server.redirect_to = f"ws://127.0.0.1:{other.port}/ws/trainer"
        run = lg.init(url=server.url, token="t0ken")
        soon(lambda: server.authorizations, "the trainer asks")
        run.finish(timeout_s=0.5)
        assert server.authorizations[0] == "Bearer t0ken"
        assert "Bearer t0ken" not in other.authorizations


def test_a_final_refusal_is_said_with_its_hint_and_ends_the_attempts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with TinyServer() as server:
        server.refusal = Refusal(error="protocol_version", message="You are too new.", hint="Install 1.0.")
        run = lg.init(url=server.url)
        run.log({"a": 1.0})
        soon(lambda: warnings_in(caplog), "the refusal is said")
        run.log({"a": 2.0})
        run.finish(timeout_s=5)
        assert len(server.hellos) == 1
    assert "refuses this stream: You are too new. (Install 1.0.)" in warnings_in(caplog)[0]
    assert points(spooled(tmp_path / "spool"))["a"] == [(0, 1.0), (1, 2.0)]


def test_a_refusal_for_now_is_tried_again_until_it_is_over(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "BACKOFF_FIRST_S", 0.05)
    with TinyServer() as server:
        server.refusal = Refusal(error="replaced", message="Somebody else is here.", retry=True)
        run = lg.init(url=server.url)
        run.log({"a": 1.0})
        soon(lambda: len(server.hellos) >= 3, "the trainer tries again")
        server.refusal = None
        run.finish()
        assert points(server.messages)["a"] == [(0, 1.0)]
    assert len(warnings_in(caplog)) == 1


@pytest.mark.parametrize("error", ["replaced", "journal_damaged", "database_damaged"])
def test_a_refusal_that_others_can_heal_is_tried_again_now_and_then(
    error: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An orphan's round, a restart, a repair end such a refusal; two trainers that fight must not do it fast."""
    delays_s = sleepless(monkeypatch)
    with TinyServer() as server:
        run = lg.init(url=server.url)
        run.log({"a": 1.0})
        soon(lambda: points(server.messages), "the row is there")
        server.refusal = refusal = Refusal(error=error, message="Somebody else is here.")
        server.send(refusal)
        soon(lambda: len(server.hellos) >= 4, "the trainer tries again")
        server.refusal = None
        run.log({"a": 2.0})
        soon(lambda: len(points(server.messages)["a"]) == 2, "it goes on")
        run.finish()
    assert set(delays_s[:3]) == {link.BACKOFF_MAX_S}
    (text,) = warnings_in(caplog)
    assert "refuses this stream: Somebody else is here." in text


def test_an_end_does_not_wait_for_a_repair(caplog: pytest.LogCaptureFixture) -> None:
    with TinyServer() as server:
        server.refusal = Refusal(error="journal_damaged", message="It is damaged.")
        run = lg.init(url=server.url)
        soon(lambda: warnings_in(caplog), "the refusal is said")
        began_s = time.monotonic()
        run.finish(timeout_s=60)
        assert time.monotonic() - began_s < 30
        assert len(server.hellos) <= 3


def test_a_message_that_is_replaced_is_worth_a_quick_next_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    delays_s = sleepless(monkeypatch)
    with TinyServer() as server:
        server.refuses = lambda m: (
            Refusal(error="bad_name", message="m") if isinstance(m, Event) and m.kind == "finish" else None
        )
        run = lg.init(url=server.url)
        run.finish()
        assert [event.data["seqs"] for event in events(server.messages, "gap")]
    first_s = link.BACKOFF_FIRST_S
    assert delays_s[:3] == [first_s, 2 * first_s, first_s]


GARBAGE = {
    "noise": b"\xc1\xff\x00garbage",
    "nothing": b"",
    "a message for the other side": encode(Hello(run="r", project="p", name="n")),
    "a second welcome": encode(Welcome(last_seq=0)),
    "an acknowledgement of what was never sent": encode(Ack(seq=10**12)),
    "too long": b"\x00" * (MAX_MESSAGE_BYTES + 1),
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_is_survived_and_said_once(
    garbage: bytes, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "BACKOFF_FIRST_S", 0.05)
    with TinyServer() as server:
        server.garbage, server.acknowledges = garbage, False
        run = lg.init(url=server.url)
        run.log({"a": 1.0})
        soon(lambda: len(server.hellos) >= 3, "the trainer tries again")
        server.garbage, server.acknowledges = None, True
        run.log({"a": 2.0})
        run.finish()
        assert points(server.messages)["a"] == [(0, 1.0), (1, 2.0)]
    assert len(warnings_in(caplog)) <= 1


def test_text_from_the_server_is_not_for_us() -> None:
    with TinyServer() as server:
        run = lg.init(url=server.url)
        soon(lambda: server.messages, "the trainer is connected")
        server.send_text("<html>")
        run.log({"a": 1.0})
        run.finish()
        assert len(server.hellos) == 1
        assert points(server.messages)["a"] == [(0, 1.0)]


def test_attempts_that_bring_nothing_forward_become_rare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that welcomes and then talks nonsense is no reason for ten connections a second."""
    delays_s = sleepless(monkeypatch)
    with TinyServer() as server:
        server.garbage, server.acknowledges, server.claims = b"\xc1", False, 0
        run = lg.init(url=server.url)
        soon(lambda: len(delays_s) >= 8, "the trainer tries again")
        run.finish(timeout_s=0.2)
    doubled = [min(2.0**i * link.BACKOFF_FIRST_S, link.BACKOFF_MAX_S) for i in range(1, 8)]
    assert delays_s[:7] == pytest.approx(doubled)


def test_a_welcome_beyond_what_there_is_does_not_make_the_trainer_forget(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with TinyServer() as server:
        server.claims = 10**6
        run = lg.init(url=server.url)
        run.log({"a": 1.0})
        soon(lambda: warnings_in(caplog), "the lie is said")
        server.claims = None
        run.finish()
        assert points(server.messages)["a"] == [(0, 1.0)]
    assert "It claims 1000000 messages of a stream that sent 0" in warnings_in(caplog)[0]
    assert [hello.attempt for hello in server.hellos][-1] > 0, "what another process began is not continued"


def test_what_a_server_lost_when_it_was_set_back_becomes_gaps_and_the_stream_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with TinyServer() as server:
        run = lg.init(url=server.url)
        run.log({"a": 1.0})
        soon(lambda: points(server.messages) and not list((tmp_path / "spool").iterdir()), "all is forgotten")
    with TinyServer(server.port) as emptied:
        soon(lambda: warnings_in(caplog), "it is said")
        run.log({"a": 2.0})
        run.finish()
        # the declaration and the schema are sent again as they were, for what follows needs them
        kinds = [type(message).__name__ for message in emptied.messages]
        assert kinds[0] == "Declaration"
        assert "Schema" in kinds
        gaps = [message for message in emptied.messages if isinstance(message, Event) and message.kind == "gap"]
        assert gaps
        assert "set back to an older state" in gaps[0].data["reason"]
        assert points(emptied.messages)["a"] == [(1, 2.0)]
    assert "set back to an older state" in warnings_in(caplog)[0]


def test_a_finish_does_not_wait_for_a_server_that_never_answered(tmp_path: Path) -> None:
    run = lg.init(url="http://127.0.0.1:1")
    run.log({"a": 1.0})
    began_s = time.monotonic()
    run.finish(timeout_s=60)
    assert time.monotonic() - began_s < 30, "it waited for nobody"
    assert points(spooled(tmp_path / "spool"))["a"] == [(0, 1.0)]


def test_the_training_s_random_numbers_are_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "BACKOFF_FIRST_S", 0.02)
    monkeypatch.setattr(link, "PING_S", 0.05)
    pings: list[object] = []
    real = link.ClientConnection.ping

    async def ping(self: link.ClientConnection, data: bytes) -> object:
        pings.append(data)
        return await real(self, data)

    monkeypatch.setattr(link.ClientConnection, "ping", ping)
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # type: ignore[union-attr,index]
    with TinyServer() as server:
        server.refusal = Refusal(error="replaced", message="Not now.", retry=True)
        run = lg.init(url=server.url)
        soon(lambda: len(server.hellos) >= 3, "the trainer tries again")
        server.refusal = None
        soon(lambda: len(pings) >= 3, "the trainer sends pings")
        run.finish()
    assert states == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # type: ignore[union-attr,index]
