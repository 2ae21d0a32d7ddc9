"""What stands in place of a message that is not there, what is said of it, and what a link says when it ends."""

import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lossguard.buffer import SampleBuffer
from lossguard.complaints import KINDS_MAX, WORDS_MAX, Complaints
from lossguard.encoder import Encoder
from lossguard.environment import Endpoint
from lossguard.link import LinkThread, Status
from lossguard.outgoing import HOLDS_SAID_MAX, SET_BACK, Outgoing
from lossguard.protocol.codec import decode_sequenced
from lossguard.protocol.messages import Event, Hello, Hold, Refusal, Schema
from lossguard.protocol.session import State
from lossguard.spool import Spool

HELLO = Hello(run="r", project="p", name="n")


def filled(folder: Path, count: int) -> Spool:
    spool = Spool(folder, HELLO)
    for seq in range(1, count + 1):
        spool.append(Event(seq=seq, kind="gap", step=seq))
    return spool


def link_of(spool: Spool, endpoint: Callable[[], Endpoint] | None = None) -> LinkThread:
    """One that was never started."""
    return LinkThread(
        HELLO, SampleBuffer(), Encoder(), spool, lambda: Status("running", 0, 0.0), lambda command: None, endpoint
    )


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_all_that_was_forgotten_is_one_gap_when_a_server_asks_for_it_again(tmp_path: Path) -> None:
    spool = filled(tmp_path, 9)
    outgoing = Outgoing(spool, Complaints(tmp_path))
    outgoing.begin(0)
    outgoing.acknowledged(9)
    outgoing.begin(2)
    first, *others = [decode_sequenced(outgoing.message(seq)) for seq in range(3, 10)]
    assert isinstance(first, Event)
    assert (first.data["reason"], first.data["seqs"]) == (SET_BACK, [3, 9])
    assert others == [Schema(seq=seq, series=[]) for seq in range(4, 10)]


def test_a_hostile_server_fills_neither_memory_nor_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool = filled(tmp_path, 400)
    outgoing = Outgoing(spool, Complaints(tmp_path))
    for seq in range(1, 400):
        for _ in range(3):
            refusal = Refusal(error=f"e{seq}", message=f"{seq}" + "y" * 50_000, hint="z" * 50_000, seq=seq)
            outgoing.refused(refusal)
        outgoing.hold(Hold(error="x" * 50_000, message="y" * 50_000, hint="z" * 50_000))
        outgoing.hold(Hold(error=""))
    texts = said(caplog)
    assert len(texts) <= KINDS_MAX + HOLDS_SAID_MAX + 2
    assert max(map(len, texts)) < 3 * WORDS_MAX + 200
    assert not outgoing.is_held
    spool.close()


def test_one_kind_is_said_once_whatever_its_text(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    complaints = Complaints(tmp_path)
    for number in range(5):
        complaints(f"text {number}", "a hint", "a kind")
    complaints("another" + "y" * 10_000, "z" * 10_000)
    assert max(map(len, said(caplog))) < 2 * WORDS_MAX + 300
    assert [text.split(" (")[0] for text in said(caplog)] == [
        "lossguard: text 0",
        "lossguard: another" + "y" * (WORDS_MAX - 7),
    ]


def test_a_stream_that_is_held_leaves_no_room_for_another(tmp_path: Path) -> None:
    spool = filled(tmp_path, 1)
    link = link_of(spool)
    assert not link._flows()
    link._session.state = State.STREAMING
    assert link._flows()
    link._outgoing.hold(Hold(error="disk_full"))
    assert not link._flows()
    link._outgoing.hold(Hold(error=""))
    assert link._flows()
    spool.close()


@pytest.mark.parametrize("is_online", [False, True])
def test_the_end_says_what_is_on_disk_and_what_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, is_online: bool
) -> None:
    caplog.set_level(logging.INFO, "lossguard")
    spool = filled(tmp_path, 3)

    def refuse(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", refuse)
    for seq in range(4, 9):
        spool.append(Event(seq=seq, kind="gap", step=seq))
    link_of(spool, (lambda: Endpoint("ws://127.0.0.1:1", "", False)) if is_online else None).finish(0.1)
    left, lost = caplog.records[-2:]
    assert left.getMessage() == f"lossguard: 3 messages are in {tmp_path}; `lossguard sync` delivers them."
    assert left.levelno == (logging.WARNING if is_online else logging.INFO)
    assert lost.getMessage().startswith("lossguard: 5 messages are lost")
    assert lost.levelno == logging.WARNING
    spool.close()
