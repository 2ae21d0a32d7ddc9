"""Blocks of points give back every bit, and whatever else is found in their place is ChunkDamaged."""

import struct
import zlib

import numpy as np
import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from bit_patterns import SPECIAL, patterns
from helpers import examples
from lossguard_server.errors import ChunkDamaged, JournalDamaged
from lossguard_server.store.folded.chunks import CHUNK_POINTS, decode_chunk, encode_chunk
from lossguard_server.store.folded.packing import Packer

increments = st.lists(st.one_of(st.just(1), st.integers(1, 300), st.integers(1, 2**40)), min_size=64, max_size=64)


@given(patterns, st.integers(-(2**62), 2**62), increments)
@example(SPECIAL, 0, [1] * 64)
@examples(200)
def test_every_bit_of_values_and_steps_comes_back(bits: list[int], first: int, steps_between: list[int]) -> None:
    steps = first + np.cumsum(np.array(steps_between[: len(bits)], dtype=np.int64))
    values = np.array(bits, dtype=np.uint64).view(np.float64)
    chunk = decode_chunk(Packer(), encode_chunk(Packer(), steps, values))
    assert chunk.steps.tolist() == steps.tolist()
    assert chunk.values.view(np.uint64).tolist() == bits


def test_a_full_chunk_of_losses_takes_four_bytes_a_point_and_even_steps_take_none() -> None:
    losses = np.random.default_rng(0).normal(2, 0.1, CHUNK_POINTS).astype(np.float32).astype(np.float64)
    sizes = [len(encode_chunk(Packer(), np.arange(CHUNK_POINTS) * stride, losses)) for stride in (1, 10, 1_000_000)]
    assert max(sizes) - min(sizes) < 8, "the bytes of a stride"
    assert max(sizes) < 4 * CHUNK_POINTS


@given(st.binary(max_size=200))
@examples(200)
def test_garbage_is_chunk_damaged(data: bytes) -> None:
    with pytest.raises(ChunkDamaged):
        decode_chunk(Packer(), data)


@given(st.binary(max_size=100), st.integers(0, 2**16 - 1), st.integers(0, 2**32))
@examples(200)
def test_garbage_under_a_right_checksum_is_chunk_damaged(body: bytes, count: int, size: int) -> None:
    squeezed = zstandard.ZstdCompressor().compress(body + bytes(size % 50_000))
    head = struct.pack("<BHI", 1, count, zlib.crc32(squeezed, 1 << 16 | count))
    try:
        chunk = decode_chunk(Packer(), head + squeezed)
    except ChunkDamaged:
        return
    assert len(chunk) == count <= CHUNK_POINTS, "by chance it says something"


def test_any_flipped_bit_and_any_cut_is_found() -> None:
    data = encode_chunk(Packer(), np.arange(20), np.linspace(0, 1, 20))
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ChunkDamaged):
            decode_chunk(Packer(), bytes(flipped))
    for length in range(len(data)):
        with pytest.raises(ChunkDamaged):
            decode_chunk(Packer(), data[:length])


def test_a_block_that_would_fill_the_memory_is_refused_before_it_does() -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes(200 << 20))
    head = struct.pack("<BHI", 1, 5, zlib.crc32(bomb, 1 << 16 | 5))
    with pytest.raises(ChunkDamaged, match="size"):
        decode_chunk(Packer(), head + bomb)


def test_steps_that_do_not_increase_are_damage() -> None:
    data = encode_chunk(Packer(), np.array([3, 3]), np.zeros(2))
    with pytest.raises(JournalDamaged, match="do not increase"):
        decode_chunk(Packer(), data)
