"""What the tests of tests/gpu share: they need a CUDA device, and most of them that nothing waits for it."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

NEEDS_CUDA = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device: there is none here"),
]


@contextmanager
def syncs_are_errors() -> Iterator[None]:
    """Every wait of the host for the device raises."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")
