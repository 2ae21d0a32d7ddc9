"""Puts the parts of this package together; the roof needs this and owing.py.

Rules of this file: wiring only.
"""

from collections.abc import Callable, Iterable, Mapping

from ...store.columns import Reading
from ...store.writer import Writer
from ..clock import Clock
from ..ticking import kept_going
from .channels import Channels
from .courier import Courier
from .messenger import Messenger
from .reach import Reach
from .resolver import Resolve, resolved
from .sending import Sending
from .webhook import Webhook


class Notifying:
    """`channels` answers the API; `courier` is to be run, and woken when something was owed."""

    def __init__(
        self,
        writer: Writer,
        reading: Reading,
        clock: Clock,
        new_id: Callable[[], str],
        *,
        public_url: str,
        allowed: Iterable[str],
        environ: Mapping[str, str],
        version: str,
        resolve: Resolve = resolved,
    ) -> None:
        """`public_url`: where people find the page; `allowed`: hosts that need not be public (reach.Reach)."""
        reach = Reach(allowed)
        self._webhook = Webhook(reach, resolve, clock.wall_s, version)
        messenger = Messenger(reach.allowed, environ)
        sending = Sending(self._webhook, messenger)
        self.channels = Channels(writer, reading, clock, new_id, self._webhook, messenger, sending, public_url)
        self.courier = Courier(writer, reading, clock, sending, public_url)

    async def run(self) -> None:
        """Deliver until cancelled."""
        try:
            await kept_going("bringing notifications", self.courier.run)
        finally:
            await self._webhook.close()
