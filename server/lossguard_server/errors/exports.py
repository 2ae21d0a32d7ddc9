"""Why a run cannot be exported as asked."""

from .base import ServerError
from .requests import NotThere


class SeriesNotThere(NotThere):
    """The run has no such series."""

    code = "no_such_series"
    hint = "`GET /api/runs/{run}/series` lists them, and so does the first line of a whole CSV export."


class RunChanged(ServerError):
    """A part of the run was taken back while it was exported: by a rollback, a newer attempt or a deletion."""

    code = "run_changed"
    status = 409
    hint = "Export it again."
    retry = True


class ParquetNotInstalled(ServerError):
    """Parquet needs a package that this server does not have."""

    code = "parquet_not_installed"
    status = 501
    hint = "Install it where the server runs (pip install 'lossguard[parquet]'), or ask for CSV or JSON lines."
