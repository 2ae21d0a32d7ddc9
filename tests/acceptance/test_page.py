"""What the page must do when things go wrong, in a real Chromium against a real server.

Rules of this file: the trainer is a loop of two made-up losses in this process (page_world.py): only its numbers
matter here.
"""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from page_world import drawn_step, incident_of_nan, open_run, says, training
from processes import RECORD_NOTIFICATIONS, ServerProcess, chromium_page, until

pytestmark = pytest.mark.browser


def test_a_critical_incident_is_told_once_and_marks_the_tab(server: ServerProcess, page: Any, tmp_path: Path) -> None:
    page.add_init_script(RECORD_NOTIFICATIONS)
    with training(server, tmp_path) as loop:
        open_run(page, server.page_url)
        assert page.title() == "test/page · lossguard"
        page.get_by_test_id("open-habits").click()
        page.get_by_test_id("habit-browser").check()
        page.keyboard.press("Escape")
        loop.bad_steps = 10**9
        incident_of_nan(page).wait_for()
        seen = drawn_step(page)
        until(lambda: drawn_step(page) > seen + 20, "more NaN steps come", 10)
        told = page.evaluate("() => window.told")
    assert len(told) == 1, told
    assert told[0].startswith("test/page: nonfinite, aux | "), told
    assert page.title().startswith("(1!) "), "one incident, however many alerts"


def test_nan_points_are_marked_and_survive_a_reload(server: ServerProcess, page: Any, tmp_path: Path) -> None:
    with training(server, tmp_path) as loop:
        open_run(page, server.page_url)
        assert page.get_by_test_id("chart-losses").get_attribute("data-nonfinite") == "0"
        loop.bad_steps = 3
        marked = page.locator("[data-testid=chart-losses][data-nonfinite='3']")
        marked.wait_for()
        # aux and the total
        page.locator("[data-testid=chart-contributions][data-nonfinite='6']").wait_for()
    page.reload()
    marked.wait_for()


def test_hostile_names_are_text(server: ServerProcess, page: Any, complaints: list[str], tmp_path: Path) -> None:
    name = "<img src=x onerror=alert(1)>\"'`"
    series = "metric/\"><script>alert(2)</script>'<svg onload=alert(3)>"
    with training(server, tmp_path, name, series):
        open_run(page, server.page_url)
        page.locator(".legend-label", has_text="<script>alert(2)</script>").wait_for()
        page.get_by_test_id("run-item").filter(has_text=name).wait_for()
        assert name in page.title()
    assert (
        page.evaluate("() => document.querySelectorAll('#app img, #app script, #app [onload], #app [onerror]').length")
        == 0
    )
    assert complaints == []


def test_a_view_only_token_shows_and_cannot_act(server: ServerProcess, page: Any, tmp_path: Path) -> None:
    asked = {"name": "viewer", "scopes": ["view"]}
    answer = httpx.post(f"{server.url}/api/tokens", json=asked, headers=bearer(server.admin_token), trust_env=False)
    token = answer.json()["token"]
    with training(server, tmp_path) as loop:
        open_run(page, f"{server.url}/#t={token}")
        loop.bad_steps = 10**9  # an incident that is over folds itself
        incident_of_nan(page).wait_for()
        says(page, "no-control", "View only")
        enabled = "#control :is(button, input), .run-buttons button, .alert-deeds button, .sayings button"
        only_reads = ".steer-parts button, [data-testid=export-curriculum]"
        assert page.locator(f":is({enabled}):enabled:not({only_reads})").count() == 0
        commands = f"{server.url}/api/runs/{loop.run.id}/commands"
        pause = {"kind": "pause", "args": {}, "idempotency_key": "by-hand"}
        assert httpx.post(commands, json=pause, headers=bearer(token), trust_env=False).status_code == 403
    assert server.get(f"/api/runs/{loop.run.id}/commands")["items"] == []


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_killed_server_is_said_and_the_page_comes_back(server: ServerProcess, page: Any, tmp_path: Path) -> None:
    with training(server, tmp_path):
        open_run(page, server.page_url)
        server.kill()
        says(page, "link", "server gone")
        says(page, "no-control", "The server is gone")
        says(page, "vital-age", "server gone")
        for button in ("btn-pause", "btn-resume", "btn-stop"):
            assert page.get_by_test_id(button).is_disabled()
        kept = drawn_step(page)
        assert kept > 0, "the curves stay"
        server.start()
        says(page, "link", "connected")
        until(lambda: drawn_step(page) > kept + 5, "the curves go on", 15)
        page.locator("[data-testid=btn-pause]:enabled").wait_for()


def test_on_a_phone_nothing_scrolls_sideways_and_all_is_reached(server: ServerProcess, tmp_path: Path) -> None:
    with training(server, tmp_path) as loop, chromium_page(tmp_path / "phone", 390, 844) as page:
        open_run(page, server.page_url)
        loop.bad_steps = 10**9  # an incident that is over folds itself
        incident_of_nan(page).wait_for()
        assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
        for reached in ("btn-pause", "btn-stop", "alert-remedy", "weight-slider-aux", "weight-apply-aux"):
            place = page.get_by_test_id(reached).first
            place.scroll_into_view_if_needed()
            box = place.bounding_box()
            assert box["x"] >= 0, reached
            assert box["x"] + box["width"] <= 390, reached
        page.get_by_role("link", name=re.compile("^Incidents")).click()
        page.get_by_label("Choose a run").click()
        page.get_by_role("dialog").get_by_test_id("run-item").click()
        page.get_by_test_id("btn-pause").click()
        says(page, "vital-state", "paused")
        page.get_by_test_id("btn-resume").click()
        says(page, "vital-state", "running")


def test_two_browsers_see_one_command(server: ServerProcess, page: Any, tmp_path: Path) -> None:
    with training(server, tmp_path) as loop:
        open_run(page, server.page_url)
        other = page.context.browser.new_context().new_page()
        open_run(other, server.page_url)
        page.get_by_test_id("weight-input-aux").fill("0.25")
        page.get_by_test_id("weight-apply-aux").click()
        for each in (page, other):
            row = each.locator("[data-testid=command-row][data-state=applied]")
            row.wait_for()
            assert re.search(r"aux weight 0.5 → 0.25.*at step \d", row.inner_text(), re.DOTALL)
            each.locator("[data-testid=weight-input-aux]").wait_for()
        until(lambda: other.get_by_test_id("weight-input-aux").input_value() == "0.25", "the other follows", 10)
        assert loop.run.weights["aux"] == 0.25
