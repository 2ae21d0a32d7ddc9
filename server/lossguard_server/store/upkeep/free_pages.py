"""Gives the room that deleted rows have left back to the file system, a little at a time.

Rules of this file: only in a file that was made so (auto_vacuum=INCREMENTAL, which cannot be had later), and only when
much is free: new data take free pages first, and moving pages costs writing.
"""

from sqlmodel import Session

STEP_PAGES = 512  # 2 MiB a second
FREE_SHARE = 0.1
INCREMENTAL = 2


def give_back(session: Session) -> int:
    """One step; returns how many pages the file has lost, 0 when there was no reason."""
    connection = session.connection()

    def ask(pragma: str) -> int:
        return int(connection.exec_driver_sql(f"PRAGMA {pragma}").scalar_one())

    if ask("auto_vacuum") != INCREMENTAL:
        return 0
    free, pages = ask("freelist_count"), ask("page_count")
    if free <= STEP_PAGES or free < FREE_SHARE * pages:
        return 0
    for _ in range(STEP_PAGES):
        # page by page: SQLite frees one for each row that is fetched, and SQLAlchemy fetches none here
        connection.exec_driver_sql("PRAGMA incremental_vacuum(1)")
    return pages - ask("page_count")
