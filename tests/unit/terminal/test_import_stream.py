"""An imported run is one stream: the same points give the same messages, and sending twice doubles nothing."""

import math

import pytest

from lossguard.protocol.codec import decode_sequenced, encode
from lossguard.protocol.frames import unpack_frame
from lossguard.protocol.messages import MAX_MESSAGE_BYTES, Declaration, Event, Frame, Hold, Refusal, Schema, Sequenced
from lossguard_server.terminal.client import Refused
from lossguard_server.terminal.importing.points import Collector, Found
from lossguard_server.terminal.importing.stream import FRAME_STEPS, ImportedStream
from lossguard_server.terminal.sending import send_stream
from tiny_server import TinyServer


def found(**series: dict[int, float]) -> Found:
    into = Collector("f.csv")
    for name, points in series.items():
        for step, value in points.items():
            into.series(name, None).add(step, value)
    return into.found("n")


LONG = {step: float(step) for step in range(3 * FRAME_STEPS + 5)}
SPARSE = {step: -0.0 for step in range(0, 3 * FRAME_STEPS, 100)} | {7: math.nan}


def stream(**series: dict[int, float]) -> ImportedStream:
    return ImportedStream(found(**series), "p", "n", "key")


def stored(messages: list[Sequenced]) -> dict[str, dict[int, str]]:
    """Every point, as words; a point that comes twice fails."""
    names: dict[int, str] = {}
    points: dict[str, dict[int, str]] = {}
    for message in messages:
        if isinstance(message, Schema):
            names.update({spec.id: spec.name for spec in message.series})
        elif isinstance(message, Frame):
            steps, columns = unpack_frame(message)
            for number, column in zip(message.series, columns.tolist(), strict=True):
                into = points.setdefault(names[number], {})
                for step, value in zip(steps.tolist(), column, strict=True):
                    assert step not in into
                    into[step] = repr(value)
    return points


def words(**series: dict[int, float]) -> dict[str, dict[int, str]]:
    return {name: {step: repr(points[step]) for step in sorted(points)} for name, points in series.items()}


def test_the_messages_hold_the_points_in_order_and_end_with_a_finish() -> None:
    made = stream(a=LONG, b=LONG, c=SPARSE)
    messages = [decode_sequenced(made.payload(seq)) for seq in range(1, len(made) + 1)]
    assert [message.seq for message in messages] == list(range(1, len(made) + 1))
    assert isinstance(messages[0], Declaration)
    assert stored(messages) == words(a=LONG, b=LONG, c=SPARSE)
    firsts = [message.first_step for message in messages if isinstance(message, Frame)]
    assert firsts == sorted(firsts)
    last = messages[-1]
    assert isinstance(last, Event)
    assert (last.kind, last.step, last.data) == ("finish", max(LONG), {"state": "finished"})


def test_very_wide_rows_and_very_long_names_fit_the_wire() -> None:
    made = stream(**{f"{'x' * 500}{index}": {0: 1.0, 1: 2.0} for index in range(10_000)})
    payloads = [made.payload(seq) for seq in range(1, len(made) + 1)]
    assert max(map(len, payloads)) < MAX_MESSAGE_BYTES
    assert len(stored([decode_sequenced(payload) for payload in payloads])) == 10_000


def test_the_id_is_that_of_the_points_and_of_nothing_else() -> None:
    ids = [
        ImportedStream(one, project, name, key).hello.run
        for one, project, name, key in (
            (found(a={1: 1.0}, b={2: 0.0}), "p", "n", "key"),
            (found(a={1: 1.0}, b={2: -0.0}), "p", "n", "key"),
            (found(a={1: 1.0}, b={3: 0.0}), "p", "n", "key"),
            (found(a={1: 1.0}, c={2: 0.0}), "p", "n", "key"),
            (found(a={1: 1.0}, b={2: 0.0}), "p", "n", "other"),
        )
    ]
    assert len(set(ids)) == 5
    assert ids[0] == ImportedStream(found(a={1: 1.0}, b={2: 0.0}), "x", "y", "key").hello.run


def test_sending_again_sends_nothing() -> None:
    made = stream(a=LONG)
    with TinyServer() as server:
        heard: list[int] = []
        assert send_stream(made, server.url, "", heard.append) == len(made)
        assert heard[-1] == len(made)
        assert send_stream(made, server.url, "", heard.append) == 0
        assert stored(server.messages) == words(a=LONG)


@pytest.mark.parametrize("accepted", [1, 2, 3, 5])
def test_a_send_that_broke_off_is_completed_by_the_next(accepted: int) -> None:
    made = stream(a=LONG, c=SPARSE)
    with TinyServer() as server:
        server.dies_after = accepted
        with pytest.raises(Refused, match="broke off") as caught:
            send_stream(made, server.url, "", lambda stored: None)
        assert "send it again" in caught.value.hint
        assert len(server.messages) == accepted - 1
        assert send_stream(made, server.url, "", lambda stored: None) == len(made) - accepted + 1
        assert stored(server.messages) == words(a=LONG, c=SPARSE)


def test_what_the_server_refuses_is_said() -> None:
    with TinyServer() as server:
        server.token = "right"
        with pytest.raises(Refused, match="refuses the token"):
            send_stream(stream(a=LONG), server.url, "wrong", lambda stored: None)
        server.token, server.refusal = "", Refusal(error="e", message="Too much.", hint="Less.")
        with pytest.raises(Refused, match="Too much") as caught:
            send_stream(stream(a=LONG), server.url, "", lambda stored: None)
        assert caught.value.hint == "Less."
        server.refusal, server.claims = None, 1_000
        with pytest.raises(Refused, match="has another run"):
            send_stream(stream(a=LONG), server.url, "", lambda stored: None)
    with pytest.raises(Refused, match="No lossguard server answers"):
        send_stream(stream(a=LONG), server.url, "", lambda stored: None)


def test_a_server_that_cannot_store_is_named_when_it_goes() -> None:
    made = stream(a=LONG)
    with TinyServer() as server:
        server.acknowledges = False
        server.garbage = encode(Hold(error="disk_full", message="The server's disk is full."))
        with pytest.raises(Refused, match=r"broke off: The server's disk is full\."):
            send_stream(made, server.url, "", lambda stored: server.die())
