"""`lossguard.init`: puts a run together from its parts.

Rules of this file: composition only. Arguments that cannot be meant so raise here, before training; a part that cannot
be made for another reason is left out, with a warning, and training goes on.
"""

import contextlib
import itertools
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from . import arguments, environment, identity, resuming
from .buffer import Note, Row
from .continuing import Continuing
from .controller import Controller
from .controls import Controls
from .curriculum import Curriculum, is_step
from .declaring import controls_spec, declaration, measured
from .deeds import CheckpointFunction, Deeds, Means
from .encoder import Encoder
from .errors import ConfigError
from .link import LinkThread, NullLink
from .loop import Loop
from .preflight.asked import asked
from .process_end import EndBuffer, ProcessEnd, make_room
from .protocol.messages import Command, ContractSpec, ControlsSpec, Declaration
from .ranks import Alone, NotSettled, Ranks, Wants
from .ranks.few import Few
from .ranks.meeting import meet
from .recovery import Parts
from .run import NullTelemetry, Run, Telemetry
from .sampler import Sampler
from .schedule import Schedule
from .shield import Shield
from .snapshots.options import Snapshots
from .spool import Spool
from .terms import Terms
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
    checkpoint: CheckpointFunction | None = None,
    activations: Sequence[str] | bool = (),
    mode: str | None = None,
    url: str | None = None,
    token: str | None = None,
    dir: str | os.PathLike[str] | None = None,
    start_step: int = 0,
    resume: Mapping[str, Any] | None = None,
    resume_wait_s: float = resuming.WAIT_S,
    handle_sigterm: bool = True,
) -> Run:
    """Start to watch a training run; see the README for the loop around it. Call it before torch.compile.

    curriculum or losses: the weights of the components ({"loss": 1.0} without either). groups: parameter groups by
    module prefix or glob; by default a model's top-level modules. scheduler (one, or several), scaler: what a snapshot
    holds beside model and optimizer; a torch.amp.GradScaler's skips are told from failures.

    guard: "auto" keeps a step that is not finite out of weights and state, "observe" only records it, "off". on_trip:
    what follows: "skip", "pause" (until an operator resumes) or "raise" (NonFiniteStep, before the optimizer steps).
    replay: the batch of a tripped step is run once more to name the op: by the loop itself (True), by a function of the
    batch that returns the losses, or not (False). snapshots: lg.Snapshots(...), or False for no rollback. checkpoint: a
    function of the coming step that saves a checkpoint and returns its path, for operators who ask for one.
    activations: record the activations of these modules (names or globs; True: the model's blocks).

    resume: what run.state_dict() returned for the checkpoint that this process goes on from: the run keeps its id, step
    and what operators did. What they did later is done again; the first boundary waits resume_wait_s for word of it.

    mode, url, token, dir: LOSSGUARD_MODE, _URL, _TOKEN and _DIR where not given. handle_sigterm: at SIGTERM save what
    there is, for at most 2 s, and die of it; only where nobody else handles it. An unfinished run of one of these
    optimizers ends here. Raises ConfigError for arguments that cannot be meant so, and nothing else.
    """
    check_kinds(
        losses=losses, contracts=contracts, controls=controls, scaler=scaler, replay=replay, snapshots=snapshots,
        activations=activations, mode=mode, url=url, token=token, dir=dir, checkpoint=checkpoint,
        resume_wait_s=resume_wait_s,
    )  # fmt: skip
    name = "run" if name is None or name == "" else name
    arguments.check(project, name, guard, on_trip, groups, model)
    looks_only = asked(os.environ)
    schedule = Schedule(_curriculum(curriculum, losses))
    resumed = _resumed(schedule, resume, start_step)
    wishes = Wishes(
        project=project,
        name=name,
        config=config,
        model=model,
        optimizers=arguments.optimizers(optimizer),
        scheduler=scheduler,
        scaler=scaler,
        schedule=schedule,
        groups=groups,
        contracts=contracts,
        controls=controls or Controls(),
        guard=guard,
        on_trip=on_trip,
        replay=replay,
        snapshots=_snapshots(snapshots),
        activations=[activations] if isinstance(activations, str) else activations,
        mode="off" if looks_only else environment.mode_from(mode, os.environ),
        url=url,
        token=token,
        dir=dir,
        handle_sigterm=handle_sigterm,
        checkpoint=checkpoint,
        resume=resumed,
    )
    wishes.controls.spec(wishes.schedule)  # what they cannot bound,
    environment.spool_cap_bytes(os.environ)  # a limit that is none, and
    environment.endpoint(url, token, os.environ)  # a malformed address, is said now, not by the link at night
    arguments.say_what_is_missing(wishes)
    make_room(wishes.optimizers)
    buffer, number = EndBuffer(), next(_inits)
    shield = Shield(
        lambda where, message: buffer.add_note(Note("error", max(loop.step, 0), time.time(), _error(where, message)))
    )
    ranks: Ranks = Alone()
    if wishes.mode != "off":
        ranks = meet(number, model, lambda text: _tell_of_ranks(buffer, max(loop.step, 0), text))
    telemetry = _telemetry(wishes, buffer, ranks)
    life = _life(wishes, ranks, number)
    run, loop = _make_run(wishes, telemetry, shield, start_step if resumed is None else resumed.step, ranks, life)
    _begin(run, loop, buffer, shield, wishes, telemetry)
    _stand_together(ranks, loop)
    if resumed is not None:
        run.continuing.go_on(resumed, resume_wait_s)
    return run


def _telemetry(wishes: Wishes, buffer: EndBuffer, ranks: Ranks) -> Telemetry:
    """Where rows and notes go on this rank."""
    if wishes.mode == "off":
        return NullTelemetry()
    if ranks.is_first:
        return buffer
    return Few(buffer.add_row, buffer.add_note, lambda: ranks.ask(Wants.NONFINITE))


def _stand_together(ranks: Ranks, loop: Loop) -> None:
    """A rank that is not attached to makes no boundary: the others must not wait for it at theirs."""
    if ranks.count == 1:
        return
    with contextlib.suppress(NotSettled):
        fault = "" if loop.parts is not None else "lossguard could not be attached to it"
        if faults := [f"rank {rank}: {said}" for rank, said in enumerate(ranks.settle(fault)) if said]:
            ranks.end(f"this run cannot be controlled: {faults[0]}")


def _begin(run: Run, loop: Loop, buffer: EndBuffer, shield: Shield, wishes: Wishes, telemetry: Telemetry) -> None:
    """Attach to the training, as far as that can be done."""
    if wishes.mode == "off" or (loop.ranks.count == 1 and identity.rank() > 0):
        run.assemble(None, NullLink())
        return
    end = None
    with shield("init"):
        end = _watch(run, loop, buffer, shield, wishes, telemetry)
    if end is None:
        log.warning("lossguard: nothing of this run is measured or guarded, because lg.init failed inside; see above")
        with shield("init"):
            end = _only_tell(run, loop, buffer, wishes)
    if end is not None:
        with shield("init"):
            end.watch(wishes.handle_sigterm)


def _only_tell(run: Run, loop: Loop, buffer: EndBuffer, wishes: Wishes) -> ProcessEnd:
    """Nothing could be attached: the run is told of all the same, with its error, and with what it logs."""
    told = declaration(ControlsSpec([], {}), wishes)  # a command would reach nobody
    with ExitStack() as undo:
        end = _linked(run, loop, buffer, wishes, told, lambda command: None, lambda step: [], undo)
        run.assemble(None, end)
        return end


def _watch(run: Run, loop: Loop, buffer: EndBuffer, shield: Shield, wishes: Wishes, telemetry: Telemetry) -> ProcessEnd:
    """Attach to the training, and begin to tell of it; nothing is left behind when a part cannot be made."""
    from .assembly import measuring
    from .system import SystemSeries

    with ExitStack() as undo:
        ranks = loop.ranks
        watching = measuring(telemetry, loop, shield, wishes, identity.world_size())
        undo.callback(watching.instrument.detach)
        allowed = controls_spec(wishes, watching, loop.lr_scale.is_possible, ranks.count)
        deeds = Deeds(wishes.schedule, allowed, ranks, _means(loop, watching, wishes))
        controller = Controller(
            deeds, ranks, wishes.controls.pause_max_s, _reporter(telemetry), time.monotonic, _teller(telemetry)
        )
        parts = Parts(watching, controller, wishes.on_trip)
        parts.can_be_resumed = wishes.mode != "offline"
        told = measured(declaration(allowed, wishes), watching, wishes)
        if ranks.is_first:
            sampled = Sampler(SystemSeries(watching.instrument.grads.devices(), time.monotonic).sample)
            end = _linked(run, loop, buffer, wishes, told, controller.offer, sampled, undo)
            controller.wire = end.journal
        else:  # commands come by agreement, and the run is rank 0's to tell of
            end = _linked(run, loop, buffer, wishes, told, lambda command: None, lambda step: [], undo)
        run.assemble(parts, end)
        return end


def _means(loop: Loop, watching: "Watching", wishes: Wishes) -> Means:
    """What commands are carried out with."""
    return Means(
        raise_detail=watching.instrument.detail.raise_for,
        newest_snapshot=loop.recovery.newest_snapshot,
        obstacle=watching.keeper.obstacle,
        roll_back=loop.roll_back,
        clip=lambda: loop.terms.script_clips_to,
        checkpoint=wishes.checkpoint,
    )


def _linked(
    run: Run,
    loop: Loop,
    buffer: EndBuffer,
    wishes: Wishes,
    told: Declaration,
    offer: Callable[[Command], None],
    sampled: Callable[[int], list[Row]],
    undo: ExitStack,
) -> ProcessEnd:
    """The spool and the link thread, started; what `undo` holds is kept from then on."""
    from . import __version__

    hello, encoder = identity.hello(run.id, wishes.project, wishes.name, __version__), Encoder()
    hello = msgspec.structs.replace(hello, attempt=run.continuing.life.attempt)
    spool = Spool(
        environment.spool_folder(wishes.dir, os.environ),
        hello,
        cap_bytes=environment.spool_cap_bytes(os.environ),
        server=environment.spool_address(wishes.mode, wishes.url, wishes.token, os.environ),
    )
    undo.callback(spool.close)
    spool.append(encoder.declare(told))
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


def _curriculum(curriculum: Curriculum | None, losses: Mapping[str, float] | None) -> Curriculum:
    if curriculum is not None and losses is not None:
        raise ConfigError("lg.init takes a curriculum or losses, not both.")
    if curriculum is not None and not isinstance(curriculum, Curriculum):
        raise ConfigError(f"lg.init got a curriculum of type {type(curriculum).__name__}; make one by lg.Curriculum.")
    return curriculum or Curriculum.constant(losses or {"loss": 1.0})


def _resumed(schedule: Schedule, state: Mapping[str, Any] | None, start_step: int) -> resuming.Resumed | None:
    """What the run goes on from; the schedule is then the one of that step."""
    if not is_step(start_step):
        raise ConfigError(f"lg.init got start_step={start_step!r}; it is a step number from 0.")
    if state is None:
        return None
    resumed = resuming.read_state(state, schedule.curriculum)
    if start_step not in (0, resumed.step):
        raise ConfigError(
            f"lg.init got start_step={start_step!r} and resume, which is of step {resumed.step}; leave start_step out."
        )
    schedule.resume(resumed.operations)
    return resumed


def _life(wishes: Wishes, ranks: Ranks, number: int) -> resuming.Life:
    """The run that this process makes, and its part in it."""
    attempt, now_s = identity.attempt(), time.time()
    if (resumed := wishes.resume) is None:
        run_id = identity.run_id(wishes.project, wishes.name, number)
        with contextlib.suppress(NotSettled):
            run_id = ranks.settle(run_id)[0]  # on another machine, or without torchrun, it would be another
        return resuming.Life(run_id, attempt, now_s)
    attempt = max(attempt, resumed.next_attempt(now_s))
    with contextlib.suppress(NotSettled, ValueError):
        attempt = max(map(int, ranks.settle(str(attempt))))
    return resuming.Life(resumed.life.run, attempt, resumed.life.began_s)


def _make_run(
    wishes: Wishes, telemetry: Telemetry, shield: Shield, start_step: int, ranks: Ranks, life: resuming.Life
) -> tuple[Run, Loop]:
    from .evaluating import Evaluation
    from .lr_scale import LrScale
    from .weights import DeviceWeights

    if wishes.model is not None:
        parameters = list(wishes.model.parameters())
    else:
        known = [getattr(opt, "param_groups", ()) for opt in wishes.optimizers]
        parameters = [p for groups in known for group in groups for p in group["params"]]
    schedule = wishes.schedule
    is_reduced = identity.world_size() > 1
    first = schedule.at(int(start_step))
    weights = DeviceWeights(schedule.curriculum.components, first.weights, lambda: parameters, is_reduced)
    terms = Terms(schedule, weights, LrScale(wishes.optimizers), telemetry.add_note, time.time, int(start_step))
    loop = Loop(terms, telemetry.add_note, shield, int(start_step), time.time, ranks)
    evaluation = Evaluation(loop, shield.report)
    continuing = Continuing(life, loop, telemetry.add_note)
    run = _kind(wishes)(continuing, loop, weights, parameters, telemetry, shield, evaluation)
    return run, loop


def _kind(wishes: Wishes) -> Callable[..., Run]:
    """What the script is given: a run, or in a preflight one that looks and ends the script."""
    if (looks_only := asked(os.environ)) is None:
        return Run
    from .preflight.looking import Looking

    return partial(Looking, looks_only, wishes)


def _snapshots(wish: Snapshots | bool) -> Snapshots | None:
    if isinstance(wish, bool):
        return Snapshots(memory_share=UNASKED_MEMORY_SHARE / identity.local_world_size()) if wish else None
    return wish


def _reporter(telemetry: Telemetry) -> Callable[[Command, int, dict[str, Any]], None]:
    def report(command: Command, step: int, result: dict[str, Any]) -> None:
        data = {"id": command.id, "kind": command.kind, **result}
        telemetry.add_note(Note("command", step, time.time(), data))

    return report


def _teller(telemetry: Telemetry) -> Callable[[int, str], None]:
    return lambda step, text: telemetry.add_note(Note("error", step, time.time(), _error("pause", text)))


def _tell_of_ranks(buffer: EndBuffer, step: int, text: str) -> None:
    log.warning("lossguard: %s", text)
    buffer.add_note(Note("error", step, time.time(), _error("ranks", text)))


def _error(where: str, message: str) -> dict[str, str]:
    return {"where": where, "message": message[:ERROR_TEXT_MAX]}
