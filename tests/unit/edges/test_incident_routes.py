"""Incidents and blame over HTTP, on a real store."""

import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from lossguard_server.edges.answers import on_server_error, on_validation_error
from lossguard_server.edges.incidents import Incident, Incidents, SpanBlame, add_routes
from lossguard_server.edges.reads import Reads
from lossguard_server.errors import ServerError
from lossguard_server.rules.alert import Alert, AlertChange
from lossguard_server.rules.incidents import Incidents as Grouped
from lossguard_server.services.registry import Registry
from lossguard_server.store import incidents
from lossguard_server.store.points import Points
from store_world import Store, frame, opened_store, schema


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[tuple[Store, httpx.AsyncClient]]:
    with opened_store(tmp_path) as store:
        stream = store.stream()
        losses = [2.0] * 10 + [9.0] * 9 + [math.inf]
        store.append(stream, schema(1, "loss/total", "loss/ce", "weight/ce"))
        store.append(stream, frame(2, range(20), losses, losses, [1.0] * 20))
        app, reads = FastAPI(), Reads()
        app.add_exception_handler(ServerError, on_server_error)
        app.add_exception_handler(422, on_validation_error)
        add_routes(app, Incidents(Registry(store.reading), store.reading, Points(store.reading), reads))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            yield store, client
        reads.close()


def opened(series: str) -> dict[str, Any]:
    alert = Alert(
        series, "r1", "nonfinite", series, "ce", "critical", "firing", 19, 19, 5.0, None, "It is.", {}, None, None
    )
    return Grouped("r1").take([AlertChange(alert, "fired")], 20).incidents[0].incident.to_dict()


async def test_the_runs_incidents_newest_first(http: tuple[Store, httpx.AsyncClient]) -> None:
    store, client = http
    for series in ("loss/ce", "loss/total"):
        store.write(lambda session, series=series: incidents.upsert(session, {**opened(series), "id": series}))
    answer = await client.get("/api/runs/r1/incidents")
    assert [Incident.model_validate(each).id for each in answer.json()["items"]] == ["loss/total", "loss/ce"]
    assert answer.json()["items"][1] == {**opened("loss/ce"), "id": "loss/ce"}
    assert (await client.get("/api/runs/other/incidents")).json()["error"] == "unknown_run"


async def test_blame_over_a_range(http: tuple[Store, httpx.AsyncClient]) -> None:
    _, client = http
    answer = (await client.get("/api/runs/r1/blame", params={"from": 0, "to": 18})).json()
    assert SpanBlame.model_validate(answer).parts[0].percent == 100
    assert (answer["delta_total"], answer["to_step"], answer["samples"]) == (7.0, 18, 5)
    whole = (await client.get("/api/runs/r1/blame")).json()
    assert (whole["delta_total"], whole["total"]["to"]) == ("NaN", "Infinity")
    assert whole["text"] == "ce is not finite, so the total is not either."
    assert (await client.head("/api/runs/r1/blame")).status_code == 200


@pytest.mark.parametrize(
    ("params", "error"),
    [({"from": 40}, "nothing_to_blame"), ({"from": 3, "to": 3}, "nothing_to_blame"), ({"from": "x"}, "bad_request")],
)
async def test_a_range_without_anything_is_refused(
    http: tuple[Store, httpx.AsyncClient], params: dict[str, Any], error: str
) -> None:
    answer = await http[1].get("/api/runs/r1/blame", params=params)
    assert answer.status_code == 422
    if error != "bad_request":
        assert answer.json()["error"] == error
        assert "two logged steps or more apart" in answer.json()["hint"]
