"""Every decoder that the wire does not cover already: whatever the bytes are, only the typed error comes out.

The trainer's messages, frames and segments are in test_protocol_fuzz; here are what browsers send, JSON numbers, and
the blocks in which the store keeps folded points.
"""

import contextlib
import json
import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import examples, wire_values
from lossguard.protocol.codec import decode_to_trainer, seq_of
from lossguard.protocol.errors import BadMessage
from lossguard.protocol.numbers import WORDS, dumps, number_from_json
from lossguard.protocol.spool_format import HEAD, MAGIC, about, pack_record, skipped_to
from lossguard_server.edges import browser_socket
from lossguard_server.errors import ChunkDamaged
from lossguard_server.store.folded.chunks import decode_chunk, encode_chunk
from lossguard_server.store.folded.packing import Packer
from lossguard_server.store.folded.summaries import decode_entries, encode_entries, summarise
from segments import parse_segment

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(sorted(WORDS)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
damage = st.lists(st.tuples(st.integers(0, 4_000), st.integers(0, 3), st.binary(max_size=3)), min_size=1, max_size=4)


def damaged(data: bytes, places: list[tuple[int, int, bytes]]) -> bytes:
    """`data` with some bytes cut out and others put in."""
    found = bytearray(data)
    for at, cut, put in places:
        at %= len(found) + 1
        found[at : at + cut] = put
    return bytes(found)


@examples(300)
@given(
    st.binary(max_size=80)
    | wire_values.map(msgspec.msgpack.encode)
    | st.builds(
        lambda fields: msgspec.msgpack.encode({"type": "subscribe", **fields}),
        st.dictionaries(st.sampled_from(["run", "series", "others", "cursor", "x"]), wire_values, max_size=4),
    )
)
def test_what_browsers_send(data: bytes) -> None:
    try:
        said = browser_socket._decoder.decode(data)
    # what the socket's handler catches
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return
    assert isinstance(said, browser_socket.Subscribe)


@examples(300)
@given(json_values)
def test_numbers_in_json(value: Any) -> None:
    text = dumps(value)
    json.loads(text, parse_constant=lambda word: (_ for _ in ()).throw(AssertionError(f"a bare {word}")))
    try:
        number = number_from_json(value)
    except ValueError:
        return
    assert isinstance(number, float)
    if not math.isfinite(number):
        assert value in WORDS or isinstance(value, float)


@examples(300)
@given(
    st.binary(max_size=300)
    | st.tuples(st.integers(0, 255), st.integers(0, 1 << 32), st.binary(max_size=60)).map(
        lambda parts: MAGIC + HEAD.pack(len(parts[2]), parts[1] & 0xFFFFFFFF, parts[0]) + parts[2]
    )
    | wire_values.map(lambda value: MAGIC + pack_record(0, msgspec.msgpack.encode(value)))
)
def test_spools(data: bytes) -> None:
    about(data)
    skipped_to(data)
    assert seq_of(data) >= 0
    for read in (parse_segment, decode_to_trainer):
        with contextlib.suppress(BadMessage):
            read(data)


@examples(200)
@given(st.binary(max_size=300), damage)
def test_blocks_of_the_store(noise: bytes, places: list[tuple[int, int, bytes]]) -> None:
    packer = Packer()
    steps = np.arange(7, 71, dtype=np.int64)
    values = np.linspace(-1.0, 1.0, 64)
    values[3] = math.nan
    chunk = encode_chunk(packer, steps, values)
    summary = encode_entries(packer, summarise(steps, values))
    for data in (noise, damaged(chunk, places), damaged(summary, places)):
        for decode in (decode_chunk, decode_entries):
            with contextlib.suppress(ChunkDamaged):
                decode(packer, data)


@examples(100)
@given(st.integers(0, 399), st.integers(0, 7))
def test_no_flipped_bit_of_a_block_gets_through(at: int, bit: int) -> None:
    packer = Packer()
    chunk = bytearray(encode_chunk(packer, np.arange(50, dtype=np.int64), np.random.default_rng(1).random(50)))
    chunk[at % len(chunk)] ^= 1 << bit
    with pytest.raises(ChunkDamaged):
        decode_chunk(packer, bytes(chunk))
