"""The whole, as a person sees it: real server process, real trainer process, real Chromium.

A run blows up when its curriculum brings in a mis-scaled loss; the page says so; the remedy is pressed; it helps.
"""

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from journal_reader import assert_matches_record, stored_points
from processes import ServerProcess, TrainerProcess, chromium_page, until

pytestmark = pytest.mark.browser

STAGE_STEPS = 60


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    process = ServerProcess(tmp_path / "data").start()
    yield process
    assert process.stop() == 0


@pytest.fixture
def trainer(server: ServerProcess, tmp_path: Path) -> Iterator[TrainerProcess]:
    process = TrainerProcess(
        server, tmp_path, "denovo", "--variant", "log1p_x100", "--stage-steps", str(STAGE_STEPS), "--steps", "100000"
    )
    yield process
    process.end()


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Any]:
    with chromium_page(tmp_path / "profile") as opened:
        opened.set_default_timeout(60_000)
        yield opened


def text(page: Any, test_id: str) -> str:
    return str(page.get_by_test_id(test_id).first.inner_text())


def step_on(page: Any) -> int:
    digits = "".join(char for char in text(page, "vital-step").split("/")[0] if char.isdigit())
    return int(digits or 0)


def test_a_blow_up_is_seen_mended_paused_and_resumed(
    server: ServerProcess, trainer: TrainerProcess, page: Any, tmp_path: Path
) -> None:
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(server.page_url)
    page.get_by_test_id("run-item").first.click()

    alert = page.locator("[data-testid=alert-card]", has_text="precursor").filter(
        has=page.get_by_test_id("alert-remedy")
    )
    alert.first.wait_for()
    assert server.admin_token not in page.url, "the token stays in the address bar"

    alert.first.get_by_test_id("alert-remedy").click()
    applied = page.locator("[data-testid=command-row][data-state=applied]").first
    applied.wait_for()
    applied_step = int(applied.get_attribute("data-step"))
    until(lambda: step_on(page) > applied_step + 30, "the run goes on after the remedy")

    run = server.get("/api/runs")["items"][0]["id"]
    page.get_by_test_id("btn-pause").click()
    until(lambda: "paused" in text(page, "vital-state").lower(), "the page says paused")
    assert_stands_still(page, server, run)
    assert "paused" in text(page, "vital-age").lower()

    page.get_by_test_id("btn-resume").click()
    paused_at = step_on(page)
    until(lambda: step_on(page) > paused_at + 5, "the run goes on after resume")

    page.get_by_test_id("btn-stop").click()
    page.get_by_test_id("btn-stop").click()
    assert trainer.wait(30) == 0, trainer.log_text()
    until(lambda: server.get(f"/api/runs/{run}")["state"] == "stopped", "the server knows that the run was stopped")

    points = stored_points(server.folder, run)
    assert_matches_record(points, trainer.record())
    assert_the_mend_worked(points, applied_step)
    assert complaints == []


def assert_stands_still(page: Any, server: ServerProcess, run: str) -> None:
    """Three signs of life later, the step is the same."""
    step, age = step_on(page), -1.0
    for _ in range(3):
        seen = age
        age = until(
            lambda before=seen: (now := server.get(f"/api/runs/{run}")["data_age_s"]) != before and now,
            "the server answers",
        )
    assert server.get(f"/api/runs/{run}")["state"] == "paused"
    assert step_on(page) == step


def assert_the_mend_worked(points: dict[str, list[tuple[int, float]]], applied_step: int) -> None:
    weight = dict(points["weight/precursor"])
    assert {w for step, w in weight.items() if step < STAGE_STEPS} == {0.0}
    assert {w for step, w in weight.items() if STAGE_STEPS <= step < applied_step} == {0.01}
    mended = {w for step, w in weight.items() if step >= applied_step}
    assert len(mended) == 1
    assert 0 < mended.pop() < 1e-4
    total = dict(points["loss/total"])
    planned = median(total[step] for step in range(STAGE_STEPS - 10, STAGE_STEPS))
    blown_up = median(total[step] for step in range(STAGE_STEPS, applied_step))
    after = median(total[step] for step in range(applied_step, applied_step + 20))
    assert blown_up - planned > 5, "the incident: the total jumps by about 7"
    assert after < planned + 1, "the mend: the total is back"
