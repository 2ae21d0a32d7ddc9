"""Floats as their bits: those that a store loses easily, and any."""

from hypothesis import strategies as st

SPECIAL = [
    0x7FF0000000000000,  # +Inf
    0xFFF0000000000000,  # -Inf
    0x8000000000000000,  # -0.0
    0x0000000000000001,  # the smallest denormal
    0x7FF8000000000000,  # NaN
    0xFFF8DEADBEEF0001,  # negative quiet NaN with a payload
    0x7FF0000000000001,  # signalling NaN
    0x7FF0000020000000,  # signalling NaN that float32 has too
    0x7FEFFFFFFFFFFFFF,  # the largest
    0x3FF0000020000000,  # a float32
]
patterns = st.lists(st.one_of(st.sampled_from(SPECIAL), st.integers(0, 2**64 - 1)), min_size=1, max_size=64)
