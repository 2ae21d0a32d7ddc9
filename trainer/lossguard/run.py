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
from .continuing import Continuing
from .link import Link, Status
from .log_rows import LogRows
from .logged import Watched
from .loop import Loop
from .process_end import state_after
from .protocol.messages import DETAIL_STEPS_MAX
from .recovery import Parts
from .shield import Shield

if TYPE_CHECKING:
    from torch import Tensor

    from .evaluating import Evaluation
    from .instrument import Instrument
    from .weights import DeviceWeights

log = logging.getLogger("lossguard")

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
        continuing: Continuing,
        loop: Loop,
        weights: "DeviceWeights",
        parameters: "Sequence[Tensor]",
        telemetry: Telemetry,
        shield: Shield,
        evaluation: "Evaluation",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.id, self.continuing = continuing.life.run, continuing
        self._evaluation = evaluation
        self._loop, self._device_weights, self._parameters = loop, weights, list(parameters)
        self._telemetry, self._shield, self._clock = telemetry, shield, clock
        self._link: Link | None = None
        # what a user logs or watches may be wrong each time; it must not switch off the losses
        self._log_shield, self._watch_shield, self._ask_shield = (Shield(shield.report) for _ in range(3))
        self._logged = LogRows(loop, evaluation, telemetry.add_row, clock)
        self._watched, self._has_complained = Watched(), False

    def assemble(self, parts: Parts | None, link: Link) -> None:
        """Called once, by init: the parts that need the run itself."""
        self._loop.parts, self._link = parts, link
        self.continuing.hook_rates()

    # -- where it stands ----------------------------------------------------------------------------------------

    @property
    def step(self) -> int:
        """The step that is being made; one below the first before it begins."""
        return self._loop.step

    @property
    def stage(self) -> str:
        """The name of the curriculum's stage."""
        return self._loop.stage

    @property
    def state(self) -> str:
        """running, finished, stopped or crashed."""
        return self._loop.state

    @property
    def weights(self) -> dict[str, float]:
        """The weight of every component in force now."""
        return self._loop.weights

    @property
    def replaying(self) -> bool:
        """True while a tripped step's batch is run once more to find where its non-finite value was born."""
        return self._loop.replay is not None

    @property
    def guard(self) -> dict[str, str]:
        """How each optimizer is guarded: its class name, and `device`, `trip`, `observe` or `off`."""
        return self._loop.guard_modes

    # -- the loop -----------------------------------------------------------------------------------------------

    def steps(self, loader: Iterable[T], accumulate: int = 1) -> Iterator[T]:
        """Iterate over `loader` with a boundary before each step; ends early when the run is stopped from outside.

        `accumulate`: so many batches make one step; their gradients add up before the optimizer steps. After a step
        that the guard tripped its batches come once more, as a step whose update is skipped too (`run.replaying`).
        """
        if self._evaluation.is_on:
            yield from loader
            return
        self._loop.is_paced = True
        yield from self._loop.iterate(loader, accumulate)  # not returned: a run lives as long as its loop

    def boundary(self, batch: object = None) -> bool:
        """The manual form of `steps`: call it before each step. False means stop. Waits only while paused.

        `batch`: kept for a replay by the function that was given to lg.init(replay=...).
        """
        if self._evaluation.is_on:
            return True
        self._loop.is_paced = True
        return self._loop.boundary(batch)

    def total(self, losses: "Mapping[str, Tensor] | None" = None, /, **components: "Tensor") -> "Tensor":
        """The weighted sum of the loss components, with its graph: 0-d, on the losses' device.

        Multiplies and adds in the order given, so it equals `w1 * a + w2 * b` written by hand, bit for bit. A component
        of weight 0 is still evaluated; one that is gated is no part of the graph, and of the total. Where all are, the
        total is a zero whose backward gives gradients of zero. Raises UnknownComponent or NotAScalar.
        """
        given = self._device_weights.as_tensors({**(losses or {}), **components})
        if self._evaluation.is_on:
            total = self._device_weights.total(given)
            self._evaluation.add_losses(given, total)
            return total
        is_in_step = self._loop.is_paced or _begin_step(self._loop, self._shield)
        total = self._device_weights.total(given)
        if (replay := self._loop.replay) is not None:
            with self._ask_shield("the replay"):
                replay.saw_losses(given)
        elif is_in_step and (instrument := self._loop.instrument) is not None:
            with self._shield("total"):
                instrument.add_losses(
                    self.step, self._device_weights.opened(given), self._loop.terms.now.weights, total
                )
        return total

    def shared(self, activation: "Tensor") -> "Tensor":
        """Mark the activation that all components depend on; returns it as it is.

        Every tenth step the components' gradients at it are compared: grad_share/<component>, grad_cos/<a>|<b>.
        """
        if (measuring := self._measuring) is not None:
            with self._ask_shield("shared"):
                measuring.gradients.share(activation)
        return activation

    def evaluating(self) -> "Evaluation":
        """`with run.evaluating():` around a look at validation data; what it computes is not the training's.

        Within it `total`, `matrix`, `count` and `log` record `eval/<name>` of what they record else, at the current
        step; of several batches the mean (of matrix norms the largest). `steps` and `boundary` count no step there.
        Gradients and the model's mode are the script's: torch.no_grad and model.eval() are not implied.
        """
        return self._evaluation

    # -- what is measured ---------------------------------------------------------------------------------------

    def matrix(self, name: str, tensor: "Tensor") -> None:
        """Watch a matrix [N,N] or [B,N,N], real or complex: fro, spec (upper bound), trace, defect, diag_min."""
        if (measuring := self._watching) is not None and not self._watch_shield.broken:
            with self._watch_shield("matrix"):
                if self._watched.is_matrix(name, tensor):
                    measuring.add_matrix(name, tensor)

    def count(self, name: str, mask: "Tensor") -> None:
        """Record how many elements of a mask are set, as count/<name>; a float mask is summed."""
        if (measuring := self._watching) is not None and not self._watch_shield.broken:
            with self._watch_shield("count"):
                if self._watched.is_mask(name, mask):
                    measuring.add_count(name, mask)

    def clip_grad_norm_(self, max_norm: float, parameters: "Iterable[Tensor] | None" = None) -> "Tensor":
        """Clip the model's gradients as `torch.nn.utils.clip_grad_norm_` does, bit for bit.

        Returns the norm before, 0-d. Shares its norms with the measurement, so that clipping costs no more than it did.
        `parameters` clips those only. An operator may have set another norm in place of `max_norm`.
        """
        from torch import Tensor

        from .sharding import clipped

        self._loop.terms.script_clips_to = max_norm
        max_norm = max_norm if (clip := self._loop.terms.now.clip) is None else clip
        given = [parameters] if isinstance(parameters, Tensor) else parameters  # iterating one would yield its rows
        params = self._parameters if given is None else list(given)
        total: Tensor | None = None
        if self._loop.replay is not None:  # clipping spreads one NaN over all gradients: look before it
            self._loop.recovery.before_update()
        elif (measuring := self._measuring) is not None:
            with self._shield("clip_grad_norm_"):
                total = measuring.grads.to_clip_by(whole_model=parameters is None)
        total = clipped(params, max_norm, total)
        if (measuring := self._measuring) is not None:
            with self._shield("clip_grad_norm_"):
                measuring.add_clip(total, max_norm)
        return total.clone()  # the norm that is recorded is not the script's to change

    def log(self, values: "Mapping[str, float | Tensor]", step: int | None = None) -> None:
        """Record named numbers at the current step (or at `step`). Tensors of one element are read without waiting.

        What is no number (a text, an image), or is for no step, is left out, with one warning a name. In a loop without
        `steps` and `boundary`, each call is a step of its own, as with the usual trackers.
        """
        with self._log_shield("log"):
            self._logged.add(values, step, lambda: self._measuring)

    # -- what may be asked for ----------------------------------------------------------------------------------

    def instrument(self, steps: int, reason: str = "the script") -> None:
        """Record everything for so many steps, from this one on; then it falls back by itself.

        Norms by parameter, activations of the model's blocks, component gradients at each step.
        """
        if not self.replaying and (measuring := self._loop.instrument) is not None:
            with self._ask_shield("instrument"):
                if (wanted := min(int(steps), DETAIL_STEPS_MAX)) >= 1:
                    measuring.detail.raise_for(max(self.step, self._loop.first_step), wanted, reason)
                elif not self._has_complained:
                    self._has_complained = True
                    log.warning("lossguard: run.instrument takes a number of steps from 1, not %r.", steps)

    def rollback(self) -> None:
        """At the next boundary go back, in place, to the newest healthy snapshot; without one nothing happens."""
        self._loop.wants_rollback = True

    # -- from one process to the next ---------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint, saved after the optimizer has stepped: plain data that `lg.init(resume=...)` takes."""
        return self.continuing.state()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Before the first step: take over the step, and what operators had done, from what `state_dict` returned.

        The run keeps its own id, which lg.init has told: the server shows another run, and does not offer again what
        was done after the checkpoint. Where you can, use `lg.init(resume=state)` instead. Raises ConfigError.
        """
        self.continuing.load(state)

    def status(self) -> Status:
        """For the heartbeat."""
        return self._loop.status()

    # -- the end ------------------------------------------------------------------------------------------------

    def finish(self, timeout_s: float = 30.0, state: str | None = None) -> None:
        """Record the last step, deliver what is left for up to `timeout_s` seconds, stop. May be called twice.

        What is not delivered stays in the spool; `lossguard sync` delivers it later.
        """
        link, self._link = self._link, None
        if link is None:
            return
        with self._shield("finish"):
            self._loop.end()
        with self._shield("the last delivery"):  # of its own: what is spooled goes out whatever failed above
            self._loop.state = state or ("finished" if self.state == "running" else self.state)
            self._telemetry.add_note(Note("finish", max(self.step, 0), self._clock(), {"state": self.state}))
            link.finish(timeout_s)

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.finish(state=state_after(error))

    # -- inside -------------------------------------------------------------------------------------------------

    @property
    def _measuring(self) -> "Instrument | None":
        """Nothing of a replay is measured, it would be told as news; and nothing of an evaluation as the training's."""
        return None if self._loop.replay is not None or self._evaluation.is_on else self._loop.instrument

    @property
    def _watching(self) -> "Instrument | Evaluation | None":
        """What takes matrices and counts."""
        return self._evaluation if self._evaluation.is_on else self._measuring


def _begin_step(loop: Loop, shield: Shield) -> bool:
    """For a loop without `steps` and `boundary`: a step begins once an optimizer has stepped. False: it is stopped."""
    if loop.step < loop.first_step:
        return loop.boundary()
    instrument = loop.instrument
    if instrument is None or loop.replay is not None or not instrument.guard.verdicts.stepped:
        return loop.is_open
    if loop.boundary():
        return True
    # nobody here can obey a stop: the loop goes on, guarded as before, and is not recorded
    with shield("the start of a step"):
        instrument.pass_over()
    return False
