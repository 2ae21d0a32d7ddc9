"""A run, its alerts and the commands of its policies, for tests of what a policy makes of them."""

from typing import Any

from lossguard.protocol.messages import ControlsSpec, Declaration, GuardSpec
from lossguard_server.services.live import LiveRun
from lossguard_server.store.commands import StoredCommand
from lossguard_server.store.runs import StoredRun

KINDS = ["set_weight", "hold_stage", "checkpoint", "pause", "rollback"]
RULE = "contribution_dominates"


def run_of(kinds: list[str] = KINDS, modes: tuple[str, ...] = ("device",), run: str = "r1") -> LiveRun:
    """A run whose script allows `kinds`, with the weight of aux at 1; its trainer is connected."""
    declaration = Declaration(
        seq=1, components=["ce", "aux"], controls=ControlsSpec(list(kinds)), guard=GuardSpec(list(modes))
    )
    live = LiveRun(StoredRun(run, "p", "n", 1.0, 1.0, 1, 0, None), declaration)
    live.values["weight/aux"] = 1.0
    live.connections[0, 0] = 1
    return live


def alert_of(name: str = "a1", **changed: Any) -> dict[str, Any]:
    """An alert whose remedy lowers the weight of aux."""
    remedy = {"kind": "set_weight", "args": {"component": "aux", "value": 0.01}, "text": "Lower it."}
    alert = {
        "id": name, "run": "r1", "rule": RULE, "series": "aux", "component": "aux", "severity": "critical",
        "state": "firing", "step": 40, "last_step": 41, "fired_s": 5.0, "resolved_step": None, "message": "m",
        "evidence": {}, "blame": None, "remedy": remedy, "incident": None,
    }  # fmt: skip
    return {**alert, **changed}


def command_of(number: int = 1, **changed: Any) -> StoredCommand:
    """A judged action of the policy of RULE."""
    values = {
        "id": f"c{number}", "run": "r1", "number": number, "kind": "set_weight", "args": {}, "idempotency_key": "k",
        "actor": f"policy:{RULE}", "reason": None, "alert": f"a{number}", "state": "applied", "created_s": 100.0,
        "step": 41, "old": None, "new": None, "refusal": None, "history": [], "effect": {"verdict": "worked"},
    }  # fmt: skip
    return StoredCommand(**{**values, **changed})
