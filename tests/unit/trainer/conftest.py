"""Every test of the trainer has a folder of its own and none of the developer's environment."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from helpers import isolate


@pytest.fixture(autouse=True)
def spool_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where this test's runs keep their spool."""
    isolate(monkeypatch, tmp_path)
    return tmp_path / "spool"


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tensors of this size are not worth two threads, which on a busy machine wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
