"""What stops a server from starting, and what the disk and the database refuse."""

from .base import ServerError


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


class NoDatabase(StartupError):
    """There is no database in this folder."""

    code = "no_database"
    hint = "Name the server's data folder with --data."


class OldSqlite(StartupError):
    """This SQLite can corrupt a database in WAL mode (fixed in 3.51.3)."""

    code = "old_sqlite"
    hint = "Install the pysqlite3 package, which brings its own SQLite."


class NewerDatabase(StartupError):
    """The database was written by a newer lossguard."""

    code = "newer_database"
    hint = "Install that version again, or choose another folder with --data."


class ForeignDatabase(StartupError):
    """The database belongs to another program."""

    code = "foreign_database"
    hint = "Choose another folder with --data."


class NetworkFileSystem(StartupError):
    """The database lies on a network file system, where SQLite's locks and shared memory do not hold."""

    code = "network_file_system"
    hint = "Choose a folder on a local disk with --data."


class BackupFailed(StartupError):
    """The backup before a migration failed; the database is as it was."""

    code = "backup_failed"
    hint = "Free as much space as the database takes, and start again."


class RepairFailed(StartupError):
    """The database is damaged and could not be repaired; it is as it was."""

    code = "repair_failed"
    hint = "Free as much space as the database takes and start again, or choose another folder with --data."


class UnsupportedDatabase(StartupError):
    """This database cannot be used."""

    code = "unsupported_database"
    hint = "Use a URL like sqlite:////folder/lossguard.db, or none."


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


class DatabaseDamaged(StorageError):
    """The database is damaged where this is stored."""

    code = "database_damaged"
    hint = "Restart the server: it repairs the database before it opens it, and says what was lost."


class RunBeingDeleted(StorageError):
    """This run is being deleted."""

    code = "run_being_deleted"
    status = 409
    hint = "Try again in a moment: it is then a new run."


class RunConnected(StorageError):
    """A trainer of this run is connected, so it is not deleted."""

    code = "run_connected"
    status = 409
    retry = False
    hint = "Stop the run first."


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
    hint = "Restart the server: it repairs what it met. lossguard doctor --full looks at everything."


class ChunkDamaged(JournalDamaged):
    """A stored block of points is damaged: the disk or another program changed it."""

    code = "chunk_damaged"


class OutOfOrder(StorageError):
    """A message does not follow the last one stored."""

    code = "out_of_order"
    status = 409

    def __init__(self, expected: int) -> None:
        super().__init__(f"Number {expected} is due.")
        self.expected = expected
