"""A run's points over HTTP as CSV, JSON lines and Parquet: whole, bit for bit, or a connection that breaks off."""

import asyncio
import io
import json
import math
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest

from lossguard_server.errors import ReadTimeout
from lossguard_server.store import runs
from server_inside import Inside, running_server

EXPORT = "/api/runs/r1/export"
PAYLOAD = np.array([0x7FF8000000000ABC], np.uint64).view(np.float64)[0]


async def odd_run(inside: Inside) -> None:
    trainer = inside.trainer()
    await trainer.connect()
    trainer.declare(config={"lr": math.inf})
    trainer.frame([0, 1, 5], loss__a=[0.1, -0.0, PAYLOAD], b=[math.nan, math.inf, -math.inf])
    trainer.frame([1], rare=[7.0])
    await trainer.deliver()


async def exported(inside: Inside, **params: Any) -> bytes:
    answer = await inside.http.get(EXPORT, params=params)
    assert answer.status_code == 200, answer.text
    return answer.content


async def test_three_formats_say_the_same(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        await odd_run(inside)
        assert (await exported(inside)).decode() == (
            'step,"loss/a","b","rare"\r\n0,0.1,NaN,\r\n1,-0.0,Infinity,7.0\r\n5,NaN,-Infinity,\r\n'
        )
        assert [json.loads(line) for line in (await exported(inside, format="jsonl")).splitlines()] == [
            {"step": 0, "loss/a": 0.1, "b": "NaN"},
            {"step": 1, "loss/a": -0.0, "b": "Infinity", "rare": 7.0},
            {"step": 5, "loss/a": "NaN", "b": "-Infinity"},
        ]
        table = pq.read_table(io.BytesIO(await exported(inside, format="parquet")))
        bits = table["loss/a"].to_numpy().view(np.uint64).tolist()
        assert bits == np.array([0.1, -0.0, PAYLOAD]).view(np.uint64).tolist()
        assert table["rare"].to_pylist() == [None, 7.0, None]
        facts = json.loads(table.schema.metadata[b"lossguard"])
        assert (facts["id"], facts["project"], facts["name"], facts["config"]) == ("r1", "p", "n", {"lr": "Infinity"})


async def test_a_part_of_the_run_and_of_its_series(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        await odd_run(inside)
        assert (
            await exported(inside, series=["rare", "b"], **{"from": 1, "to": 4})
            == b'step,"b","rare"\r\n1,Infinity,7.0\r\n'
        )
        assert await exported(inside, **{"from": 6}) == b'step,"loss/a","b","rare"\r\n'
        head = await inside.http.head(EXPORT, params={"format": "jsonl"})
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-disposition"] == "attachment; filename=\"run.jsonl\"; filename*=UTF-8''r1.jsonl"


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("/api/runs/none/export", 404, "unknown_run"),
        (f"{EXPORT}?series=b&series=none", 404, "no_such_series"),
        (f"{EXPORT}?format=xlsx", 422, "bad_request"),
        (f"{EXPORT}?from=x", 422, "bad_request"),
        (f"{EXPORT}?format=parquet", 501, "parquet_not_installed"),
    ],
)
async def test_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, status: int, error: str) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    async with running_server(tmp_path) as inside:
        await odd_run(inside)
        answer = await inside.http.get(path)
        assert (answer.status_code, answer.json()["error"]) == (status, error)


async def long_run(inside: Inside, steps: int, *names: str) -> None:
    trainer = inside.trainer()
    await trainer.connect()
    for start in range(0, steps, 1_000):
        rows = range(start, min(start + 1_000, steps))
        trainer.frame(rows, **{name: [float(step) for step in rows] for name in names})
    await trainer.deliver()


async def test_a_run_that_grows_is_cut_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_server(tmp_path) as inside:
        monkeypatch.setattr(inside.assembly._export, "_window_points", 1_000)
        await long_run(inside, 5_000, "a")
        async with inside.http.stream("GET", EXPORT) as answer:
            lines = answer.aiter_lines()
            assert [await anext(lines), await anext(lines)] == ['step,"a"', "0,0.0"]
            trainer = inside.trainer("r1", attempt=1)
            await trainer.connect()
            trainer.frame(range(5_000, 6_000), a=[0.0] * 1_000)
            await trainer.deliver()
            rest = [line async for line in lines]
        assert rest == [f"{step},{float(step)}" for step in range(1, 5_000)]


async def test_what_fails_in_the_middle_breaks_the_connection_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_server(tmp_path) as inside:
        monkeypatch.setattr(inside.assembly._export, "_window_points", 1_000)
        await long_run(inside, 5_000, "a")
        points = inside.assembly._export._points
        raw = points.raw

        def failing(run_id: str, names: Sequence[str], first_step: int, last_step: int) -> Any:
            if first_step >= failing_from:
                raise ReadTimeout()
            return raw(run_id, names, first_step, last_step)

        monkeypatch.setattr(points, "raw", failing)
        failing_from = 2_000
        with pytest.raises(httpx.RemoteProtocolError):
            await inside.http.get(EXPORT)
        failing_from = 0
        refused = await inside.http.get(EXPORT)
        assert (refused.status_code, refused.json()["error"]) == (503, "read_timeout")


async def roll_back(inside: Inside) -> None:
    trainer = inside.trainer("r1", attempt=1)
    await trainer.connect()
    trainer.event("rollback", 5_000, **{"from": 5_000, "to": 100, "command": None, "data_rewound": False})
    await trainer.deliver()


async def train_again(inside: Inside) -> None:
    trainer = inside.trainer("r1", attempt=1)
    await trainer.connect()
    trainer.frame(range(100, 200), loss__total=[1.0] * 100)
    await trainer.deliver()


async def delete(inside: Inside) -> None:
    # as DELETE begins it; of what follows nothing may be seen any more
    await asyncio.wrap_future(inside.assembly._writer.submit(lambda session: runs.begin_delete(session, "r1")))


@pytest.mark.parametrize("change", [roll_back, train_again, delete])
async def test_a_run_of_which_something_is_taken_back_breaks_the_connection_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Inside], Awaitable[None]]
) -> None:
    async with running_server(tmp_path) as inside:
        monkeypatch.setattr(inside.assembly._export, "_window_points", 1_000)
        await long_run(inside, 5_000, "a")
        points, is_changed = inside.assembly._export._points, asyncio.Event()
        raw, loop = points.raw, asyncio.get_running_loop()

        def changing(run_id: str, names: Sequence[str], first_step: int, last_step: int) -> Any:
            if first_step >= 2_000 and not is_changed.is_set():
                is_changed.set()
                asyncio.run_coroutine_threadsafe(change(inside), loop).result(10)
            return raw(run_id, names, first_step, last_step)

        monkeypatch.setattr(points, "raw", changing)
        with pytest.raises(httpx.RemoteProtocolError):
            await inside.http.get(EXPORT)
        assert is_changed.is_set()


async def test_the_server_answers_others_while_a_reader_of_an_export_sleeps(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        await long_run(inside, 100_000, "a", "b")
        async with inside.http.stream("GET", EXPORT) as answer:
            assert answer.status_code == 200
            async with asyncio.timeout(5):
                assert (await inside.get("/healthz"))["status"] == "ok"
