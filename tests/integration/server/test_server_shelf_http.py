"""Runs are named, put away, deleted and brought back over HTTP, and every browser hears of it."""

import asyncio
from math import inf, nan
from pathlib import Path
from typing import Any

from server_inside import Inside, running_server


async def begun(inside: Inside, run: str, totals: list[float]) -> None:
    """A run that its trainer has left."""
    trainer = inside.trainer(run)
    await trainer.connect()
    for start in range(0, len(totals), 100):
        some = totals[start : start + 100]
        trainer.frame(range(start, start + len(some)), loss__total=some)
    await trainer.deliver()
    await trainer.socket.close()
    while (await inside.get(f"/api/runs/{run}"))["connected"]:
        await asyncio.sleep(0.01)


async def patched(inside: Inside, body: dict[str, Any], status: int = 200) -> dict[str, Any]:
    answer = await inside.http.patch("/api/runs/r1", json=body)
    assert answer.status_code == status, answer.text
    return dict(answer.json())


async def test_what_is_said_of_a_run_is_in_every_answer_and_told_to_browsers(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        await begun(inside, "r1", [1.0])
        fresh = await inside.get("/api/runs/r1")
        assert {name: fresh[name] for name in ("label", "note", "tags", "archived", "deleted_s")} == {
            "label": "", "note": "", "tags": [], "archived": False, "deleted_s": None,
        }  # fmt: skip
        viewer = await inside.watch()
        await viewer.expect("subscribed")
        said = {"label": "the best", "note": "why", "tags": ["a", "b"], "archived": True}
        answer = await patched(inside, said)
        assert {name: answer[name] for name in said} == said
        told = (await viewer.expect("run"))["run"]
        listed = (await inside.items("/api/runs"))[0]
        for each in (told, listed):
            assert {name: each[name] for name in said} == said
        assert (await inside.items("/api/runs/r1/audit"))[0]["what"] == "run changed"


async def test_a_refusal_says_what_where_and_what_to_do(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        await begun(inside, "r1", [1.0])
        for body, what in (
            ({"label": "x" * 201}, "`label` has 201 characters, at most 200"),
            ({"tags": "a"}, "body.tags: Input should be a valid list"),
            ({"archived": "yes"}, "body.archived: Input should be a valid boolean"),
            ({"name": "x"}, "body.name: Extra inputs are not permitted"),
            ({"label": None}, "body.label: Input should be a valid string"),
        ):
            refused = await patched(inside, body, 422)
            assert what in refused["message"]
            assert refused["hint"]
        answer = await inside.http.patch("/api/runs/nobody", json={"label": "x"})
        assert (answer.status_code, answer.json()["error"]) == (404, "unknown_run")


async def test_a_run_is_deleted_for_now_and_brought_back(tmp_path: Path) -> None:
    async with running_server(tmp_path, keep_deleted_hours=2.0) as inside:
        await begun(inside, "r1", [1.0])
        await begun(inside, "r2", [1.0])
        viewer = await inside.watch("r1")
        await viewer.expect("subscribed")
        assert (await inside.http.delete("/api/runs/r1")).status_code == 204
        assert (await viewer.expect("gone"))["run"] == "r1"
        assert [run["id"] for run in await inside.items("/api/runs")] == ["r2"]
        listed = {run["id"]: run for run in (await inside.get("/api/runs", deleted="true"))["items"]}
        assert listed["r1"]["restorable_until_s"] == listed["r1"]["deleted_s"] + 7200
        assert list(listed) == ["r1"], "no other is sent a second time"
        assert (await inside.get("/api/runs/r1"))["deleted_s"] == listed["r1"]["deleted_s"], "it can be looked at"
        back = await inside.http.post("/api/runs/r1/restore")
        assert (back.status_code, back.json()["deleted_s"]) == (200, None)
        assert (await viewer.expect("run"))["run"]["id"] == "r1"
        assert len(await inside.items("/api/runs/r1/series")) == 1, "with all its points"
        assert (await inside.http.delete("/api/runs/r1?now=true")).status_code == 204
        assert (await inside.http.post("/api/runs/r1/restore")).status_code == 404


async def test_a_deleted_run_whose_trainer_comes_back_is_shown_again(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        await begun(inside, "r1", [1.0])
        await inside.http.delete("/api/runs/r1")
        viewer = await inside.watch()
        await viewer.expect("subscribed")
        trainer = inside.trainer("r1")
        await trainer.connect()
        assert (await viewer.expect("run"))["run"]["deleted_s"] is None
        assert (await inside.http.delete("/api/runs/r1")).json()["error"] == "run_connected"
        trail = [entry["what"] for entry in await inside.items("/api/runs/r1/audit")]
        assert trail == ["run restored", "run deleted for now"]


async def test_a_deletion_outlives_the_server(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        await begun(inside, "r1", [1.0])
        await inside.http.delete("/api/runs/r1")
    async with running_server(tmp_path) as inside:
        assert await inside.items("/api/runs") == []
        assert (await inside.http.post("/api/runs/r1/restore")).status_code == 200
        assert len(await inside.items("/api/runs")) == 1


async def test_sparks_are_small_and_lose_no_spike(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        await begun(inside, "r1", [1.0] * 3000 + [99.0] + [2.0] * 2000 + [nan] + [2.0] * 500 + [inf, -inf])
        await begun(inside, "r2", [0.5, 0.25])
        await inside.http.delete("/api/runs/r2")
        sparks = await inside.get("/api/sparks", run=["r1", "r2", "nobody"])
        assert set(sparks) == {"r1", "r2"}
        assert sparks["r2"] == {"steps": [0, 1], "totals": [0.5, 0.25]}
        steps, totals = sparks["r1"]["steps"], sparks["r1"]["totals"]
        assert len(steps) == len(totals) <= 60
        assert (steps, totals[0]) == (sorted(steps), 1.0)
        assert {"NaN", "Infinity"} <= {each for each in totals if isinstance(each, str)}
        assert 99.0 in totals
        too_many = await inside.http.get("/api/sparks", params={"run": [str(n) for n in range(201)]})
        assert too_many.status_code == 422
        assert await inside.get("/api/sparks") == {}
