"""Two real trainings beside each other, on the page in a real Chromium and on the command line.

Rules of this file: the runs differ by their precursor loss alone, so what must come out is known: the same bits until
the first stage that weighs it, then another total. No wait_for_function: it evaluates a string, which the page's CSP
refuses.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from processes import ServerProcess, TrainerProcess, clean_environment, until

pytestmark = pytest.mark.browser

APPEARS_MS = 20_000
STEPS, STAGE_STEPS = 200, 40
VARIANTS = ("log1p_x100", "l1")


def trained(server: ServerProcess, folder: Path) -> list[str]:
    """Both runs' ids, in the order of VARIANTS."""
    sizes = ("--steps", str(STEPS), "--stage-steps", str(STAGE_STEPS), "--eval-every", "20", "--threads", "1")
    trainers = []
    for variant in VARIANTS:
        own = folder / variant
        own.mkdir()
        trainers.append(TrainerProcess(server, own, "denovo", "--variant", variant, "--name", variant, *sizes))
    try:
        for trainer in trainers:
            assert trainer.wait(240) == 0, trainer.log_text()
    finally:
        for trainer in trainers:
            trainer.end()
    until(lambda: server.get("/api/rules/health")["lagging_runs"] == 0, "the rules have judged them")
    by_name = {run["name"]: run["id"] for run in server.get("/api/runs")["items"]}
    return [str(by_name[variant]) for variant in VARIANTS]


def told_on_the_command_line(server: ServerProcess, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lossguard_server", "compare", *VARIANTS, "--data", str(server.folder), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=clean_environment(), check=False)


def chart(page: Any, series: str) -> Any:
    return page.locator(f'[data-testid="chart-compare-{series}"]')


@pytest.mark.timeout(400)
def test_two_trainings_are_compared(server: ServerProcess, page: Any, complaints: list[str], tmp_path: Path) -> None:
    bug, mend = trained(server, tmp_path)
    page.goto(server.page_url)
    page.get_by_test_id("run-item").first.wait_for(timeout=APPEARS_MS)
    page.evaluate("hash => { location.hash = hash }", f"#compare={bug},{mend}")
    page.get_by_test_id("compare-verdict").wait_for(timeout=APPEARS_MS)

    # where they part: the total when the first stage that weighs the precursor loss begins, and not a step earlier
    parted = page.locator('[data-testid="compare-parted"][data-series="loss/total"]').inner_text()
    assert f"at step {STAGE_STEPS}:" in parted
    assert f"The same to the last bit up to step {STAGE_STEPS - 1}." in parted
    chart(page, "loss/total").scroll_into_view_if_needed()  # a chart that is not in view is not drawn
    glyph = chart(page, "loss/total").locator(".glyph-parting")
    glyph.wait_for(timeout=APPEARS_MS)
    assert "Part at step" in glyph.get_attribute("title")
    until(lambda: chart(page, "loss/total").get_attribute("data-last-step") == str(STEPS - 1), "all of it is drawn", 15)

    # the tree: the mend has no NaN and is more accurate, or smoother
    assert page.get_by_test_id("compare-advice").inner_text() == "Adopt l1."
    differs = page.get_by_test_id("compare-config").inner_text()
    assert "config.variant" in differs
    assert "config.seed" not in differs

    # zooming one chart zooms all of them, and there is a way back
    box = chart(page, "loss/ce").locator(".u-over").bounding_box()
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 40, steps=5)
    page.mouse.up()
    until(lambda: int(chart(page, "loss/total").get_attribute("data-last-step")) < 150, "the total is zoomed too", 15)
    page.get_by_role("button", name="whole range").click()
    until(lambda: chart(page, "loss/total").get_attribute("data-last-step") == str(STEPS - 1), "all of it again", 15)

    for axis in ("stage", "time"):
        page.get_by_role("group", name="Axis").get_by_role("button", name=axis).click()
        page.get_by_text(f"By {axis}:").wait_for(timeout=APPEARS_MS)
        assert page.get_by_test_id("compare-fault").count() == 0
    assert complaints == []

    said = told_on_the_command_line(server)
    assert (said.returncode, "= Adopt l1." in said.stdout) == (0, True), said.stdout + said.stderr
    answer = json.loads(told_on_the_command_line(server, "--json", "--axis", "stage").stdout)
    assert answer["decisions"][0]["advice"] == "adopt"


@pytest.mark.timeout(120)
def test_an_empty_comparison_offers_runs_to_choose(server: ServerProcess, page: Any, complaints: list[str]) -> None:
    page.goto(server.page_url)
    page.evaluate("() => { location.hash = '#compare=' }")
    page.get_by_test_id("compare-choose").click(timeout=APPEARS_MS)
    page.get_by_role("dialog", name="Compare runs").wait_for(timeout=APPEARS_MS)
    assert complaints == []
