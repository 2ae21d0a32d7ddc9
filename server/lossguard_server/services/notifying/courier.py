"""Brings what the outbox owes to its channels.

Rules of this file:
- At least once: a notice is settled after the other side has taken it. Who is told twice is told the same key twice.
- One message at a time for each channel, CHANNELS_AT_ONCE in all; whose turn it is lanes.py knows.
- A wait is kept twice: by the channel, in time that nobody sets, and as a label of the notice, for after a restart.
- What cannot be settled because the disk is full is settled later, and not sent again meanwhile.
- It owns no thread, and neither judge nor trainer ever waits for it.
"""

import asyncio
import logging
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from ...errors import ServerError
from ...store import channels, outbox
from ...store.columns import Reading
from ...store.outbox import Notice
from ...store.writer import Writer
from ..clock import Clock
from ..records import Records
from .backoff import GIVE_UP_S, LONGEST_S, TRIES_LEAST, wait_s
from .channel import Channel
from .lanes import LANES, Lanes
from .releasing import HELD_LONGEST_S, SWITCHED_OFF, release
from .sending import Sending, of_notice
from .told import DELIVERED, LATER, REFUSED, Told

CHANNELS_AT_ONCE = LANES
LOOK_EVERY_S = 15.0  # at the latest: another process may have written, the clock may have been set
LOOK_LEAST_S = 0.05
TROUBLE_S = 5.0
PRUNE_EVERY_S = 3_600.0
KEEP_S = 30 * 86_400.0
KEEP_NOTICES = 10_000

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Settlement:
    state: str
    changed: dict[str, Any]


class Courier:
    """Owned by the event loop's thread, `wake` included."""

    def __init__(
        self,
        writer: Writer,
        reading: Reading,
        clock: Clock,
        sending: Sending,
        public_url: str,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`public_url`: where a reader of a message finds the page; `chance` gives 0 to 1, for the waits."""
        self._records, self._clock = Records(writer, reading), clock
        self._sending, self._public_url, self._chance = sending, public_url.rstrip("/"), chance
        self._woken = asyncio.Event()
        self._lanes = Lanes(CHANNELS_AT_ONCE)
        self._under_way: dict[str, asyncio.Task[None]] = {}  # by channel
        self._unsettled: dict[str, _Settlement] = {}  # by key: sent, and not yet written down
        self._kept_in: set[str] = set()  # channels of which the log has it
        self._prune_at_s = clock.monotonic_s()

    def wake(self) -> None:
        """Something may be owed."""
        self._woken.set()

    async def run(self) -> None:
        """Deliver what is owed as it falls due. Ends by cancellation; what is under way then is sent again later."""
        try:
            while True:
                self._woken.clear()
                try:
                    delay_s = await self.look()
                except ServerError as error:  # the disk: messages are late, and not lost
                    log.warning("notifications wait: %s", error)
                    delay_s = TROUBLE_S
                try:
                    async with asyncio.timeout(delay_s):
                        await self._woken.wait()
                except TimeoutError:
                    continue
        finally:
            for task in self._under_way.values():
                task.cancel()
            await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    async def look(self) -> float:
        """Begin what is due; seconds until there is something to do again. Raises StorageError where nothing can be
        read; what cannot be written now does not hold up what can be sent."""
        now_s, is_written = self._clock.wall_s(), await self._write_down()
        at_s = self._clock.monotonic_s()
        without = set(self._under_way) | self._lanes.resting(at_s)
        due = await self._records.read(lambda session: outbox.due(session, now_s, without, LONGEST_S))
        unsettled = [notice for notice in due if notice.key not in self._unsettled]
        for notice in self._lanes.chosen(unsettled, self._under_way):
            self._lanes.begins(notice.channel, at_s)
            task = self._under_way[notice.channel] = asyncio.create_task(self._deliver(notice))
            task.add_done_callback(partial(self._ended, notice))
        if len(self._under_way) >= CHANNELS_AT_ONCE:
            return LOOK_EVERY_S  # the first that ends wakes us
        if not is_written:
            return TROUBLE_S
        without |= {notice.channel for notice in due}  # is under way, or has its turn when one of those ends
        next_s = await self._records.read(lambda session: outbox.next_due_s(session, without))
        delay_s = min(math.inf if next_s is None else next_s - now_s, self._lanes.next_s(at_s) - at_s)
        return min(max(delay_s, LOOK_LEAST_S), LOOK_EVERY_S)

    async def settled(self) -> None:
        """What was begun has ended, one way or the other."""
        while self._under_way:
            await asyncio.wait(self._under_way.values())

    async def _deliver(self, notice: Notice) -> None:
        stored = await self._records.read(lambda session: channels.get(session, notice.channel))
        channel = None if stored is None else Channel.of(stored)
        if channel is None or not channel.enabled:
            told = Told(REFUSED, SWITCHED_OFF)
        else:
            told = await self._sending.send(channel, of_notice(notice.key, notice.body, self._public_url))
        if told.is_kept_in and notice.channel not in self._kept_in:
            self._kept_in.add(notice.channel)
            log.warning(
                "notifications of channel %s wait: start with --notify-allow HOST. %s", notice.channel, told.said
            )
        self._unsettled[notice.key] = self._settlement(notice, told)
        await self._settle_rest()

    def _ended(self, notice: Notice, task: "asyncio.Task[None]") -> None:
        del self._under_way[notice.channel]
        self._woken.set()
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, ServerError):
            log.warning("notification %s waits: %s", notice.key, error)
        else:
            log.error("notification %s failed", notice.key, exc_info=error)
        if notice.key not in self._unsettled:  # it was not sent, and must not be tried again at once
            said = f"The server failed to send it ({type(error).__name__}); its log says more."
            self._unsettled[notice.key] = self._settlement(notice, Told(LATER, said))

    def _settlement(self, notice: Notice, told: Told) -> _Settlement:
        now_s, tries = self._clock.wall_s(), notice.tries + 1
        changed: dict[str, Any] = {"tries": tries, "said": told.said}
        if told.outcome != LATER:
            self._lanes.answered(notice.channel)
        if told.outcome == DELIVERED:
            return _Settlement(outbox.DELIVERED, {**changed, "due_s": now_s})
        failures = max(tries, self._lanes.failures(notice.channel) + 1)
        rest_s = wait_s(failures, self._chance(), told.after_s)
        if told.outcome == LATER:
            self._lanes.failed(notice.channel, self._clock.monotonic_s() + min(rest_s, GIVE_UP_S))
        is_over = now_s + rest_s > notice.owed_s + GIVE_UP_S and failures >= TRIES_LEAST
        if told.outcome == REFUSED or is_over or rest_s > GIVE_UP_S:
            word = "try" if tries == 1 else "tries"
            log.warning("notification %s is given up after %d %s: %s", notice.key, tries, word, told.said)
            return _Settlement(outbox.GIVEN_UP, {**changed, "due_s": now_s})
        return _Settlement(outbox.OWED, {**changed, "due_s": now_s + min(rest_s, LONGEST_S)})

    async def _write_down(self) -> bool:
        """What was sent, what was held until now, what is too old; False where the disk did not do it."""
        now_s = self._clock.wall_s()
        try:
            await self._settle_rest()
            if await self._records.read(lambda session: bool(outbox.held_over(session, now_s, HELD_LONGEST_S))):
                await self._records.write(lambda session: release(session, now_s))
            if self._clock.monotonic_s() >= self._prune_at_s:
                self._prune_at_s = self._clock.monotonic_s() + PRUNE_EVERY_S
                await self._records.write(lambda session: outbox.prune(session, now_s - KEEP_S, KEEP_NOTICES))
        except ServerError as error:
            log.warning("what became of notifications is not written down yet: %s", error)
            return False
        return True

    async def _settle_rest(self) -> None:
        for key, settlement in list(self._unsettled.items()):
            await self._records.write(partial(outbox.move, key=key, state=settlement.state, **settlement.changed))
            self._unsettled.pop(key, None)
