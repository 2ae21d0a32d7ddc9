"""A run breaks, and somebody far from the page hears of it: the whole road, over real sockets."""

import asyncio
import json
import math
from pathlib import Path
from typing import Any

import pytest

from notify_world import receiving
from server_inside import Inside, running_server


async def breaks(inside: Inside, run: str) -> None:
    """A run whose loss is no number any more at step 30."""
    trainer = inside.trainer(run)
    await trainer.connect()
    trainer.declare(components=["ce"])
    losses = [1.0] * 30 + [math.nan] * 3
    trainer.frame(range(33), loss__ce=losses, weight__ce=[1.0] * 33, loss__total=losses)
    await trainer.deliver()


async def until(inside: Inside, state: str) -> list[dict[str, Any]]:
    try:
        async with asyncio.timeout(20):
            while True:
                items = await inside.items("/api/notifications")
                if items and all(item["state"] == state for item in items):
                    return items
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"nothing is {state}: {await inside.items('/api/notifications')}")


async def test_an_alert_is_told_once_over_a_restart_and_links_to_itself(tmp_path: Path) -> None:
    with receiving() as receiver:
        hook = {"name": "hook", "kind": "webhook", "url": f"{receiver.url}/hook"}
        given: dict[str, Any] = {"notify_allow": ("127.0.0.1",), "public_url": "https://lg.example"}
        async with running_server(tmp_path, **given) as inside:
            assert (await inside.http.post("/api/channels", json=hook)).status_code == 201
            receiver.answers["/hook"] = (503, {"Retry-After": "0"}, b"not yet")
            await breaks(inside, "r1")
            (owed,) = await until(inside, "owed")
            assert owed["said"] in (None, "HTTP 503 Service Unavailable: not yet")
        receiver.answers.clear()
        async with running_server(tmp_path, **given) as inside:
            (done,) = await until(inside, "delivered")
            (alert,) = await inside.items("/api/runs/r1/alerts")
            viewer = await inside.token("view")
            shown = await inside.http.get("/api/channels", headers={"Authorization": f"Bearer {viewer}"})
            assert shown.status_code == 403
            looked = await inside.http.get("/api/notifications", headers={"Authorization": f"Bearer {viewer}"})
            assert looked.status_code == 200
            await inside.http.delete("/api/runs/r1")
            assert (await inside.http.get("/api/runs")).status_code == 200
    keys = {headers["Idempotency-Key"] for _, headers, _ in receiver.got}
    assert keys == {done["key"]}
    said = json.loads(receiver.got[-1][2])
    assert (said["event"], said["items"][0]["rule"], said["items"][0]["step"]) == ("opened", "nonfinite", alert["step"])
    assert said["link"] == f"https://lg.example/#run=r1&alert={alert['id']}"
    assert "×" in said["items"][0]["sparkline"]
