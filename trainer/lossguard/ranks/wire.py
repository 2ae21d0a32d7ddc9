"""What carries the ranks' words: a gloo group of their own, on the host.

Rules of this file:
- The only one here that talks to torch.distributed. Whatever goes wrong there comes out as WireBroken.
- A wait is cut into slices, because a signal's handler does not run while a wait within gloo goes on.
- gloo tells of a dead rank only its neighbours, and who gives up leaves the others waiting for it: who gives up says
  so in the job's store, and who waits looks there between two slices.
"""

import contextlib
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Protocol

import torch
import torch.distributed as dist

from .together import WireBroken

SLICE_S = 0.25


class _Work(Protocol):
    def wait(self, timeout: timedelta) -> bool: ...

    def is_completed(self) -> bool: ...


class Store(Protocol):
    """What of the job's store is needed here."""

    def set(self, key: str, value: str) -> None: ...

    def check(self, keys: list[str]) -> bool: ...


class Notice:
    """In the job's store: a rank has given up, so nobody need wait for it."""

    def __init__(self, store: Store, key: str) -> None:
        self._store, self._key = store, key

    def post(self) -> None:
        """Say it. Where the store is gone too, the others see that."""
        with contextlib.suppress(RuntimeError):
            self._store.set(self._key, "1")

    def read(self) -> None:
        """Raises RuntimeError when a rank has given up, or the store is gone."""
        if self._store.check([self._key]):
            raise RuntimeError("another rank has given up")


class GlooWire:
    """One group of all ranks."""

    def __init__(self, group: dist.ProcessGroup, notice: Notice, clock: Callable[[], float] = time.monotonic) -> None:
        self._group, self._notice, self._clock = group, notice, clock
        self.rank, self.world = dist.get_rank(group), dist.get_world_size(group)

    def start(self, values: Sequence[int], timeout_s: float | None = None) -> "Pending":
        """Begin to exchange [n]; each rank gets the maximum. `timeout_s`: instead of the group's own."""
        tensor = torch.tensor(values, dtype=torch.int64)
        options = dist.AllreduceOptions()
        options.reduceOp = dist.ReduceOp.MAX  # type: ignore[assignment]
        if timeout_s is not None:
            options.timeout = timedelta(seconds=timeout_s)
        with _Guarded():
            return Pending(tensor, self._group.allreduce([tensor], options), self._wait)

    def close(self) -> None:
        """Give up: the others need not wait for this rank."""
        self._notice.post()
        with contextlib.suppress(RuntimeError, ValueError, AssertionError):
            dist.destroy_process_group(self._group)

    def broadcast(self, content: bytes, nbytes: int) -> bytes:
        """What rank 0 says, `nbytes` long."""
        own = content if self.rank == 0 else bytes(nbytes)
        tensor = torch.frombuffer(bytearray(own), dtype=torch.uint8)
        with _Guarded():
            self._wait(dist.broadcast(tensor, 0, self._group, async_op=True), None)
        return tensor.numpy().tobytes()

    def gather(self, content: bytes) -> list[bytes]:
        """What every rank says, by rank; all of the same length."""
        mine = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        every = [torch.empty_like(mine) for _ in range(self.world)]
        with _Guarded():
            self._wait(dist.all_gather(every, mine, self._group, async_op=True), None)
        return [each.numpy().tobytes() for each in every]

    def _wait(self, work: _Work, limit_s: float | None) -> bool:
        end_s = None if limit_s is None else self._clock() + limit_s
        while True:
            try:
                work.wait(timedelta(seconds=SLICE_S))
                return True
            except RuntimeError:
                if work.is_completed():  # it has failed; else this slice is over
                    raise
                self._notice.read()
                if end_s is not None and self._clock() >= end_s:
                    return False


class Pending:
    """An exchange on its way."""

    def __init__(self, tensor: torch.Tensor, work: _Work, wait: Callable[[_Work, float | None], bool]) -> None:
        self._tensor, self._work, self._wait = tensor, work, wait

    def result(self, limit_s: float | None = None) -> list[int] | None:
        """The maximum over all ranks, once it is there; None when it is not within `limit_s`."""
        with _Guarded():
            is_there = self._wait(self._work, limit_s)
        values: list[int] = self._tensor.tolist()
        return values if is_there else None


class _Guarded:
    """Turns what torch raises into WireBroken."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if isinstance(error, RuntimeError | ValueError):
            raise WireBroken(str(error).splitlines()[0][:200]) from error
