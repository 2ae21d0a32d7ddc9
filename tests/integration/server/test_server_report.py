"""A run's report over HTTP: a file of its own, made from what is stored, whoever named what."""

import asyncio
import math
import re
from pathlib import Path

import numpy as np
import pytest

from lossguard.protocol.messages import ContractSpec, StageSpec
from lossguard_server.services.reporting import gather
from server_inside import Inside, running_server

REPORT = "/api/runs/r1/report.html"
WAIT_S = 60.0  # on a loaded machine plotly alone takes seconds to import
XSS = '"><img src=x onerror=alert(1)>'


async def stormy_run(inside: Inside, steps: int = 3_000) -> None:
    """A stage that multiplies the total, then a NaN in one component; names are hostile."""
    trainer = inside.trainer(name=XSS, project="</script>")
    await trainer.connect()
    trainer.declare(
        components=["ce", XSS],
        stages=[StageSpec("<b>one</b>", 0, {"ce": 1.0}), StageSpec(XSS, steps // 2, {"ce": 1.0, XSS: 1.0})],
        contracts=[ContractSpec("loss/ce", 0.0, 10.0)],
        config={XSS: XSS, "lr": math.inf},
    )
    random = np.random.default_rng(0)
    noise = 1.0 + 0.01 * random.standard_normal(steps)
    weight = (np.arange(steps) >= steps // 2).astype(float)
    other = 50.0 * noise
    other[steps - 100] = math.nan
    columns = {"loss/ce": noise, f"loss/{XSS}": other, "weight/ce": np.ones(steps), f"weight/{XSS}": weight}
    columns["loss/total"] = noise + np.where(weight > 0, other, 0.0)
    for start in range(0, steps, 500):
        rows = range(start, min(start + 500, steps))
        trainer.frame(
            rows, **{name.replace("/", "__", 1): column[rows.start : rows.stop] for name, column in columns.items()}
        )
    trainer.event("stage", steps // 2, index=1, name=XSS)
    trainer.event("finish", steps - 1, state="finished")
    await trainer.deliver()


async def judged(inside: Inside) -> None:
    async with asyncio.timeout(20):
        while not await inside.items("/api/runs/r1/incidents"):
            await asyncio.sleep(0.05)


async def test_a_report_tells_what_is_stored_of_the_run(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        await stormy_run(inside)
        await judged(inside)
        answer = await inside.http.get(REPORT, timeout=WAIT_S)
        page = answer.text
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-disposition"] == "attachment; filename=\"report.html\"; filename*=UTF-8''r1.html"
    assert "<img" not in page.partition('<script type="application/json"')[0]
    assert "&quot;&gt;&lt;img src=x onerror=alert(1)&gt;" in page
    assert "finished by itself" in page
    assert re.search(r"<dt>First not finite</dt><dd>step 2,900: [^<]*loss/total", page)
    assert "<dt>What</dt><dd>Broke first, at step" in page
    assert "1 of 4 points, extremes kept" in page
    assert 'class="blame"' in page
    assert 'data-figure="contributions"' in page
    assert 'data-figure="evidence-0"' in page


async def test_a_run_without_anything_has_a_report_too(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer = inside.trainer()
        await trainer.connect()
        trainer.declare()
        await trainer.deliver()
        answer = await inside.http.get(REPORT, timeout=WAIT_S)
        assert "Nothing was measured." in answer.text
        head = await inside.http.head(REPORT)
        assert (head.status_code, head.content) == (200, b"")
        assert (await inside.http.get("/api/runs/none/report.html")).json()["error"] == "unknown_run"
        viewer, trainer_token = await inside.token("view"), inside.ingest_token
        for token, status in ((viewer, 200), (trainer_token, 403), ("nobody", 401)):
            said = {"Authorization": f"Bearer {token}"}
            assert (await inside.http.get(REPORT, headers=said, timeout=WAIT_S)).status_code == status


async def test_what_is_too_much_is_left_out_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "ROWS_MAX", 3)
    async with running_server(tmp_path) as inside:
        trainer = inside.trainer()
        await trainer.connect()
        trainer.declare(components=["a"])
        trainer.frame(range(10), loss__total=[1.0] * 10, **{f"x{at:03}": [1.0] * 10 for at in range(40)})
        for at in range(8):
            trainer.event("stage", at, index=at, name=f"stage {at}")
        await trainer.deliver()
        page = (await inside.http.get(REPORT, timeout=WAIT_S)).text
    assert "3 of 8 events are here." in page
    assert "Stage stage 2 begins." in page
    assert "Stage stage 3 begins." not in page


async def test_a_report_does_not_hold_up_the_charts(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        await stormy_run(inside, 600)
        reports = [asyncio.create_task(inside.http.get(REPORT, timeout=WAIT_S)) for _ in range(4)]
        await inside.get("/api/runs/r1/points", series="loss/total", width=100)
        assert not all(task.done() for task in reports)
        assert {(await task).status_code for task in reports} == {200}


@pytest.mark.parametrize(
    ("nan_at", "said"),
    [(7, "step 7: loss/total"), (None, "step 3: grad_norm/total; gradients only, as a float16 GradScaler")],
)
async def test_gradients_that_were_probed_are_not_what_broke_first(
    tmp_path: Path, nan_at: int | None, said: str
) -> None:
    async with running_server(tmp_path) as inside:
        trainer = inside.trainer()
        await trainer.connect()
        trainer.declare(components=["a"])
        losses, norms = ([math.nan if at == bad else 1.0 for at in range(10)] for bad in (nan_at, 3))
        trainer.frame(range(10), loss__total=losses, grad_norm__total=norms)
        trainer.event("nonfinite", 3, series=["grad_norm/total"])
        await trainer.deliver()
        page = (await inside.http.get(REPORT, timeout=WAIT_S)).text
    assert f"<dt>First not finite</dt><dd>{said}" in page
