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
from .exports import (
    ParquetNotInstalled,
    SeriesNotThere,
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
    BackupFailed,
    ChunkDamaged,
    DatabaseDamaged,
    DataDirInUse,
    DiskFull,
    ForeignDatabase,
    JournalDamaged,
    NetworkFileSystem,
    NewerDatabase,
    OldSqlite,
    OutOfOrder,
    PortTaken,
    ReadTimeout,
    RepairFailed,
    RunBeingDeleted,
    RunConnected,
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
    "BackupFailed",
    "BadArguments",
    "BadDeclaration",
    "BadHello",
    "BadName",
    "BadRequest",
    "ChunkDamaged",
    "CommandError",
    "DamagedFrame",
    "DataDirInUse",
    "DatabaseDamaged",
    "DiskFull",
    "ForeignDatabase",
    "HostRefused",
    "IdempotencyConflict",
    "IllegalTransition",
    "JournalDamaged",
    "MethodNotAllowed",
    "MissingScope",
    "NetworkFileSystem",
    "NewerDatabase",
    "NoSnapshot",
    "NotAllowed",
    "NotRevertible",
    "NotThere",
    "OldSqlite",
    "OriginRefused",
    "OutOfOrder",
    "ParquetNotInstalled",
    "PortTaken",
    "ReadTimeout",
    "RepairFailed",
    "ReplacedConnection",
    "RollbackPending",
    "RunBeingDeleted",
    "RunConnected",
    "RunNotConnected",
    "RunOver",
    "SeriesNotThere",
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
