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

from .base import (
    ServerError,
)
from .commands import (
    BadArguments,
    CommandError,
    IdempotencyConflict,
    IllegalTransition,
    NoSnapshot,
    NotAllowed,
    NotRevertible,
    RollbackPending,
    RunNotConnected,
    RunOver,
    StepsOutOfBounds,
    UnknownComponent,
    UnknownKind,
    WeightNotFinite,
    WeightOutOfBounds,
)
from .requests import (
    AccessError,
    AlertOver,
    BadRequest,
    HostRefused,
    MethodNotAllowed,
    MissingScope,
    NotThere,
    OriginRefused,
    TooLarge,
    Unauthorized,
    UnknownAlert,
    UnknownCommand,
    UnknownRun,
    UnknownToken,
)
from .running import (
    DataDirInUse,
    DiskFull,
    JournalDamaged,
    NewerDatabase,
    OldSqlite,
    OutOfOrder,
    PortTaken,
    ReadTimeout,
    StartupError,
    StorageError,
    UnsupportedDatabase,
    WriterClosed,
)
from .streams import (
    BadDeclaration,
    BadHello,
    BadName,
    DamagedFrame,
    ReplacedConnection,
    SeriesRedefined,
    StreamError,
    TooManySeries,
    UnknownSeries,
)

__all__ = [
    "AccessError",
    "AlertOver",
    "BadArguments",
    "BadDeclaration",
    "BadHello",
    "BadName",
    "BadRequest",
    "CommandError",
    "DamagedFrame",
    "DataDirInUse",
    "DiskFull",
    "HostRefused",
    "IdempotencyConflict",
    "IllegalTransition",
    "JournalDamaged",
    "MethodNotAllowed",
    "MissingScope",
    "NewerDatabase",
    "NoSnapshot",
    "NotAllowed",
    "NotRevertible",
    "NotThere",
    "OldSqlite",
    "OriginRefused",
    "OutOfOrder",
    "PortTaken",
    "ReadTimeout",
    "ReplacedConnection",
    "RollbackPending",
    "RunNotConnected",
    "RunOver",
    "SeriesRedefined",
    "ServerError",
    "StartupError",
    "StepsOutOfBounds",
    "StorageError",
    "StreamError",
    "TooLarge",
    "TooManySeries",
    "Unauthorized",
    "UnknownAlert",
    "UnknownCommand",
    "UnknownComponent",
    "UnknownKind",
    "UnknownRun",
    "UnknownSeries",
    "UnknownToken",
    "UnsupportedDatabase",
    "WeightNotFinite",
    "WeightOutOfBounds",
    "WriterClosed",
]
