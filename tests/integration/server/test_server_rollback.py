"""A run that was rolled back, as HTTP, viewers and a restarted server show it."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np

from lossguard.protocol.messages import Declaration
from raw_trainer import RawTrainer
from server_inside import Inside, Viewer, running_server

NAN = float("nan")


async def connected(inside: Inside, **hello: Any) -> RawTrainer:
    trainer = inside.trainer(**hello)
    await trainer.connect()
    return trainer


def rolled_back(trainer: RawTrainer, from_step: int, to_step: int) -> None:
    trainer.event("rollback", from_step, **{"from": from_step, "to": to_step, "command": None, "data_rewound": False})


async def shown(inside: Inside, name: str = "loss/total") -> dict[int, Any]:
    answer = await inside.get("/api/runs/r1/points", series=name)
    buckets = answer["series"][name]
    assert answer["last_step"] == max(buckets["step"], default=-1)
    return dict(zip(buckets["step"], buckets["last"], strict=True))


async def alert_in(viewer: Viewer, state: str) -> dict[str, Any]:
    while (alert := (await viewer.expect("alert"))["alert"])["state"] != state:
        pass
    return dict(alert)


FACTS = ("state", "step", "health", "alerts", "components", "total", "grad_norm", "trips", "gaps")


async def facts(inside: Inside) -> dict[str, Any]:
    run = await inside.get("/api/runs/r1")
    alerts = await inside.items("/api/runs/r1/alerts")
    series = sorted(await inside.items("/api/runs/r1/series"), key=lambda each: each["name"])
    return {fact: run[fact] for fact in FACTS} | {"alerts listed": alerts, "series": series}


def trained(trainer: RawTrainer, steps: range, total: float, weight: float = 0.5) -> None:
    n = len(steps)
    trainer.frame(steps, loss__total=[total] * n, loss__ce=[total] * n, weight__ce=[weight] * n)


async def test_the_older_branch_is_not_shown_and_the_run_goes_on_from_there(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer = await connected(inside)
        trainer.declare(components=["ce"])
        trained(trainer, range(10), 2.0)
        trained(trainer, range(10, 15), NAN, 0.25)
        trainer.event("trip", 14, mode="trip", action="skipped", series=["loss/total"])
        await trainer.deliver()
        run = await inside.get("/api/runs/r1")
        assert (run["step"], run["total"], run["trips"]) == (14, "NaN", 1)
        rolled_back(trainer, 15, 8)
        await trainer.deliver()
        run = await inside.get("/api/runs/r1")
        assert (run["step"], run["total"], run["trips"], run["components"][0]["weight"]) == (7, 2.0, 1, 0.5)
        assert await shown(inside) == dict.fromkeys(range(8), 2.0)
        trained(trainer, range(8, 10), 3.0)
        await trainer.deliver()
        assert await shown(inside) == {**dict.fromkeys(range(8), 2.0), 8: 3.0, 9: 3.0}
        assert (await inside.get("/api/runs/r1"))["step"] == 9


async def test_rows_before_and_after_it_in_one_batch_are_told_in_their_order(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer, viewer = await connected(inside), await inside.watch("r1")
        await viewer.expect("run")
        trained(trainer, range(5), 2.0)
        rolled_back(trainer, 5, 1)
        trained(trainer, range(1, 3), 3.0)
        rolled_back(trainer, 3, 2)
        trained(trainer, range(2, 4), 4.0)
        await trainer.deliver()
        assert (await inside.get("/api/runs/r1"))["step"] == 3
        assert await shown(inside) == {0: 2.0, 1: 3.0, 2: 4.0, 3: 4.0}
        while (await viewer.expect("event"))["event"]["data"]["to"] != 2:
            pass
        await viewer.expect("resync")
        points = await viewer.expect("points")
        assert np.frombuffer(points["steps"]).tolist()[-1] == 3.0, "what came before the resync was dropped"


async def test_a_viewer_is_told_to_load_again_before_it_gets_the_new_branch(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer, viewer = await connected(inside), await inside.watch("r1")
        await viewer.expect("run")
        trained(trainer, range(10), 2.0)
        await trainer.deliver()
        await viewer.expect("points")
        rolled_back(trainer, 10, 4)
        await trainer.deliver()
        event = (await viewer.expect("event"))["event"]
        assert (event["kind"], event["data"]["to"]) == ("rollback", 4)
        while (await viewer.expect("run"))["run"]["step"] != 3:
            pass
        assert (await viewer.expect("resync"))["run"] == "r1"
        trained(trainer, range(4, 5), 3.0)
        await trainer.deliver()
        assert np.frombuffer((await viewer.expect("points"))["steps"]).tolist() == [4.0]


async def test_alerts_of_the_older_branch_are_over_and_say_why(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer, viewer = await connected(inside), await inside.watch("r1")
        trained(trainer, range(10), 2.0)
        trained(trainer, range(10, 12), NAN)
        await trainer.deliver()
        fired = await alert_in(viewer, "firing")
        rolled_back(trainer, 12, 9)
        trained(trainer, range(9, 12), 2.0)
        await trainer.deliver()
        resolved = await alert_in(viewer, "resolved")
        assert (resolved["id"], resolved["resolved_step"]) == (fired["id"], 12)
        assert "rolled back to step 9" in resolved["evidence"]["text"]
        assert [alert["state"] for alert in await inside.items("/api/runs/r1/alerts")] == ["resolved"]
        assert (await inside.get("/api/runs/r1"))["health"] == "ok"


async def played(inside: Inside, trainer: RawTrainer, part: int) -> None:
    """A run that is rolled back to 0, goes on, breaks, and is rolled back twice more."""
    if part == 0:
        trainer.declare(components=["ce"])
        trained(trainer, range(5), 1.0)
        rolled_back(trainer, 5, 0)
    elif part == 1:
        trained(trainer, range(50), 2.0)
        trained(trainer, range(50, 53), NAN)
        trainer.event("trip", 50)
    elif part == 2:
        rolled_back(trainer, 53, 48)
    elif part == 3:
        trained(trainer, range(48, 60), 2.0)
        rolled_back(trainer, 60, 58)
    elif part == 4:
        trained(trainer, range(58, 62), 40.0)
    await trainer.deliver()


async def settled(inside: Inside) -> None:
    """Everything that was committed has been judged."""
    judge = inside.assembly._judge
    while judge._waiting:
        await asyncio.wrap_future(judge._thread.submit(int))
    await asyncio.wrap_future(judge._thread.submit(int))


async def test_a_restart_anywhere_gives_the_same(tmp_path: Path) -> None:
    async with running_server(tmp_path / "whole") as inside:
        trainer, wanted = await connected(inside), []
        for part in range(5):
            await played(inside, trainer, part)
            await settled(inside)
            wanted.append(comparable(await facts(inside)))
    assert [(each["step"], each["total"], each["health"]) for each in wanted] == [
        (None, None, "unknown"),
        (52, "NaN", "critical"),
        (47, 2.0, "ok"),
        (57, 2.0, "ok"),
        (61, 40.0, "critical"),
    ]
    messages: list[Any] = []
    for part in range(5):  # a server's life for each part
        async with running_server(tmp_path / "cut") as inside:
            again = inside.trainer()
            again.messages = messages
            again._ids = {"loss/total": 0, "loss/ce": 1, "weight/ce": 2} if messages else {}
            await again.connect()
            await played(inside, again, part)
            await settled(inside)
            assert comparable(await facts(inside)) == wanted[part], part
        async with running_server(tmp_path / "cut") as inside:
            assert comparable(await facts(inside)) == wanted[part], f"and with no word from its trainer, {part}"
    assert isinstance(messages[0], Declaration)


def comparable(found: dict[str, Any]) -> dict[str, Any]:
    """Without ids and times, which are of the one life, and `last_step`, which is stored when an alert changes."""
    own = ("id", "fired_s", "last_step")
    listed = [{key: value for key, value in alert.items() if key not in own} for alert in found["alerts listed"]]
    return found | {"alerts listed": listed}


async def test_another_attempt_and_a_rollback_in_it(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        older = await connected(inside)
        trained(older, range(10), 1.0)
        await older.deliver()
        older.disconnect()
        newer = await connected(inside, attempt=1)
        trained(newer, range(6, 9), 2.0)
        await newer.deliver()
        assert (await inside.get("/api/runs/r1"))["step"] == 8
        rolled_back(newer, 9, 7)
        await newer.deliver()
        assert (await inside.get("/api/runs/r1"))["step"] == 6
        assert await shown(inside) == {**dict.fromkeys(range(6), 1.0), 6: 2.0}, "steps 8 and 9 of the older one, too"
        await older.connect()
        rolled_back(older, 10, 3)
        await older.deliver()
        assert (await inside.get("/api/runs/r1"))["step"] == 6, "its time is over"
        assert await shown(inside) == {**dict.fromkeys(range(3), 1.0), 6: 2.0}


async def test_a_rollback_of_another_rank_moves_nothing(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        shown_rank, other = await connected(inside, world_size=2), await connected(inside, rank=1, world_size=2)
        trained(shown_rank, range(5), 1.0)
        await shown_rank.deliver()
        trained(other, range(5), 1.0)
        rolled_back(other, 5, 0)
        await other.deliver()
        assert (await inside.get("/api/runs/r1"))["step"] == 4
        assert len(await shown(inside)) == 5


async def test_values_that_come_late_do_not_set_the_step_back(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer = await connected(inside)
        trained(trainer, range(300), 1.0)
        trainer.frame(range(40, 296), **{"param_grad_norm/layer.weight": [1.0] * 256})  # of a freeze-frame
        await trainer.deliver()
        assert (await inside.get("/api/runs/r1"))["step"] == 299
    async with running_server(tmp_path) as inside:
        assert (await inside.get("/api/runs/r1"))["step"] == 299
