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
