"""Control that two people can trust: versions, expiry, cancelling, leases, dry runs, and the schedule that follows."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from lossguard import Curriculum
from lossguard.protocol import COMMAND_KINDS
from lossguard.protocol.messages import Command, ControlsSpec, RampSpec, StageSpec
from lossguard.protocol.steering import Plan
from raw_trainer import RawTrainer
from server_inside import Inside, running_server

STAGES = [StageSpec("warm", 0, {"ce": 1.0}), StageSpec("main", 100, {"ce": 1.0, "aux": RampSpec(0.0, 0.5, 20)})]
BOUNDS = {"ce": (0.0, 2.0), "aux": (0.0, 1.0)}


async def connected(inside: Inside, run: str = "r1", **hello: Any) -> RawTrainer:
    trainer = inside.trainer(run, **hello)
    await trainer.connect()
    trainer.declare(components=["ce", "aux"], stages=STAGES, controls=ControlsSpec(list(COMMAND_KINDS), BOUNDS))
    await trainer.deliver()
    return trainer


async def post(inside: Inside, kind: str, key: str, args: dict[str, Any] | None = None, **more: Any) -> Any:
    body = {"kind": kind, "args": args or {}, "idempotency_key": key, **more}
    return await inside.http.post("/api/runs/r1/commands", json=body)


async def applied(inside: Inside, trainer: RawTrainer, step: int, kind: str, **args: Any) -> str:
    """Given, delivered and applied, as a trainer of wire 1.4 says it."""
    number = len(await inside.items("/api/runs/r1/commands"))
    assert (given := await post(inside, kind, f"key{number}", args)).status_code == 201, given.text
    command = await trainer.expect(Command)
    trainer.event(
        "command", step, id=command.id, kind=command.kind, state="applied", args=command.args, old=1, new=2, ranks=4
    )
    await trainer.deliver()
    return command.id


def held_back(inside: Inside) -> asyncio.Event:
    """Nothing goes out until the event is set."""
    courier, until = inside.assembly._trainers._commands, asyncio.Event()
    mark_sent = courier._mark_sent

    async def wait(command: Any) -> bool:
        await until.wait()
        return await mark_sent(command)

    courier._mark_sent = wait  # type: ignore[method-assign]
    return until


def refusal(answer: Any) -> tuple[int, str]:
    assert set(answer.json()) == {"error", "message", "hint"}
    assert all(answer.json().values())
    return answer.status_code, answer.json()["error"]


EVERY_KIND: list[tuple[str, dict[str, Any]]] = [
    ("set_weight", {"component": "ce", "value": 0.5, "ramp_steps": 10, "lease_steps": 30}),
    ("scale_weights", {"factor": 0.5, "components": ["aux"]}),
    ("gate", {"component": "aux", "open": False}),
    ("hold_stage", {"lease_steps": 5}),
    ("go_to_stage", {"stage": "main"}),
    ("set_lr_scale", {"value": 0.5}),
    ("set_clip", {"value": 1.0}),
    ("checkpoint", {}),
]


async def test_every_kind_is_delivered_as_it_was_given(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer = await connected(inside)
        for kind, args in EVERY_KIND:
            await applied(inside, trainer, 10, kind, **args)
        found = {each["kind"]: each for each in await inside.items("/api/runs/r1/commands")}
        assert {kind: found[kind]["args"] for kind in found} == dict(EVERY_KIND)
        assert all((each["state"], each["ranks"], each["effect"]) == ("applied", 4, None) for each in found.values())
        assert found["gate"]["history"][-1] == {
            "state": "applied", "at_s": found["gate"]["history"][-1]["at_s"], "step": 10, "attempt": 0,
        }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "args", "status", "error"),
    [
        ("scale_weights", {"factor": "Infinity"}, 422, "bad_arguments"),
        ("set_clip", {"value": -1}, 422, "value_out_of_bounds"),
        ("set_lr_scale", {"value": 11}, 422, "value_out_of_bounds"),
        ("go_to_stage", {"stage": "end"}, 422, "unknown_stage"),
        ("release_stage", {}, 409, "not_possible"),
        ("gate", {"component": "x", "open": True}, 422, "unknown_component"),
    ],
)
async def test_a_refusal_has_the_one_shape_and_changes_nothing(
    tmp_path: Path, kind: str, args: dict[str, Any], status: int, error: str
) -> None:
    async with running_server(tmp_path) as inside:
        await connected(inside)
        assert refusal(await post(inside, kind, "k", args)) == (status, error)
        assert refusal(await post(inside, kind, "k", args, dry_run=True)) == (status, error)
        assert await inside.items("/api/runs/r1/commands") == []


async def test_a_lease_beside_the_arguments_is_one_of_them(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer, wish = await connected(inside), {"component": "ce", "value": 0.5}
        given = (await post(inside, "set_weight", "k", wish, lease_steps=40)).json()
        assert given["args"] == {**wish, "lease_steps": 40}
        assert (await trainer.expect(Command)).args == {**wish, "lease_steps": 40}
        assert (await post(inside, "set_weight", "k", wish, lease_steps=40)).status_code == 200
        assert refusal(await post(inside, "set_weight", "k", wish)) == (409, "idempotency_conflict")
        twice = await post(inside, "set_weight", "k2", {**wish, "lease_steps": 1}, lease_steps=2)
        assert refusal(twice) == (422, "bad_request")
        assert refusal(await post(inside, "pause", "k2", lease_steps=2)) == (422, "bad_arguments")
        for value in (0, 1.5, "7", True):
            assert (await post(inside, "set_weight", "k2", wish, lease_steps=value)).status_code == 422


# -- two people at once -----------------------------------------------------------------------------------------------


async def test_who_says_what_they_saw_is_told_what_came_since(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer = await connected(inside)
        await applied(inside, trainer, 3, "set_weight", component="ce", value=0.5)
        await applied(inside, trainer, 4, "pause")
        seen = (await inside.get("/api/runs/r1/schedule"))["version"]
        assert seen == 2
        wish = {"component": "ce", "value": 0.7}
        assert refusal(late := await post(inside, "set_weight", "k", wish, expect_version=0)) == (
            409,
            "version_conflict",
        )
        assert "command 1, a set_weight by admin" in late.json()["message"]
        assert (await post(inside, "set_weight", "k", wish, expect_version=1)).status_code == 201, (
            "a pause is no change"
        )
        assert refusal(await post(inside, "hold_stage", "k2", expect_version=seen)) == (409, "version_conflict")
        assert (await post(inside, "set_weight", "k", wish, expect_version=0)).status_code == 200, "the same, again"
        first = await trainer.expect(Command)
        trainer.event("command", 5, id=first.id, state="rejected", reason="no")
        await trainer.deliver()
        assert (await post(inside, "hold_stage", "k2", expect_version=seen)).status_code == 201, "it came to nothing"


async def test_of_ten_at_once_who_saw_the_same_one_is_taken(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        await connected(inside)
        gives = (post(inside, "set_lr_scale", f"k{n}", {"value": n / 10}, expect_version=0) for n in range(10))
        statuses = sorted(answer.status_code for answer in await asyncio.gather(*gives))
        assert statuses == [201] + [409] * 9


# -- taken back, or too late ------------------------------------------------------------------------------------------


async def test_what_has_not_gone_out_is_cancelled(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer, let_go = await connected(inside), held_back(inside)
        viewer = await inside.watch("r1")
        given = (await post(inside, "set_weight", "k", {"component": "ce", "value": 0.5})).json()
        path = f"/api/commands/{given['id']}/cancel"
        cancelled = await inside.http.post(path)
        assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
        while (await viewer.expect("command"))["command"]["state"] != "cancelled":
            pass
        again = await inside.http.post(path)
        assert refusal(again) == (409, "not_cancellable")
        assert "is cancelled already" in again.json()["message"]
        let_go.set()
        assert (await post(inside, "pause", "k2")).status_code == 201
        assert (await trainer.expect(Command)).kind == "pause", "the cancelled one does not go out"
        audit = [(each["what"], each["actor"]) for each in await inside.items("/api/runs/r1/audit")]
        assert ("command cancelled", "admin") in audit


async def test_what_has_gone_out_is_not_cancelled_and_why(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer = await connected(inside)
        given = (await post(inside, "set_weight", "k", {"component": "ce", "value": 0.5})).json()
        path, _ = f"/api/commands/{given['id']}/cancel", await trainer.expect(Command)
        assert "has gone out to the trainer (sent)" in (await inside.http.post(path)).json()["message"]
        trainer.event("command", 7, id=given["id"], state="applied")
        await trainer.deliver()
        applied_already = await inside.http.post(path)
        assert refusal(applied_already) == (409, "not_cancellable")
        assert "was applied at step 7" in applied_already.json()["message"]
        assert refusal(await inside.http.post("/api/commands/none/cancel")) == (404, "unknown_command")


async def test_what_goes_out_carries_the_seconds_that_are_left(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer = await connected(inside)
        given = (await post(inside, "pause", "k", expires_in_s=60)).json()
        assert given["expires_s"] == pytest.approx(given["created_s"] + 60)
        assert 50 < (await trainer.expect(Command)).expires_in_s <= 60
        assert (await post(inside, "resume", "k2")).json()["expires_s"] is None
        assert (await trainer.expect(Command)).expires_in_s == 0.0
        for never in (0, -1, "NaN", 1e9):
            assert (await post(inside, "resume", "k3", expires_in_s=never)).status_code == 422


async def test_what_was_not_sent_in_time_expires(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer, let_go = await connected(inside), held_back(inside)
        viewer = await inside.watch("r1")
        given = (await post(inside, "pause", "k", expires_in_s=0.01)).json()
        while (told := (await viewer.expect("command"))["command"])["state"] != "expired":
            pass
        assert (told["id"], told["refusal"]) == (given["id"], "It was not sent in time.")
        let_go.set()
        await post(inside, "resume", "k2")
        assert (await trainer.expect(Command)).kind == "resume"


async def test_a_courier_who_comes_too_late_sends_nothing(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer, let_go = await connected(inside), held_back(inside)
        inside.assembly._abandoned._waiting = lambda wall_s: ([], False)  # type: ignore[method-assign]
        await post(inside, "pause", "k", expires_in_s=0.01)
        await post(inside, "resume", "k2")
        await asyncio.to_thread(lambda: asyncio.run(asyncio.sleep(0.02)))
        let_go.set()
        assert (await trainer.expect(Command)).kind == "resume"
        assert [each["state"] for each in await inside.items("/api/runs/r1/commands")] == ["sent", "expired"]


async def test_a_newer_wish_replaces_what_has_not_gone_out_but_one_with_a_lease_does_not(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer, let_go = await connected(inside), held_back(inside)
        for number, (kind, args) in enumerate(
            [
                ("set_lr_scale", {"value": 0.5}),
                ("set_clip", {"value": 1.0}),
                ("set_lr_scale", {"value": 0.25, "lease_steps": 10}),
                ("gate", {"component": "ce", "open": False}),
                ("gate", {"component": "aux", "open": False}),
                ("gate", {"component": "ce", "open": True}),
                ("scale_weights", {"factor": 0.5}),
                ("scale_weights", {"factor": 0.5}),
            ]
        ):
            assert (await post(inside, kind, f"k{number}", args)).status_code == 201
        states = [each["state"] for each in reversed(await inside.items("/api/runs/r1/commands"))]
        assert states == ["queued"] * 3 + ["superseded"] + ["queued"] * 4
        let_go.set()
        assert [(await trainer.expect(Command)).number for _ in range(7)] == [1, 2, 3, 5, 6, 7, 8]


# -- what is in force -------------------------------------------------------------------------------------------------


async def test_the_schedule_says_what_is_in_force_and_what_will_change(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer = await connected(inside)
        trainer.frame(range(110), loss__total=[1.0] * 110)
        await trainer.deliver()
        before = await inside.get("/api/runs/r1/schedule")
        assert (before["version"], before["step"], before["position"], before["held"]) == (0, 110, 110, None)
        assert before["stages"][1] == {"name": "main", "start": 100, "begins_at": None}
        assert (before["stage"], before["weights"]) == ("main", {"ce": 1.0, "aux": 0.25})
        assert [change["step"] for change in before["changes"]] == [120]
        hold = await applied(inside, trainer, 110, "hold_stage", lease_steps=40)
        await applied(inside, trainer, 112, "set_weight", component="ce", value=0.5, lease_steps=8)
        held = await inside.get("/api/runs/r1/schedule")
        assert (held["version"], held["step"], held["position"]) == (2, 112, 110)
        assert held["held"] == {"since": 110, "until": 150}
        assert (held["weights"], held["lr_scale"], held["clip"], held["gated"]) == (
            {"ce": 0.5, "aux": 0.25},
            1.0,
            None,
            [],
        )
        assert [(each["step"], each["text"]) for each in held["changes"]] == [
            (120, "ce 1"),
            (150, "the stage is released"),
            (160, "aux 0.5"),
        ]
        assert (held["operations"][0]["id"], held["operations"][0]["in_force"]) == (hold, True)
        run = await inside.get("/api/runs/r1")
        assert run["stage"]["name"] == "main"
        assert run["components"][1]["scheduled_weight"] == 0.0 + 0.5 * 9 / 20, "of the step that was reached, 109"


async def test_a_held_stage_stays_the_run_s_stage(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer = await connected(inside)
        await applied(inside, trainer, 90, "hold_stage")
        trainer.frame(range(90, 140), loss__total=[1.0] * 50)
        await trainer.deliver()
        run = await inside.get("/api/runs/r1")
        assert (run["step"], run["stage"]["name"], run["components"][1]["scheduled_weight"]) == (139, "warm", 0.0)
        stages = (await inside.get("/api/runs/r1/schedule"))["stages"]
        assert stages[1]["begins_at"] is None, "not while it is held"


async def test_the_curriculum_of_a_run_repeats_it(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer = await connected(inside)
        first = await applied(inside, trainer, 10, "set_weight", component="ce", value=1 / 3, ramp_steps=7)
        await applied(inside, trainer, 30, "scale_weights", factor=0.1)
        trainer.event("rollback", 20, **{"from": 35, "to": 20})
        await applied(inside, trainer, 25, "revert", command=first)
        await applied(inside, trainer, 40, "go_to_stage", stage="main")
        trainer.event("finish", 60, state="finished")
        await trainer.deliver()
        plan = (await inside.assembly._registry.find("r1")).plan
        answers = [await inside.http.get("/api/runs/r1/curriculum")]
        schedule = await inside.get("/api/runs/r1/schedule")
    async with running_server(tmp_path) as inside:
        answers.append(await inside.http.get("/api/runs/r1/curriculum"))
        assert await inside.get("/api/runs/r1/schedule") == schedule, "of a finished run, after a restart"
    assert answers[0].content == answers[1].content
    assert "attachment" in answers[0].headers["content-disposition"]
    (tmp_path / "patch.json").write_bytes(answers[0].content)
    loaded = Curriculum.load(tmp_path / "patch.json")
    again = Plan([stage.spec() for stage in loaded.stages], loaded.components, loaded.operations)
    assert [again.weights_at(step) for step in range(200)] == [plan.weights_at(step) for step in range(200)]
    patch = json.loads(answers[0].content)
    assert {name: patch[name] for name in ("lossguard", "version", "run", "exported_at_step")} == {
        "lossguard": "curriculum", "version": 1, "run": "r1", "exported_at_step": 40,
    }  # fmt: skip
    assert [each["step"] for each in patch["operations"]] == [10, 20, 25, 40]
    pieces = patch["effective"]
    assert [(each["from"], each["to"]) for each in pieces] == [
        (0, 9),
        (10, 16),
        (17, 19),
        (20, 24),
        (25, 39),
        (40, 59),
        (60, None),
    ]
    assert (pieces[1]["weights"]["ce"], pieces[5]["stage"]) == ([1.0, plan.weight_at("ce", 16)], "main")


async def test_an_older_trainer_that_tells_no_arguments_is_followed_too(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer = await connected(inside, protocol="1.3")
        await post(inside, "set_weight", "k", {"component": "ce", "value": 0.25})
        trainer.event("command", 5, id=(await trainer.expect(Command)).id, state="applied", old=1.0, new=0.25)
        await trainer.deliver()
        assert (await inside.get("/api/runs/r1/schedule"))["weights"]["ce"] == 0.25
    async with running_server(tmp_path) as inside:
        assert (await inside.get("/api/runs/r1/schedule"))["weights"]["ce"] == 0.25


# -- dry runs ---------------------------------------------------------------------------------------------------------


async def test_a_dry_run_answers_and_stores_nothing(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer = await connected(inside)
        trainer.frame(
            range(10), loss__ce=[2.0] * 10, weight__ce=[1.0] * 10, loss__aux=[1.0] * 10, weight__aux=[0.0] * 10
        )
        await trainer.deliver()
        answer = await post(inside, "set_weight", "k", {"component": "ce", "value": 0.5}, dry_run=True)
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert (found["dry_run"], found["from"], found["to"]) == (True, 0, 9)
        assert (found["total"]["before"][0], found["total"]["after"][0]) == (2.0, 1.0)
        assert refusal(await post(inside, "pause", "k", dry_run=True)) == (409, "not_possible")
        assert await inside.items("/api/runs/r1/commands") == []
        assert await inside.items("/api/runs/r1/audit") == []
        trainer.event("finish", 10, state="finished")
        await trainer.deliver()
        over = await post(inside, "set_weight", "k", {"component": "ce", "value": 0.5}, dry_run=True)
        assert over.json()["total"] == found["total"], "of a run that is over, too"


# -- ranks ------------------------------------------------------------------------------------------------------------


async def test_the_ranks_of_a_run_are_named_with_the_one_that_is_slow_or_went_bad(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        for rank in range(3):
            trainer = inside.trainer(rank=rank, world_size=3)
            await trainer.connect()
            slow = 0.2 if rank == 2 else 0.1
            loss = [float("nan") if rank == 1 and step >= 7 else 1.0 for step in range(30)]
            trainer.frame(range(30), step_time_s=[slow] * 30, data_wait_s=[0.01] * 30, loss__total=loss)
            await trainer.deliver()
        ranks = (await inside.get("/api/runs/r1"))["ranks"]
        assert [(each["rank"], each["step"], each["step_time_s"], each["is_straggler"]) for each in ranks] == [
            (0, 29, 0.1, False),
            (1, 29, 0.1, False),
            (2, 29, 0.2, True),
        ]
        assert [each["first_bad_step"] for each in ranks] == [None, 7, None]
    async with running_server(tmp_path) as inside:
        again = (await inside.get("/api/runs/r1"))["ranks"]
        assert [each["is_straggler"] for each in again] == [False, False, True]
