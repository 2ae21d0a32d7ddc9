"""How often one viewer is served: as it reads, at least once a second.

Rules of this file: pure; it never decides what is lost, only when to try again. A resync makes the page load everything
over HTTP, which is the most that a slow viewer can ask of the server: at most one in RESYNC_S, and after each that was
in vain twice as long.
"""

TICK_S = 0.1  # a send that takes longer found the buffers full
SLOWEST_S = 1.0
RESYNC_S = 5.0
LONGEST_RESYNC_S = 60.0


class Pace:
    """Of one viewer. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._pause_s = 0.0
        self._resync_s = RESYNC_S
        self._resynced_at_s = float("-inf")
        self.rests_until_s = float("-inf")

    def is_quick(self, now_s: float) -> bool:
        """The last sends went out at once, or there was nothing to send for long enough to read what went before."""
        return self._pause_s == 0 or now_s >= self.rests_until_s + SLOWEST_S

    @property
    def may_resync_at_s(self) -> float:
        """From then on."""
        return self._resynced_at_s + self._resync_s

    def sent(self, took_s: float, now_s: float) -> None:
        """A message went out."""
        if took_s > TICK_S:
            self._pause_s = min(SLOWEST_S, max(TICK_S, 2 * self._pause_s))
            self.rests_until_s = now_s + self._pause_s
        else:
            self._pause_s = self._pause_s / 2 if self._pause_s > TICK_S else 0.0

    def resynced(self, now_s: float) -> None:
        """The viewer was told to load again."""
        self._resynced_at_s = now_s

    def fell_behind(self, now_s: float) -> None:
        """It could not keep up, soon after it was told to load or long after."""
        is_again = now_s - self._resynced_at_s < 2 * self._resync_s
        self._resync_s = min(LONGEST_RESYNC_S, 2 * self._resync_s) if is_again else RESYNC_S
