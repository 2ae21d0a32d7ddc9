"""Runs the batch of a tripped step once more, watched op by op, to learn where its non-finite value was born.

Rules of this file: the replay never reaches the weights, and leaves random states, buffers, gradients, learning rates,
schedulers and the scaler as it found them. It happens at a step boundary, at most REPLAYS_MAX times a run and not again
within REST_STEPS: a run whose every step is broken must not spend its time on being explained. Batches are kept by
reference: one step's, and two more where a trip is learned late.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

from .arrivals import Trip
from .guard.shadow import is_copyable
from .origin.report import Origin, component_gradients_bad, find_origin
from .origin.trace import Birth, OriginTrace
from .random_states import RandomStates
from .snapshots.steering import PutBack, Steering

REPLAYS_MAX = 10
REST_STEPS = 100
NO_REPLAY = "no replay was possible: loop over run.steps(...), or give lg.init(replay=a function of a batch)"
UNKNOWN_SCHEDULER = (
    "no replay was made, because the learning rate's scheduler would step once too often: "
    "give lg.init(scheduler=...) or replay=function"
)
OBSERVED = "no replay was made: the guard only observes, so the bad update is in the weights that it would start from"
# What is known of an origin where nothing is.
BLANK: Mapping[str, Any] = dict.fromkeys(("component", "module", "op", "phase", "where", "value"))
LEFT, FAILED = "the loop ended during the replay", "the replay could not be made"

ReplayFunction = Callable[[Any], "Mapping[str, Tensor] | Tensor"]
Tell = Callable[[int, dict[str, Any]], None]


@dataclass
class KeptStep:
    """What a step was made of: each micro-batch with the random states before it, and the weights in force."""

    step: int
    weights: dict[str, float]
    batches: list[tuple[Any, RandomStates]] = field(default_factory=list)
    gated: frozenset[str] = frozenset()  # components that took no part in it


class Replay:
    """One replay in progress."""

    def __init__(
        self,
        kept: KeptStep,
        trip: Trip,
        now_step: int,
        model: torch.nn.Module | None = None,
        params: Mapping[str, Tensor] | None = None,
    ) -> None:
        """`params`: what is measured, by name; it may be more than the model's, or there may be no model."""
        self.kept, self.trip, self.now_step = kept, trip, now_step
        self.is_complete = False
        self.has_failed = False  # by a fault of ours
        self._model = model
        self._named = dict(params or {})
        self._params: list[Tensor] = []
        self._buffer: tuple[str, Birth | None] | None = None
        self._undo = ExitStack()
        self._losses: dict[str, Tensor] = {}
        self._by_gradient: str | None = None
        self._found: Origin | None = None

    def enter(self, steering: Steering) -> None:
        """From here on every op is looked at, until `leave`. What fails half-way is undone, and raised."""
        with ExitStack() as undo:  # calls all of them, whichever fails; the last one first
            undo.callback(RandomStates.take().put_back)
            undo.callback(_buffers_of(self._model))
            for put_back in steering.take():
                undo.callback(put_back)
            self._params = list(self._named.values())
            undo.callback(_put_back_gradients, self._params, [p.grad for p in self._params])
            for p in self._params:
                p.grad = None
            self._trace = undo.enter_context(OriginTrace(self._model))
            self._undo = undo.pop_all()

    def leave(self) -> None:
        """Everything is as it was before `enter`. May be called twice, and without it."""
        self._undo.close()

    @contextmanager
    def set_aside(self, steering: Steering) -> Iterator[None]:
        """`enter` and `leave`."""
        self.enter(steering)
        try:
            yield
        finally:
            self.leave()

    def run(self, function: ReplayFunction, steering: Steering) -> None:
        """Replay by the user's own function of a batch."""
        weights = self.kept.weights
        with self.set_aside(steering):
            for batch, random in self.kept.batches:
                random.put_back()
                given = function(batch)
                losses = {"loss": given} if isinstance(given, Tensor) else dict(given)
                losses = {name: loss for name, loss in losses.items() if name not in self.kept.gated}
                if not losses:
                    continue
                self.saw_losses(losses)
                total = torch.stack([weights.get(name, 1.0) * loss.reshape(()) for name, loss in losses.items()]).sum()
                total.backward()
            self.saw_gradients()
            self.saw_end()

    def saw_losses(self, losses: Mapping[str, Tensor]) -> None:
        """One call of run.total, before the user's backward."""
        if self._found is not None:
            return
        losses = {name: loss for name, loss in losses.items() if name not in self.kept.gated}
        self._losses = losses
        with _disable_current_modes():
            finite = all(bool(loss.detach().isfinite().all()) for loss in losses.values())
            if finite and self._by_gradient is None:
                wanted = [p for p in self._params if p.requires_grad]
                self._by_gradient = component_gradients_bad(losses, wanted) if wanted else None
            if not finite:
                self._found = find_origin(self._trace, losses, {})

    def saw_gradients(self) -> None:
        """The backward is complete, and nothing has scaled the gradients yet."""
        if self._found is not None:
            return
        with _disable_current_modes():
            grads = {name: p.grad for name, p in self._named.items() if p.grad is not None}
            self._found = find_origin(self._trace, self._losses, grads, self._by_gradient)

    def saw_end(self) -> None:
        """The last batch is through; the buffers are still as it left them."""
        self.is_complete = True
        if self._found is not None or self._model is None:
            return
        with _disable_current_modes():
            for name, buffer in self._model.named_buffers():
                if buffer.is_floating_point() and bool(buffer.isnan().any()):
                    self._buffer = (name, self._trace.birth_of(buffer))
                    return

    def to_data(self) -> dict[str, Any]:
        """The data of the `origin` event."""
        if self._found is None and not self.is_complete:
            return _without_replay(self.trip, FAILED if self.has_failed else LEFT)
        if self._found is None and self._buffer is not None:
            return {**_without_replay(self.trip, ""), "reproduced": True, **_of_buffer(*self._buffer)}
        late = self.now_step - 1 - self.trip.step
        found = self._found
        data = found.to_data() if found is not None else BLANK
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

    def __init__(
        self,
        enabled: bool,
        keep_steps: int,
        tell: Tell,
        steering: Steering | None = None,
        model: torch.nn.Module | None = None,
        params: Callable[[], Mapping[str, Tensor]] = dict,
    ) -> None:
        """`params`: what is measured, by name; asked for when a replay is made."""
        self.steering = steering or Steering()
        self._model, self._params = model, params
        self._enabled, self._tell = enabled, tell
        self._kept: deque[KeptStep] = deque(maxlen=keep_steps)
        self._asked: tuple[KeptStep, Trip] | None = None
        self._made, self._told, self._rest_until = 0, False, -1

    def begin(self, step: int, weights: Mapping[str, float], gated: frozenset[str] = frozenset()) -> None:
        """Step `step` begins."""
        if self._enabled:
            self._kept.append(KeptStep(step, dict(weights), gated=gated))

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
        if not trip.skipped:  # what a replay would find is the broken weights
            if not self._told:
                self._told = True
                self._tell(trip.step, _without_replay(trip, OBSERVED))
            return
        kept = next((kept for kept in self._kept if kept.step == trip.step and kept.batches), None)
        if kept is not None:
            self._asked = (kept, trip)
        elif not self._told:
            self._told = True
            self._tell(trip.step, _without_replay(trip))

    def due(self, now_step: int) -> Replay | None:
        """The replay to make now, as step `now_step`."""
        if self._asked is None:
            return None
        (kept, trip), self._asked = self._asked, None
        self._made += 1
        self._rest_until = now_step + REST_STEPS
        return Replay(kept, trip, now_step, self._model, self._params())

    def decline(self, replay: Replay) -> bool:
        """True when the loop must not make it, because it could not put everything back; that is told."""
        if self.steering.is_complete:
            return False
        self._tell(replay.trip.step, _without_replay(replay.trip, UNKNOWN_SCHEDULER))
        return True

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
        self._rest_until = -1  # a trip of this branch is news


def _of_buffer(name: str, birth: Birth | None) -> dict[str, Any]:
    module = name.rpartition(".")[0] or None
    if birth is None:
        return {
            "module": module,
            "value": "nan",
            "text": f"The buffer {name} became nan; no operation was seen to make it.",
        }
    at = ", ".join(part for part in (birth.phase, birth.module, birth.where) if part)
    return {
        "module": birth.module or module,
        "op": birth.op,
        "phase": birth.phase,
        "where": birth.where or None,
        "value": birth.value,
        "text": f"The buffer {name} became nan in {birth.op} ({at}).",
    }


def _buffers_of(model: torch.nn.Module | None) -> PutBack:
    """Puts the buffers of now back: the same tensors, with the values that they have now."""
    modules = model.modules() if model is not None else ()
    held = [(module, key, buffer) for module in modules for key, buffer in module._buffers.items()]
    values = [(b, b.detach().clone()) for _, _, b in held if b is not None and is_copyable(b)]

    def put_back() -> None:
        for module, key, buffer in held:
            module._buffers[key] = buffer
        with torch.no_grad():
            for buffer, value in values:
                buffer.data.copy_(value)  # through .data: a graph that is still needed takes no offence

    return put_back


def _put_back_gradients(params: list[Tensor], held: list[Tensor | None]) -> None:
    for p, grad in zip(params, held, strict=True):
        p.grad = grad


def _without_replay(trip: Trip, why: str = NO_REPLAY) -> dict[str, Any]:
    losses = [name.partition("/")[2] for name in trip.series if name.startswith("loss/") and name != "loss/total"]
    component = losses[0] if losses else None
    known = f"It is in the component {component!r}; " if component else ""
    return {
        **BLANK,
        "component": component,
        "reproduced": None,
        "steps_late": 0,
        "micro_batch": trip.micro_batch,
        "text": f"{known}{why}.",
    }
