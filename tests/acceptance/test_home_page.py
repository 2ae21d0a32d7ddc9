"""The list of all runs in a real Chromium against a real server, with runs that really trained, if only for a moment.

Rules of this file: no wait_for_function: it evaluates a string, which the page's CSP refuses.
"""

from math import nan
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

import lossguard as lg
from processes import ServerProcess, until

pytestmark = pytest.mark.browser

APPEARS_MS = 15_000
NASTY = "<img src=x onerror=alert(1)>"


def train(server: ServerProcess, folder: Path, name: str, project: str = "home", is_broken: bool = False) -> lg.Run:
    """A run of 50 steps, which is still open."""
    spool = str(folder / "spool")
    run = lg.init(project, name, losses={"ce": 1.0}, url=server.url, token=server.ingest_token, dir=spool)
    for step in range(50):
        run.boundary()
        run.total(ce=torch.tensor(nan if is_broken and step == 30 else 2.0 - step / 50))
    return run


@pytest.fixture
def runs(server: ServerProcess, tmp_path: Path) -> list[str]:
    """Three runs that are over, oldest first."""
    names = ["first", NASTY, "broken"]
    for name in names:
        train(server, tmp_path, name, is_broken=name == "broken").finish(timeout_s=5)
    until(lambda: len(server.get("/api/runs")["items"]) == 3, "the runs are listed", 10)
    return names


def open_home(page: Any, server: ServerProcess, token: str | None = None) -> None:
    page.set_default_timeout(APPEARS_MS)
    page.goto(f"{server.url}/#t={token or server.admin_token}&home")
    page.get_by_test_id("home").wait_for()


def row(page: Any, name: str) -> Any:
    return page.get_by_test_id("home-run").filter(has=page.get_by_role("link", name=name, exact=True))


def names(page: Any) -> list[str]:
    return [str(text) for text in page.locator(".home-link").all_text_contents()]


def choose(page: Any, *wanted: str) -> None:
    for name in wanted:
        row(page, name).get_by_role("checkbox").click()


def stored(server: ServerProcess, name: str) -> dict[str, Any]:
    items = [*server.get("/api/runs")["items"], *server.get("/api/runs?deleted=true")["items"]]
    return next(run for run in items if run["name"] == name)


def test_runs_are_found_sorted_and_opened(
    server: ServerProcess, page: Any, complaints: list[str], runs: list[str]
) -> None:
    open_home(page, server)
    row(page, "first").wait_for()
    assert names(page) == list(reversed(runs)), "newest first; a name is text"
    row(page, "broken").locator("svg.home-curve[data-nonfinite='1']").wait_for()
    assert row(page, "broken").get_attribute("data-health") == "critical"
    page.get_by_test_id("home-sort-name").click()
    until(lambda: names(page) == [NASTY, "broken", "first"], "the list is sorted by name", 5)
    page.keyboard.press("/")
    page.keyboard.type("brok")
    until(lambda: names(page) == ["broken"], "one is found", 5)
    page.get_by_role("link", name="broken").click()
    page.get_by_test_id("chart-losses").wait_for()
    assert page.url.endswith(f"#run={stored(server, 'broken')['id']}")
    page.go_back()
    until(lambda: names(page) == ["broken"], "the list is as it was left", 5)
    assert complaints == []


def test_a_run_is_renamed_tagged_and_put_away_and_all_of_it_taken_back(
    server: ServerProcess, page: Any, runs: list[str]
) -> None:
    open_home(page, server)
    choose(page, "first")
    page.get_by_test_id("home-rename").click()
    page.get_by_test_id("home-label").fill(f"best {NASTY}")
    page.get_by_test_id("home-note").fill("seed 3")
    page.get_by_test_id("home-save").click()
    row(page, f"best {NASTY}").get_by_text("note", exact=True).wait_for()
    assert (stored(server, "first")["label"], stored(server, "first")["note"]) == (f"best {NASTY}", "seed 3")
    page.get_by_test_id("home-tag").click()
    page.get_by_test_id("home-tags").fill("keep, lr")
    page.get_by_test_id("home-tag-text").filter(has_text="Gives “keep” to 1 run").wait_for()
    page.get_by_test_id("home-save").click()
    until(lambda: stored(server, "first")["tags"] == ["keep", "lr"], "the tags are stored", 5)
    page.get_by_test_id("home-undo").click()
    until(lambda: stored(server, "first")["tags"] == [], "the tags are taken back", 5)
    page.get_by_test_id("home-archive").click()
    until(lambda: len(names(page)) == 2, "an archived run is not listed", 5)
    page.get_by_label("Archived (1)").click()
    until(lambda: len(names(page)) == 3, "it is listed when asked for", 5)


def test_a_run_is_deleted_and_brought_back(server: ServerProcess, page: Any, runs: list[str]) -> None:
    open_home(page, server)
    choose(page, "first", "broken")
    page.get_by_test_id("home-delete").click()
    until(lambda: names(page) == [NASTY], "they are gone", 5)
    page.get_by_test_id("home-undo").click()
    until(lambda: len(names(page)) == 3, "they are back", 5)
    choose(page, "broken")
    page.get_by_test_id("home-delete").click()
    until(lambda: len(names(page)) == 2, "it is gone", 5)
    page.reload()
    page.get_by_test_id("home-deleted").click()
    page.get_by_test_id("home-deleted-run").get_by_text("gone in 23 h").wait_for()
    page.get_by_test_id("home-restore").click()
    until(lambda: len(names(page)) == 3, "it is back from the list", 5)


def test_two_runs_are_compared(server: ServerProcess, page: Any, runs: list[str]) -> None:
    open_home(page, server)
    choose(page, "first")
    assert page.get_by_test_id("home-compare").is_disabled()
    choose(page, "broken")
    page.get_by_test_id("home-compare").click()
    ids = {stored(server, name)["id"] for name in ("first", "broken")}
    until(lambda: set(page.url.partition("#compare=")[2].split(",")) == ids, "the address names both", 5)


def test_a_run_that_trains_moves_and_is_not_deleted(server: ServerProcess, page: Any, tmp_path: Path) -> None:
    open_home(page, server)
    page.get_by_test_id("empty-state").wait_for()
    run = train(server, tmp_path, "alive")
    try:
        row(page, "alive").locator(".home-step", has_text="49").wait_for()
        choose(page, "alive")
        page.get_by_text("Stop it first: the trainer of alive is connected.").wait_for()
        assert page.get_by_test_id("home-delete").is_disabled()
        for _ in range(50):
            run.boundary()
            run.total(ce=torch.tensor(1.0))
        row(page, "alive").locator(".home-step", has_text="99").wait_for()
    finally:
        run.finish(timeout_s=5)
    page.locator("[data-testid=home-run][data-state=finished]").wait_for()


def test_a_view_only_token_sees_it_and_is_told(server: ServerProcess, page: Any, runs: list[str]) -> None:
    made = httpx.post(
        f"{server.url}/api/tokens",
        json={"name": "look", "scopes": ["view"]},
        headers={"Authorization": f"Bearer {server.admin_token}"},
        trust_env=False,
    )
    open_home(page, server, made.json()["token"])
    choose(page, "first", "broken")
    assert "View only" in page.get_by_test_id("home-view-only").inner_text()
    assert page.get_by_test_id("home-compare").is_enabled()
    for deed in ("rename", "archive", "delete"):
        assert page.get_by_test_id(f"home-{deed}").is_disabled()


def test_the_empty_page_tells_how_to_begin(server: ServerProcess, page: Any) -> None:
    open_home(page, server)
    page.get_by_test_id("empty-waits").filter(has_text=f"waits for a trainer to connect to {server.url}").wait_for()
    assert server.admin_token not in page.content()
    page.get_by_test_id("empty-token").click()
    page.get_by_text(f"LOSSGUARD_TOKEN={server.admin_token}").wait_for()
    page.get_by_test_id("empty-token").click()
    assert server.admin_token not in page.content()
    page.get_by_test_id("copy-loop").click()
    page.get_by_text("Copied.").or_(page.get_by_text("The browser refused")).wait_for()


def test_a_token_that_comes_while_the_page_asks_without_one_signs_it_in(server: ServerProcess, page: Any) -> None:
    """A link with a token put into a tab that has not had its refusal yet, as a slow machine shows it."""
    page.set_default_timeout(APPEARS_MS)
    held: list[Any] = []
    page.route("**/api/ticket", lambda route: route.continue_() if held else held.append(route))
    with page.expect_request("**/api/ticket"):
        page.goto(f"{server.url}/#home")
    page.get_by_test_id("token-gate").wait_for()
    page.evaluate("token => { location.hash = `t=${token}&home` }", server.admin_token)
    held[0].continue_()
    page.get_by_test_id("empty-token").wait_for()
