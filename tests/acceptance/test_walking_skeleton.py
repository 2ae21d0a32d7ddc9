"""The whole, as a person sees it: real server process, real trainer process, real Chromium.

A run blows up when its curriculum brings in a mis-scaled loss; the page says so; the remedy is pressed; it helps.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from journal_reader import assert_matches_record, stored_points
from processes import ServerProcess, TrainerProcess, until

pytestmark = pytest.mark.browser

STAGE_STEPS = 60
APPEARS_MS = 60_000


@pytest.fixture
def trainer(server: ServerProcess, tmp_path: Path) -> Iterator[TrainerProcess]:
    process = TrainerProcess(
        server, tmp_path, "denovo", "--variant", "log1p_x100", "--stage-steps", str(STAGE_STEPS), "--steps", "100000"
    )
    yield process
    process.end()


def text(page: Any, test_id: str) -> str:
    return str(page.get_by_test_id(test_id).first.inner_text())


def step_on(page: Any) -> int:
    digits = "".join(char for char in text(page, "vital-step").split("/")[0] if char.isdigit())
    return int(digits or 0)


def test_a_blow_up_is_seen_mended_paused_and_resumed(
    server: ServerProcess, trainer: TrainerProcess, page: Any, complaints: list[str]
) -> None:
    page.set_default_timeout(APPEARS_MS)
    page.goto(server.page_url)
    page.get_by_test_id("run-item").first.click()
    assert server.admin_token not in page.url, "the token stays in the address bar"

    assert_foretells_the_stage(page)
    incident = incident_of_the_blow_up(page)
    assert_explains_itself(incident)
    applied_step = press_remedy(page, incident)
    until(lambda: step_on(page) > applied_step + 30, "the run goes on after the remedy")

    run = server.get("/api/runs")["items"][0]["id"]
    page.get_by_test_id("btn-pause").click()
    until(lambda: "paused" in text(page, "vital-state").lower(), "the page says paused")
    assert_stands_still(page, server, run)
    assert text(page, "vital-age").lower() == "paused"

    paused_at = step_on(page)
    page.get_by_test_id("btn-resume").click()
    until(lambda: step_on(page) > paused_at + 5, "the run goes on after resume")

    page.get_by_test_id("btn-stop").click()
    page.get_by_test_id("btn-stop").click()
    assert trainer.wait(30) == 0, trainer.log_text()
    until(lambda: server.get(f"/api/runs/{run}")["state"] == "stopped", "the server knows that the run was stopped")

    points = stored_points(server.folder, run)
    assert_matches_record(points, trainer.record())
    assert_the_mend_worked(points, applied_step)
    assert complaints == []


def assert_foretells_the_stage(page: Any) -> None:
    """Before the bad stage begins the page says how far off it is, and what it will do."""
    incident = page.locator("[data-testid=incident]", has_text="blow the total up: precursor")
    ahead = incident.get_by_test_id("ahead").first
    ahead.wait_for()
    said = re.search(r"begins in ([\d\u2009]+) steps?.*, at step 60\.|begins now|began at step 60", ahead.inner_text())
    assert said, ahead.inner_text()


def incident_of_the_blow_up(page: Any) -> Any:
    """The card of the incident in which the precursor dominates, held by its id: its place and words may change."""
    line = page.locator("[data-testid=alert-line][data-rule=contribution_dominates]", has_text="precursor")
    line.first.wait_for()
    incident = page.locator("[data-testid=incident]").filter(has=line).first
    return page.locator(f"[data-incident='{incident.get_attribute('data-incident')}']")


def assert_explains_itself(incident: Any) -> None:
    """Blame that adds up, evidence in numbers, and a remedy that says beforehand what it will do."""
    assert incident.get_attribute("data-severity") == "critical"
    percents = re.findall(r"\((-?\d+) %\)", incident.locator(".blame-parts").first.inner_text())
    assert len(percents) > 1
    assert sum(map(int, percents)) == 100
    line = incident.get_by_test_id("alert-line").first
    line.locator("summary").first.click()
    evidence = line.locator(".evidence").first
    evidence.get_by_text("Evidence", exact=True).click()
    numbers = evidence.locator("dd").all_inner_texts()
    assert numbers
    assert all(re.search(r"\d", number) for number in numbers), numbers


def press_remedy(page: Any, incident: Any) -> int:
    """Presses it, and reads what became of it; returns the step at which the new weight is in force."""
    button = incident.get_by_test_id("alert-remedy").first
    promised = re.search(r"precursor weight (\S+ → \S+)", button.inner_text())
    assert promised, button.inner_text()
    assert promised[1].startswith("0.01 → ")
    button.click()
    result = incident.get_by_text(re.compile(r"^applied at step \d")).first
    result.wait_for()
    said = re.fullmatch(r"applied at step ([\d\u2009]+): (.+)", result.inner_text())
    assert said, result.inner_text()
    assert said[2] == promised[1], "what was done is what was promised"
    applied_step = int(said[1].replace("\u2009", ""))
    row = page.locator("[data-testid=command-row][data-state=applied]").first
    assert int(row.get_attribute("data-step")) == applied_step
    return applied_step


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
