"""Commands over HTTP and the trainer's socket: refused with a reason, or delivered once, in order, and settled."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from lossguard.protocol.messages import Command, ControlsSpec
from raw_trainer import RawTrainer
from server_inside import Inside, running_server

CONTROLS = ControlsSpec(["pause", "set_weight", "revert"], {"ce": (0.0, 2.0)})


async def connected(inside: Inside, run: str = "r1") -> RawTrainer:
    trainer = inside.trainer(run)
    await trainer.connect()
    trainer.declare(components=["ce"], controls=CONTROLS)
    await trainer.deliver()
    return trainer


async def give(inside: Inside, kind: str, key: str, run: str = "r1", **args: Any) -> Any:
    return await inside.http.post(
        f"/api/runs/{run}/commands", json={"kind": kind, "args": args, "idempotency_key": key}
    )


@pytest.mark.parametrize(
    ("run", "body", "status", "error"),
    [
        ("none", {"kind": "pause"}, 404, "unknown_run"),
        ("r1", {"kind": "explode"}, 422, "unknown_kind"),
        ("r1", {"kind": "stop"}, 403, "not_allowed"),
        ("r1", {"kind": "set_weight", "args": {"component": "nope", "value": 1}}, 422, "unknown_component"),
        ("r1", {"kind": "set_weight", "args": {"component": "ce", "value": 3}}, 422, "weight_out_of_bounds"),
        ("r1", {"kind": "set_weight", "args": {"component": "ce", "value": "NaN"}}, 422, "weight_not_finite"),
        ("r1", {"kind": "revert", "args": {"command": "none"}}, 404, "unknown_command"),
        ("r1", {"kind": "pause", "surprise": 1}, 422, "bad_request"),
        ("r1", {"args": {}}, 422, "bad_request"),
        ("r1", {"kind": "pause", "idempotency_key": ""}, 422, "bad_request"),
    ],
)
async def test_a_refused_command_says_why_and_changes_nothing(
    tmp_path: Path, run: str, body: dict[str, Any], status: int, error: str
) -> None:
    async with running_server(tmp_path) as inside:
        await connected(inside)
        answer = await inside.http.post(f"/api/runs/{run}/commands", json={"idempotency_key": "k", **body})
        assert (answer.status_code, answer.json()["error"]) == (status, error)
        assert set(answer.json()) == {"error", "message", "hint"}
        assert answer.json()["message"]
        assert answer.json()["hint"]
        assert await inside.items("/api/runs/r1/commands") == []


NOT_REQUESTS = [
    b"",
    b"{",
    b"[]",
    b"nul",
    b"\xff",
    b'{"kind":"set_weight","args":{"component":"ce","value":NaN},"idempotency_key":"k"}',
    b'{"kind":"pause","args":{"\\ud800":1},"idempotency_key":"k"}',
    b'{"kind":"\\ud800","idempotency_key":"k"}',
]


@pytest.mark.parametrize("body", NOT_REQUESTS)
async def test_a_body_that_is_no_request_is_refused(tmp_path: Path, body: bytes) -> None:
    async with running_server(tmp_path) as inside:
        await connected(inside)
        headers = {"Content-Type": "application/json"}
        answer = await inside.http.post("/api/runs/r1/commands", content=body, headers=headers)
        assert answer.status_code in (400, 422), answer.text
        assert set(answer.json()) == {"error", "message", "hint"}


async def test_a_command_is_delivered_and_settled(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer = await connected(inside)
        given = await give(inside, "set_weight", "k1", component="ce", value=0.25)
        assert (given.status_code, given.json()["state"]) == (201, "queued")
        command = await trainer.expect(Command)
        assert (command.kind, command.args, command.number) == ("set_weight", {"component": "ce", "value": 0.25}, 1)
        trainer.event("command", -1, id=command.id, state="received")
        trainer.event("command", 41, id=command.id, state="applied", old=1.0, new=0.25)
        await trainer.deliver()
        [found] = await inside.items("/api/runs/r1/commands")
        assert (found["state"], found["step"], found["old"], found["new"]) == ("applied", 41, 1.0, 0.25)
        assert [entry["state"] for entry in found["history"]] == ["queued", "sent", "received", "applied"]
        what = [entry["what"] for entry in await inside.items("/api/runs/r1/audit")]
        assert what == ["command applied", "command received", "command sent", "command queued"]


async def test_one_command_is_answered_as_in_the_list(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer = await connected(inside)
        for number in range(2):
            await give(inside, "pause", f"k{number}")
            await trainer.expect(Command)
        listed = await inside.items("/api/runs/r1/commands")
        assert [await inside.get(f"/api/commands/{each['id']}") for each in listed] == listed
        for name in ("none", "%00", "a%20b"):
            answer = await inside.http.get(f"/api/commands/{name}")
            assert (answer.status_code, answer.json()["error"]) == (404, "unknown_command")


async def test_a_repeated_key_is_one_command(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer = await connected(inside)
        answers = await asyncio.gather(*(give(inside, "pause", "k1") for _ in range(10)))
        assert sorted(answer.status_code for answer in answers) == [200] * 9 + [201]
        assert len({answer.json()["id"] for answer in answers}) == 1
        conflict = await give(inside, "set_weight", "k1", component="ce", value=1)
        assert (conflict.status_code, conflict.json()["error"]) == (409, "idempotency_conflict")
        trainer.disconnect()
        assert (await give(inside, "pause", "k1")).status_code == 200, "also when nothing could be given any more"


async def test_commands_go_out_in_order_and_again_after_a_broken_connection(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer = await connected(inside)
        for number in range(1, 6):
            await give(inside, "set_weight", f"k{number}", component="ce", value=number / 10)
            await trainer.expect(Command)
        first = (await inside.items("/api/runs/r1/commands"))[-1]
        trainer.event("command", 3, id=first["id"], state="applied")
        await trainer.deliver()
        trainer.disconnect()
        await trainer.connect()
        again = [await trainer.expect(Command) for _ in range(4)]
        assert [command.number for command in again] == [2, 3, 4, 5]


async def test_over_a_restart_of_the_server_nothing_is_forgotten(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer = await connected(inside)
        given = (await give(inside, "pause", "k1")).json()
        await trainer.expect(Command)
        trainer.disconnect()
    async with running_server(tmp_path) as inside:
        later = inside.trainer()
        later.messages = trainer.messages
        await later.connect()
        assert (await later.expect(Command)).id == given["id"]
        assert (await give(inside, "pause", "k1")).json()["id"] == given["id"]


async def test_the_end_of_a_run_expires_what_is_open(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer = await connected(inside)
        await give(inside, "pause", "k1")
        await trainer.expect(Command)
        trainer.event("finish", 9, state="crashed")
        trainer.event("command", 9, id="nonsense", state="applied")
        await trainer.deliver()
        [command] = await inside.items("/api/runs/r1/commands")
        assert command["state"] == "expired"
        assert (await inside.get("/api/runs/r1"))["state"] == "crashed"
        refused = await give(inside, "pause", "k2")
        assert (refused.status_code, refused.json()["error"]) == (409, "run_over")


async def test_a_trainer_settles_only_its_own_commands(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer, other = await connected(inside), await connected(inside, "r2")
        await give(inside, "pause", "k1")
        sent = await trainer.expect(Command)
        other.event("command", 9, id=sent.id, state="applied")
        await other.deliver()
        [command] = await inside.items("/api/runs/r1/commands")
        assert command["state"] == "sent"


async def test_a_trainer_that_is_away_gets_no_command(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer = await connected(inside)
        await trainer.socket.close()
        while (await inside.get("/api/runs/r1"))["connected"]:
            await asyncio.sleep(0)
        refused = await give(inside, "pause", "k1")
        assert (refused.status_code, refused.json()["error"]) == (409, "run_not_connected")


async def test_an_older_attempt_that_is_still_there_gets_no_command(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        older = await connected(inside)
        bell = inside.assembly._trainers._commands._bells["r1"]
        newer = inside.trainer(attempt=1)
        await newer.connect()
        newer.declare(components=["ce"], controls=CONTROLS)
        await newer.deliver()
        assert (await give(inside, "pause", "k1")).status_code == 201
        await newer.expect(Command)
        bell.set()  # as if it had been given before the newer one's courier came
        for step in range(5):  # so much time as there is for a command to come
            older.event("gap", step)
            await older.deliver()
        assert older.others == []
        await newer.socket.close()
        while (await inside.get("/api/runs/r1"))["connected"]:
            await asyncio.sleep(0)
        refused = await give(inside, "pause", "k2")
        assert (refused.status_code, refused.json()["error"]) == (409, "run_not_connected")


async def test_a_newer_attempt_does_not_obey_what_was_meant_for_an_older_one(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        older = await connected(inside)
        await give(inside, "pause", "k1")
        await older.expect(Command)
        viewer = await inside.watch("r1")
        await viewer.expect("run")
        older.disconnect()
        newer = inside.trainer(attempt=1)
        await newer.connect()
        assert (await viewer.expect("command"))["command"]["state"] == "expired"
        newer.declare(components=["ce"], controls=CONTROLS)
        await newer.deliver()
        later = (await give(inside, "set_weight", "k2", component="ce", value=0.5)).json()
        assert (await newer.expect(Command)).id == later["id"], "the older one is not offered"
        await older.connect()
        older.event("finish", 9, state="crashed")
        await older.deliver()
        found = {each["id"]: each for each in await inside.items("/api/runs/r1/commands")}
        assert found.pop(later["id"])["state"] == "sent", "the end of an older attempt expires nothing of a newer one"
        [stale] = found.values()
        assert (stale["state"], stale["refusal"]) == ("expired", "A newer attempt of the run began first.")
        assert "command expired" in {each["what"] for each in await inside.items("/api/runs/r1/audit")}
