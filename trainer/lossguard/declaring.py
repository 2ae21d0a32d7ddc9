"""What a run tells of itself before its first step.

Rules of this file: plain data; what an operator could ask for and nobody could do is not declared.
"""

from typing import TYPE_CHECKING

import msgspec

from . import identity
from .config import plain_config
from .protocol.messages import ControlsSpec, Declaration, GuardSpec
from .protocol.steering import GO_TO, HOLD, LR, RELEASE
from .wishes import Wishes

if TYPE_CHECKING:
    from .assembly import Watching


def controls_spec(wishes: Wishes, watching: "Watching", scales_rates: bool, rank_count: int) -> ControlsSpec:
    """What an operator may do to this run; `rank_count`: how many ranks agree on it."""
    spec = wishes.controls.spec(wishes.schedule)
    if identity.world_size() != rank_count:
        return ControlsSpec([], {})  # the ranks have not met: a command would reach this one alone, and they would part
    impossible = set() if watching.keeps_snapshots else {"rollback"}
    if wishes.checkpoint is None:
        impossible.add("checkpoint")
    if not scales_rates:
        impossible.add(LR)
    if len(wishes.schedule.curriculum.stages) < 2:
        impossible |= {HOLD, RELEASE, GO_TO}
    return msgspec.structs.replace(spec, kinds=[kind for kind in spec.kinds if kind not in impossible])


def declaration(spec: ControlsSpec, wishes: Wishes) -> Declaration:
    """What is known of a run whether or not it could be attached to."""
    curriculum = wishes.schedule.curriculum
    return Declaration(
        seq=0,
        components=list(curriculum.components),
        stages=[stage.spec() for stage in curriculum.stages],
        controls=spec,
        contracts=list(wishes.contracts),
        config=plain_config(wishes.config),
        operations=list(wishes.schedule.plan.operations),
    )


def measured(declaration: Declaration, watching: "Watching", wishes: Wishes) -> Declaration:
    """The same with what is measured and guarded."""
    first = next(wishes.model.parameters(), None) if wishes.model is not None else None
    guard = watching.instrument.guard
    return msgspec.structs.replace(
        declaration,
        groups=watching.instrument.grads.groups,
        device=str(first.device) if first is not None else "",
        guard=GuardSpec([each.mode for each in guard.watched], wishes.on_trip, guard.notes),
    )
