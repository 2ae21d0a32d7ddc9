"""Takes snapshots of a healthy training state at step boundaries, and rolls the training back to one in place.

Rules of this file:
- Everything here runs in the training thread. A take queues copies and returns; it never waits for a device.
- A snapshot may be restored once `healthy_after` steps after it were healthy and all its numbers are in order; until
  then it is a candidate, and there is one at a time.
- What cannot be kept is said once, and training goes on without it.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from . import finite
from .cadence import Cadence
from .host_memory import free_bytes
from .layout import Unsupported
from .options import Snapshots
from .ring import Copies, HostBlocks, bytes_needed
from .shelf import Shelf
from .state import Frozen, Inventory, TrainingState
from .tree import Region

GIB = 2**30


@dataclass(frozen=True)
class Restored:
    """The state is that before `step`. `loader_state`: for the loader's load_state_dict; None: go on with new data."""

    step: int
    loader_state: object | None


@dataclass
class Snapshot:
    """One copy of the training state."""

    frozen: Frozen
    blocks: HostBlocks
    answers: finite.Answers
    loader_state: object | None


class Keeper(Protocol):
    """What a run asks of its snapshots."""

    def at_boundary(self, step: int, step_time_s: float, loader: object | None = None) -> None: ...

    def before_update(self) -> None: ...

    def unhealthy(self, step: int) -> None: ...

    def newest_step(self, before: int | None = None) -> int | None: ...

    def obstacle(self, before: int | None = None) -> str: ...

    def restore(self, before: int | None = None) -> Restored | None: ...


class NoSnapshots:
    """For a run that keeps none."""

    def at_boundary(self, step: int, step_time_s: float, loader: object | None = None) -> None:
        """Nothing is due."""

    def before_update(self) -> None:
        """Nothing is in flight."""

    def unhealthy(self, step: int) -> None:
        """Nothing to drop."""

    def newest_step(self, before: int | None = None) -> int | None:
        """There is none."""
        return None

    def obstacle(self, before: int | None = None) -> str:
        """There is nothing to go back to."""
        return "this run keeps no snapshots"

    def restore(self, before: int | None = None) -> Restored | None:
        """There is nothing to go back to."""
        return None


@dataclass
class Notes:
    """Says each thing once, however often it happens."""

    tell: Callable[[str], None]
    said: set[str] = field(default_factory=set)

    def once(self, key: str, text: str) -> None:
        """Tell `text`, unless something was told under `key`."""
        if key not in self.said:
            self.said.add(key)
            self.tell(text)


class SnapshotKeeper:
    """The snapshots of one training."""

    def __init__(
        self,
        options: Snapshots,
        state: TrainingState,
        clock: Callable[[], float],
        free_bytes: Callable[[], int] = free_bytes,
        tell: Callable[[str], None] = lambda text: None,
        copies: Copies | None = None,
        cadence: Cadence | None = None,
    ) -> None:
        self._options, self._state, self._clock = options, state, clock
        self._free_bytes, self._tell, self._notes = free_bytes, tell, Notes(tell)
        self._copies = copies or Copies()
        self._cadence = cadence or Cadence(options)
        self._shelf: Shelf[Snapshot] = Shelf(options.slots, options.healthy_after)
        self._blocks = [HostBlocks() for _ in range(options.slots + 1)]  # the healthy ones and the candidate
        self._bytes_approved = 0
        self._is_off = False

    def at_boundary(self, step: int, step_time_s: float, loader: object | None = None) -> None:
        """The top of `step`, no gradient half-accumulated: take a snapshot of the state before it when one is due.

        `step_time_s`: of the step before; `loader`: the user's, before it is asked for the batch of `step`.
        """
        if self._is_off:
            return
        self._cadence.note_step(step_time_s)
        self._drop_if_update_was_missed()
        self._graduate(step)
        is_due = self._cadence.is_due(step)  # asked at each boundary: ranks agree on it
        if self._shelf.candidate is None and is_due:
            self._take(step, loader)

    def before_update(self) -> None:
        """Before anything writes parameters or optimizer state: the device finishes the copy first."""
        self._copies.before_update()

    def unhealthy(self, step: int) -> None:
        """`step` tripped or was not finite: no snapshot whose probation it belongs to, or that came after it."""
        self._shelf.unhealthy(step)

    def newest_step(self, before: int | None = None) -> int | None:
        """The step of the newest healthy snapshot, below `before` if given; None when there is none."""
        place = self._shelf.newest(before)
        return None if place is None else place.step

    def obstacle(self, before: int | None = None) -> str:
        """Why `restore` would find nothing to put back; empty where it would."""
        place = self._shelf.newest(before)
        if place is None:
            return "there is no healthy snapshot"
        found = self._state.obstacle(place.content.frozen)
        return f"the snapshot of step {place.step} does not fit any more: {found}" if found else ""

    def restore(self, before: int | None = None) -> Restored | None:
        """Roll back in place to the newest healthy snapshot, of a step below `before` if given.

        At a boundary only. The state is then bit for bit that before `Restored.step`, random states too. Snapshots of
        later steps are dropped. None: there is no such snapshot, or it does not fit any more (which is told).
        """
        place = self._shelf.newest(before)
        if place is None:
            return None
        if obstacle := self._state.obstacle(place.content.frozen):
            self._tell(f"no rollback to step {place.step}: {obstacle}. Training goes on as it is.")
            return None
        for addition in self._state.additions(place.content.frozen):
            self._tell(f"the rollback to step {place.step} leaves {addition} as it is: it was added after that step.")
        self._copies.before_update()
        self._state.put_back(place.content.frozen)
        self._state.drop_gradients()
        self._shelf.cut_after(place.step)
        self._cadence.start_from(place.step)
        return Restored(place.step, copy.deepcopy(place.content.loader_state))

    # -- inside -------------------------------------------------------------------------------------------------

    def _take(self, step: int, loader: object | None) -> None:
        began_s = self._clock()
        inventory = Inventory()
        try:
            frozen = self._state.freeze(inventory)
        except Unsupported as unsupported:
            self._notes.once(str(unsupported), f"no snapshot before step {step}: {unsupported}.")
            self._cadence.took(step, self._clock() - began_s)
            return
        loader_state = self._loader_state(loader)
        walked_s = self._clock() - began_s
        regions = list(inventory.regions.values())
        blocks = self._reserved_blocks(regions)  # not timed: it is paid once, and must not count as the price of a take
        if blocks is None:
            return
        began_s = self._clock()
        blocks.place(regions)
        answers = finite.ask(inventory.checked)  # before the copies: their event then speaks for the answers too
        self._copies.take(regions)
        self._shelf.put(step, Snapshot(frozen, blocks, answers, loader_state))
        self._cadence.took(step, walked_s + self._clock() - began_s)

    def _graduate(self, step: int) -> None:
        candidate = self._shelf.graduate_at(step)
        if candidate is None or not self._copies.have_arrived():
            return
        if candidate.answers.all_right():
            self._shelf.promote()
        else:
            self._shelf.drop_candidate()
            self._tell(f"a snapshot was dropped before step {step}: a parameter or an optimizer state is not finite.")

    def _drop_if_update_was_missed(self) -> None:
        """An update that did not wait for the copy (replayed from a CUDA graph) may have written into it."""
        if not self._copies.are_in_flight():
            return
        self._copies.before_update()
        self._shelf.drop_candidate()
        self._notes.once("missed", "a snapshot was dropped: no optimizer step was seen after it was begun.")

    def _reserved_blocks(self, regions: list[Region]) -> HostBlocks | None:
        """Memory for the regions that no snapshot uses, or None: then snapshots are off from here on."""
        nbytes = bytes_needed(regions)
        needed, held = nbytes * len(self._blocks), sum(blocks.nbytes for blocks in self._blocks)
        if nbytes > self._bytes_approved:
            # not all of it: the caches of the data loader grow after the first take
            if ((free_bytes := self._free_bytes()) + held) * self._options.memory_share < needed:
                share = f"{self._options.memory_share:.3g} of what is free"
                self._switch_off(f"at most {share} may be taken, and {free_bytes / GIB:.3g} GiB is free", needed)
                return None
            self._bytes_approved = nbytes
        used = [snapshot.blocks for snapshot in self._shelf.contents()]
        free = next(blocks for blocks in self._blocks if not any(blocks is other for other in used))
        try:
            free.reserve(nbytes, pinned=any(region.is_on_cuda for region in regions))
        except (RuntimeError, MemoryError) as error:
            self._switch_off(f"and it was refused: {error}", needed)
            return None
        return free

    def _switch_off(self, reason: str, needed_bytes: int) -> None:
        self._is_off = True
        self._shelf.clear()
        self._tell(
            f"snapshots are off: {len(self._blocks)} copies of the training state take {needed_bytes / GIB:.3g} GiB of "
            f"host memory, {reason}."
        )
        self._blocks = []

    def _loader_state(self, loader: object | None) -> object | None:
        if not self._options.rewind_data:
            return None
        take = getattr(loader, "state_dict", None)
        if not callable(take) or not callable(getattr(loader, "load_state_dict", None)):
            name = "no loader was given" if loader is None else f"a {type(loader).__name__} has no state_dict"
            self._notes.once("loader", f"rewind_data: {name}; a rollback will go on with new data.")
            return None
        state: object = copy.deepcopy(take())
        return state
