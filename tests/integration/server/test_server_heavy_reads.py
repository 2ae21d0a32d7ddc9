"""What viewers ask of points is bounded, and keeps nobody else waiting."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from lossguard_server.edges.reads import THREADS
from server_inside import Inside, running_server

POINTS, EXPORT = "/api/runs/r1/points", "/api/runs/r1/export"
VIEWERS = 12  # more than asyncio's own pool has threads on two cores


async def short_run(inside: Inside) -> None:
    trainer = inside.trainer()
    await trainer.connect()
    trainer.frame(range(100), a=[1.0] * 100, b=[2.0] * 100)
    await trainer.deliver()


async def folded(inside: Inside) -> None:
    async with asyncio.timeout(10):
        while inside.assembly._folder is not None:
            inside.assembly._folder.wake("r1", 1 << 30)
            with inside.assembly._database.reading() as session:
                if session.connection().exec_driver_sql("SELECT count(*) FROM chunk").scalar_one():
                    return
            await asyncio.sleep(0.02)


async def test_steps_that_end_before_they_begin_are_an_empty_answer(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        await short_run(inside)
        await folded(inside)
        for width in ({}, {"width": 1}, {"width": 50}):
            answer = await inside.get(POINTS, series=["a", "b"], **{"from": 60, "to": 5}, **width)
            assert [answer["series"][name]["step"] for name in ("a", "b")] == [[], []]
        exported = await inside.http.get(EXPORT, params={"from": 60, "to": 5})
        assert (exported.status_code, exported.content) == (200, b'step,"a","b"\r\n')


async def test_too_many_points_are_a_refusal_that_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_server(tmp_path) as inside:
        await short_run(inside)
        monkeypatch.setattr(inside.assembly._api._of.points, "_most_buckets", 150)
        refused = await inside.http.get(POINTS, params={"series": ["a", "b"]})
        assert (refused.status_code, refused.json()["error"]) == (422, "too_many_points")
        assert all(word in refused.json()["hint"] for word in ("width", "range", "fewer series", "export"))
        assert len((await inside.get(POINTS, series=["a", "b"], width=75))["series"]["b"]["step"]) <= 75
        assert (await inside.http.get(EXPORT)).content.count(b"\r\n") == 101, "an export has no such limit"


async def test_viewers_who_ask_for_much_keep_only_one_another_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_server(tmp_path) as inside:
        await short_run(inside)
        points, may_go, reading = inside.assembly._api._of.points, threading.Event(), threading.Semaphore(0)
        query, raw = points.query, points.raw

        def slowly(call: Any) -> Any:
            def called(*asked: Any) -> Any:
                reading.release()
                assert may_go.wait(20)
                return call(*asked)

            return called

        monkeypatch.setattr(points, "query", slowly(query))
        monkeypatch.setattr(points, "raw", slowly(raw))
        viewers = [
            asyncio.create_task(inside.http.get(path, params={"series": "a"}))
            for path in (POINTS, EXPORT)
            for _ in range(VIEWERS)
        ]
        try:
            async with asyncio.timeout(10):
                while not reading.acquire(blocking=False):
                    await asyncio.sleep(0.01)
                assert await inside.items("/api/runs/r1/alerts") == []
                command = {"kind": "pause", "args": {}, "idempotency_key": "k"}
                refused = await inside.http.post("/api/runs/r1/commands", json=command)
                assert refused.json()["error"] == "not_allowed", "it was looked up and judged"
            begun = 1 + sum(reading.acquire(blocking=False) for _ in viewers)
            assert begun <= 2 * THREADS, "until the roof hands one to both, points and exports have their own"
        finally:
            may_go.set()
        assert {answer.status_code for answer in await asyncio.gather(*viewers)} == {200}
