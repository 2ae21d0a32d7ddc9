"""Everything the server refuses or fails at, as one tree.

    ServerError
     +- StartupError      the server cannot start; shown on the terminal
     +- StorageError      the disk or the database did not do it; nothing is half done
     +- AccessError       who asks may not
     +- NotThere          what is asked for does not exist
     +- BadRequest        the request cannot be understood
     +- CommandError      the operator's intention cannot be carried out
     +- StreamError       the trainer sent what its own declaration does not allow

Rules of this file: the docstring is the sentence a person reads; `code` is stable and is the `error` of a refusal;
`status` is the HTTP status; data travels as attributes. `retry` says whether the same request may succeed later.
"""

from typing import ClassVar


class ServerError(Exception):
    """The server could not do this."""

    code: ClassVar[str] = "server_error"
    status: ClassVar[int] = 500
    hint: str = ""
    retry: ClassVar[bool] = False

    def __init__(self, detail: str = "", hint: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        if hint is not None:
            self.hint = hint

    @property
    def message(self) -> str:
        """The sentence, and what it was about."""
        sentence = (self.__doc__ or "").strip().splitlines()[0]
        return f"{sentence} {self.detail}".strip()

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


# -- start ----------------------------------------------------------------------------------------------------------


class StartupError(ServerError):
    """The server cannot start."""

    code = "startup"


class PortTaken(StartupError):
    """The address cannot be listened on."""

    code = "port_taken"
    hint = "Choose another port with --port, or stop the program that holds it."


class DataDirInUse(StartupError):
    """Another lossguard server uses this data folder."""

    code = "data_dir_in_use"
    hint = "Stop it, or choose another folder with --data."


class OldSqlite(StartupError):
    """This SQLite can corrupt a database in WAL mode (fixed in 3.51.3)."""

    code = "old_sqlite"
    hint = "Install the pysqlite3 package, which brings its own SQLite."


class NewerDatabase(StartupError):
    """The database was written by a newer lossguard, or by another program."""

    code = "newer_database"
    hint = "Install that version again, or choose another folder with --data."


class UnsupportedDatabase(StartupError):
    """This database cannot be used."""

    code = "unsupported_database"
    hint = "Use a URL like sqlite:////folder/lossguard.db, or none."


# -- storage --------------------------------------------------------------------------------------------------------


class StorageError(ServerError):
    """The database did not take this; nothing of it is stored."""

    code = "storage_failed"
    retry = True
    hint = "Look at the server's log; trainers keep their data and send it again."


class DiskFull(StorageError):
    """The server's disk is full; nothing of this is stored."""

    code = "disk_full"
    status = 507
    hint = "Free some space; the server goes on by itself, trainers keep their data until then."


class WriterClosed(StorageError):
    """The server is stopping and takes no more data."""

    code = "stopping"
    status = 503
    hint = "Try again when it is back."


class ReadTimeout(StorageError):
    """Reading took longer than a viewer may take."""

    code = "read_timeout"
    status = 503
    hint = "Ask for fewer series or a shorter range."


class JournalDamaged(StorageError):
    """A stored message is damaged: the disk or another program changed it."""

    code = "journal_damaged"
    retry = False
    hint = "Restore the data folder from a backup."


class OutOfOrder(StorageError):
    """A message does not follow the last one stored."""

    code = "out_of_order"
    status = 409

    def __init__(self, expected: int) -> None:
        super().__init__(f"Number {expected} is due.")
        self.expected = expected


# -- access ---------------------------------------------------------------------------------------------------------


class AccessError(ServerError):
    """This is not allowed."""

    code = "forbidden"
    status = 403


class Unauthorized(AccessError):
    """A valid token is needed."""

    code = "unauthorized"
    status = 401
    hint = "Send `Authorization: Bearer <token>`; the server prints its address with the token when it starts."


class MissingScope(AccessError):
    """This token's scopes do not allow this."""

    code = "missing_scope"
    hint = "Make a token with that scope, or use the admin token."


class HostRefused(AccessError):
    """This server does not answer to that host name."""

    code = "host_refused"
    hint = "Use the address that the server printed when it started."


class OriginRefused(AccessError):
    """A page from another origin may not do this."""

    code = "origin_refused"
    hint = "Open the page from the server's own address. Trainers send no Origin header."


# -- asking for what is not there -----------------------------------------------------------------------------------


class NotThere(ServerError):
    """There is nothing at this address."""

    code = "not_found"
    status = 404
    hint = "GET /api/docs lists every route."


class MethodNotAllowed(NotThere):
    """This address does not take that method."""

    code = "method_not_allowed"
    status = 405


class UnknownRun(NotThere):
    """There is no such run."""

    code = "unknown_run"
    hint = "GET /api/runs lists them."


class UnknownAlert(NotThere):
    """There is no such alert."""

    code = "unknown_alert"
    hint = "GET /api/runs/{run}/alerts lists them."


class AlertOver(NotThere):
    """The alert is over; there is nothing to acknowledge."""

    code = "alert_over"
    status = 409
    hint = ""


class UnknownToken(NotThere):
    """There is no such token."""

    code = "unknown_token"
    hint = "GET /api/tokens lists them."


class UnknownCommand(NotThere):
    """There is no such command in this run."""

    code = "unknown_command"
    hint = "GET /api/runs/{run}/commands lists them."


# -- requests -------------------------------------------------------------------------------------------------------


class BadRequest(ServerError):
    """The request cannot be understood."""

    code = "bad_request"
    status = 422
    hint = "GET /api/docs shows what each route takes."


class TooLarge(BadRequest):
    """The request's body is too large."""

    code = "too_large"
    status = 413


# -- commands -------------------------------------------------------------------------------------------------------


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


# -- a trainer's stream ---------------------------------------------------------------------------------------------


class StreamError(ServerError):
    """The trainer sent what the protocol does not allow here."""

    code = "bad_message"
    status = 400
    hint = "Report this: the trainer's lossguard and the server disagree."


class BadHello(StreamError):
    """The run cannot be opened."""

    code = "bad_hello"
    hint = "Check project, name and run of lg.init."


class BadName(StreamError):
    """A name cannot be used."""

    code = "bad_name"
    hint = "Names are 1 to 512 bytes of text without control characters."


class BadDeclaration(StreamError):
    """The declaration contradicts itself."""

    code = "bad_declaration"


class UnknownSeries(StreamError):
    """A frame uses a series that no schema named."""

    code = "unknown_series"


class SeriesRedefined(StreamError):
    """A series id or name was given twice with different meanings."""

    code = "series_redefined"


class TooManySeries(StreamError):
    """The run has more series than the server takes."""

    code = "too_many_series"
    hint = "Log fewer distinct names; a name should not contain a step or an id."


class DamagedFrame(StreamError):
    """A frame's checksum does not match: it was damaged on the way."""

    code = "bad_frame"
    retry: ClassVar[bool] = True
    hint = "The trainer sends it again by itself."


class ReplacedConnection(StreamError):
    """A newer connection of the same stream took over."""

    code = "replaced"
    hint = "Two processes use the same run, rank and attempt; give each its own."
