"""A spool that was torn or damaged gives back what the damage does not lie on, and nothing that was not written."""

from hypothesis import given
from hypothesis import strategies as st

from helpers import examples
from lossguard.protocol.codec import encode
from lossguard.protocol.errors import BadMessage
from lossguard.protocol.messages import Hello
from lossguard.protocol.spool_format import MAGIC, pack_record
from segments import SegmentContent, parse_segment

HELLO = Hello(run="r", project="p", name="n")
HEADER = MAGIC + pack_record(0, encode(HELLO))
RECORDS = [(seq, bytes([seq]) * (7 * seq)) for seq in range(1, 6)]


def ends_of(records: list[tuple[int, bytes]]) -> list[int]:
    """The offset at which each record ends; the header's end first."""
    ends = [len(HEADER)]
    for seq, payload in records:
        ends.append(ends[-1] + len(pack_record(seq, payload)))
    return ends


def segment(records: list[tuple[int, bytes]]) -> bytes:
    return HEADER + b"".join(pack_record(seq, payload) for seq, payload in records)


def read(data: bytes) -> SegmentContent | None:
    try:
        return parse_segment(data)
    except BadMessage:
        return None


def test_a_tail_torn_at_every_byte() -> None:
    data, ends = segment(RECORDS), ends_of(RECORDS)
    for size in range(len(data) + 1):
        whole = sum(end <= size for end in ends) - 1  # records before the tear
        content = read(data[:size])
        assert (content is None) == (whole < 0)
        if content is not None:
            assert (content.records, content.damaged_bytes) == (RECORDS[:whole], size - ends[whole])


def test_every_single_flipped_bit_costs_one_record() -> None:
    data, ends = segment(RECORDS), ends_of(RECORDS)
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        content = read(bytes(damaged))
        if bit // 8 < len(MAGIC):
            assert content is not None
            assert content.records == RECORDS, bit
            continue
        hit = sum(end <= bit // 8 for end in ends) - 1
        assert (content is None) == (hit < 0), bit
        if content is not None:
            assert content.records == RECORDS[:hit] + RECORDS[hit + 1 :], bit
            assert content.damaged_bytes == ends[hit + 1] - ends[hit]


@examples(200)
@given(st.binary(min_size=1, max_size=200), st.data())
def test_a_block_of_garbage_costs_what_it_lies_on(garbage: bytes, draw: st.DataObject) -> None:
    data, ends = segment(RECORDS), ends_of(RECORDS)
    start = draw.draw(st.integers(ends[0], len(data) - 1))
    damaged = data[:start] + garbage + data[start + len(garbage) :]
    content = read(damaged)
    assert content is not None
    end = start + len(garbage)
    hit = {seq for (seq, _), first, last in zip(RECORDS, ends, ends[1:], strict=False) if start < last and end > first}
    assert set(content.records) <= set(RECORDS)
    assert {record for record in RECORDS if record[0] not in hit} <= set(content.records)


@examples(100)
@given(
    st.lists(st.tuples(st.integers(1, (1 << 64) - 1), st.binary(max_size=60)), max_size=8),
    st.binary(max_size=40),
)
def test_what_was_written_before_garbage_is_read(records: list[tuple[int, bytes]], garbage: bytes) -> None:
    content = parse_segment(segment(records) + garbage)
    assert content.hello == HELLO
    assert content.records[: len(records)] == records
    assert len(content.records) == len(records)
    assert content.damaged_bytes == len(garbage)
