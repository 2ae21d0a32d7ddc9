"""`lossguard.init`: puts a run together from its parts.

Rules of this file: composition only. Arguments that cannot be meant so raise here, before training; a part that cannot
be made for another reason is left out, with a warning, and training goes on.
"""

import atexit
import hashlib
import itertools
import logging
import os
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import environment
from .buffer import Note, Row, SampleBuffer
from .config import plain_config
from .controls import Controller, Controls
from .curriculum import Curriculum, is_step
from .encoder import Encoder
from .errors import ConfigError
from .link import LinkThread, NullLink
from .protocol.messages import Command, ContractSpec, ControlsSpec, Declaration, Hello
from .protocol.names import fault_in, grad_norm
from .run import NullTelemetry, Run
from .schedule import Schedule
from .shield import Shield
from .spool import Spool

if TYPE_CHECKING:
    import torch

    from .instrument import Instrument

log = logging.getLogger("lossguard")

ERROR_TEXT_MAX = 2_000
_inits = itertools.count()  # the one thing here that belongs to the process and to no run
NONFINITE_NAMES_MAX = 1_000  # at 512 bytes each, half the message limit


def init(
    project: str = "default",
    name: str | None = None,
    *,
    config: object = None,
    model: "torch.nn.Module | None" = None,
    optimizer: "torch.optim.Optimizer | Sequence[torch.optim.Optimizer] | None" = None,
    curriculum: Curriculum | None = None,
    losses: Mapping[str, float] | None = None,
    groups: Mapping[str, str | Sequence[str]] | None = None,
    contracts: Sequence[ContractSpec] = (),
    controls: Controls | None = None,
    mode: str | None = None,
    url: str | None = None,
    token: str | None = None,
    dir: str | os.PathLike[str] | None = None,
    start_step: int = 0,
) -> Run:
    """Start to watch a training run; see the README for the loop around it.

    curriculum or losses: the weights of the components ({"loss": 1.0} without either). groups: parameter groups by
    module prefix or glob; by default a model's top-level modules. mode, url, token, dir: LOSSGUARD_MODE, _URL, _TOKEN
    and _DIR where not given. Raises ConfigError for arguments that cannot be meant so, and nothing else.
    """
    chosen = environment.mode_from(mode, os.environ)
    _check_names(project=project, name=name or "run")
    schedule = Schedule(_curriculum(curriculum, losses))
    optimizers = _as_list(optimizer)
    allowed = controls or Controls()
    spec = allowed.spec(schedule)
    _check_groups(groups)
    environment.endpoint(url, token, os.environ)  # a malformed address is said now, not by the link at night

    buffer = SampleBuffer()
    shield = Shield(
        lambda where, message: buffer.add_note(Note("error", max(run.step, 0), time.time(), _error(where, message)))
    )
    telemetry = buffer if chosen != "off" else NullTelemetry()
    run = _make_run(
        _run_id(project, name or "run", next(_inits)), schedule, model, optimizers, telemetry, shield, start_step
    )
    if chosen == "off" or _rank() > 0:
        run.assemble(None, None, NullLink())
        return run

    if _world_size() > 1:
        spec = ControlsSpec([], {})  # a command must reach every rank at the same step, which is not possible yet
    find = (lambda: environment.endpoint(url, token, os.environ)) if chosen == "online" else None
    with shield("init"):
        instrument = _instrument(buffer, model, optimizers, groups, shield)
        controller = Controller(schedule, spec, allowed.pause_max_s, _reporter(buffer), time.monotonic, _teller(buffer))
        hello, encoder = _hello(run.id, project, name or "run"), Encoder()
        spool = Spool(environment.spool_folder(dir, os.environ), hello)
        spool.append(encoder.declare(_declaration(schedule, spec, instrument, contracts, config, model)))
        link = LinkThread(hello, buffer, encoder, spool, run.status, controller.offer, find)
        run.assemble(instrument, controller, link)
        link.start()
        atexit.register(_finish_at_exit, run)
    return run


def _curriculum(curriculum: Curriculum | None, losses: Mapping[str, float] | None) -> Curriculum:
    if curriculum is not None and losses is not None:
        raise ConfigError("lg.init takes a curriculum or losses, not both.")
    if curriculum is not None and not isinstance(curriculum, Curriculum):
        raise ConfigError(f"lg.init got a curriculum of type {type(curriculum).__name__}; make one by lg.Curriculum.")
    return curriculum or Curriculum.constant(losses or {"loss": 1.0})


def _make_run(
    run_id: str,
    schedule: Schedule,
    model: "torch.nn.Module | None",
    optimizers: "list[torch.optim.Optimizer]",
    telemetry: SampleBuffer | NullTelemetry,
    shield: Shield,
    start_step: int,
) -> Run:
    from .weights import DeviceWeights

    if not is_step(start_step):
        raise ConfigError(f"lg.init got start_step={start_step!r}; it is a step number from 0.")
    parameters = (
        list(model.parameters())
        if model is not None
        else [p for opt in optimizers for group in opt.param_groups for p in group["params"]]
    )
    weights = DeviceWeights(schedule.curriculum.components, schedule.weights_at(start_step))
    return Run(run_id, schedule, weights, parameters, telemetry, shield, int(start_step))


def _instrument(
    buffer: SampleBuffer,
    model: "torch.nn.Module | None",
    optimizers: "list[torch.optim.Optimizer]",
    groups: Mapping[str, str | Sequence[str]] | None,
    shield: Shield,
) -> "Instrument":
    import numpy as np

    from .instrument import Instrument

    nonfinite_before: set[str] = set()

    def emit(step: int, series: tuple[str, ...], values: Any) -> None:
        buffer.add_row(Row(step, series, values, time.time()))
        bad = set() if np.isfinite(values).all() else {series[i] for i in np.flatnonzero(~np.isfinite(values))}
        if bad - nonfinite_before:
            buffer.add_note(Note("nonfinite", step, time.time(), {"series": sorted(bad)[:NONFINITE_NAMES_MAX]}))
        nonfinite_before.clear()
        nonfinite_before.update(bad)

    return Instrument(emit, model, optimizers, groups, shield)


def _reporter(buffer: SampleBuffer) -> Callable[[Command, int, dict[str, Any]], None]:
    def report(command: Command, step: int, result: dict[str, Any]) -> None:
        data = {"id": command.id, "kind": command.kind, **result}
        buffer.add_note(Note("command", step, time.time(), data))

    return report


def _teller(buffer: SampleBuffer) -> Callable[[int, str], None]:
    return lambda step, text: buffer.add_note(Note("error", step, time.time(), _error("pause", text)))


def _declaration(
    schedule: Schedule,
    spec: ControlsSpec,
    instrument: "Instrument",
    contracts: Sequence[ContractSpec],
    config: object,
    model: "torch.nn.Module | None",
) -> Declaration:
    first = next(model.parameters(), None) if model is not None else None
    return Declaration(
        seq=0,
        components=list(schedule.curriculum.components),
        stages=[stage.spec() for stage in schedule.curriculum.stages],
        groups=instrument.groups,
        controls=spec,
        contracts=list(contracts),
        config=plain_config(config),
        device=str(first.device) if first is not None else "",
    )


def _hello(run_id: str, project: str, name: str) -> Hello:
    from . import __version__

    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    return Hello(
        run=run_id,
        project=project,
        name=name,
        sdk=__version__,
        rank=_rank(),
        world_size=_world_size(),
        attempt=int(attempt) if attempt.isdigit() else 0,
        started_at=time.time(),
    )


def _check_names(**given: str) -> None:
    for argument, value in given.items():
        if not isinstance(value, str) or (fault := fault_in(value)) is not None:
            raise ConfigError(f"lg.init got {argument}={value!r}: {fault if isinstance(value, str) else 'not a text'}.")


def _check_groups(groups: Mapping[str, str | Sequence[str]] | None) -> None:
    for group in groups or {}:
        if (fault := fault_in(group) or fault_in(grad_norm(group))) is not None:
            raise ConfigError(f"lg.init got a group {group!r}: {fault}.")


def _as_list(optimizer: Any) -> "list[torch.optim.Optimizer]":
    if optimizer is None:
        return []
    return list(optimizer) if isinstance(optimizer, list | tuple) else [optimizer]


def _error(where: str, message: str) -> dict[str, str]:
    return {"where": where, "message": message[:ERROR_TEXT_MAX]}


def _run_id(project: str, name: str, number: int) -> str:
    """A fresh id; under torchrun one that the restarts of a job share, and no other job and no other run of it.

    `number` counts the runs of this process: a restarted process makes them in the same order.
    """
    elastic = os.environ.get("TORCHELASTIC_RUN_ID", "none")
    if elastic == "none":
        return uuid.uuid4().hex[:12]
    # the same --rdzv-id is often used again: the agent, the workers' parent, is what tells one job from the next
    parts = [elastic, str(os.getppid()), _started_at(os.getppid()), project, name, str(number)]
    return hashlib.sha256("\0".join(parts).encode(errors="replace")).hexdigest()[:12]


def _started_at(pid: int) -> str:
    """When a process began, in the kernel's ticks; empty where it does not say."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _rank() -> int:
    return _whole("RANK", 0)


def _world_size() -> int:
    return max(1, _whole("WORLD_SIZE", 1))


def _whole(variable: str, default: int) -> int:
    text = os.environ.get(variable, "")
    return int(text) if text.isdigit() else default


def _finish_at_exit(run: Run) -> None:
    # sys.last_type is set when the interpreter ends by an exception that nobody caught
    kind = getattr(sys, "last_type", None)
    run.finish(timeout_s=5.0, state=None if kind is None else "stopped" if kind is KeyboardInterrupt else "crashed")
