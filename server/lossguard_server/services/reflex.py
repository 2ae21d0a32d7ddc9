"""What the server does by itself when an alert begins to fire: it asks the trainer for full detail.

Rules of this file:
- Only where the training script wants it (`detail_on_alert`) and allows it (`instrument`), once an alert, by a command
  like any other: stored, audited, delivered and settled like an operator's, the rule being the actor.
- One at a time: alerts wait in a queue, and while detail is recorded or on its way another alert asks for none.
- What people let it do beyond that are policies (services/policies/).
"""

from typing import Any

from lossguard.protocol.messages import DETAIL_STEPS_MAX

from .beginnings import Beginnings
from .commands import Commands, Intention
from .live import LiveRun
from .registry import Registry

KIND = "instrument"


class Reflex:
    """Answers alerts. Owned by the event loop's thread."""

    def __init__(self, registry: Registry, commands: Commands) -> None:
        self._registry, self._commands = registry, commands
        self._beginnings = Beginnings(self._answer)

    def alert(self, alert: dict[str, Any]) -> None:
        """An alert changed."""
        self._beginnings.alert(alert)

    async def run(self) -> None:
        """Answers alerts as they come. Ends by cancellation."""
        await self._beginnings.run()

    async def settled(self) -> None:
        """Everything that came so far has been answered."""
        await self._beginnings.settled()

    async def _answer(self, alert: dict[str, Any]) -> None:
        run = await self._registry.find(alert["run"])
        steps = min(run.declaration.controls.detail_on_alert, DETAIL_STEPS_MAX)
        if steps < 1 or KIND not in run.declaration.controls.kinds or await self._is_under_way(run):
            return
        intention = Intention(
            kind=KIND,
            args={"steps": steps},
            idempotency_key=f"detail-on-alert:{alert['id']}",
            actor=f"rule:{alert['rule']}",
            reason=f"The script asks for {steps} steps in full detail when an alert fires (detail_on_alert).",
            alert=alert["id"],
        )
        await self._commands.give(run, intention)

    async def _is_under_way(self, run: LiveRun) -> bool:
        return run.detail_until is not None or await self._commands.is_open(run.id, KIND)
