"""The HTTP surface as docs/protocol.md says it."""

import json
import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from lossguard.protocol import PROTOCOL_VERSION
from lossguard.protocol.messages import ContractSpec, ControlsSpec, RampSpec, StageSpec
from lossguard_server.edges import models
from server_inside import Inside, running_server


async def a_run(inside: Inside) -> None:
    trainer = inside.trainer()
    await trainer.connect()
    trainer.declare(
        components=["ce", "aux"],
        stages=[StageSpec("a", 0, {"ce": 1.0}), StageSpec("b", 4, {"ce": 1.0, "aux": RampSpec(0.0, 1.0, 10)})],
        contracts=[ContractSpec("loss/ce", low=0.0)],
        controls=ControlsSpec(["pause"], {"ce": (0.0, 2.0), "aux": (0.0, 10.0)}),
        config={"lr": math.inf, "name": "NaN"},
    )
    ce, aux = [3.0, 2.0, 1.0, math.nan, -math.inf, 1.0], [0.5] * 6
    trainer.frame(range(6), loss__ce=ce, weight__ce=[1.0] * 6, loss__aux=aux, weight__aux=[2.0] * 6)
    trainer.event("stage", 4, index=1, name="b")
    await trainer.deliver()


async def test_a_run_and_what_it_is_made_of(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        await a_run(inside)
        [run] = await inside.items("/api/runs")
        moving = {key: run[key] for key in ("data_age_s", "alerts", "health")}  # the rules judge meanwhile
        assert run == {**await inside.get("/api/runs/r1"), **moving}
        assert (run["step"], run["stage"]) == (5, {"index": 1, "name": "b", "start": 4})
        assert run["config"] == {"lr": "Infinity", "name": "NaN"}
        ce, aux = run["components"]
        assert ce == {
            "name": "ce", "raw": 1.0, "weight": 1.0, "scheduled_weight": 1.0, "contribution": 1.0, "share": 0.5,
            "bounds": [0.0, 2.0],
        }  # fmt: skip
        assert aux["scheduled_weight"] == pytest.approx(0.1)
        stages = await inside.items("/api/runs/r1/stages")
        assert stages[1] == {
            "index": 1, "name": "b", "start": 4, "weights": {"ce": 1.0, "aux": {"start": 0.0, "end": 1.0, "steps": 10}},
        }  # fmt: skip
        series = {each["name"]: each for each in await inside.items("/api/runs/r1/series")}
        assert series["loss/ce"] == {
            "name": "loss/ce", "kind": "loss", "unit": "", "first_step": 0, "last_step": 5, "count": 6,
            "contract": {"low": 0.0, "high": None},
        }  # fmt: skip
        assert series["contribution/aux"]["kind"] == "contribution"
        assert [event["kind"] for event in await inside.items("/api/runs/r1/events")] == ["stage"]


@pytest.mark.parametrize(
    ("declared", "lr_scale", "clip"),
    [
        ({}, [0.0, 10.0], [1e-6, 1e6]),
        ({"lr_scale_bounds": (0.1, 1.0), "clip_bounds": (0.5, 8.0)}, [0.1, 1.0], [0.5, 8.0]),
        ({"lr_scale_bounds": (0.0, math.inf), "clip_bounds": (-math.inf, 8.0)}, [0.0, "Infinity"], ["-Infinity", 8.0]),
    ],
)
async def test_a_run_tells_the_bounds_of_its_learning_rates_and_of_its_clipping(
    tmp_path: Path, declared: dict[str, Any], lr_scale: list[Any], clip: list[Any]
) -> None:
    async with running_server(tmp_path) as inside:
        trainer = inside.trainer()
        await trainer.connect()
        trainer.declare(components=["ce"], controls=ControlsSpec(["set_lr_scale"], **declared))
        await trainer.deliver()
        answer = await inside.http.get("/api/runs/r1")
        assert (answer.json()["lr_scale_bounds"], answer.json()["clip_bounds"]) == (lr_scale, clip)
        models.Run.model_validate_json(answer.content, strict=True)  # what openapi.json promises


async def test_points_with_and_without_a_width(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        await a_run(inside)
        answer = await inside.http.get("/api/runs/r1/points", params={"series": ["loss/ce", "nope"], "width": 2})
        found = json.loads(answer.text, parse_constant=lambda word: pytest.fail(f"a bare {word}"))
        assert found["series"]["loss/ce"] == {
            "step": [0, 3], "first": [3.0, "NaN"], "min": [1.0, 1.0], "max": [3.0, 1.0], "last": [1.0, 1.0],
            "mean": [2.0, 1.0], "nan": [0, 1], "pos_inf": [0, 0], "neg_inf": [0, 1], "count": [3, 3],
        }  # fmt: skip
        assert found["series"]["nope"]["step"] == []
        assert found["last_step"] == 5
        part = await inside.get("/api/runs/r1/points", series="loss/ce", **{"from": 3, "to": 4})
        assert part["series"]["loss/ce"]["first"] == ["NaN", "-Infinity"]
        assert part["series"]["loss/ce"]["min"] == [None, None]


async def test_points_in_msgpack_are_the_same_numbers(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        await a_run(inside)
        path, asked = "/api/runs/r1/points", {"series": ["loss/ce", "nope"], "width": 2}
        answer = await inside.http.get(path, params=asked, headers={"Accept": "application/msgpack"})
        assert (answer.headers["content-type"], answer.headers["vary"]) == ("application/msgpack", "Accept")
        found = msgspec.msgpack.decode(answer.content)
        numbers = {name: np.frombuffer(data, "<f8").tolist() for name, data in found["series"]["loss/ce"].items()}
        assert repr(numbers) == repr({
            "step": [0.0, 3.0], "first": [3.0, math.nan], "min": [1.0, 1.0], "max": [3.0, 1.0], "last": [1.0, 1.0],
            "mean": [2.0, 1.0], "nan": [0.0, 1.0], "pos_inf": [0.0, 0.0], "neg_inf": [0.0, 1.0], "count": [3.0, 3.0],
        })  # fmt: skip
        assert (found["last_step"], set(found["series"]["nope"].values())) == (5, {b""})
        refused = await inside.http.get(path, params={"width": 0}, headers={"Accept": "application/msgpack"})
        assert refused.json()["error"] == "bad_request"


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/api/runs/none", "unknown_run"),
        ("/api/runs/none/points?series=a", "unknown_run"),
        ("/api/runs/none/alerts", "unknown_run"),
        ("/api/runs/r1/points?series=a&width=0", "bad_request"),
        ("/api/runs/r1/points?series=a&width=abc", "bad_request"),
        ("/api/runs/r1/points?series=a&from=99999999999999999999", "bad_request"),
        ("/api/none", "not_found"),
    ],
)
async def test_a_refusal_has_one_shape(tmp_path: Path, path: str, error: str) -> None:
    async with running_server(tmp_path) as inside:
        await a_run(inside)
        answer = await inside.http.get(path)
        assert answer.status_code in (404, 422)
        assert answer.json().keys() == {"error", "message", "hint"}
        assert answer.json()["error"] == error


async def test_alerts_are_acknowledged(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        viewer = await inside.watch("r1")
        await a_run(inside)
        alert = (await viewer.expect("alert"))["alert"]
        done = await inside.http.post(f"/api/alerts/{alert['id']}/acknowledge")
        assert (done.status_code, done.json()["state"]) == (200, "acknowledged")
        assert done.json()["id"] in {each["id"] for each in await inside.items("/api/runs/r1/alerts")}
        assert "alert acknowledged" in {each["what"] for each in await inside.items("/api/runs/r1/audit")}
        assert (await inside.http.post("/api/alerts/none/acknowledge")).json()["error"] == "unknown_alert"


async def test_tokens_are_made_shown_once_and_deleted(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        made = (await inside.http.post("/api/tokens", json={"name": "ci", "scopes": ["view"]})).json()
        assert set(made) == {"id", "name", "scopes", "created_s", "token"}
        listed = await inside.items("/api/tokens")
        assert {entry["name"] for entry in listed} == {"ci", "local trainers"}
        assert all("token" not in entry for entry in listed)
        shown = {"Authorization": f"Bearer {made['token']}"}
        assert (await inside.http.get("/api/me", headers=shown)).json() == {"scopes": ["view"]}
        assert (await inside.http.delete(f"/api/tokens/{made['id']}")).status_code == 204
        assert (await inside.http.get("/api/me", headers=shown)).status_code == 401
        assert (await inside.http.delete(f"/api/tokens/{made['id']}")).json()["error"] == "unknown_token"


async def test_health_and_the_description_need_no_token(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        nobody = {"Authorization": ""}
        health = (await inside.http.get("/healthz", headers=nobody)).json()
        assert (health["status"], health["protocol"]) == ("ok", PROTOCOL_VERSION)
        schema = (await inside.http.get("/api/openapi.json", headers=nobody)).json()
        assert "/api/runs/{run}/points" in schema["paths"]
        assert schema["components"]["schemas"]["Run"]["properties"]["total"]
        docs = await inside.http.get("/api/docs", headers=nobody)
        assert "/api/runs/{run}/points" in docs.text
        assert "<script" not in docs.text
        assert (await inside.http.head("/healthz")).content == b""


async def test_after_a_restart_everything_is_as_it_was(tmp_path: Path) -> None:
    paths = ["series", "points?series=loss/ce&series=contribution/aux", "stages", "events", "audit"]
    async with running_server(tmp_path) as inside:
        await a_run(inside)
        before = {path: await inside.get(f"/api/runs/r1/{path}") for path in paths}
        run = await inside.get("/api/runs/r1")
        token = inside.ingest_token
    async with running_server(tmp_path) as inside:
        assert {path: await inside.get(f"/api/runs/r1/{path}") for path in paths} == before
        again = await inside.get("/api/runs/r1")
        moving = {
            "connected": False,
            "data_age_s": again["data_age_s"],
            "health": again["health"],
            "alerts": again["alerts"],
        }
        assert again == {**run, **moving}
        assert again["health"] == "critical"
        assert inside.ingest_token == token, "trainers go on with the token that they have"
