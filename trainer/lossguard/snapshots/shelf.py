"""Which snapshots there are: one on probation, and the healthy ones behind it.

Rules of this file: pure; a snapshot is known by its step (the state before that step). It is a candidate until
`healthy_after` steps after it were healthy, then it is healthy; a step that was not healthy ends the probation. News of
a step comes a few steps late (the host runs ahead of the device), so a healthy snapshot may still be found out by a
step of its probation, until a rollback has been made: news then speaks of other steps of the same numbers.
"""

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass
class Place(Generic[T]):
    """One snapshot and its step. `is_settled`: nothing that is said of a step can end its health any more."""

    step: int
    content: T
    is_settled: bool = False


class Shelf(Generic[T]):
    """At most `slots` healthy snapshots, oldest first, and at most one candidate."""

    def __init__(self, slots: int, healthy_after: int) -> None:
        self._slots, self._healthy_after = slots, healthy_after
        self.candidate: Place[T] | None = None
        self.healthy: list[Place[T]] = []

    def put(self, step: int, content: T) -> None:
        """A new candidate. Raises ValueError when there is one already."""
        if self.candidate is not None:
            raise ValueError(f"the snapshot of step {self.candidate.step} is still on probation")
        self.candidate = Place(step, content)

    def graduate_at(self, step: int) -> T | None:
        """The candidate whose probation is over at the boundary before `step`, or None."""
        candidate = self.candidate
        is_over = candidate is not None and candidate.step + self._healthy_after <= step
        return candidate.content if candidate is not None and is_over else None

    def promote(self) -> None:
        """The candidate becomes healthy; the oldest healthy one makes room."""
        if self.candidate is not None:
            self.healthy.append(self.candidate)
            del self.healthy[: -self._slots]
        self.candidate = None

    def drop_candidate(self) -> None:
        """The candidate was never a good one."""
        self.candidate = None

    def unhealthy(self, step: int) -> None:
        """Drop what was taken within `healthy_after` steps before `step`, or after it."""
        first_dropped = step - self._healthy_after + 1
        if self.candidate is not None and self.candidate.step >= first_dropped:
            self.candidate = None
        self.healthy = [place for place in self.healthy if place.is_settled or place.step < first_dropped]

    def newest(self, before: int | None = None) -> Place[T] | None:
        """The newest healthy snapshot, of a step below `before` if given."""
        found = [place for place in self.healthy if before is None or place.step < before]
        return found[-1] if found else None

    def cut_after(self, step: int) -> None:
        """Training goes on from the snapshot of `step`: what came later did not happen, the rest is settled."""
        self.candidate = None
        self.healthy = [place for place in self.healthy if place.step <= step]
        for place in self.healthy:
            place.is_settled = True

    def clear(self) -> None:
        """Keep none."""
        self.candidate, self.healthy = None, []

    def contents(self) -> list[T]:
        """What is on the shelf, the candidate last."""
        return [place.content for place in (*self.healthy, *([self.candidate] if self.candidate else []))]
