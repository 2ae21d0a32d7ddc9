"""What lg.Snapshots accepts, and how it says no."""

import math
import subprocess
import sys

import pytest

from lossguard.errors import ConfigError
from lossguard.snapshots.options import Snapshots


def test_the_defaults() -> None:
    assert Snapshots() == Snapshots(every=None, healthy_after=50, slots=2, stall_share=0.005, rewind_data=False)


@pytest.mark.parametrize(
    "given",
    [
        {"every": 0}, {"every": -3}, {"every": 2.0}, {"every": True}, {"healthy_after": 0}, {"healthy_after": None},
        {"slots": 0}, {"slots": False}, {"stall_share": 0.0}, {"stall_share": 1.5}, {"stall_share": math.nan},
        {"stall_share": True}, {"stall_share": "1 %"}, {"rewind_data": 1},
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_by_name(given: dict[str, object]) -> None:
    (name, value), *_ = given.items()
    with pytest.raises(ConfigError, match=rf"^lg\.Snapshots got {name}={value!r}; give .*\.$"):
        Snapshots(**given)  # type: ignore[arg-type]


def test_the_options_pull_in_no_torch() -> None:
    script = "import lossguard.snapshots.options, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "False", done.stderr
