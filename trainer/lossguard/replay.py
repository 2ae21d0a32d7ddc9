"""Runs the batch of a tripped step once more, watched op by op, to learn where its non-finite value was born.

Rules of this file: the replay never reaches the weights, and leaves random states, buffers and gradients as it found
them. It happens at a step boundary, at most REPLAYS_MAX times a run and not again within REST_STEPS: a run whose every
step is broken must not spend its time on being explained. Batches are kept by reference: one step's, and two more where
a trip is learned late.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

from .arrivals import Trip
from .origin.report import Origin, component_gradients_bad, find_origin
from .origin.trace import OriginTrace
from .random_states import RandomStates

REPLAYS_MAX = 10
REST_STEPS = 100
NO_REPLAY = "no replay was possible: loop over run.steps(...), or give lg.init(replay=a function of a batch)"

ReplayFunction = Callable[[Any], "Mapping[str, Tensor] | Tensor"]
Tell = Callable[[int, dict[str, Any]], None]


@dataclass
class KeptStep:
    """What a step was made of: each micro-batch with the random states before it, and the weights in force."""

    step: int
    weights: dict[str, float]
    batches: list[tuple[Any, RandomStates]] = field(default_factory=list)


class Replay:
    """One replay in progress."""

    def __init__(self, kept: KeptStep, trip: Trip, now_step: int, model: torch.nn.Module | None) -> None:
        self.kept, self.trip, self.now_step = kept, trip, now_step
        self.is_complete = False
        self._model = model
        self._trace = OriginTrace(model)
        self._params = list(model.parameters()) if model is not None else []
        self._losses: dict[str, Tensor] = {}
        self._by_gradient: str | None = None
        self._found: Origin | None = None

    @contextmanager
    def set_aside(self, put_back_buffers: Callable[[], None]) -> Iterator[None]:
        """Random states, gradients and buffers after it are those before it."""
        random = RandomStates.take()
        held = [p.grad for p in self._params]
        for p in self._params:
            p.grad = None
        try:
            yield
        finally:
            for p, grad in zip(self._params, held, strict=True):
                p.grad = grad
            put_back_buffers()
            random.put_back()

    def run(self, function: ReplayFunction, put_back_buffers: Callable[[], None]) -> None:
        """Replay by the user's own function of a batch."""
        weights = self.kept.weights
        with self.set_aside(put_back_buffers), self.watching():
            for batch, random in self.kept.batches:
                random.put_back()
                given = function(batch)
                losses = {"loss": given} if isinstance(given, Tensor) else dict(given)
                self.saw_losses(losses)
                total = torch.stack([weights.get(name, 1.0) * loss.reshape(()) for name, loss in losses.items()]).sum()
                total.backward()
            self.saw_gradients()
            self.is_complete = True

    def stop(self) -> None:
        """The loop will not come back to it: stop watching."""
        self._trace.__exit__(None, None, None)

    def watching(self) -> AbstractContextManager[object]:
        """Within it, every op is looked at."""
        return self._trace

    def saw_losses(self, losses: Mapping[str, Tensor]) -> None:
        """One call of run.total, before the user's backward."""
        if self._found is not None:
            return
        self._losses = dict(losses)
        with _disable_current_modes():
            finite = all(bool(loss.detach().isfinite().all()) for loss in losses.values())
            if finite and self._by_gradient is None:
                wanted = [p for p in self._params if p.requires_grad]
                self._by_gradient = component_gradients_bad(losses, wanted) if wanted else None
            if not finite:
                self._found = find_origin(self._trace, losses, {})

    def saw_gradients(self) -> None:
        """The backward is complete, and nothing has scaled the gradients yet."""
        if self._found is not None or self._model is None:
            return
        with _disable_current_modes():
            grads = {name: p.grad for name, p in self._model.named_parameters() if p.grad is not None}
            self._found = find_origin(self._trace, self._losses, grads, self._by_gradient)

    def to_data(self) -> dict[str, Any]:
        """The data of the `origin` event."""
        if self._found is None and not self.is_complete:
            return _without_replay(self.trip, "the loop ended during the replay")
        late = self.now_step - 1 - self.trip.step
        blank = {"component": None, "module": None, "op": None, "phase": None, "where": None, "value": None}
        found = self._found
        data = {**blank, **(found.to_data() if found is not None else {})}
        text = (
            f"{found.text}." if found is not None else "The replay of the batch was finite: the failure did not repeat."
        )
        if late > 0:
            text += f" The weights were {late} step{'s' if late > 1 else ''} further on in the replay."
        return {
            **data,
            "reproduced": found is not None,
            "steps_late": late,
            "micro_batch": self.trip.micro_batch,
            "text": text,
        }


class Replays:
    """Keeps the last steps' batches, and decides which trip is replayed."""

    def __init__(self, enabled: bool, keep_steps: int, tell: Tell) -> None:
        self._enabled, self._tell = enabled, tell
        self._kept: deque[KeptStep] = deque(maxlen=keep_steps)
        self._asked: tuple[KeptStep, Trip] | None = None
        self._made, self._told, self._rest_until = 0, False, -1

    def begin(self, step: int, weights: Mapping[str, float]) -> None:
        """Step `step` begins."""
        if self._enabled:
            self._kept.append(KeptStep(step, dict(weights)))

    def batch(self, batch: Any) -> None:
        """The step's next micro-batch, before anything is computed of it."""
        if self._enabled and self._kept:
            self._kept[-1].batches.append((batch, RandomStates.take()))

    def random_before(self, step: int) -> dict[str, str]:
        """The random states before the first batch of `step`, as hex; empty when they are not kept."""
        kept = next((kept for kept in self._kept if kept.step == step and kept.batches), None)
        return kept.batches[0][1].as_hex() if kept is not None else {}

    def ask(self, trip: Trip) -> None:
        """A trip was learned: replay it at the next opportunity, or say that it cannot be."""
        if trip.step < self._rest_until or self._asked is not None or self._made >= REPLAYS_MAX:
            return
        kept = next((kept for kept in self._kept if kept.step == trip.step and kept.batches), None)
        if kept is not None:
            self._asked = (kept, trip)
        elif not self._told:
            self._told = True
            self._tell(trip.step, _without_replay(trip))

    def due(self, now_step: int, model: torch.nn.Module | None) -> Replay | None:
        """The replay to make now, as step `now_step`."""
        if self._asked is None:
            return None
        (kept, trip), self._asked = self._asked, None
        self._made += 1
        self._rest_until = now_step + REST_STEPS
        return Replay(kept, trip, now_step, model)

    def tell(self, replay: Replay) -> None:
        """The replay is over."""
        self._tell(replay.trip.step, replay.to_data())

    def give_up(self) -> None:
        """No further step comes: a trip that still waits is told as it is."""
        if self._asked is not None:
            (_, trip), self._asked = self._asked, None
            self._tell(trip.step, _without_replay(trip))

    def forget(self) -> None:
        """A rollback: the kept steps belong to another branch."""
        self._kept.clear()
        self._asked = None


def _without_replay(trip: Trip, why: str = NO_REPLAY) -> dict[str, Any]:
    losses = [name.partition("/")[2] for name in trip.series if name.startswith("loss/") and name != "loss/total"]
    component = losses[0] if losses else None
    known = f"It is in the component {component!r}; " if component else ""
    return {
        "component": component,
        "module": None,
        "op": None,
        "phase": None,
        "where": None,
        "value": None,
        "reproduced": None,
        "steps_late": 0,
        "micro_batch": trip.micro_batch,
        "text": f"{known}{why}.",
    }
