"""What was in force by the stored trail, against what a trainer recorded: whether the two agree.

Rules of this file: pure. The trail is each attempt's declaration and events, folded by services/plan_fold.py; nothing
is asked of the server's own memory. Floats are compared by their bits. Everything wrong is a sentence; an empty list is
the only good answer. Every step that was made is checked, those too that were left by a rollback or a newer attempt.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from faults.control_life import COMPONENTS, mark_of
from lossguard.protocol.messages import Declaration, Event
from lossguard.protocol.steering import STEERING_KINDS, Plan
from lossguard_server.services.command_states import OPEN
from lossguard_server.services.plan_fold import PlanFold, operations_of

FAULTS_MAX = 5  # of one kind: the first says where to look
Told = Sequence[Declaration | Event]
Entries = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Branch:
    """What an attempt says of itself up to a rollback, or to its end; `back`: (from, to) of that rollback."""

    plan: Plan
    back: tuple[int, int] | None = None


def branches_of(told: Told) -> list[Branch]:
    """An attempt's branches, in order."""
    folded, found = PlanFold(), []
    for message in told:
        if isinstance(message, Declaration):
            folded.declare(message)
            continue
        if message.kind == "rollback":
            found.append(Branch(folded.plan, (message.data["from"], message.data["to"])))
        folded.tell(message)
    return [*found, Branch(folded.plan)]


def check_life(entries: Entries, told: Told, name: str) -> list[str]:
    """Each step that a life made was made under what its attempt's trail says."""
    branches, at, faults = branches_of(told), 0, list[str]()
    expected = int(entries["step"][0]) if len(entries) else 0
    prefixes: dict[tuple[int, int], int] = {}
    for entry in entries:
        step = int(entry["step"])
        while (
            (back := branches[at].back) is not None and back[0] == expected and step in (back[1], *_next(branches, at))
        ):
            at, expected = at + 1, back[1]
        if step != expected:
            faults.append(f"{name}: step {step} was made where the trail has {expected}")
            break
        plan, expected = branches[at].plan, step + 1
        held = bisect_right(plan.operations, step, key=lambda each: each.step)
        if (at, held) not in prefixes:
            prefixes[at, held] = mark_of(plan.operations[:held])
        faults += [f"{name}, step {step}: {fault}" for fault in _differences(entry, plan, step, prefixes[at, held])]
        if len(faults) >= FAULTS_MAX:
            break
    return faults


def _next(branches: Sequence[Branch], at: int) -> list[int]:
    """Where the rollbacks at the same boundary lead on to."""
    found = []
    for branch, following in zip(branches[at:], branches[at + 1 :], strict=False):
        if branch.back is None or following.back is None or following.back[0] != branch.back[1]:
            break
        found.append(following.back[1])
    return found


def _differences(entry: Any, plan: Plan, step: int, mark: int) -> list[str]:
    weights = [plan.weight_at(name, step) for name in COMPONENTS]
    faults = []
    if np.array(weights).tobytes() != entry["weights"].tobytes():
        faults.append(f"the trail gives the weights {weights}, in force were {entry['weights'].tolist()}")
    # a gated one has no gradient: 0
    if (np.array(weights, "<f4") != entry["grads"]).any():
        faults.append(f"the trail gives the gradients {weights}, there were {entry['grads'].tolist()}")
    if plan.lr_scale_at(step) != entry["lr"]:
        faults.append(f"the trail gives the learning rate {plan.lr_scale_at(step)}, in force was {entry['lr']}")
    if mark != entry["plan"]:
        faults.append("the trail has other operations than the trainer's plan")
    return faults


def check_shown(entries: Entries, newest: Plan) -> list[str]:
    """The newest attempt's plan explains every step that is shown, also those that earlier attempts made."""
    shown: dict[int, Any] = {}
    life, top = -1, -1
    for entry in entries:
        step = int(entry["step"])
        if entry["life"] != life or step <= top:
            for left in range(step, top + 1):
                shown.pop(left, None)
        life, top = entry["life"], step
        shown[step] = entry
    faults = [f"no step {step} is shown" for step in range(top + 1) if step not in shown]
    for step, entry in sorted(shown.items()):
        weights = [newest.weight_at(name, step) for name in COMPONENTS]
        if np.array(weights).tobytes() != entry["weights"].tobytes():
            faults.append(f"shown, step {step}: the trail gives {weights}, in force were {entry['weights'].tolist()}")
    return faults[:FAULTS_MAX]


def check_once(told: Told, name: str) -> list[str]:
    """No command is applied twice in an attempt, nor once more beside the checkpoint that holds it.

    The same word of it may come twice, because a server that was killed offers again what it has no word of: with a
    step at which the command held already, where rollbacks put it.
    """
    folded, doubled = PlanFold(), Counter[str]()
    held: dict[str, set[int]] = {}
    for message in told:
        if isinstance(message, Declaration):
            folded.declare(message)
            continue
        if message.kind == "command" and message.data.get("state") == "applied":
            steps = held.setdefault(message.data["id"], {message.step})
            doubled[message.data["id"]] += message.step not in steps
        folded.tell(message)
        if message.kind in ("resume", "rollback"):
            for each in folded.plan.operations:
                held.setdefault(each.id, set()).add(each.step)
    return [f"{name}: doubled: command {each} was applied {1 + more} times" for each, more in doubled.items() if more]


def check_replays(trails: Mapping[int, Told]) -> list[str]:
    """What an attempt applies that an earlier one had, it applies where that one had it, or where it begins itself.

    A word told again of what it holds already is no replay.
    """
    held: dict[str, int] = {}
    faults = []
    for attempt in sorted(trails):
        begins, own = 0, set[str]()
        for event in trails[attempt]:
            if isinstance(event, Event) and event.kind == "resume":
                begins, own = event.step, {each.id for each in operations_of(event)}
            elif isinstance(event, Event) and event.kind == "command" and event.data.get("state") == "applied":
                id = event.data["id"]
                step = max(held.get(id, event.step), begins)
                if id not in own and step != event.step:
                    faults.append(
                        f"attempt {attempt}: {event.data} is replayed at {event.step}, it held from {step} on"
                    )
                own.add(id)
        held |= {each.id: each.step for each in branches_of(trails[attempt])[-1].plan.operations}
    return faults[:FAULTS_MAX]


def check_commands(stored: Iterable[Mapping[str, Any]], accepted: set[str], newest: Plan) -> list[str]:
    """Each accepted command is there once and final; applied are exactly those that are in force."""
    rows = {row["id"]: row for row in stored}
    faults = [f"lost: command {each} was accepted and is not stored" for each in accepted - rows.keys()]
    faults += [f"invented: command {each} was never accepted" for each in rows.keys() - accepted]
    faults += [f"lost: {_said(row)} is not final" for row in rows.values() if row["state"] in OPEN]
    # every attempt here resumes, so what it lacks was offered to it again
    faults += [
        f"lost: {_said(row)} is not replayed" for row in rows.values() if "began without" in (row["refusal"] or "")
    ]
    steering = {each: row for each, row in rows.items() if row["kind"] in STEERING_KINDS}
    in_force = {each.id for each in newest.operations}
    applied = {each for each, row in steering.items() if row["state"] == "applied"}
    faults += [f"{_said(steering[each])} is applied in no trail" for each in sorted(applied - in_force)]
    faults += [f"{_said(rows[each])} is in force" for each in sorted(in_force - applied) if each in rows]
    return faults


def _said(row: Mapping[str, Any]) -> str:
    return f"command {row['number']} ({row['kind']} {row['id']}), {row['state']}, {row['history']},"
