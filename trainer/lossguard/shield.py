"""Keeps lossguard's own failures out of training.

Rules of this file: whatever fails inside a `with shield(where):` is logged once, reported to the server and swallowed;
after the third failure the shield is `broken` and its owner switches that part off, unless that part is never off: then
it is said once. What the user did wrong is raised outside of it. KeyboardInterrupt and SystemExit pass.
"""

import logging
from collections.abc import Callable
from types import TracebackType

log = logging.getLogger("lossguard")

FAILURES_ALLOWED = 3  # one may be a fluke of a single step, three are a defect


class Shield:
    """A re-usable context manager that swallows and counts internal failures."""

    def __init__(
        self,
        report: Callable[[str, str], None] = lambda where, message: None,
        allowed: float = FAILURES_ALLOWED,
    ) -> None:
        """`allowed`: after so many failures it is broken; math.inf: never."""
        self.failures = 0
        self.report = report
        self._allowed = allowed
        self._where = ""

    @property
    def broken(self) -> bool:
        """True when the shielded part has failed too often to be tried again."""
        return self.failures >= self._allowed

    def __call__(self, where: str) -> "Shield":
        self._where = where
        return self

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        if error is None or not isinstance(error, Exception):
            return False
        self.failures += 1
        if self.failures in (1, self._allowed):  # a part that cannot be switched off must not fill the log
            end = "; this part is now off" if self.broken else ""
            log.warning("lossguard failed inside %s and goes on without%s: %r", self._where, end, error, exc_info=error)
            self.report(self._where, f"{error!r}{end}")
        return True
