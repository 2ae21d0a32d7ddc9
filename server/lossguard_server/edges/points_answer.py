"""Points as an answer: JSON for people, msgpack of packed columns for the page.

Rules of this file: pure; the shapes are docs/protocol.md section 2. 64 series of 1,500 buckets are a million numbers:
as text they hold the interpreter for most of a second.
"""

import numpy as np

from ..store.buckets import Buckets
from ..store.points import PointsAnswer
from .answers import json_map, packed

FIELDS = tuple(Buckets.__dataclass_fields__)


def json_points(answer: PointsAnswer) -> bytes:
    """Lists of numbers; null for min, max and mean where there is no finite value."""
    found = json_map((name, buckets.to_dict()) for name, buckets in answer.series.items())
    return b'{"series":%b,"last_step":%d}' % (found, answer.last_step)


def packed_points(answer: PointsAnswer) -> bytes:
    """Each list as little-endian float64; NaN for min, max and mean where there is no finite value."""
    series = {name: packed_buckets(buckets) for name, buckets in answer.series.items()}
    return packed({"series": series, "last_step": answer.last_step})


def packed_buckets(buckets: Buckets) -> dict[str, bytes]:
    """One series: n float64 a field."""
    return {name: np.asarray(getattr(buckets, name), dtype="<f8").tobytes() for name in FIELDS}
