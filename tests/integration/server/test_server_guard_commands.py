"""`instrument` and `rollback` over HTTP: refused with a reason, or delivered; and the detail that an alert asks for."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from lossguard.protocol.messages import DETAIL_STEPS_MAX, Command, ControlsSpec, GuardSpec, Heartbeat
from raw_trainer import RawTrainer
from server_inside import Inside, running_server

NAN = float("nan")


async def connected(
    inside: Inside, detail_on_alert: int = 0, kinds: tuple[str, ...] = ("instrument", "rollback")
) -> Any:
    trainer = inside.trainer()
    await trainer.connect()
    guard = GuardSpec(["device"], "skip", ["a note"])
    trainer.declare(components=["ce"], controls=ControlsSpec(list(kinds), {}, detail_on_alert), guard=guard)
    await trainer.deliver()
    return trainer


async def give(inside: Inside, kind: str, key: str = "k", **args: Any) -> Any:
    return await inside.http.post("/api/runs/r1/commands", json={"kind": kind, "args": args, "idempotency_key": key})


async def beaten(inside: Inside, trainer: RawTrainer, **beat: Any) -> None:
    """The server knows the trainer's word."""
    await trainer.send(Heartbeat(state="running", step=0, **beat))
    wanted = {name: None if step < 0 else step for name, step in beat.items()}
    while (run := await inside.get("/api/runs/r1"), {name: run[name] for name in wanted})[1] != wanted:
        await asyncio.sleep(0)


async def listed(inside: Inside) -> list[Any]:
    return await inside.items("/api/runs/r1/commands")


@pytest.mark.parametrize(
    ("kind", "args", "status", "error"),
    [
        ("instrument", {}, 422, "bad_arguments"),
        ("instrument", {"steps": 1.5}, 422, "bad_arguments"),
        ("instrument", {"steps": 0}, 422, "steps_out_of_bounds"),
        ("instrument", {"steps": DETAIL_STEPS_MAX + 1}, 422, "steps_out_of_bounds"),
        ("instrument", {"steps": 1 << 70}, 422, "steps_out_of_bounds"),
        ("rollback", {"before_step": -1}, 422, "bad_arguments"),
        ("rollback", {"before_step": 1 << 70}, 422, "bad_arguments"),
        ("rollback", {}, 409, "no_snapshot"),
        ("rollback", {"before_step": 5}, 409, "no_snapshot"),
    ],
)
async def test_a_refusal_says_why_and_changes_nothing(
    tmp_path: Path, kind: str, args: dict[str, Any], status: int, error: str
) -> None:
    async with running_server(tmp_path) as inside:
        trainer = await connected(inside)
        await trainer.beat("running", 3)
        await beaten(inside, trainer, detail_until=3)
        answer = await give(inside, kind, **args)
        assert (answer.status_code, answer.json()["error"]) == (status, error)
        assert answer.json()["message"]
        assert answer.json()["hint"]
        assert await listed(inside) == []


async def test_both_are_delivered_as_they_were_given(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer = await connected(inside)
        await beaten(inside, trainer, snapshot_step=40)
        for number, (kind, args) in enumerate(
            [("instrument", {"steps": 50}), ("rollback", {}), ("rollback", {"before_step": 30})], start=1
        ):
            given = await give(inside, kind, f"k{number}", **args)
            assert (given.status_code, given.json()["args"]) == (201, args)
            command = await trainer.expect(Command)
            assert (command.kind, command.args) == (kind, args)
            trainer.event("command", number, id=command.id, state="applied", old=number, new=0)
            await trainer.deliver()


@pytest.mark.parametrize("state", ["queued", "sent", "received"])
async def test_while_one_rollback_is_on_its_way_there_is_no_second(tmp_path: Path, state: str) -> None:
    async with running_server(tmp_path) as inside:
        trainer = await connected(inside)
        await beaten(inside, trainer, snapshot_step=40)
        if state == "queued":
            courier = inside.assembly._trainers._commands
            courier._mark_sent = lambda command: asyncio.Event().wait()  # type: ignore[method-assign,assignment,return-value]
        first = await give(inside, "rollback", "k1")
        assert first.status_code == 201
        if state != "queued":
            await trainer.expect(Command)
        if state == "received":
            trainer.event("command", -1, id=first.json()["id"], state="received")
            await trainer.deliver()
        second = await give(inside, "rollback", "k2", before_step=3)
        assert (second.status_code, second.json()["error"]) == (409, "rollback_pending")
        assert first.json()["id"] in second.json()["message"]
        assert "result" in second.json()["hint"]
        assert [each["state"] for each in await listed(inside)] == [state], "the first is as it was"
        repeated = await give(inside, "rollback", "k1")
        assert (repeated.status_code, repeated.json()["id"]) == (200, first.json()["id"])
        assert (await give(inside, "instrument", "k3", steps=5)).status_code == 201


@pytest.mark.parametrize("state", ["applied", "rejected"])
async def test_after_the_result_of_a_rollback_there_may_be_another(tmp_path: Path, state: str) -> None:
    async with running_server(tmp_path) as inside:
        trainer = await connected(inside)
        await beaten(inside, trainer, snapshot_step=40)
        assert (await give(inside, "rollback", "k1")).status_code == 201
        trainer.event("command", 50, id=(await trainer.expect(Command)).id, state=state, old=50, new=40)
        await trainer.deliver()
        assert (await give(inside, "rollback", "k2")).status_code == 201


async def test_a_newer_wish_for_detail_replaces_what_has_not_gone_out(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer = await connected(inside)
        courier = inside.assembly._trainers._commands
        send_nothing = asyncio.Event()
        original = courier._mark_sent
        courier._mark_sent = lambda command: hold(send_nothing, original, command)  # type: ignore[method-assign]
        for number, (kind, args) in enumerate(
            [
                ("instrument", {"steps": 5}),
                ("rollback", {}),
                ("instrument", {"steps": 9}),
            ]
        ):
            assert (await give(inside, kind, f"k{number}", **args)).status_code == 201
        states = [(each["kind"], each["args"], each["state"]) for each in reversed(await listed(inside))]
        assert states == [
            ("instrument", {"steps": 5}, "superseded"),
            ("rollback", {}, "queued"),
            ("instrument", {"steps": 9}, "queued"),
        ]
        send_nothing.set()
        assert [(await trainer.expect(Command)).args for _ in range(2)] == [{}, {"steps": 9}]


async def hold(until: asyncio.Event, mark_sent: Any, command: Any) -> bool:
    await until.wait()
    return bool(await mark_sent(command))


async def test_a_run_says_its_guard_its_trips_and_what_the_trainer_beats(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer = await connected(inside)
        for step in (3, 4):
            trainer.event("trip", step, mode="device", action="skipped", series=["loss/ce"], micro_batch=None)
        trainer.event("detail", 4, level="full", until=90, reason="a trip")
        await trainer.deliver()
        run = await inside.get("/api/runs/r1")
        assert (run["trips"], run["detail_until"], run["snapshot_step"]) == (2, 90, None)
        assert run["guard"] == {"modes": ["device"], "on_trip": "skip", "notes": ["a note"]}
        trainer.event("detail", 5, level="default", until=None, reason="over")
        await trainer.deliver()
        assert (await inside.get("/api/runs/r1"))["detail_until"] is None
        await beaten(inside, trainer, snapshot_step=2, detail_until=9)
    async with running_server(tmp_path) as inside:
        run = await inside.get("/api/runs/r1")
        assert (run["trips"], run["detail_until"], run["snapshot_step"]) == (2, None, None), "until it beats again"
        assert run["guard"]["notes"] == ["a note"]


# -- detail on alert --------------------------------------------------------------------------------------------------


async def breaks(inside: Inside, trainer: RawTrainer, step: int) -> None:
    """A loss that is not finite; then calm for so long that the next one is another alert."""
    trainer.frame([step], loss__total=[NAN])
    await trainer.deliver()
    await settled(inside)
    trainer.frame(range(step + 1, step + 130), loss__total=[1.0] * 129)
    await trainer.deliver()
    await settled(inside)


async def settled(inside: Inside) -> None:
    """Everything is judged, and what came of it is answered."""
    judge = inside.assembly._judge
    while await asyncio.wrap_future(judge._thread.submit(lambda: bool(judge._waiting))):
        pass
    await inside.assembly._reflex.settled()


async def test_an_alert_asks_for_detail_once(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer = await connected(inside, detail_on_alert=200)
        trainer.frame([0], loss__total=[NAN])
        await trainer.deliver()
        command = await trainer.expect(Command)
        assert (command.kind, command.args) == ("instrument", {"steps": 200})
        [alert] = await inside.items("/api/runs/r1/alerts")
        trainer.event("origin", 0, op="log", text="log of 0")  # the same alert, told again
        await trainer.deliver()
        await settled(inside)
        assert (await inside.items("/api/runs/r1/alerts"))[0]["evidence"]["origin"]["op"] == "log"
        [stored] = await listed(inside)
        assert (stored["actor"], stored["alert"], stored["state"]) == ("rule:nonfinite", alert["id"], "sent")
        assert "detail_on_alert" in stored["reason"]
        audit = [(each["what"], each["actor"]) for each in await inside.items("/api/runs/r1/audit")]
        assert audit == [("command sent", "server"), ("command queued", "rule:nonfinite")]


async def test_while_detail_is_recorded_or_on_its_way_another_alert_asks_for_none(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer = await connected(inside, detail_on_alert=50)
        await breaks(inside, trainer, 0)
        first = await trainer.expect(Command)
        await breaks(inside, trainer, 130)
        assert len(await listed(inside)) == 1, "it is on its way"
        trainer.event("command", 260, id=first.id, state="applied")
        trainer.event("detail", 260, level="full", until=600, reason="command")
        await breaks(inside, trainer, 260)
        assert len(await listed(inside)) == 1, "it is being recorded"
        trainer.event("detail", 389, level="default", until=None, reason="over")
        await breaks(inside, trainer, 390)
        assert (await trainer.expect(Command)).args == {"steps": 50}
        alerts = [each["id"] for each in await inside.items("/api/runs/r1/alerts")]
        assert [each["alert"] for each in await listed(inside)] == [alerts[0], alerts[3]]


@pytest.mark.parametrize(
    ("detail_on_alert", "kinds", "steps"),
    [
        (0, ("instrument",), None),
        (-5, ("instrument",), None),
        (200, ("pause",), None),
        (1 << 60, ("instrument",), DETAIL_STEPS_MAX),
    ],
)
async def test_only_what_the_script_wants_and_allows(
    tmp_path: Path, detail_on_alert: int, kinds: tuple[str, ...], steps: int | None
) -> None:
    async with running_server(tmp_path) as inside:
        trainer = await connected(inside, detail_on_alert, kinds)
        trainer.frame([0], loss__total=[NAN])
        await trainer.deliver()
        await settled(inside)
        assert [each["args"]["steps"] for each in await listed(inside)] == ([] if steps is None else [steps])


async def test_a_trainer_that_is_away_is_asked_for_nothing_and_others_still_are(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer = await connected(inside, detail_on_alert=10)
        trainer.event("finish", 0, state="crashed")
        trainer.frame([0], loss__total=[NAN])
        await trainer.deliver()
        await settled(inside)
        assert await listed(inside) == []
        other = inside.trainer("r2")
        await other.connect()
        other.declare(controls=ControlsSpec(["instrument"], {}, 10))
        other.frame([0], loss__total=[NAN])
        await other.deliver()
        assert (await other.expect(Command)).args == {"steps": 10}


async def test_the_page_of_the_api_tells_of_both(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        schemas = (await inside.get("/api/openapi.json"))["components"]["schemas"]
        assert {"guard", "trips", "snapshot_step", "detail_until"} <= set(schemas["Run"]["required"])
        assert set(schemas["Guard"]["properties"]) == {"modes", "on_trip", "notes"}
        request = schemas["CommandRequest"]["properties"]
        assert {"instrument", "rollback"} <= set(request["kind"]["examples"])
        assert "before_step" in request["args"]["description"]
