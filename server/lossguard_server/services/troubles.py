"""What stops the judge from judging a run, told in the log.

Rules of this file: what waits (a full disk, damage) is said once until something else is wrong or it is over, because
it is tried again every second; a fault is said each time, with where it happened.
"""

import logging
from concurrent.futures import Future

from ..errors import ServerError

log = logging.getLogger(__name__)


class Troubles:
    """By run: why it waits."""

    def __init__(self) -> None:
        self._said: dict[str, str] = {}

    def tell(self, future: "Future[None]", run_id: str) -> None:
        """How a task for the run ended; one run's fault does not silence the others."""
        if future.cancelled() or (error := future.exception()) is None:
            return
        if not isinstance(error, ServerError):
            log.error("judging run %s failed", run_id, exc_info=error)
        elif self._said.get(run_id) != str(error):
            self._said[run_id] = str(error)
            log.warning("judging run %s waits: %s", run_id, error)

    def over(self, run_id: str) -> None:
        """It is judged again, or let go."""
        self._said.pop(run_id, None)
