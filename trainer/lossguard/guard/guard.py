"""Decides, just before an optimizer steps, whether what it would write is finite; if not, the step does not happen.

Rules of this file:
- The verdict covers every gradient that this optimizer reads, taken after the last write to it, every total of the
  step, and the model's buffers. After a tripped step parameters, optimizer state and buffers hold the bits from
  before it.
- device: the optimizer's own kernel is told by `found_inf`, and nobody waits. trip: the host reads one number and
  sets the gradients to None, which every optimizer takes as "not this one". Zeroed gradients would be no skip: weight
  decay and momentum go on, and 0 * NaN is NaN.
- Gradients that a trip set to None are there again after the step, so that code that looks at them finds them.
- Where a parameter has no optimizer state yet, that step goes by trip: a skipped first step would leave state behind,
  for SGD with momentum even uninitialised memory.
- observe: the verdict is recorded and nothing is changed, no buffer either.
- Of several ranks that share their gradients each decides by the gradients alone, which are the same on all: what only
  one of them sees (its loss, its buffers) is recorded, and its buffers are put back.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from ..errors import NonFiniteStep
from ..grad_norms import GradNorms, Taken
from ..norms import home_of
from ..shield import Shield
from .probe import BAD, Ability, ability_of, takes_hooks, unsupported
from .shadow import BufferShadow

SETS_MAX = 64


@dataclass(frozen=True)
class GuardOptions:
    """As given to lg.init."""

    mode: str = "auto"
    on_trip: str = "skip"
    note: str = ""  # why it only observes
    by_gradients_alone: bool = False


@dataclass
class Verdicts:
    """What was decided in one step. Tensors are 0-d and on their way; the host knows the rest already."""

    bad: list[Tensor] = field(default_factory=list)
    own_bad: list[Tensor] = field(default_factory=list)  # of this rank alone, where ranks judge together
    skipped: list[Tensor] = field(default_factory=list)
    host_bad: bool = False  # and skipped
    stepped: bool = False


@dataclass
class Watched:
    """One optimizer and how its steps are kept clean."""

    optimizer: Optimizer
    mode: str
    ability: Ability
    note: str = ""
    has_stepped: bool = False  # in this step
    warm: set[tuple[object, ...]] = field(default_factory=set)  # sets of parameters known to have their state
    dropped: list[tuple[Tensor, Tensor]] = field(default_factory=list)  # (parameter, gradient) while a step is skipped


class Guard:
    """Watches the steps of a run's optimizers."""

    def __init__(
        self,
        options: GuardOptions,
        optimizers: Sequence[Optimizer],
        model: torch.nn.Module | None,
        norms: GradNorms,
        totals: Callable[[], Sequence[Tensor]],
        shield: Shield,
    ) -> None:
        self._options, self._norms, self._totals, self._shield = options, norms, totals, shield
        self.watched = [_watched(opt, options) for opt in optimizers]
        self._shadow = BufferShadow(model if self.is_on else None)
        self.verdicts = Verdicts()
        self.before_update: Callable[[], bool] = lambda: True
        self.another_step: Callable[[], None] = lambda: None  # an optimizer steps again, and no step has begun
        self._set_by_us: list[Optimizer] = []
        self._hooks = [hook for each in self.watched for hook in self._hooked(each)]

    @property
    def is_on(self) -> bool:
        """False where no step is judged."""
        return any(each.mode != "off" for each in self.watched)

    @property
    def has_device_mode(self) -> bool:
        """True where a trip may be learned a step or two late."""
        return any(each.mode == "device" for each in self.watched)

    @property
    def notes(self) -> list[str]:
        """Why a mode is not what was asked for."""
        return list(dict.fromkeys(each.note for each in self.watched if each.note))

    def begin_step(self) -> None:
        """A step begins: remember the buffers, forget the verdicts."""
        self.verdicts = Verdicts()
        for optimizer in self._set_by_us:  # a step that raised did not come to its end
            _forget(optimizer)
        self._set_by_us.clear()
        for each in self.watched:
            _give_back(each)
            each.has_stepped = False
        if any(each.mode in ("device", "trip") for each in self.watched):
            self._shadow.take()
        else:
            self._shadow.follow()

    def detach(self) -> None:
        """Take the hooks off."""
        for hook in self._hooks:
            hook.remove()

    # -- the hooks ----------------------------------------------------------------------------------------------

    def _hooked(self, watched: Watched) -> "list[torch.utils.hooks.RemovableHandle]":
        if not takes_hooks(watched.optimizer):
            return []

        def before(optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if self._shield.broken:
                return None
            closure = kwargs.get("closure") or (args[1] if len(args) > 1 else None)
            if closure is None or watched.mode == "off":
                self._judge(watched)
                return None
            # the gradients come into being inside the step: judge them there
            guarded = self._judging(closure, watched)
            return (args[:1], {**kwargs, "closure": guarded})

        def after(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
            _give_back(watched)
            self._norms.stepped()
            if optimizer in self._set_by_us:
                self._set_by_us.remove(optimizer)
                _forget(optimizer)

        optimizer = watched.optimizer
        return [
            optimizer.register_step_pre_hook(before),
            optimizer.register_step_post_hook(after),
            # a checkpoint that is loaded may have no state, or less
            optimizer.register_load_state_dict_post_hook(lambda optimizer: watched.warm.clear()),
        ]

    def _judging(self, closure: Callable[[], Any], watched: Watched) -> Callable[[], Any]:
        def guarded() -> Any:
            loss = closure()
            self._judge(watched)
            return loss

        return guarded

    def _judge(self, watched: Watched) -> None:
        if torch._C._current_graph_task_id() >= 0:  # the optimizer steps inside backward: nothing is complete yet
            if watched.mode != "off":
                watched.mode, watched.note = (
                    "off",
                    f"{type(watched.optimizer).__name__} steps inside backward; not supported",
                )
                self._shield.report("guard", watched.note)
            return
        raised = False
        with self._shield("the guard"):
            if watched.has_stepped:
                self.another_step()
            watched.has_stepped = self.verdicts.stepped = True
            scale = getattr(watched.optimizer, "grad_scale", None)
            taken = self._norms.of(watched.optimizer, scale)
            if not self.before_update():
                _drop_gradients(watched)  # a replay: it never reaches the weights
            elif taken is not None and watched.mode != "off":
                raised = self._act(watched, taken)
        if raised:
            raise NonFiniteStep()

    def _act(self, watched: Watched, taken: Taken) -> bool:
        """Decide and act; True when the user asked for an error."""
        signs, own = [taken.total], [*self._totals(), *self._shadow.fault()]
        if self.verdicts.host_bad:  # a step is tripped as a whole: what steps after the first trip is held back too
            signs.append(torch.tensor(torch.nan))
        if not self._options.by_gradients_alone or watched.mode == "observe":
            signs, own = signs + own, []
        if watched.mode == "observe":
            self.verdicts.bad.append(_is_bad(signs))
        elif watched.mode == "device" and self._is_warm(watched, taken.present):
            self._skip_on_device(watched.optimizer, signs, own)
        elif not _all_finite(signs):
            self.verdicts.host_bad = True
            self._shadow.put_back()
            if self._options.on_trip == "raise":
                return True
            _drop_gradients(watched)
        elif own and not _all_finite(own):
            self._shadow.put_back()
            self.verdicts.own_bad.append(torch.tensor(True))
        return False

    def _skip_on_device(self, optimizer: Optimizer, signs: list[Tensor], own: list[Tensor]) -> None:
        bad = _is_bad(signs)
        for earlier in self.verdicts.bad:
            bad = bad.logical_or(earlier.to(bad.device, non_blocking=True))
        if own:
            self.verdicts.own_bad.append(_is_bad(own))
            self._shadow.put_back_where(bad.logical_or(self.verdicts.own_bad[-1].to(bad.device, non_blocking=True)))
        else:
            self._shadow.put_back_where(bad)
        flag = bad.to(torch.float32)
        if (theirs := getattr(optimizer, "found_inf", None)) is None:
            self._set_by_us.append(optimizer)
        else:  # a GradScaler's: it set the attribute, and deletes it
            flag = torch.clamp(theirs.to(flag.device, non_blocking=True) + flag, max=BAD)
        optimizer.found_inf = flag  # type: ignore[attr-defined]
        self.verdicts.bad.append(bad)
        self.verdicts.skipped.append(flag)

    def _is_warm(self, watched: Watched, present: tuple[int, ...]) -> bool:
        """Every parameter with a gradient has the state that a step would update."""
        optimizer, stateless = watched.optimizer, watched.ability.stateless
        if len(stateless) == len(optimizer.param_groups):
            return True
        known = (present, id(optimizer.state), len(optimizer.state))
        if known in watched.warm:
            return True
        groups = [group for i, group in enumerate(optimizer.param_groups) if i not in stateless]
        if not all(_has_state(optimizer, p) for group in groups for p in group["params"] if p.grad is not None):
            return False
        if len(watched.warm) >= SETS_MAX:  # which experts of a mixture have gradients is another set at each step
            watched.warm.clear()
        watched.warm.add(known)
        return True

    def stop_judging_buffers(self) -> None:
        """A buffer is NaN on purpose, it seems: trips of buffers alone would go on for ever."""
        self._shadow.stop_judging()

    def state_was_replaced(self) -> None:
        """A rollback has changed which parameters have their state."""
        for each in self.watched:
            each.warm.clear()


def _watched(optimizer: Optimizer, options: GuardOptions) -> Watched:
    nothing = Ability(False)
    if reason := unsupported(optimizer):
        return Watched(optimizer, "off", nothing, reason if options.mode == "auto" else "")
    if options.mode in ("observe", "off"):
        return Watched(optimizer, options.mode, nothing, options.note)
    if options.on_trip == "raise":  # the host must know before the step, so it reads the verdict
        return Watched(optimizer, "trip", nothing)
    ability = ability_of(optimizer)
    return Watched(optimizer, "device" if ability.skips_on_device else "trip", ability, ability.note)


def _is_bad(signs: Sequence[Tensor]) -> Tensor:
    device = home_of(signs)
    with torch.no_grad():
        finite = [sign.reshape(()).isfinite().to(device, non_blocking=True) for sign in signs]
        return torch.stack(finite).all().logical_not()


def _all_finite(signs: Sequence[Tensor]) -> bool:
    if all(sign.device.type == "cpu" for sign in signs):
        return all(math.isfinite(sign) for sign in signs)
    return not bool(_is_bad(signs))  # one wait, whatever the number of signs


def _drop_gradients(watched: Watched) -> None:
    for group in watched.optimizer.param_groups:
        for p in group["params"]:
            if p.grad is not None:
                watched.dropped.append((p, p.grad))
                p.grad = None


def _give_back(watched: Watched) -> None:
    for p, grad in watched.dropped:
        if p.grad is None:
            p.grad = grad
    watched.dropped.clear()


def _has_state(optimizer: Optimizer, parameter: Tensor) -> bool:
    state = optimizer.state.get(parameter) or {}
    return any(isinstance(value, Tensor) for value in state.values())


def _forget(optimizer: Optimizer) -> None:
    if hasattr(optimizer, "found_inf"):
        del optimizer.found_inf
