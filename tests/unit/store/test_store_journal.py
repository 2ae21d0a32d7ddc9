"""The journal takes each message once and in order, whoever calls."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lossguard.protocol.messages import Declaration, Event
from lossguard_server.errors import OutOfOrder
from lossguard_server.store import journal
from lossguard_server.store.journal import Segment
from store_world import Store, entry, frame, opened_store, schema


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened_store(tmp_path) as opened:
        yield opened


def seqs(store: Store, stream_id: int) -> list[int]:
    return [found.seq for found in store.read(lambda session: journal.read(session, stream_id, 0, 100))]


def test_a_stream_goes_on_where_it_stopped(store: Store) -> None:
    stream = store.stream()
    assert (stream.last_seq, stream.judged_seq) == (0, 0)
    store.append(stream, schema(1, "a"), frame(2, [0], [1.0]))
    again = store.stream()
    assert (again.id, again.last_seq) == (stream.id, 2)
    assert store.stream(rank=1).id != stream.id
    assert store.stream(attempt=1).id != stream.id


@pytest.mark.parametrize("wrong", [[2], [4], [1], [3, 5], [3, 3], [3, 9, 5]])
def test_a_repeat_or_a_hole_stores_nothing(store: Store, wrong: list[int]) -> None:
    stream = store.stream()
    store.append(stream, schema(1, "a"), frame(2, [0], [1.0]))
    with pytest.raises(OutOfOrder) as refused:
        store.append(stream, *(frame(seq, [seq], [1.0]) for seq in wrong))
    assert refused.value.expected == 3
    assert seqs(store, stream.id) == [1, 2]
    store.append(stream, frame(3, [3], [1.0]))
    assert seqs(store, stream.id) == [1, 2, 3]


def test_two_appends_of_the_same_number_in_one_batch_store_one(store: Store) -> None:
    """Two connections of one stream: the fence is in the transaction, not in the callers."""
    stream = store.stream()
    first, second = (
        store.writer.submit(
            lambda session, value=value: journal.append(session, stream.id, [entry(frame(1, [0], [value]))])
        )
        for value in (1.0, 2.0)
    )
    assert first.exception(10) is None
    assert isinstance(second.exception(10), OutOfOrder)
    assert seqs(store, stream.id) == [1]


def test_what_came_is_what_is_read(store: Store) -> None:
    stream = store.stream()
    messages = [
        Declaration(seq=1, components=["ce"]),
        schema(2, "a"),
        frame(3, [7, 9], [1.0, 2.0]),
        Event(seq=4, kind="finish", step=9),
        frame(5, [10], [3.0]),
    ]
    store.append(stream, *messages)
    read = store.read(lambda session: journal.read(session, stream.id, 0, 100))
    assert read == [entry(message) for message in messages]
    assert store.read(lambda session: journal.read(session, stream.id, 3, 1)) == [entry(messages[3])]
    definitions = store.read(lambda session: journal.read_definitions(session, stream.id))
    assert [found.seq for found in definitions] == [1, 2]


def test_a_page_is_bounded_in_bytes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = store.stream()
    store.append(
        stream, schema(1, "a"), *(frame(seq, range(seq * 100, seq * 100 + 100), [1.0] * 100) for seq in range(2, 12))
    )
    monkeypatch.setattr(journal, "PAGE_BYTES", 3_000)
    pages = []
    while page := store.read(lambda session: journal.read(session, stream.id, sum(map(len, pages)), 100)):
        pages.append(page)
    assert [len(page) for page in pages] == [5, 4, 2]
    assert [found.seq for page in pages for found in page] == list(range(1, 12))


def test_the_tail_is_the_last_frames_within_steps(store: Store) -> None:
    stream = store.stream()
    store.append(stream, schema(1, "a"), *(frame(seq, [seq * 10], [1.0]) for seq in range(2, 12)))

    def tail(part: Segment, frames: int, from_step: int = 0) -> list[int]:
        found = store.read(lambda session: journal.read_tail(session, stream.id, part, frames, from_step))
        return [each.seq for each in found]

    whole, beginning, middle = Segment(0, 11, 1_000), Segment(0, 1, 1_000), Segment(5, 9, 81)
    assert tail(whole, 3) == [9, 10, 11]
    assert tail(Segment(0, 8, 1_000), 2) == [7, 8]
    assert tail(whole, 100, from_step=90) == [9, 10, 11]
    assert tail(beginning, 5) == []
    assert tail(middle, 100) == [6, 7, 8]
    newest = [store.read(lambda s, p=p: journal.newest_step(s, stream.id, p)) for p in (whole, beginning, middle)]
    assert newest == [110, None, 80]


def test_the_watermark_never_goes_back(store: Store) -> None:
    stream = store.stream()
    store.append(stream, schema(1, "a"), frame(2, [0], [1.0]))
    assert [head.id for head in store.read(journal.unjudged)] == [stream.id]
    for seq in (2, 1):
        store.write(lambda session, seq=seq: journal.set_judged(session, stream.id, seq))
    assert store.stream().judged_seq == 2
    assert store.read(journal.unjudged) == []
