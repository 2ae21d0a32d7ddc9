"""The checker itself: each kind of bad history is found, a good one is not."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from faults.history import (
    Logged,
    Stored,
    as_bits,
    bits_of,
    check_points,
    check_run,
    check_stream,
    gaps_in,
    points_of,
)
from lossguard.protocol.codec import encode
from lossguard.protocol.frames import pack_frame
from lossguard.protocol.messages import Event, Schema, SeriesSpec


def frame(seq: int, *values: float) -> bytes:
    steps = np.arange(10 * seq, 10 * seq + len(values), dtype=np.int64)
    return encode(pack_frame(seq, steps, [0], np.array([values])))


def payloads() -> list[bytes]:
    schema = encode(Schema(seq=1, series=[SeriesSpec(0, "x")]))
    return [schema, frame(2, 1.0, math.nan), frame(3, -0.0), frame(4, 2.0, 3.0)]


def journal(upto: int) -> list[tuple[int, bytes]]:
    return list(enumerate(payloads()[:upto], 1))


def changed(found: list[tuple[int, bytes]], at: int, *entries: tuple[int, bytes]) -> list[tuple[int, bytes]]:
    return [*found[:at], *entries, *found[at + 1 :]]


def test_good_histories_have_no_fault() -> None:
    for stored_seq in range(2, 5):
        stored = Stored(stored_seq, journal(stored_seq))
        found = points_of(payload for _, payload in stored.journal)
        assert check_run([Logged(payloads(), 2)], [stored], found) == []
    folded = Stored(4, changed(journal(4)[:2], 1, journal(4)[3]), folded_seq=3)
    assert check_run([Logged(payloads(), 4)], [folded], points_of(payloads())) == []


BAD: dict[str, Callable[[], Stored]] = {
    "lost": lambda: Stored(2, journal(2)),
    "invented": lambda: Stored(5, [*journal(4), (5, frame(5, 1.0))]),
    "hole": lambda: Stored(4, changed(journal(4), 2)),
    "doubled": lambda: Stored(4, [*journal(4), journal(4)[3]]),
    "out of order": lambda: Stored(4, journal(4)[::-1]),
    "altered": lambda: Stored(4, changed(journal(4), 2, (3, frame(3, 0.0)))),
    "beyond its end": lambda: Stored(3, journal(4)),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_stream_is_named(fault: str) -> None:
    assert any(fault in said for said in check_stream(Logged(payloads(), 3), BAD[fault]()))


def test_a_repeat_under_a_new_number_is_found() -> None:
    stored = Stored(4, changed(journal(4), 3, (4, payloads()[1])))
    faults = check_run([Logged(payloads(), 0)], [stored], points_of(payload for _, payload in stored.journal))
    assert any("altered: message 4" in fault for fault in faults)
    assert any("doubled" in fault for fault in faults)


def test_a_schema_may_not_leave_the_journal_by_folding() -> None:
    stored = Stored(4, journal(4)[3:], folded_seq=3)
    assert any("hole: message 1" in fault for fault in check_stream(Logged(payloads(), 0), stored))


def test_folding_may_lose_double_or_alter_no_point() -> None:
    folded = Stored(4, journal(4)[:1], folded_seq=4)
    whole = points_of(payloads())["x"]
    for bad in (whole[1:], [*whole, whole[0]], whole[::-1], [(s, bits_of(0.0) if s == 30 else b) for s, b in whole]):
        assert check_run([Logged(payloads(), 4)], [folded], {"x": bad}) != []


def test_bits_count() -> None:
    quiet = np.array([0x7FF8000000000001, 0x7FF8000000000000], dtype="<u8").view("<f8")
    for a, b in ((0.0, -0.0), (float(quiet[0]), float(quiet[1])), (math.inf, 1.7976931348623157e308)):
        faults = check_points([as_bits({"x": [(0, a)]})], as_bits({"x": [(0, b)]}))
        assert ["altered" in fault for fault in faults] == [True]


def test_what_is_missing_must_be_owned_up_to() -> None:
    logged = as_bits({"x": [(step, float(step)) for step in range(10)]})
    stored = {"x": [point for point in logged["x"] if point[0] not in (4, 5)]}
    gap = encode(Event(seq=1, kind="gap", step=5, data={"from": 4, "to": 5, "reason": "r"}))
    assert check_points([logged], stored, gaps_in([gap])) == []
    assert len(check_points([logged], stored, [(5, 9)])) == 1
    assert len(check_points([logged], stored)) == 2


def test_a_doubled_point_is_not_covered_by_a_gap() -> None:
    logged = as_bits({"x": [(1, 1.0), (2, 2.0)]})
    assert check_points([logged], {"x": [*logged["x"], logged["x"][1]]}, [(0, 9)]) != []
    assert check_points([logged], {"x": logged["x"], "y": []}, [(0, 9)]) != []
    assert check_points([logged], {"x": logged["x"][::-1]}, [(0, 9)]) != []


def test_streams_of_one_run_may_lie_among_one_another() -> None:
    first, second = as_bits({"x": [(1, 1.0), (2, 2.0)]}), as_bits({"x": [(1, 1.5), (3, 3.0)]})
    mixed = {"x": [second["x"][0], first["x"][0], first["x"][1], second["x"][1]]}
    assert check_points([first, second], mixed) == []
    assert check_points([first, second], {"x": mixed["x"][::-1]}) != []
