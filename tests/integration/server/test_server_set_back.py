"""A server that was restored from an older backup offers again what its trainer has settled long since: the trainer
repeats its word, which counts once, and nothing stays open for ever."""

import shutil
import time
from pathlib import Path
from typing import Any

from lossguard.protocol import COMMAND_KINDS
from lossguard.protocol.messages import Command, ControlsSpec, Heartbeat
from lossguard_server.services.clock import Clock
from raw_trainer import RawTrainer
from server_inside import Inside, running_server

CONTROLS = ControlsSpec(list(COMMAND_KINDS), {"ce": (0.0, 2.0)})
SNAPSHOT = Heartbeat(state="running", step=50, snapshot_step=45)


async def post(inside: Inside, kind: str, key: str, **args: Any) -> Any:
    return await inside.http.post("/api/runs/r1/commands", json={"kind": kind, "args": args, "idempotency_key": key})


async def training(inside: Inside) -> RawTrainer:
    """With a weight and a rollback on their way: what the backup knows."""
    trainer = inside.trainer()
    await trainer.connect()
    trainer.declare(components=["ce"], controls=CONTROLS)
    trainer.frame(range(40), loss__total=[1.0] * 40)
    await trainer.deliver()
    await trainer.send(SNAPSHOT)
    assert (await post(inside, "set_weight", "k1", component="ce", value=0.25)).status_code == 201
    while (answer := await post(inside, "rollback", "k2")).json().get("error") == "no_snapshot":
        pass  # the heartbeat is on its way
    assert answer.status_code == 201, answer.text
    return trainer


async def back_again(inside: Inside, trainer: RawTrainer) -> tuple[RawTrainer, Command, Command]:
    """The same trainer at the server that was set back, which offers both again. What it told since lies in no spool
    any more: a gap takes its place."""
    later = inside.trainer()
    later.messages, later._ids = [*trainer.messages], trainer._ids
    later.event("gap", 60, **{"from": 40, "to": 59, "reason": "the server was set back"})
    await later.connect()
    await later.deliver()
    weight, rollback = [await later.expect(Command) for _ in range(2)]
    assert (weight.kind, rollback.kind) == ("set_weight", "rollback")
    return later, weight, rollback


def repeat(trainer: RawTrainer, weight: Command, rollback: Command) -> None:
    trainer.event("command", 40, id=weight.id, kind=weight.kind, state="applied", args=weight.args, old=1.0, new=0.25)
    trainer.event("command", 50, id=rollback.id, kind="rollback", state="applied", args={}, old=50, new=45, ranks=1)


async def commands(inside: Inside) -> list[Any]:
    return list(reversed(await inside.items("/api/runs/r1/commands")))


async def test_a_repeated_word_settles_what_was_applied_and_counts_once(tmp_path: Path) -> None:
    async with running_server(tmp_path / "now") as inside:
        trainer = await training(inside)
    shutil.copytree(tmp_path / "now", tmp_path / "backup")
    async with running_server(tmp_path / "backup") as inside:
        later, weight, rollback = await back_again(inside, trainer)
        assert (await post(inside, "rollback", "k3")).json()["error"] == "rollback_pending"
        repeat(later, weight, rollback)
        await later.deliver()
        found, audit = await commands(inside), await inside.items("/api/runs/r1/audit")
        assert [(each["state"], each["step"], each["old"], each["new"]) for each in found] == [
            ("applied", 40, 1.0, 0.25),
            ("applied", 50, 50, 45),
        ]
        assert (await inside.get("/api/runs/r1/schedule"))["weights"]["ce"] == 0.25
        repeat(later, weight, rollback)
        await later.deliver()
        assert (await commands(inside), await inside.items("/api/runs/r1/audit")) == (found, audit)
        await later.send(SNAPSHOT)
        assert (await post(inside, "rollback", "k4")).status_code == 201, "the earlier one is pending no more"


async def test_a_trainer_that_says_nothing_again_does_not_forbid_rollbacks_for_ever(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        await training(inside)
        refused = await post(inside, "rollback", "k3")
        assert (refused.status_code, refused.json()["error"]) == (409, "rollback_pending")
        inside.assembly._trainers._commands._clock = Clock(time.monotonic, lambda: time.time() + 601)
        assert (await post(inside, "rollback", "k3")).status_code == 201


async def test_an_attempt_whose_first_words_are_lost_is_not_said_to_have_begun_without(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer = await training(inside)
        weight, _ = [await trainer.expect(Command) for _ in range(2)]
        trainer.event("command", 40, id=weight.id, kind=weight.kind, state="applied", args=weight.args)
        await trainer.deliver()
        trainer.disconnect()
        later = inside.trainer(attempt=1)  # which the backup does not know
        later.event("gap", 60, **{"from": 30, "to": 59, "reason": "the server was set back"})
        later.frame(range(60, 70), loss__total=[1.0] * 10)
        await later.connect()
        await later.deliver()
        assert (await commands(inside))[0]["state"] == "applied"
        assert (await inside.get("/api/runs/r1/schedule"))["weights"]["ce"] == 0.25


async def test_a_word_that_comes_twice_brings_nothing_back(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer = await training(inside)
        weight, _ = [await trainer.expect(Command) for _ in range(2)]
        applied = {"id": weight.id, "kind": weight.kind, "state": "applied", "args": weight.args}
        trainer.event("command", 40, **applied)
        trainer.event("resume", 20, step=20, operations=[], applied_upto=0)  # its process loads a checkpoint
        trainer.event("command", 40, **applied)  # it was offered again, before the server knew of all that
        await trainer.deliver()
        assert (await commands(inside))[0]["state"] == "rolled_back"
        assert (await inside.get("/api/runs/r1/schedule"))["weights"]["ce"] == 0.0
    async with running_server(tmp_path) as inside:
        assert (await inside.get("/api/runs/r1/schedule"))["weights"]["ce"] == 0.0
