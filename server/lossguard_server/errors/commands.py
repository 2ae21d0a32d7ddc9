"""Why an operator's intention cannot be carried out."""

from .base import ServerError


class CommandError(ServerError):
    """This command cannot be given."""

    code = "command_refused"
    status = 422


class UnknownKind(CommandError):
    """There is no such kind of command."""

    code = "unknown_kind"


class BadArguments(CommandError):
    """The command's arguments are not the ones that its kind takes."""

    code = "bad_arguments"


class NotAllowed(CommandError):
    """The training script does not allow this kind of command."""

    code = "not_allowed"
    status = 403
    hint = "Allow it in the script: lg.init(controls=lg.Controls(...))."


class UnknownComponent(CommandError):
    """The run has no such loss component."""

    code = "unknown_component"


class WeightNotFinite(CommandError):
    """A weight must be a finite number."""

    code = "weight_not_finite"


class WeightOutOfBounds(CommandError):
    """The weight lies outside the bounds that the training script set."""

    code = "weight_out_of_bounds"


class StepsOutOfBounds(CommandError):
    """Full detail cannot be asked for so many steps."""

    code = "steps_out_of_bounds"


class NoSnapshot(CommandError):
    """The run holds no healthy snapshot to go back to."""

    code = "no_snapshot"
    status = 409
    hint = "Wait for the first snapshot; the run's `snapshot_step` is its step, and null while there is none."


class RollbackPending(CommandError):
    """The run is about to go back: an earlier rollback is on its way."""

    code = "rollback_pending"
    status = 409
    hint = "Wait for its result; until it is applied, rejected or expired there can be no second one."


class RunNotConnected(CommandError):
    """The run's trainer is not connected, so nothing could carry the command out."""

    code = "run_not_connected"
    status = 409
    hint = "Wait until it is back; the run's `connected` says so."


class RunOver(CommandError):
    """The run is over."""

    code = "run_over"
    status = 409


class NotRevertible(CommandError):
    """Only an applied set_weight can be reverted."""

    code = "not_revertible"
    status = 409


class IdempotencyConflict(CommandError):
    """This idempotency key was used for another command."""

    code = "idempotency_conflict"
    status = 409
    hint = "Use a fresh key for each intention; repeat a key only with the same body."


class IllegalTransition(CommandError):
    """A command cannot go from its state to that one."""

    code = "illegal_transition"
    status = 409
