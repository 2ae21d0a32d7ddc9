"""Ranks as threads of one process, for tests of what they agree on.

Rules of this file: no test of its own; the wire keeps gloo's promise (every rank makes the same exchanges in the same
order) and fails the test where a rank does not.
"""

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from lossguard.ranks.together import Together, WireBroken

T = TypeVar("T")
PATIENCE_S = 20.0


class Table:
    """Where the ranks lay their words."""

    def __init__(self, world: int) -> None:
        self.world = world
        self.changed = threading.Condition()
        self.rounds: list[dict[int, tuple[str, object]]] = []
        self.dead: set[int] = set()

    def lay(self, rank: int, number: int, kind: str, word: object) -> None:
        with self.changed:
            while len(self.rounds) <= number:
                self.rounds.append({})
            self.rounds[number][rank] = (kind, word)
            kinds = {kind for kind, _ in self.rounds[number].values()}
            assert len(kinds) == 1, f"exchange {number}: {kinds}"
            self.changed.notify_all()

    def look(self, number: int, limit_s: float | None) -> list[object] | None:
        with self.changed:
            done = self.changed.wait_for(
                lambda: len(self.rounds[number]) == self.world or self.dead - set(self.rounds[number]),
                PATIENCE_S if limit_s is None else limit_s,
            )
            if len(self.rounds[number]) == self.world:
                return [self.rounds[number][rank][1] for rank in range(self.world)]
            if not done and limit_s is not None:
                return None
            raise WireBroken("Connection closed by peer")

    def kill(self, rank: int) -> None:
        with self.changed:
            self.dead.add(rank)
            self.changed.notify_all()


class ThreadWire:
    """One rank's end of the table."""

    def __init__(self, table: Table, rank: int) -> None:
        self._table, self.rank, self.world = table, rank, table.world
        self._number = 0

    def _lay(self, kind: str, word: object) -> int:
        self._table.lay(self.rank, self._number, kind, word)
        self._number += 1
        return self._number - 1

    def start(self, values: Sequence[int], timeout_s: float | None = None) -> "ThreadPending":
        return ThreadPending(self._table, self._lay("words", list(values)))

    def broadcast(self, content: bytes, nbytes: int) -> bytes:
        every = self._table.look(self._lay("payload", content), None)
        assert every is not None
        assert isinstance(every[0], bytes)
        assert len(every[0]) == nbytes
        return every[0]

    def close(self) -> None:
        pass

    def gather(self, content: bytes) -> list[bytes]:
        every = self._table.look(self._lay("answers", content), None)
        assert every is not None
        return [each for each in every if isinstance(each, bytes)]


class ThreadPending:
    def __init__(self, table: Table, number: int) -> None:
        self._table, self._number = table, number

    def result(self, limit_s: float | None = None) -> list[int] | None:
        every = self._table.look(self._number, limit_s)
        if every is None:
            return None
        words = [word for word in every if isinstance(word, list)]
        return [max(column) for column in zip(*words, strict=True)]


def on_every_rank(world: int, script: Callable[[Together, int], T], table: Table | None = None) -> list[T]:
    """What `script(ranks, rank)` returns, by rank; each in a thread of its own."""
    table = table or Table(world)
    results: dict[int, T] = {}
    errors: list[BaseException] = []

    def live(rank: int) -> None:
        try:
            results[rank] = script(Together(ThreadWire(table, rank), timeout_s=1800), rank)
        except BaseException as error:  # noqa: BLE001 - shown below, in the test's own thread
            errors.append(error)
            table.kill(rank)

    threads = [threading.Thread(target=live, args=(rank,), daemon=True) for rank in range(world)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * PATIENCE_S)
        assert not thread.is_alive(), "a rank stands still"
    if errors:
        raise errors[0]
    return [results[rank] for rank in range(world)]
