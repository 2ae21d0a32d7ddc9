"""A newer attempt goes on from a checkpoint: what was applied behind it is offered again at its step, once, or shown as
rolled back; nothing that is in force is shown as anything else."""

import asyncio
import time
from pathlib import Path
from typing import Any

from lossguard.protocol import COMMAND_KINDS
from lossguard.protocol.messages import Ack, Command, ControlsSpec
from lossguard_server.services.clock import Clock
from raw_trainer import RawTrainer
from server_inside import Inside, running_server

CONTROLS = ControlsSpec(list(COMMAND_KINDS), {"ce": (0.0, 2.0)})


async def attempt(inside: Inside, number: int) -> RawTrainer:
    trainer = inside.trainer(attempt=number)
    await trainer.connect()
    trainer.declare(components=["ce"], controls=CONTROLS)
    await trainer.deliver()
    return trainer


async def given(inside: Inside, trainer: RawTrainer, value: float, kind: str = "set_weight") -> Command:
    args = {"component": "ce", "value": value} if kind == "set_weight" else {}
    body = {"kind": kind, "args": args, "idempotency_key": f"{kind}{value}"}
    answer = await inside.http.post("/api/runs/r1/commands", json=body)
    assert answer.status_code == 201, answer.text
    return await trainer.expect(Command)


def apply(trainer: RawTrainer, command: Command, step: int) -> None:
    trainer.event("command", step, id=command.id, kind=command.kind, state="applied", args=command.args)


def resume(trainer: RawTrainer, step: int, *held: tuple[int, Command]) -> None:
    operations = [[at, command.id, command.kind, command.args] for at, command in held]
    trainer.event("resume", step, step=step, operations=operations, applied_upto=len(held))


async def goes_on(inside: Inside, number: int, step: int, *held: tuple[int, Command]) -> RawTrainer:
    """An attempt from a checkpoint before `step`, which holds these."""
    trainer = await attempt(inside, number)
    resume(trainer, step, *held)
    await trainer.deliver()
    return trainer


def trained(trainer: RawTrainer, *steps: int) -> None:
    trainer.frame(steps, loss__total=[1.0] * len(steps))


async def states(inside: Inside) -> list[str]:
    return [each["state"] for each in reversed(await inside.items("/api/runs/r1/commands"))]


async def history(inside: Inside, number: int) -> list[tuple[str, Any]]:
    found = {each["number"]: each for each in await inside.items("/api/runs/r1/commands")}[number]
    return [(entry["state"], entry.get("at_step", entry.get("step"))) for entry in found["history"]]


async def weight(inside: Inside) -> Any:
    return (await inside.get("/api/runs/r1/schedule"))["weights"]["ce"]


async def two_applied(inside: Inside) -> tuple[RawTrainer, Command, Command]:
    """At steps 10 and 40; the checkpoint of step 30 holds the first."""
    trainer = await attempt(inside, 0)
    first = await given(inside, trainer, 0.5)
    apply(trainer, first, 10)
    second = await given(inside, trainer, 0.25)
    apply(trainer, second, 40)
    trained(trainer, *range(50))
    await trainer.deliver()
    trainer.disconnect()
    return trainer, first, second


async def test_what_lies_behind_the_checkpoint_is_offered_again_at_its_step(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        _, first, second = await two_applied(inside)
        trainer = await goes_on(inside, 1, 30, (10, first))
        again = await trainer.expect(Command)
        assert (again.id, again.number, again.at_step, again.args) == (second.id, 2, 40, second.args)
        assert again.expires_in_s == 0
        assert (await states(inside), await weight(inside)) == (["applied", "sent"], 0.5)
        apply(trainer, again, 40)
        await trainer.deliver()
        assert (await states(inside), await weight(inside)) == (["applied", "applied"], 0.25)
        assert await history(inside, 1) == [("queued", None), ("sent", None), ("applied", 10)]
        assert await history(inside, 2) == [
            ("queued", None), ("sent", None), ("applied", 40), ("queued", 40), ("sent", None), ("applied", 40),
        ]  # fmt: skip
        later = await given(inside, trainer, 0.75)
        assert (later.number, later.at_step) == (3, -1)


async def test_what_was_applied_in_time_is_offered_again_although_its_time_is_over(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer = await attempt(inside, 0)
        body = {"kind": "set_weight", "args": {"component": "ce", "value": 0.5}, "idempotency_key": "k"}
        await inside.http.post("/api/runs/r1/commands", json={**body, "expires_in_s": 60})
        command = await trainer.expect(Command)
        apply(trainer, command, 40)
        trained(trainer, *range(50))
        await trainer.deliver()
        trainer.disconnect()
        courier = inside.assembly._trainers._commands
        courier._clock = Clock(time.monotonic, lambda: time.time() + 120)  # its time is over
        later = await goes_on(inside, 1, 30)
        again = await later.expect(Command)
        assert (again.id, again.at_step, again.expires_in_s) == (command.id, 40, 0)


async def test_over_a_broken_connection_it_is_offered_once_more_and_not_after_it_was_applied(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        _, first, second = await two_applied(inside)
        trainer = await goes_on(inside, 1, 30, (10, first))
        assert (await trainer.expect(Command)).id == second.id
        trainer.disconnect()
    async with running_server(tmp_path) as inside:
        later = inside.trainer(attempt=1)
        later.messages = trainer.messages
        await later.connect()
        again = await later.expect(Command)
        assert (again.id, again.at_step) == (second.id, 40)
        apply(later, again, 40)
        await later.deliver()
        later.disconnect()
        await later.connect()
        assert (await given(inside, later, 0.75)).number == 3


async def test_what_is_refused_as_too_late_is_shown_as_rolled_back(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        _, first, _ = await two_applied(inside)
        trainer = await goes_on(inside, 1, 45, (10, first))
        again = await trainer.expect(Command)
        trainer.event("command", 45, id=again.id, state="rejected", reason="step 40 has passed")
        await trainer.deliver()
        assert (await states(inside), await weight(inside)) == (["applied", "rolled_back"], 0.5)
        (found, _) = await inside.items("/api/runs/r1/commands")
        assert found["refusal"] == "step 40 has passed"
        assert "command rolled_back" in [each["what"] for each in await inside.items("/api/runs/r1/audit")]
        answer = await inside.http.post(
            "/api/runs/r1/commands",
            json={"kind": "revert", "args": {"command": again.id}, "idempotency_key": "r"},
        )
        assert (answer.status_code, answer.json()["error"]) == (409, "not_revertible")


async def test_an_attempt_that_begins_anew_has_nothing_of_the_earlier_ones(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        _, first, _ = await two_applied(inside)
        viewer = await inside.watch("r1")
        trainer = await attempt(inside, 1)
        assert await states(inside) == ["applied", "applied"], "it may go on from a checkpoint yet"
        trained(trainer, 0)
        await trainer.deliver()
        assert (await states(inside), await weight(inside)) == (["rolled_back", "rolled_back"], 0.0)
        assert (await viewer.expect("command"))["command"]["refusal"] == "Attempt 1 began without it."
        trainer.disconnect()
        latest = await attempt(inside, 2)
        resume(latest, 30, (10, first))
        trained(latest, 30)
        await latest.deliver()
        assert (await states(inside), await weight(inside)) == (["applied", "rolled_back"], 0.5)
        (_, found) = await inside.items("/api/runs/r1/commands")
        assert (found["refusal"], found["step"]) == (None, 10), "the checkpoint of the first attempt holds it"


async def test_an_attempt_that_dies_before_it_took_them_up_leaves_them_to_the_next(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        _, first, second = await two_applied(inside)
        for number in (1, 2, 3):
            trainer = await attempt(inside, number)
            resume(trainer, 30, (10, first))
            trained(trainer, 30)
            await trainer.deliver()
            again = await trainer.expect(Command)
            assert (again.id, again.at_step) == (second.id, 40)
            if number == 2:
                trainer.event("finish", 31, state="crashed")
                await trainer.deliver()
            trainer.disconnect()
        assert [state for state, _ in await history(inside, 2)].count("expired") == 2


async def test_in_one_attempt_it_is_offered_once(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        _, first, second = await two_applied(inside)
        trainer = await goes_on(inside, 1, 30, (10, first))
        apply(trainer, again := await trainer.expect(Command), 40)
        third = await given(inside, trainer, 0.75)
        apply(trainer, third, 45)
        resume(trainer, 20, (10, first))  # the same process loads an older checkpoint
        await trainer.deliver()
        assert await states(inside) == ["applied", "rolled_back", "rolled_back"]
        assert again.id == second.id
        assert (await given(inside, trainer, 0.0, "pause")).number == 4, "nothing else came before"


async def test_a_word_that_comes_late_is_taken_up_by_the_attempt_that_runs(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        older = await attempt(inside, 0)
        first, second = await given(inside, older, 0.5), await given(inside, older, 0.25)
        older.disconnect()  # it has applied both, and what it said of it lies in its spool
        trainer = await attempt(inside, 1)
        assert await states(inside) == ["expired", "expired"]
        resume(trainer, 30, (10, first))
        trained(trainer, 30)
        await trainer.deliver()
        assert await states(inside) == ["applied", "expired"], "the checkpoint holds the first"
        apply(older, first, 10)
        apply(older, second, 40)
        await older.connect()
        await older.deliver()
        again = await trainer.expect(Command)
        assert (again.id, again.at_step) == (second.id, 40)
        assert await states(inside) == ["applied", "sent"]
        assert await weight(inside) == 0.5, "what an older attempt says late steers nothing"
        older.event("command", 41, id=second.id, state="rejected", reason="what it says is of an older offer")
        await older.deliver()
        assert await states(inside) == ["applied", "sent"]


async def test_a_late_word_of_what_an_attempt_began_without_is_rolled_back(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        older = await attempt(inside, 0)
        first = await given(inside, older, 0.5)
        older.disconnect()
        trainer = await attempt(inside, 1)
        trained(trainer, 0)
        await trainer.deliver()
        apply(older, first, 10)
        await older.connect()
        await older.deliver()
        assert await states(inside) == ["rolled_back"]
        assert [state for state, _ in await history(inside, 1)] == [
            "queued",
            "sent",
            "expired",
            "applied",
            "rolled_back",
        ]


async def test_the_word_of_a_trainer_that_was_given_up_counts(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer = await attempt(inside, 0)
        command = await given(inside, trainer, 0.5)
        trainer.event("finish", 9, state="crashed")
        apply(trainer, command, 8)
        await trainer.deliver()
        assert (await states(inside), await weight(inside)) == (["applied"], 0.5)


async def test_after_a_rollback_it_is_offered_where_the_rollback_put_it(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        older, _, second = await two_applied(inside)
        await older.connect()
        older.event("rollback", 35, **{"from": 50, "to": 35})
        await older.deliver()
        older.disconnect()
        trainer = await goes_on(inside, 1, 5)
        offered = [await trainer.expect(Command) for _ in range(2)]
        assert [(each.number, each.at_step) for each in offered] == [(1, 10), (2, 35)]
        assert offered[1].id == second.id


async def test_on_the_branch_that_a_rollback_left_what_held_is_offered_at_the_first_step(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        older, first, second = await two_applied(inside)
        await older.connect()
        older.event("rollback", 20, **{"from": 50, "to": 20})  # the second holds from there on
        third = await given(inside, older, 0.75)
        apply(older, third, 25)
        trained(older, *range(20, 28))
        await older.deliver()
        older.disconnect()
        trainer = await goes_on(inside, 1, 35, (10, first))  # a checkpoint from before the rollback
        offered = [await trainer.expect(Command) for _ in range(2)]
        assert [(each.id, each.at_step) for each in offered] == [(second.id, 35), (third.id, 35)]
        assert (await states(inside), await weight(inside)) == (["applied", "sent", "sent"], 0.5), "what its word is"
        for again in offered:
            apply(trainer, again, 35)
        await trainer.deliver()
        assert (await states(inside), await weight(inside)) == (["applied"] * 3, 0.75)
    async with running_server(tmp_path) as inside:
        operations = (await inside.get("/api/runs/r1/schedule"))["operations"]
        assert [(each["id"], each["step"]) for each in operations] == [(first.id, 10), (second.id, 35), (third.id, 35)]


async def test_a_late_word_of_what_held_before_the_checkpoint_is_offered_at_the_first_step(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        older = await attempt(inside, 0)
        first = await given(inside, older, 0.5)
        older.disconnect()
        trainer = await goes_on(inside, 1, 35)
        apply(older, first, 10)
        await older.connect()
        await older.deliver()
        again = await trainer.expect(Command)
        assert (again.id, again.at_step) == (first.id, 35)


async def test_a_newer_wish_does_not_replace_what_is_offered_again(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        _, first, _ = await two_applied(inside)
        trainer = await attempt(inside, 1)
        courier, until = inside.assembly._trainers._commands, asyncio.Event()
        mark_sent = courier._mark_sent

        async def wait(command: Any) -> bool:
            await until.wait()
            return await mark_sent(command)

        courier._mark_sent = wait  # type: ignore[method-assign]
        resume(trainer, 30, (10, first))
        await trainer.deliver()
        body = {"kind": "set_weight", "args": {"component": "ce", "value": 1.5}, "idempotency_key": "new"}
        assert (await inside.http.post("/api/runs/r1/commands", json=body)).status_code == 201
        until.set()
        assert [(await trainer.expect(Command)).number for _ in range(2)] == [2, 3]


async def test_a_damaged_journal_stops_no_trainer(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        _, first, _ = await two_applied(inside)
        trainer = await attempt(inside, 1)

        def spoil(session: Any) -> None:
            session.connection().exec_driver_sql("UPDATE journal SET payload = x'c1' WHERE kind = 'event'")

        await asyncio.wrap_future(inside.assembly._writer.submit(spoil))
        resume(trainer, 30, (10, first))
        trained(trainer, 30)
        await trainer.deliver()
        assert not [message for message in trainer.others if not isinstance(message, Ack | Command)]
        assert await weight(inside) == 0.5
        await asyncio.wrap_future(inside.assembly._writer.submit(spoil))
    async with running_server(tmp_path) as inside:
        assert (await inside.get("/api/runs/r1"))["step"] == 30
        assert await weight(inside) == 0.0, "as declared"
