"""The ablation of the reports: the old losses, and the new ones each alone and together.

Rules of this file: data, no torch; each entry is what `DENOVO.options` is given. The three new ones share the third
report's curriculum, so that they differ by one loss at a time from the last of them; the baseline is the state after
the first report, with that report's curriculum, as the second report compares it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

BASELINE = "baseline"

CONFIGURATIONS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        BASELINE: {"variant": "log1p", "curriculum": "reduced", "knobs": {"spectrum": "huber"}},
        "gaussian_log1p": {"variant": "log1p", "curriculum": "gaussian", "knobs": {"spectrum": "gaussian"}},
        "huber_l1": {"variant": "l1", "curriculum": "gaussian", "knobs": {"spectrum": "huber"}},
        "gaussian_l1": {"variant": "l1", "curriculum": "gaussian", "knobs": {"spectrum": "gaussian"}},
    }
)
