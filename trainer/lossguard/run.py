"""The run: what a training script holds in its hand.

Rules of this file: a façade that delegates. What the user did wrong is raised at the first step; what fails inside
lossguard is swallowed by the shield. Mode off is the same object with null parts: the curriculum goes on, because
training depends on it, and nothing is measured or sent.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from .buffer import Note, Row
from .controls import Controller
from .link import Link, Status
from .protocol import names
from .schedule import Schedule
from .shield import Shield

if TYPE_CHECKING:
    from torch import Tensor

    from .instrument import Instrument
    from .weights import DeviceWeights

log = logging.getLogger("lossguard")

NAMES_COMPLAINED_MAX = 1_000

T = TypeVar("T")


class Telemetry(Protocol):
    """Where rows and notes go: the buffer, or nowhere."""

    def add_row(self, row: Row) -> None: ...

    def add_note(self, note: Note) -> None: ...


class NullTelemetry:
    """For mode off."""

    def add_row(self, row: Row) -> None:
        """Forget it."""

    def add_note(self, note: Note) -> None:
        """Forget it."""


class Run:
    """One training run, made by `lossguard.init`."""

    def __init__(
        self,
        id: str,
        schedule: Schedule,
        weights: "DeviceWeights",
        parameters: "Sequence[Tensor]",
        telemetry: Telemetry,
        shield: Shield,
        first_step: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.id = id
        self.step = first_step - 1
        self.stage = ""
        self.state = "running"
        self._schedule, self._device_weights, self._parameters = schedule, weights, list(parameters)
        self._telemetry, self._shield, self._clock = telemetry, shield, clock
        self._instrument: Instrument | None = None
        self._controller: Controller | None = None
        self._link: Link | None = None
        self._log_names: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._boundary_at_s = time.perf_counter()
        self._stage_index = -1
        self._data_wait_s = 0.0
        self._command_shield = Shield(shield.report)
        # what a user logs or watches may be wrong each time; it must not switch off the losses
        self._log_shield, self._matrix_shield = Shield(shield.report), Shield(shield.report)
        self._left_out: set[str] = set()
        self._first_step = self._logged_step = first_step

    def assemble(self, instrument: "Instrument | None", controller: Controller | None, link: Link) -> None:
        """Called once, by init: the parts that need the run itself."""
        self._instrument, self._controller, self._link = instrument, controller, link

    # -- the loop -----------------------------------------------------------------------------------------------

    def steps(self, loader: Iterable[T]) -> Iterator[T]:
        """Iterate over `loader` with a boundary before each step; ends early when the run is stopped from outside."""
        batches = iter(loader)
        while True:
            asked_at_s = time.perf_counter()
            try:
                batch = next(batches)
            except StopIteration:
                return
            if not self._pass_boundary(time.perf_counter() - asked_at_s):
                return
            yield batch

    def boundary(self) -> bool:
        """The manual form of `steps`: call it before each step. False means stop. Waits only while paused."""
        return self._pass_boundary(0.0)

    def total(self, losses: "Mapping[str, Tensor] | None" = None, /, **components: "Tensor") -> "Tensor":
        """The weighted sum of the loss components, with its graph: 0-d, on the losses' device.

        Multiplies and adds in the order given, so it equals `w1 * a + w2 * b` written by hand, bit for bit. A component
        of weight 0 is still evaluated. Raises UnknownComponent or NotAScalar.
        """
        given = self._device_weights.as_tensors({**(losses or {}), **components})
        if self.step < self._first_step:
            self.boundary()
        total = self._device_weights.total(given)
        if self._measuring is not None:
            with self._shield("total"):
                for name, loss in given.items():
                    self._measuring.add(names.loss(name), loss)
                self._measuring.add(names.TOTAL, total)
        return total

    # -- what is measured ---------------------------------------------------------------------------------------

    def matrix(self, name: str, tensor: "Tensor") -> None:
        """Watch a matrix [N,N] or [B,N,N], real or complex: records fro, spec (upper bound), trace and defect."""
        if self._measuring is not None and not self._matrix_shield.broken:
            with self._matrix_shield("matrix"):
                self._measuring.add_matrix(name, tensor)

    def clip_grad_norm_(self, max_norm: float, parameters: "Iterable[Tensor] | None" = None) -> "Tensor":
        """Clip the model's gradients as `torch.nn.utils.clip_grad_norm_` does, bit for bit.

        Returns the norm before, 0-d. Shares its norms with the measurement, so that clipping costs no more than it did.
        `parameters` clips those only.
        """
        from torch import Tensor
        from torch.nn.utils import clip_grad_norm_, clip_grads_with_norm_

        given = [parameters] if isinstance(parameters, Tensor) else parameters  # iterating one would yield its rows
        params = self._parameters if given is None else list(given)
        total: Tensor | None = None
        if self._measuring is not None:
            with self._shield("clip_grad_norm_"):
                total = self._measuring.norm_to_clip_by(whole_model=parameters is None)
        if total is None:
            total = clip_grad_norm_(params, max_norm)
        else:
            clip_grads_with_norm_(params, max_norm, total)
        if self._measuring is not None:
            with self._shield("clip_grad_norm_"):
                self._measuring.add_clip(total, max_norm)
        return total

    def log(self, values: "Mapping[str, float | Tensor]", step: int | None = None) -> None:
        """Record named numbers at the current step (or at `step`). Tensors of one element are read without waiting.

        What is no number (a text, an image) is left out, with one warning a name. In a loop without `steps` and
        `boundary`, each call is a step of its own, as with the usual trackers.
        """
        with self._log_shield("log"):
            alone = self.step < self._first_step
            at = int(step) if step is not None else self._logged_step if alone else self.step
            if alone and step is None:
                self._logged_step += 1
            numbers = {name: value for name, value in values.items() if isinstance(value, float)}
            if len(numbers) < len(values):
                tensors = self._sort_out(values, numbers)
                if tensors and self._measuring is not None:
                    self._measuring.log(at, tensors, with_step=not alone and at == self.step)
            if numbers:
                self._telemetry.add_row(Row(at, *self._checked(numbers), self._clock()))

    @property
    def weights(self) -> dict[str, float]:
        """The weight of every component in force now."""
        return self._schedule.weights_at(max(self.step, self._first_step))

    def status(self) -> Status:
        """For the heartbeat."""
        paused = self._controller is not None and self._controller.paused
        state = "paused" if paused and self.state == "running" else self.state
        return Status(state, max(self.step, self._first_step), time.perf_counter() - self._boundary_at_s)

    # -- the end ------------------------------------------------------------------------------------------------

    def finish(self, timeout_s: float = 30.0, state: str | None = None) -> None:
        """Record the last step, deliver what is left for up to `timeout_s` seconds, stop. May be called twice.

        What is not delivered stays in the spool; `lossguard sync` delivers it later.
        """
        link, self._link = self._link, None
        if link is None:
            return
        with self._shield("finish"):
            self._close_step(time.perf_counter() - self._boundary_at_s)
            if self._instrument is not None:
                self._instrument.drain()
                self._instrument.detach()
        with self._shield("the last delivery"):  # of its own: what is spooled goes out whatever failed above
            # a run that a command stopped stands before a step that it never made
            last = self.step - 1 if self.state == "stopped" else self.step
            self.state = state or ("finished" if self.state == "running" else self.state)
            self._telemetry.add_note(Note("finish", max(last, 0), self._clock(), {"state": self.state}))
            link.finish(timeout_s)

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.finish(state=None if kind is None else "stopped" if kind is KeyboardInterrupt else "crashed")

    # -- inside -------------------------------------------------------------------------------------------------

    @property
    def _measuring(self) -> "Instrument | None":
        return None if self._shield.broken else self._instrument

    def _pass_boundary(self, data_wait_s: float) -> bool:
        with self._shield("boundary"):
            self._close_step(time.perf_counter() - self._boundary_at_s - data_wait_s)
        self.step += 1
        self._data_wait_s = data_wait_s
        going_on = True
        with self._command_shield("commands"):
            going_on = self._controller is None or self._controller.apply(self.step)
        self._enter_step()
        self._boundary_at_s = time.perf_counter()
        if not going_on:
            self.state = "stopped"
        return going_on

    def _close_step(self, busy_s: float) -> None:
        if self._measuring is None or self.step < self._first_step or self.state == "stopped":
            return
        for component, weight in self.weights.items():
            self._measuring.add_host(names.weight(component), weight)
        self._measuring.add_host("step_time_s", busy_s + self._data_wait_s)
        self._measuring.add_host("data_wait_s", self._data_wait_s)
        self._measuring.close_step(self.step)

    def _enter_step(self) -> None:
        curriculum = self._schedule.curriculum
        index = curriculum.stage_index(self.step)
        self._device_weights.update(self._schedule.weights_at(self.step))
        if index != self._stage_index:
            self._stage_index, self.stage = index, curriculum.stages[index].name
            note = Note("stage", self.step, self._clock(), {"index": index, "name": self.stage})
            self._telemetry.add_note(note)

    def _sort_out(self, values: "Mapping[str, Any]", numbers: dict[str, float]) -> "dict[str, Tensor]":
        """Completes `numbers`, returns the tensors, and says once a name what is neither."""
        tensors: dict[str, Tensor] = {}
        for name, value in values.items():
            if isinstance(value, float):
                continue
            try:
                if isinstance(value, int):
                    numbers[name] = float(value)
                elif names.fault_in(name) is None:
                    tensors[name] = _one_number(value)
            except (TypeError, ValueError, RuntimeError, OverflowError):
                if name not in self._left_out and len(self._left_out) < NAMES_COMPLAINED_MAX:
                    self._left_out.add(name)
                    log.warning("lossguard: run.log leaves out %r: a %s is not one number.", name, type(value).__name__)
        return tensors

    def _checked(self, numbers: Mapping[str, float]) -> tuple[tuple[str, ...], list[float]]:
        given = tuple(numbers)
        good = self._log_names.get(given)
        if good is None:
            good = self._log_names[given] = tuple(name for name in given if not names.fault_in(name))
            if len(self._log_names) > 10_000:  # names made up each step would grow this for ever
                self._log_names.clear()
        return good, [numbers[name] for name in good]


def _one_number(value: Any) -> "Tensor":
    import torch

    tensor = torch.as_tensor(value)
    if tensor.numel() != 1:
        raise ValueError(f"it has the shape {list(tensor.shape)}")
    return tensor.detach().reshape(())
