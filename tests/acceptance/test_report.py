"""A report of a real demo run, opened from the disk in a real Chromium without a network."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from processes import clean_environment

pytestmark = pytest.mark.browser

SHOTS = os.environ.get("LOSSGUARD_SHOTS")  # a folder: keep pictures of what was seen
DRAWN = "[...document.querySelectorAll('.plot')].every((host) => host.querySelector('.main-svg path'))"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report's file, by the command line; its server has ended."""
    folder = tmp_path_factory.mktemp("report")
    lossguard, env = [sys.executable, "-m", "lossguard_server"], clean_environment()
    given = {"cwd": folder, "env": env, "check": True, "capture_output": True, "text": True}
    subprocess.run([*lossguard, "demo", "--headless", "--port", "0", "--data", "d", "--steps", "240",
                    "--stage-steps", "60"], timeout=200, **given)  # type: ignore[call-overload]  # fmt: skip
    from processes import ServerProcess

    server = ServerProcess(folder / "d").start()
    try:
        run = [*lossguard, "report", "denovo/log1p_x100-0", "--data", "d", "--json"]
        said = json.loads(subprocess.run(run, timeout=60, **given).stdout)  # type: ignore[call-overload]
    finally:
        assert server.stop() == 0
    assert said["format"] == "report"
    return folder / str(said["file"])


def opened(page: Any, report: Path, width: int, scheme: str) -> list[str]:
    """The page is scrolled from top to bottom; returns what it asked a network for."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.context.set_offline(True)
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    page.goto(report.as_uri())
    for host in page.locator(".plot").all():
        host.scroll_into_view_if_needed()
        host.locator(".main-svg path").first.wait_for(state="attached")
    page.wait_for_function(DRAWN)
    return asked


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (1440, "dark"), (390, "light")])
def test_it_opens_without_a_server(page: Any, complaints: list[str], report: Path, width: int, scheme: str) -> None:
    page.on("console", lambda message: complaints.append(message.text) if message.type == "warning" else None)
    asked = opened(page, report, width, scheme)
    assert {address for address in asked if not address.startswith(("data:", "blob:"))} == {report.as_uri()}
    assert complaints == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".plot").count() >= 6
    ground = page.locator("[data-figure=losses] .main-svg").first.evaluate("(svg) => svg.style.background")
    assert ground == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(21, 26, 32)")
    assert "precursor" in page.locator("#verdict + p + dl").inner_text()
    if SHOTS:
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=f"{SHOTS}/report-{width}-{scheme}.png")


def test_lines_hide_and_paper_is_light(page: Any, complaints: list[str], report: Path) -> None:
    opened(page, report, 1024, "dark")
    figure = page.locator("figure:has([data-figure=losses])")
    lines = "document.querySelectorAll('[data-figure=losses] .scatterlayer .trace').length"
    before = page.evaluate(lines)
    figure.locator("button", has_text="precursor").click()
    page.wait_for_function(f"{lines} === {before - 1}")
    assert figure.locator("button", has_text="precursor").get_attribute("aria-pressed") == "false"
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    svg = page.locator("[data-figure=losses] .main-svg").first
    assert svg.evaluate("(svg) => svg.style.background") == "rgb(255, 255, 255)"
    assert svg.get_attribute("width") == "680"
    assert page.locator("details:not([open])").count() == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert svg.evaluate("(svg) => svg.style.background") == "rgb(21, 26, 32)"
    assert page.evaluate(lines) == before - 1
    assert complaints == []


def test_a_chart_and_the_curriculum_can_be_saved(page: Any, complaints: list[str], report: Path) -> None:
    opened(page, report, 1024, "light")
    figure = page.locator("figure:has([data-figure=losses])")
    figure.locator(".plot").hover()
    with page.expect_download() as picture:
        figure.locator("[data-title*='png' i], [data-title*='Download' i]").first.click()
    assert Path(picture.value.path()).read_bytes().startswith(b"\x89PNG")
    with page.expect_download() as patch:
        page.get_by_text("Download curriculum.json").click()
    assert json.loads(Path(patch.value.path()).read_bytes())["lossguard"] == "curriculum"
    assert complaints == []
