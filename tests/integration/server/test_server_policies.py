"""Policies over HTTP and the trainer's socket: set, refused with a reason, acted by, and never more often than said."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from lossguard.protocol.messages import Command, ControlsSpec, StageSpec
from raw_trainer import RawTrainer
from server_inside import Inside, running_server

NAN = float("nan")
KINDS = ["set_weight", "revert", "checkpoint", "pause"]
STAGES = [StageSpec("ce", 0, {"ce": 1.0}), StageSpec("both", 40, {"ce": 1.0, "aux": 0.01})]
RUN, PROJECT = "/api/runs/r1/policies", "/api/project-policies?project=p"


async def connected(inside: Inside, kinds: list[str] = KINDS, **declared: Any) -> RawTrainer:
    trainer = inside.trainer()
    await trainer.connect()
    trainer.declare(components=["ce", "aux"], controls=ControlsSpec(kinds), **declared)
    await trainer.deliver()
    return trainer


async def put(inside: Inside, body: Any, path: str = RUN, status: int = 200) -> Any:
    answer = await inside.http.put(path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


async def settled(inside: Inside) -> None:
    """Everything is judged, and what came of it is answered."""
    judge = inside.assembly._judge
    while await asyncio.wrap_future(judge._thread.submit(lambda: bool(judge._waiting))):
        pass
    await inside.assembly._policies.settled()


async def breaks(inside: Inside, trainer: RawTrainer, step: int) -> None:
    """A loss that is not finite; then calm for so long that the next one is another alert."""
    trainer.frame([step], loss__total=[NAN])
    await trainer.deliver()
    await settled(inside)
    trainer.frame(range(step + 1, step + 130), loss__total=[1.0] * 129)
    await trainer.deliver()
    await settled(inside)


async def apply(trainer: RawTrainer, step: int, **outcome: Any) -> Command:
    """What the next command asks for is done."""
    command = await trainer.expect(Command)
    trainer.event("command", step, id=command.id, state="applied", **outcome)
    await trainer.deliver()
    return command


async def listed(inside: Inside) -> list[Any]:
    return await inside.items("/api/runs/r1/commands")


async def test_an_alert_lowers_the_weight_and_a_person_can_revert_it(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer = await connected(inside, stages=STAGES)
        await put(inside, {"contribution_dominates": {"do": "lower_weight", "budget": 3}})
        ce = {"loss__ce": [2.2] * 40, "weight__ce": [1.0] * 40, "contribution__ce": [2.2] * 40}
        trainer.frame(range(40), loss__total=[2.2] * 40, **ce)
        both = {"loss__ce": [2.2], "weight__ce": [1.0], "contribution__ce": [2.2]}
        aux = {"loss__aux": [7e4], "weight__aux": [0.01], "contribution__aux": [700.0]}
        trainer.frame([40], loss__total=[702.2], **both, **aux)
        await trainer.deliver()
        await settled(inside)
        command = await apply(trainer, 42, old=0.01, new=1.6e-7)
        [given] = await listed(inside)
        [alert] = [each for each in await inside.items("/api/runs/r1/alerts") if each["id"] == given["alert"]]
        assert (command.kind, command.args) == ("set_weight", alert["remedy"]["args"])
        assert command.args["value"] < 0.01
        assert (given["actor"], given["state"]) == ("policy:contribution_dominates", "applied")
        assert given["reason"].endswith("(set by: run) does lower_weight when it fires; 2 of 3 left.")
        assert (await inside.get(RUN))["used"] == {"contribution_dominates": 1}
        actors = {(row["what"], row["actor"]) for row in await inside.items("/api/runs/r1/audit")}
        assert ("command queued", "policy:contribution_dominates") in actors
        revert = {"kind": "revert", "args": {"command": given["id"]}, "idempotency_key": "k"}
        assert (await inside.http.post("/api/runs/r1/commands", json=revert)).status_code == 201
        assert (await apply(trainer, 50)).args == {"command": given["id"]}


async def test_the_budget_holds_over_a_restart_of_the_server(tmp_path: Path) -> None:
    wish = {"nonfinite": {"do": "checkpoint", "budget": 2, "pause_s": 0}}
    async with running_server(tmp_path) as inside:
        trainer = await connected(inside)
        await put(inside, wish, PROJECT)
        await breaks(inside, trainer, 0)
        await apply(trainer, 130)
        trainer.disconnect()
    async with running_server(tmp_path) as inside:
        later = inside.trainer()
        later.messages, later._ids = trainer.messages, trainer._ids
        await later.connect()
        for step in (140, 270, 400):
            await breaks(inside, later, step)
            if step == 140:
                await apply(later, 269)
        assert [each["state"] for each in await listed(inside)] == ["applied", "applied"]
        said = [row for row in await inside.items("/api/runs/r1/audit") if row["what"].startswith("policy ")]
        assert [row["detail"]["reason"] for row in said] == ["The budget is spent: 2 of 2 in this run."]
        found = await inside.get(RUN)
        assert (found["used"], found["policies"]["nonfinite"]["set_by"]) == ({"nonfinite": 2}, "project")
        assert len(await inside.items("/api/runs/r1/alerts")) == 4


async def test_what_the_script_does_not_allow_is_said(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer = await connected(inside, ["pause"])
        await put(inside, {"nonfinite": {"do": "rollback", "budget": 1}})
        reason = "The training script does not allow 'rollback'; it allows pause."
        assert (await inside.get(RUN))["refused"] == {"nonfinite": reason}
        await breaks(inside, trainer, 0)
        await breaks(inside, trainer, 130)
        assert await listed(inside) == []
        _, row = [row for row in await inside.items("/api/runs/r1/audit") if row["what"].startswith("polic")][::-1]
        assert (row["what"], row["actor"]) == ("policy did nothing", "policy:nonfinite")
        assert (row["detail"]["do"], row["detail"]["reason"]) == ("rollback", reason)


async def test_an_alert_that_was_found_while_the_trainer_was_away_is_answered_when_it_is_back(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer = await connected(inside)
        await put(inside, {"nonfinite": {"do": "pause", "budget": 1}})
        trainer.frame([0], loss__total=[NAN])
        inside.assembly._registry.peek("r1").connections.clear()  # type: ignore[union-attr]
        await trainer.deliver()
        await settled(inside)
        assert (await listed(inside), list((await inside.get(RUN))["waiting"])) == ([], ["nonfinite"])
        trainer.disconnect()
    async with running_server(tmp_path) as inside:
        later = inside.trainer()
        later.messages = trainer.messages
        await later.connect()
        inside.assembly._policies._tried_s -= 10.0
        assert (await later.expect(Command)).kind == "pause"


@pytest.mark.parametrize("path", [RUN, PROJECT])
@pytest.mark.parametrize(
    ("body", "error", "told"),
    [
        ({"nonfinit": {"do": "pause", "budget": 1}}, "unknown_rule", "Did you mean 'nonfinite'?"),
        ({"nonfinite": {"do": "paus", "budget": 1}}, "unknown_deed", "Did you mean 'pause'?"),
        ({"nonfinite": {"do": "pause", "budget": 0}}, "budget_out_of_bounds", "1 to 100"),
        ({"nonfinite": {"do": "pause"}}, "budget_out_of_bounds", "1 to 100"),
        ({"nonfinite": {"do": "pause", "budget": 1, "x": 2}}, "bad_policies", "It takes do, budget"),
        ({"nonfinite": {"budget": 1}}, "bad_request", ""),
        ({"nonfinite": 3}, "bad_request", ""),
        ([], "bad_request", ""),
    ],
)
async def test_what_makes_no_sense_is_refused_and_changes_nothing(
    tmp_path: Path, path: str, body: Any, error: str, told: str
) -> None:
    async with running_server(tmp_path) as inside:
        await connected(inside)
        refused = await put(inside, body, path, 422)
        assert (refused["error"], told in refused["hint"], bool(refused["message"])) == (error, True, True)
        assert (await inside.http.get(path)).json()["own"] == {}


MALFORMED: list[tuple[dict[str, Any], str]] = [
    ({"do": {"a": 1}, "budget": 1}, "unknown_deed"),
    ({"do": None, "budget": 1}, "unknown_deed"),
    ({"do": "off", "budget": 1}, "unknown_deed"),
    *[({"do": "pause", "budget": each}, "budget_out_of_bounds") for each in ("1", 1.5, 10**40, [1], None)],
    *[({"do": "pause", "budget": 1, "severity": each}, "bad_policies") for each in ({}, None, 1)],
    *[({"do": "pause", "budget": 1, "pause_s": each}, "bad_policies") for each in ("NaN", True, 10**400, [600], None)],
]


async def test_values_that_are_none_are_refused_with_the_way_out(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        await connected(inside)
        for wish, error in MALFORMED:
            refused = await put(inside, {"nonfinite": wish}, RUN, 422)
            assert (refused["error"], bool(refused["message"]), bool(refused["hint"])) == (error, True, True), wish
        assert (await inside.get(RUN))["own"] == {}


async def test_the_file_s_policies_count_and_a_run_can_switch_them_off(tmp_path: Path) -> None:
    (tmp_path / "lossguard.toml").write_text('[policies.nonfinite]\ndo = "checkpoint"\nbudget = 1\n')
    async with running_server(tmp_path) as inside:
        trainer = await connected(inside)
        assert (await inside.get(RUN))["policies"]["nonfinite"] == {
            "do": "checkpoint", "budget": 1, "severity": "critical", "pause_s": 600.0, "set_by": "file",
        }  # fmt: skip
        assert (await put(inside, {"nonfinite": {"do": "off"}}))["policies"] == {}
        await breaks(inside, trainer, 0)
        assert await listed(inside) == []
        assert (await inside.http.get("/api/runs/none/policies")).status_code == 404


async def test_a_project_s_policies_are_reached_whatever_its_name(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        path = "/api/project-policies?project=org%2Fde%20novo%26x"
        answer = await put(inside, {"drift": {"do": "pause", "budget": 1}}, path)
        assert (answer["scope"], list(answer["own"])) == ("project:org/de novo&x", ["drift"])
        assert (await put(inside, {}, "/api/project-policies?project=%00", 422))["error"] == "bad_request"
        assert (await put(inside, {}, "/api/project-policies", 422))["error"] == "bad_request"
