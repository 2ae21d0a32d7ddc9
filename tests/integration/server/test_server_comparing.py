"""GET /api/compare over a server with runs of known curves."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lossguard.protocol.messages import ControlsSpec, StageSpec
from lossguard_server.edges.comparing import Comparison
from server_inside import Inside, running_server

STEPS, PARTED = 600, 300


async def a_run(inside: Inside, name: str, jump: float = 1.0, stage: int = PARTED, **more: Any) -> str:
    """A run of two components; from step PARTED on `aux` is `jump` times what it is in a run without."""
    run = f"id-{name}"
    trainer = inside.trainer(run, name=name)
    await trainer.connect()
    trainer.declare(
        components=["ce", "aux"],
        stages=[StageSpec("warm", 0, {"ce": 1.0}), StageSpec("both", stage, {"ce": 1.0, "aux": 0.1})],
        controls=ControlsSpec(["pause"], {"ce": (0.0, 2.0)}),
        config={"lr": more.get("lr", 0.1), "loss": {"aux": name}, "seed": 0},
    )
    noise = np.exp(0.05 * np.random.default_rng(7).standard_normal((3, STEPS)))
    steps = np.arange(STEPS)
    ce, aux = 2.0 * np.exp(-steps / 400) * noise[0], 0.5 * noise[1]
    aux = np.where(steps >= PARTED, jump * aux, aux)
    for at in more.get("nan_at", ()):
        aux[at] = math.nan
    columns = {
        "loss__ce": ce, "loss__aux": aux, "grad_norm__total": noise[2], "weight__ce": np.ones(STEPS),
        "weight__aux": np.where(steps >= stage, 0.1, 0.0), "step_time_s": np.full(STEPS, more.get("step_s", 0.1)),
        "loss__total": ce + np.where(steps >= stage, 0.1, 0.0) * aux,
    }  # fmt: skip
    for at in range(0, STEPS, 200):
        trainer.frame(range(at, at + 200), **{key: value[at : at + 200].tolist() for key, value in columns.items()})
    evaluated = range(49, STEPS, 50)
    trainer.frame(evaluated, val__acc=[more.get("accuracy", 0.3) + 0.001 * (step % 3) for step in evaluated])
    await trainer.deliver()
    return run


async def compared(inside: Inside, *runs: str, axis: str = "step") -> dict[str, Any]:
    answer = await inside.http.get("/api/compare", params={"run": runs, "axis": axis})
    assert answer.status_code == 200, answer.text
    Comparison.model_validate_json(answer.content, strict=True)  # what openapi.json promises
    return dict(answer.json())


def parted(found: dict[str, Any], series: str) -> dict[str, Any]:
    [each] = [each for each in found["parting"] if each["series"] == series]
    return dict(each["pairs"][0])


def row(found: dict[str, Any], key: str) -> dict[str, Any]:
    return dict(next(each for each in found["verdict"] if each["key"] == key))


async def test_two_runs_beside_each_other(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        one = await a_run(inside, "old", nan_at=(400, 401, 402))
        other = await a_run(inside, "new", jump=3.0, accuracy=0.4, step_s=0.15, lr=0.2)
        found = await compared(inside, one, other)
        assert [run["name"] for run in found["runs"]] == ["old", "new"]
        assert [each["series"] for each in found["parting"]] == ["loss/total", "loss/ce", "loss/aux", "grad_norm/total"]
        aux = parted(found, "loss/aux")
        assert abs(aux["steps"][one] - PARTED) <= 2 * aux["resolution"]
        assert aux["same_until"] in (PARTED - 1, PARTED - 2), "the same bits up to the step before, or its bucket"
        assert aux["values"]["other"] / aux["values"]["one"] == pytest.approx(3, rel=0.2)
        assert (parted(found, "loss/ce")["at"], parted(found, "loss/ce")["same_until"]) == (None, STEPS - 1)
        assert row(found, "result:val/acc")["winners"] == [other]
        broken = row(found, "not_finite")
        assert [cell["value"] for cell in broken["cells"]] == [6.0, 0.0], "of the component and of the total"
        assert broken["winners"] == [other]
        assert "loss/aux at step 400" in broken["cells"][0]["detail"]
        assert row(found, "speed")["winners"] == [one]
        [decision] = found["decisions"]
        assert (decision["advice"], [node["answer"] for node in decision["nodes"]]) == ("adopt", ["no", "yes"])
        assert any("broke itself" in each for each in decision["cautions"])
        paths = {each["path"]: each["values"] for each in found["config"]["rows"]}
        assert paths["config.lr"] == {one: 0.1, other: 0.2}
        assert "config.seed" not in paths


async def test_by_stage_a_stage_begins_at_one_place(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        one, other = await a_run(inside, "old"), await a_run(inside, "late", stage=400)
        found = await compared(inside, one, other, axis="stage")
        assert [(band["name"], band["low"], band["high"]) for band in found["axis"]["bands"]] == [
            ("warm", 0.0, 400.0), ("both", 400.0, 700.0),
        ]  # fmt: skip
        places = found["axis"]["places"]
        assert (places[one]["step"], places[one]["x"]) == ([0, 300], [0.0, 400.0])
        assert (places[other]["step"], places[other]["x"]) == ([0, 400], [0.0, 400.0])


async def test_by_time_a_slow_run_is_behind(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        one, other = await a_run(inside, "fast"), await a_run(inside, "slow", step_s=0.2)
        found = await compared(inside, one, other, axis="time")
        ends = [
            each["x"][-1] + (STEPS - 1 - each["step"][-1]) * each["slope"][-1]
            for each in (found["axis"]["places"][run] for run in (one, other))
        ]
        assert ends == pytest.approx([59.9, 119.8])
        assert parted(found, "loss/ce")["at"] is not None, "the same curve at half the speed"


@pytest.mark.parametrize(
    ("runs", "axis", "error"),
    [
        (["id-a"], "step", "bad_comparison"),
        (["id-a", "id-a"], "step", "bad_comparison"),
        ([f"id-{n}" for n in range(9)], "step", "bad_comparison"),
        (["id-a", "nobody"], "step", "unknown_run"),
        (["id-a", "bare"], "stage", "no_stages"),
        (["id-a", "bare"], "time", "no_times"),
        (["id-a", "bare"], "moon", "bad_request"),
    ],
)
async def test_what_cannot_be_compared_is_refused_with_a_sentence(
    tmp_path: Path, runs: list[str], axis: str, error: str
) -> None:
    async with running_server(tmp_path) as inside:
        await a_run(inside, "a")
        bare = inside.trainer("bare", name="bare")
        await bare.connect()
        bare.frame(range(4), x=[1.0, 2.0, math.inf, math.nan])
        await bare.deliver()
        answer = await inside.http.get("/api/compare", params={"run": runs, "axis": axis})
        assert (answer.status_code >= 400, answer.json()["error"]) == (True, error), answer.text


async def test_runs_with_nothing_in_common_are_compared_all_the_same(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        one = await a_run(inside, "a")
        bare, silent = inside.trainer("bare", name="a"), inside.trainer("silent", name="a")
        for trainer in (bare, silent):
            await trainer.connect()
        bare.frame(range(4), x=[1.0, 2.0, math.inf, math.nan])
        silent.declare(components=["ce"])
        for trainer in (bare, silent):
            await trainer.deliver()
        found = await compared(inside, one, "bare", "silent")
        assert [run["name"] for run in found["runs"]] == ["a (id-a)", "a (bare)", "a (silent)"]
        assert not any(pair["compared"] for each in found["parting"] for pair in each["pairs"])
        assert len(found["decisions"]) == 2
