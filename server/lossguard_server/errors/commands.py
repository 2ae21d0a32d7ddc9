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
    hint = "GET /api/docs shows what each kind takes."


class NotAllowed(CommandError):
    """The training script does not allow this kind of command."""

    code = "not_allowed"
    status = 403
    hint = "Allow it in the script: lg.init(controls=lg.Controls(...))."


class UnknownComponent(CommandError):
    """The run has no such loss component."""

    code = "unknown_component"


class UnknownStage(CommandError):
    """The run has no such stage."""

    code = "unknown_stage"


class WeightNotFinite(CommandError):
    """A weight must be a finite number."""

    code = "weight_not_finite"


class WeightOutOfBounds(CommandError):
    """The weight lies outside the bounds that the training script set."""

    code = "weight_out_of_bounds"


class ValueOutOfBounds(CommandError):
    """The value lies outside the bounds that the training script set."""

    code = "value_out_of_bounds"


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
    hint = "Wait for its result, which comes with the trainer's next step; after ten minutes without one give another."


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
    """This command cannot be reverted."""

    code = "not_revertible"
    status = 409
    hint = "What can be reverted was applied, changed the schedule, and is in force; GET /api/runs/{run}/schedule."


class NotPossibleNow(CommandError):
    """The run's schedule cannot be changed so."""

    code = "not_possible"
    status = 409
    hint = "GET /api/runs/{run}/schedule shows what is in force."


class NotCancellable(CommandError):
    """Only a command that has not gone out can be cancelled."""

    code = "not_cancellable"
    status = 409
    hint = "Revert it once it is applied."


class VersionConflict(CommandError):
    """The schedule was changed since you saw it."""

    code = "version_conflict"
    status = 409
    hint = "Look at what came since, and give the command again with the newer `expect_version` if you still want it."


class IdempotencyConflict(CommandError):
    """This idempotency key was used for another command."""

    code = "idempotency_conflict"
    status = 409
    hint = "Use a fresh key for each intention; repeat a key only with the same body."


class IllegalTransition(CommandError):
    """A command cannot go from its state to that one."""

    code = "illegal_transition"
    status = 409
