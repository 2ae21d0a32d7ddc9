"""Everything that decides how a training goes on: what a snapshot copies, and how it comes back in place.

Rules of this file:
- Covered: parameters (frozen ones too), all buffers, optimizer state and the numbers of its groups, schedulers, the
  gradient scaler, the random states, and what the caller adds as `own`. Not covered: gradients (there are none at a
  boundary that count), Python attributes of modules, and generators that a user made.
- Tied parameters and tensors that show the same memory are copied once.
- A restore checks everything first and then changes everything, or nothing.
- Structure is the script's: what was added since (a parameter group, a buffer) stays; only values go back.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim import Optimizer

from ..random_states import RandomStates
from .layout import Unsupported, as_bytes, fault_in, layout_of, packed, without_repeats
from .refill import Refill
from .tree import AnyKept, Keep, Kept, Region, fill_tensor, freeze, keep_tensor, thaw

# GradScaler.state_dict() reads its tensors on the host, and waits for the device; its parts do not.
_SCALER_PARTS = (
    "_scale", "_growth_tracker", "_growth_factor", "_backoff_factor", "_growth_interval", "_init_scale",
    "_init_growth_tracker",
)  # fmt: skip


class Stateful(Protocol):
    """Schedulers, scalers, loaders."""

    def state_dict(self) -> Any: ...

    def load_state_dict(self, state_dict: Any, /) -> Any: ...


@dataclass(frozen=True)
class Own:
    """The caller's small state. `take` returns it (tensors in it are copied), `put_back` gets it back."""

    take: Callable[[], object] = lambda: None
    put_back: Callable[[Any], object] = lambda value: None


@dataclass
class Inventory:
    """What was found on one walk: the memory to copy, and the tensors whose health counts."""

    regions: dict[tuple[object, ...], Region] = field(default_factory=dict)
    checked: list[tuple[Tensor, bool]] = field(default_factory=list)  # (tensor, may it hold an infinity)

    def keeper(self, what: str, beside: bool, may_be_infinite: bool | None) -> Keep:
        """Keeps the tensors of one part. `may_be_infinite` None: their values are no sign of health."""

        def keep(tensor: Tensor) -> Kept:
            if fault := fault_in(tensor):
                raise Unsupported(f"{what} cannot be copied: {fault}")
            source = packed(without_repeats(tensor))
            if may_be_infinite is not None:
                self.checked.append((source, may_be_infinite))
            region = self._region(source, beside)
            return Kept(layout_of(source), tuple(tensor.shape), tensor.device, region)

        return keep

    def _region(self, source: Tensor, beside: bool) -> Region:
        key = (source.device, source.data_ptr(), source.nbytes, source.numel())
        region = self.regions.get(key)
        if region is None:
            region = self.regions[key] = Region(source.nbytes, beside, as_bytes(source))
        region.beside = region.beside and beside
        return region


@dataclass(frozen=True)
class FrozenOptimizer:
    """Of each group its parameters, as they were, and its other entries; the state by parameter."""

    groups: list[tuple[list[Tensor], object]]
    state: dict[Hashable, object]

    def fits(self, optimizer: Optimizer) -> bool:
        """True when each group is still there, in its place, with the parameters that it had; it may have got more."""
        if len(optimizer.param_groups) < len(self.groups):
            return False
        pairs = zip(self.groups, optimizer.param_groups, strict=False)
        return all(_ids(parameters) <= _ids(group["params"]) for (parameters, _), group in pairs)


@dataclass(frozen=True)
class Frozen:
    """A training state as it was at one boundary."""

    parameters: list[tuple[str, Tensor, AnyKept]]
    buffers: list[tuple[nn.Module, str, object]]
    optimizers: list[FrozenOptimizer]
    schedulers: list[object]
    scaler: object
    own: object
    random: RandomStates


class TrainingState:
    """The parts of one training. `scheduler`: one, several or None; `scaler`: a GradScaler, or anything stateful."""

    def __init__(
        self,
        model: nn.Module | Sequence[nn.Module],
        optimizers: Optimizer | Sequence[Optimizer],
        scheduler: Stateful | Sequence[Stateful] | None = None,
        scaler: Stateful | None = None,
        own: Own | None = None,
        take_random: Callable[[], RandomStates] = RandomStates.take,
    ) -> None:
        self._models = [model] if isinstance(model, nn.Module) else list(model)
        self._optimizers = [optimizers] if isinstance(optimizers, Optimizer) else list(optimizers)
        self._schedulers = as_list(scheduler)
        self._scaler, self._own, self._take_random = scaler, own or Own(), take_random

    def freeze(self, inventory: Inventory) -> Frozen:
        """The state now, its tensors as regions of `inventory`, not copied yet. Raises Unsupported."""
        updated = _ids(parameter for optimizer in self._optimizers for parameter in _parameters_of(optimizer))
        in_line = inventory.keeper("the state of a scheduler, a scaler or of the run", False, None)
        return Frozen(
            parameters=[
                (name, parameter, self._keep_parameter(inventory, name, parameter, id(parameter) in updated))
                for name, parameter in self._named_parameters()
            ],
            buffers=list(self._frozen_buffers(inventory)),
            optimizers=[_freeze_optimizer(optimizer, inventory) for optimizer in self._optimizers],
            schedulers=[freeze(scheduler.state_dict(), in_line) for scheduler in self._schedulers],
            scaler=freeze(scaler_parts(self._scaler), in_line),
            own=freeze(self._own.take(), in_line),
            random=self._take_random(),
        )

    def obstacle(self, frozen: Frozen) -> str | None:
        """Why `frozen` cannot be put back into the parts as they are now, or None."""
        present = {id(parameter) for _, parameter in self._named_parameters()}
        for name, parameter, kept in frozen.parameters:
            if id(parameter) not in present:
                return f"the parameter {name} is not in the model any more"
            if not kept.fits(parameter):
                return f"the parameter {name} was {kept.describe()} and is another kind of tensor now"
        if tied := _tied_since(frozen.parameters):
            return f"the parameters {tied[0]} and {tied[1]} share their memory now, and did not then"
        for optimizer, old in zip(self._optimizers, frozen.optimizers, strict=True):
            if not old.fits(optimizer):
                return f"the parameter groups of {type(optimizer).__name__} are not those of then"
        return None

    def additions(self, frozen: Frozen) -> list[str]:
        """What is there now and was not then, in words; a restore leaves it as it is, without optimizer state."""
        known = {id(parameter) for _, parameter, _ in frozen.parameters}
        found = [f"the parameter {name}" for name, parameter in self._named_parameters() if id(parameter) not in known]
        groups = sum(len(optimizer.param_groups) for optimizer in self._optimizers)
        added = groups - sum(len(old.groups) for old in frozen.optimizers)
        return found + ([f"{added} parameter group{'s' * (added > 1)} of the optimizer"] if added else [])

    def put_back(self, frozen: Frozen) -> None:
        """Make `frozen` the state again, in place. There must be no obstacle; graphs built before are void."""
        self._put_back_small(frozen)
        refill = Refill()
        for _, parameter, kept in frozen.parameters:
            fill_tensor(kept, parameter, refill.overwrite)
        for module, name, buffer in frozen.buffers:
            now = module._buffers.get(name)
            if (value := thaw(buffer, now, refill.fill)) is not now:
                module._buffers[name] = value if isinstance(value, Tensor) else None
        for optimizer, old in zip(self._optimizers, frozen.optimizers, strict=True):
            _thaw_optimizer(optimizer, old, refill)
        refill.write()
        frozen.random.put_back()  # last: nothing above may draw from it

    def drop_gradients(self) -> None:
        """What is half-accumulated belongs to the state that was replaced."""
        for _, parameter in self._named_parameters():
            parameter.grad = None

    def _put_back_small(self, frozen: Frozen) -> None:
        """First, because it runs code of others: what fails here has touched no weight, and no rate set here stays."""
        refill = Refill()
        schedules = [thaw(schedule, None, refill.fill) for schedule in frozen.schedulers]
        own = thaw(frozen.own, None, refill.fill)
        scaler = thaw(frozen.scaler, vars(self._scaler) if isinstance(self._scaler, GradScaler) else None, refill.fill)
        refill.write()
        for scheduler, schedule in zip(self._schedulers, schedules, strict=True):
            scheduler.load_state_dict(schedule)
        if isinstance(self._scaler, GradScaler) and isinstance(scaler, dict):
            vars(self._scaler).update(scaler)
        elif self._scaler is not None:
            self._scaler.load_state_dict(scaler)
        self._own.put_back(own)

    def _keep_parameter(self, inventory: Inventory, name: str, parameter: Tensor, is_updated: bool) -> AnyKept:
        lax = not parameter.requires_grad
        return keep_tensor(parameter, inventory.keeper(f"the parameter {name}", is_updated, lax))

    def _frozen_buffers(self, inventory: Inventory) -> Iterator[tuple[nn.Module, str, object]]:
        for model in self._models:
            for path, module in model.named_modules():
                for name, buffer in module._buffers.items():
                    keep = inventory.keeper(f"the buffer {path}.{name}".replace(" .", " "), False, True)
                    yield module, name, freeze(buffer, keep)

    def _named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Each parameter once, also of losses that only the optimizer knows."""
        seen: set[int] = set()
        named = [pair for model in self._models for pair in model.named_parameters()]
        unnamed = [
            (f"{number} of the optimizer", parameter)
            for optimizer in self._optimizers
            for number, parameter in enumerate(_parameters_of(optimizer))
        ]
        for name, parameter in (*named, *unnamed):
            if id(parameter) not in seen:
                seen.add(id(parameter))
                yield name, parameter


def as_list(scheduler: Stateful | Sequence[Stateful] | None) -> list[Stateful]:
    """The schedulers, of which there may be one, several or none."""
    if scheduler is None:
        return []
    return list(scheduler) if isinstance(scheduler, list | tuple) else [cast(Stateful, scheduler)]


def _parameters_of(optimizer: Optimizer) -> Iterator[Tensor]:
    for group in optimizer.param_groups:
        yield from group["params"]


def _tied_since(parameters: Iterable[tuple[str, Tensor, AnyKept]]) -> tuple[str, str] | None:
    """Two parameters that are the same memory now, and two regions of the snapshot."""
    at: dict[tuple[torch.device, int], tuple[str, Region]] = {}
    for name, parameter, kept in parameters:
        if isinstance(kept, Kept) and kept.region.nbytes:
            other, region = at.setdefault((parameter.device, parameter.data_ptr()), (name, kept.region))
            if region is not kept.region and region.nbytes == kept.region.nbytes:
                return other, name
    return None


def _ids(tensors: Iterable[Tensor]) -> set[int]:
    return {id(tensor) for tensor in tensors}


def scaler_parts(scaler: Stateful | None) -> object:
    """What decides how a scaler goes on: of a GradScaler its live attributes, else its state_dict()."""
    if isinstance(scaler, GradScaler):
        return {name: value for name, value in vars(scaler).items() if name in _SCALER_PARTS}
    return None if scaler is None else scaler.state_dict()


def _freeze_optimizer(optimizer: Optimizer, inventory: Inventory) -> FrozenOptimizer:
    name = type(optimizer).__name__
    # a scheduler may write a tensor's learning rate at any time; the state is written by the update alone
    numbers = inventory.keeper(f"a parameter group of {name}", False, None)
    state = inventory.keeper(f"the state of {name}", True, False)
    return FrozenOptimizer(
        groups=[
            (list(group["params"]), freeze({key: group[key] for key in group if key != "params"}, numbers))
            for group in optimizer.param_groups
        ],
        state={parameter: freeze(value, state) for parameter, value in optimizer.state.items()},
    )


def _thaw_optimizer(optimizer: Optimizer, old: FrozenOptimizer, refill: Refill) -> None:
    for group, (_, numbers) in zip(optimizer.param_groups, old.groups, strict=False):  # groups added since stay
        group.update(cast("dict[str, Any]", thaw(numbers, group, refill.fill)))
    state: MutableMapping[Any, Any] = optimizer.state
    for parameter in [parameter for parameter in state if parameter not in old.state]:
        del state[parameter]
    for parameter, value in old.state.items():
        state[parameter] = thaw(value, state.get(parameter), refill.fill)
