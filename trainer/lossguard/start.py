"""`lossguard.init`: puts a run together from its parts.

Rules of this file: composition only. Arguments that cannot be meant so raise here, before training; a part that cannot
be made for another reason is left out, with a warning, and training goes on.
"""

import itertools
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import msgspec

from . import environment, identity
from .buffer import Note, Row, SampleBuffer
from .config import plain_config
from .controls import Controller, Controls
from .curriculum import Curriculum, is_step
from .encoder import Encoder
from .errors import ConfigError
from .link import LinkThread, NullLink
from .loop import Loop
from .process_end import EndBuffer, ProcessEnd, make_room
from .protocol.messages import ON_TRIP, Command, ContractSpec, ControlsSpec, Declaration, GuardSpec
from .protocol.names import fault_in, grad_norm
from .recovery import Parts
from .run import NullTelemetry, Run
from .sampler import Sampler
from .schedule import Schedule
from .shield import Shield
from .snapshots.options import Snapshots
from .spool import Spool
from .wishes import Wishes, check_kinds

if TYPE_CHECKING:
    import torch

    from .assembly import Watching
    from .instrument import Scaler
    from .replay import ReplayFunction
    from .snapshots.state import Stateful

log = logging.getLogger("lossguard")

ERROR_TEXT_MAX = 2_000
UNASKED_MEMORY_SHARE = 0.125  # of the free host memory: who wants snapshots that take more asks for them
GUARDS = ("auto", "observe", "off")
_inits = itertools.count()  # the one thing here that belongs to the process and to no run


def init(
    project: str = "default",
    name: str | None = None,
    *,
    config: object = None,
    model: "torch.nn.Module | None" = None,
    optimizer: "torch.optim.Optimizer | Sequence[torch.optim.Optimizer] | None" = None,
    scheduler: "Stateful | Sequence[Stateful] | None" = None,
    scaler: "Scaler | None" = None,
    curriculum: Curriculum | None = None,
    losses: Mapping[str, float] | None = None,
    groups: Mapping[str, str | Sequence[str]] | None = None,
    contracts: Sequence[ContractSpec] = (),
    controls: Controls | None = None,
    guard: str = "auto",
    on_trip: str = "skip",
    replay: "bool | ReplayFunction" = True,
    snapshots: Snapshots | bool = True,
    activations: Sequence[str] | bool = (),
    mode: str | None = None,
    url: str | None = None,
    token: str | None = None,
    dir: str | os.PathLike[str] | None = None,
    start_step: int = 0,
    handle_sigterm: bool = True,
) -> Run:
    """Start to watch a training run; see the README for the loop around it. Call it before torch.compile.

    curriculum or losses: the weights of the components ({"loss": 1.0} without either). groups: parameter groups by
    module prefix or glob; by default a model's top-level modules. scheduler (one, or several), scaler: what a snapshot
    holds beside model and optimizer; a torch.amp.GradScaler's skips are told from failures.

    guard: "auto" keeps a step that is not finite out of weights and state, "observe" only records it, "off". on_trip:
    what follows: "skip", "pause" (until an operator resumes) or "raise" (NonFiniteStep, before the optimizer steps).
    replay: the batch of a tripped step is run once more to name the op: by the loop itself (True), by a function of the
    batch that returns the losses, or not (False). snapshots: lg.Snapshots(...), or False for no rollback.
    activations: record the activations of these modules (names or globs; True: the model's blocks).

    mode, url, token, dir: LOSSGUARD_MODE, _URL, _TOKEN and _DIR where not given. handle_sigterm: at SIGTERM save what
    there is, for at most 2 s, and die of it; only where nobody else handles it. An unfinished run of one of these
    optimizers ends here. Raises ConfigError for arguments that cannot be meant so, and nothing else.
    """
    check_kinds(
        losses=losses, contracts=contracts, controls=controls, scaler=scaler, replay=replay, snapshots=snapshots,
        activations=activations, mode=mode, url=url, token=token, dir=dir,
    )  # fmt: skip
    name = "run" if name is None or name == "" else name
    _check_names(project=project, name=name)
    _check_choice("guard", guard, GUARDS)
    _check_choice("on_trip", on_trip, ON_TRIP)
    _check_groups(groups)
    _check_model(model)
    wishes = Wishes(
        project=project,
        name=name,
        config=config,
        model=model,
        optimizers=_optimizers(optimizer),
        scheduler=scheduler,
        scaler=scaler,
        schedule=Schedule(_curriculum(curriculum, losses)),
        groups=groups,
        contracts=contracts,
        controls=controls or Controls(),
        guard=guard,
        on_trip=on_trip,
        replay=replay,
        snapshots=_snapshots(snapshots),
        activations=[activations] if isinstance(activations, str) else activations,
        mode=environment.mode_from(mode, os.environ),
        url=url,
        token=token,
        dir=dir,
        handle_sigterm=handle_sigterm,
    )
    wishes.controls.spec(wishes.schedule)  # what they cannot bound,
    environment.spool_cap_bytes(os.environ)  # a limit that is none, and
    environment.endpoint(url, token, os.environ)  # a malformed address, is said now, not by the link at night
    _say_what_is_missing(wishes)
    make_room(wishes.optimizers)
    buffer = EndBuffer()
    telemetry = NullTelemetry() if wishes.mode == "off" else buffer
    shield = Shield(
        lambda where, message: buffer.add_note(Note("error", max(loop.step, 0), time.time(), _error(where, message)))
    )
    run, loop = _make_run(wishes, telemetry, shield, start_step)
    if wishes.mode == "off" or identity.rank() > 0:
        run.assemble(None, NullLink())
        return run
    end = None
    with shield("init"):
        end = _watch(run, loop, buffer, shield, wishes)
    if end is None:
        log.warning("lossguard: nothing of this run is measured or guarded, because lg.init failed inside; see above")
        with shield("init"):
            end = _only_tell(run, loop, buffer, wishes)
    if end is not None:
        with shield("init"):
            end.watch(handle_sigterm)
    return run


def _only_tell(run: Run, loop: Loop, buffer: EndBuffer, wishes: Wishes) -> ProcessEnd:
    """Nothing could be attached: the run is told of all the same, with its error, and with what it logs."""
    declaration = _declaration(ControlsSpec([], {}), wishes)  # a command would reach nobody
    with ExitStack() as undo:
        end = _linked(run, loop, buffer, wishes, declaration, lambda command: None, lambda step: [], undo)
        run.assemble(None, end)
        return end


def _watch(run: Run, loop: Loop, buffer: EndBuffer, shield: Shield, wishes: Wishes) -> ProcessEnd:
    """Attach to the training, and begin to tell of it; nothing is left behind when a part cannot be made."""
    from .assembly import measuring
    from .system import SystemSeries

    with ExitStack() as undo:
        watching = measuring(buffer, loop, shield, wishes)
        undo.callback(watching.instrument.detach)
        spec = _spec(wishes, watching)
        detail, pause_max_s = watching.instrument.detail, wishes.controls.pause_max_s
        controller = Controller(
            wishes.schedule, spec, pause_max_s, _reporter(buffer), time.monotonic, _teller(buffer),
            raise_detail=detail.raise_for, roll_back=loop.roll_back,
        )  # fmt: skip
        parts = Parts(watching, controller, wishes.on_trip)
        parts.can_be_resumed = wishes.mode != "offline"
        sampled = Sampler(SystemSeries(watching.instrument.grads.devices(), time.monotonic).sample)
        declaration = _measured(_declaration(spec, wishes), watching, wishes)
        end = _linked(run, loop, buffer, wishes, declaration, controller.offer, sampled, undo)
        run.assemble(parts, end)
        return end


def _linked(
    run: Run,
    loop: Loop,
    buffer: EndBuffer,
    wishes: Wishes,
    declaration: Declaration,
    offer: Callable[[Command], None],
    sampled: Callable[[int], list[Row]],
    undo: ExitStack,
) -> ProcessEnd:
    """The spool and the link thread, started; what `undo` holds is kept from then on."""
    from . import __version__

    hello, encoder = identity.hello(run.id, wishes.project, wishes.name, __version__), Encoder()
    spool = Spool(
        environment.spool_folder(wishes.dir, os.environ),
        hello,
        cap_bytes=environment.spool_cap_bytes(os.environ),
        server=environment.spool_address(wishes.mode, wishes.url, wishes.token, os.environ),
    )
    undo.callback(spool.close)
    spool.append(encoder.declare(declaration))
    find = lambda: environment.endpoint(wishes.url, wishes.token, os.environ)  # noqa: E731
    link = LinkThread(
        hello, buffer, encoder, spool, loop.status, offer, find if wishes.mode == "online" else None, sampled
    )  # fmt: skip
    end = ProcessEnd(run, link, buffer, loop, _that_can_be_marked(wishes.optimizers))
    link.start()
    undo.pop_all()
    return end


def _that_can_be_marked(optimizers: Sequence[object]) -> list[object]:
    return [optimizer for optimizer in optimizers if hasattr(optimizer, "__dict__")]


def _spec(wishes: Wishes, watching: "Watching") -> ControlsSpec:
    """What an operator may do to this run."""
    spec = wishes.controls.spec(wishes.schedule)
    if identity.world_size() > 1:
        return ControlsSpec([], {})  # a command must reach every rank at the same step, which is not possible yet
    if watching.keeps_snapshots:
        return spec
    return ControlsSpec([kind for kind in spec.kinds if kind != "rollback"], spec.weight_bounds, spec.detail_on_alert)


def _curriculum(curriculum: Curriculum | None, losses: Mapping[str, float] | None) -> Curriculum:
    if curriculum is not None and losses is not None:
        raise ConfigError("lg.init takes a curriculum or losses, not both.")
    if curriculum is not None and not isinstance(curriculum, Curriculum):
        raise ConfigError(f"lg.init got a curriculum of type {type(curriculum).__name__}; make one by lg.Curriculum.")
    return curriculum or Curriculum.constant(losses or {"loss": 1.0})


def _make_run(
    wishes: Wishes, telemetry: SampleBuffer | NullTelemetry, shield: Shield, start_step: int
) -> tuple[Run, Loop]:
    from .evaluating import Evaluation
    from .weights import DeviceWeights

    if not is_step(start_step):
        raise ConfigError(f"lg.init got start_step={start_step!r}; it is a step number from 0.")
    if wishes.model is not None:
        parameters = list(wishes.model.parameters())
    else:
        known = [getattr(opt, "param_groups", ()) for opt in wishes.optimizers]
        parameters = [p for groups in known for group in groups for p in group["params"]]
    schedule = wishes.schedule
    weights = DeviceWeights(schedule.curriculum.components, schedule.weights_at(start_step))
    loop = Loop(schedule, weights, telemetry.add_note, shield, int(start_step), time.time)
    run_id = identity.run_id(wishes.project, wishes.name, next(_inits))
    evaluation = Evaluation(loop, shield.report)
    return Run(run_id, loop, weights, parameters, telemetry, shield, evaluation), loop


def _snapshots(wish: Snapshots | bool) -> Snapshots | None:
    if isinstance(wish, bool):
        return Snapshots(memory_share=UNASKED_MEMORY_SHARE) if wish else None
    return wish


def _reporter(buffer: SampleBuffer) -> Callable[[Command, int, dict[str, Any]], None]:
    def report(command: Command, step: int, result: dict[str, Any]) -> None:
        data = {"id": command.id, "kind": command.kind, **result}
        buffer.add_note(Note("command", step, time.time(), data))

    return report


def _teller(buffer: SampleBuffer) -> Callable[[int, str], None]:
    return lambda step, text: buffer.add_note(Note("error", step, time.time(), _error("pause", text)))


def _declaration(spec: ControlsSpec, wishes: Wishes) -> Declaration:
    """What is known of a run whether or not it could be attached to."""
    curriculum = wishes.schedule.curriculum
    return Declaration(
        seq=0,
        components=list(curriculum.components),
        stages=[stage.spec() for stage in curriculum.stages],
        controls=spec,
        contracts=list(wishes.contracts),
        config=plain_config(wishes.config),
    )


def _measured(declaration: Declaration, watching: "Watching", wishes: Wishes) -> Declaration:
    """The same with what is measured and guarded."""
    first = next(wishes.model.parameters(), None) if wishes.model is not None else None
    guard = watching.instrument.guard
    return msgspec.structs.replace(
        declaration,
        groups=watching.instrument.grads.groups,
        device=str(first.device) if first is not None else "",
        guard=GuardSpec([each.mode for each in guard.watched], wishes.on_trip, guard.notes),
    )


def _check_choice(argument: str, value: object, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ConfigError(f"lg.init got {argument}={value!r}; it is one of {', '.join(choices)}.")


def _check_names(**given: str) -> None:
    for argument, value in given.items():
        if not isinstance(value, str) or (fault := fault_in(value)) is not None:
            raise ConfigError(f"lg.init got {argument}={value!r}: {fault if isinstance(value, str) else 'not a text'}.")


def _check_groups(groups: object) -> None:
    if groups is not None and not isinstance(groups, Mapping):
        raise ConfigError(f"lg.init got groups={groups!r}; give a dict of names and patterns.")
    for group, patterns in (groups or {}).items():
        if (fault := fault_in(group) or fault_in(grad_norm(group))) is not None:
            raise ConfigError(f"lg.init got a group {group!r}: {fault}.")
        if not all(isinstance(each, str) for each in (patterns if isinstance(patterns, list | tuple) else [patterns])):
            raise ConfigError(f"lg.init got {patterns!r} for the group {group!r}; give a pattern or a list of them.")


def _check_model(model: object) -> None:
    from torch import nn

    if model is not None and not isinstance(model, nn.Module):
        raise ConfigError(
            f"lg.init got a model of type {type(model).__name__}; pass one module, e.g. torch.nn.ModuleList([G, D])."
        )


def _optimizers(given: Any) -> "list[torch.optim.Optimizer]":
    """The optimizers as a list. One that is not torch's stays: the guard says that it cannot work with it."""
    if isinstance(given, Mapping):
        raise ConfigError("lg.init got a dict of optimizers; pass a list, e.g. list(optimizers.values()).")
    found = [] if given is None else list(given) if isinstance(given, list | tuple) else [given]
    for each in found:
        if isinstance(each, type) or not callable(getattr(each, "step", None)):
            raise ConfigError(f"lg.init got an optimizer of type {type(each).__name__}; it has no step to watch.")
    return [_inner(each) for each in found]


def _inner(optimizer: Any) -> Any:
    """What a wrapper steps that is an optimizer in name only (accelerate's): hooks can be put on that alone."""
    inner = getattr(optimizer, "optimizer", None)
    is_usable = hasattr(optimizer, "_optimizer_step_pre_hooks")
    return optimizer if is_usable or not hasattr(inner, "_optimizer_step_pre_hooks") else inner


def _say_what_is_missing(wishes: Wishes) -> None:
    """What was asked for in a way that gives less than it seems to."""
    if wishes.mode == "off":
        return
    if wishes.model is not None and not wishes.optimizers:
        log.warning(
            "lossguard: no optimizer was given to lg.init, so nothing is guarded, and gradients are measured only "
            "where run.clip_grad_norm_ is called"
        )
    if wishes.mode == "offline" and wishes.on_trip == "pause":
        log.warning("lossguard: nobody can resume a run in mode offline, so on_trip='pause' does not pause it")


def _error(where: str, message: str) -> dict[str, str]:
    return {"where": where, "message": message[:ERROR_TEXT_MAX]}
