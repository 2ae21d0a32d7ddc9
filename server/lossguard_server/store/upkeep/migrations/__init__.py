"""Brings a database to this version's tables, step by step, or refuses it.

Rules of this file:
- A fresh file is made by the same steps as an old one, so that there is one truth, and everything runs in one
  transaction: a process that is killed in between leaves the database as it was.
- Before a step on a database that holds data there is a checked backup beside it.
- alembic is imported when there is something to do: a usual start must not wait for it.
"""

import logging
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from ....errors import ForeignDatabase, NewerDatabase, UnsupportedDatabase
from ...tables import APPLICATION_ID, SCHEMA_VERSION

# `user_version` of revision n is n, so that versions without alembic refuse it too
REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006")
HEAD = REVISIONS[-1]
FRESH = ""

log = logging.getLogger(__name__)


def prepare(engine: Engine, back_up: Callable[[str], Path]) -> None:
    """Bring the database to HEAD. `back_up` makes the backup before a revision, and says where it is.

    Raises NewerDatabase, ForeignDatabase, UnsupportedDatabase, BackupFailed; the database is then as it was.
    """
    try:
        with engine.connect() as connection:
            found = revision_of(connection)
        if found == HEAD:
            return
        if found != FRESH:
            copy = back_up(HEAD)
            log.warning("the database is migrated from %s to %s; its backup is %s", found, HEAD, copy)
        with engine.begin() as connection:
            upgrade(connection, revision_of(connection), HEAD)
    except DBAPIError as error:
        raise UnsupportedDatabase(f"{error.orig}.") from error


def revision_of(connection: Connection) -> str:
    """The revision that the database is at, FRESH when there is nothing in it. Raises what `prepare` raises."""
    version = int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
    application = int(connection.exec_driver_sql("PRAGMA application_id").scalar_one())
    tables = {row[0] for row in connection.exec_driver_sql("SELECT name FROM sqlite_master")}
    if tables and application != APPLICATION_ID:
        raise ForeignDatabase(f"Its application id is {application}.")
    if version > SCHEMA_VERSION:
        raise NewerDatabase(f"Its schema version is {version}, this server knows {SCHEMA_VERSION}.")
    if not tables:
        return FRESH
    if "alembic_version" not in tables:
        if version != 1:
            raise UnsupportedDatabase(f"Its schema version is {version}, and it has no record of its migrations.")
        return "0001"
    revision = str(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one())
    if revision not in REVISIONS:
        raise NewerDatabase(f"Its revision is {revision!r}, this server knows those up to {HEAD}.")
    return revision


def upgrade(connection: Connection, found: str, wanted: str) -> None:
    """In the caller's transaction, the steps from `found` to `wanted`."""
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    if found == "0001":
        command.stamp(config, found)  # version 1 was made without alembic
    command.upgrade(config, wanted)
    connection.exec_driver_sql(f"PRAGMA user_version={REVISIONS.index(wanted) + 1}")
    connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")
