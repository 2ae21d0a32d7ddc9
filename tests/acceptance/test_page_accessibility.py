"""WCAG AA by axe, and nothing cut or scrolling sideways: every view in both themes and at three sizes.

Rules of this file: axe comes from web/node_modules (a devDependency of the page) and is evaluated from outside of the
page, because the page's CSP lets nothing in; a finding names its rule, its place and its markup.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from page_world import incident_of_nan, open_run, training
from processes import ServerProcess, chromium_page, until

pytestmark = pytest.mark.browser

AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
RUN_AXE = """() => axe.run(document, {
  runOnly: { type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] },
  resultTypes: ["violations"],
}).then(({ violations }) => violations.flatMap(({ id, nodes }) =>
  nodes.map(({ target, html, failureSummary }) => `${id} at ${target}: ${html.slice(0, 200)} ${failureSummary}`)))"""
BEST_PRACTICES = """() => axe.run(document, {
  runOnly: { type: "rule", values: ["heading-order", "page-has-heading-one", "landmark-one-main",
    "landmark-no-duplicate-main", "region"] }, resultTypes: ["violations"],
}).then(({ violations }) => violations.flatMap(({ id, nodes }) =>
  nodes.map(({ target, html }) => `${id} at ${target}: ${html.slice(0, 200)}`)))"""
# what is wider than the window, or stands outside of it without a box of its own to scroll it in
SIDEWAYS = """() => {
  const wide = document.documentElement.clientWidth;
  const scrolled = (e) => { for (let p = e.parentElement; p; p = p.parentElement) {
    if (["auto", "scroll", "hidden"].includes(getComputedStyle(p).overflowX)) return true; } return false; };
  const out = [...document.querySelectorAll("#app button, #app a, #app input, #app h1, #app h2")].filter((e) => {
    const box = e.getBoundingClientRect();
    return e.checkVisibility() && box.width > 0 && (box.left < -1 || box.right > wide + 1) && !scrolled(e);
  }).map((e) => e.outerHTML.slice(0, 120));
  if (document.documentElement.scrollWidth > wide) out.push(`the page is ${document.documentElement.scrollWidth} wide`);
  return out;
}"""
APPEARS_MS = 60_000  # axe walks the whole page many times on a shared core
SIZES = [(1440, 900), (1024, 768), (390, 844)]
View = tuple[str, Callable[[Any], None]]


@pytest.fixture(scope="module")
def axe() -> str:
    if not AXE.is_file():
        if os.environ.get("CI"):
            pytest.fail("CI must install web/node_modules")
        pytest.skip("no axe-core: run npm ci in web/")
    return AXE.read_text()


@pytest.fixture(params=SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def sized(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    with chromium_page(tmp_path / "sized", *request.param) as page:
        yield page


def views(runs: list[str]) -> list[View]:
    """How to get to each view from the one before."""
    dialog = "dialog[open]"

    def opened(page: Any, test_id: str) -> None:
        page.locator(f"[data-testid={test_id}]:visible").first.click()
        page.locator(dialog).wait_for()

    def closed(page: Any) -> None:
        page.keyboard.press("Escape")
        page.locator(dialog).wait_for(state="detached")

    return [
        ("run", lambda page: None),
        ("palette", lambda page: opened(page, "open-palette")),
        ("keys", lambda page: (closed(page), page.keyboard.press("?"), page.locator(dialog).wait_for())),
        ("order", lambda page: (closed(page), page.keyboard.press(" "), page.locator(dialog).wait_for())),
        ("rules", lambda page: (closed(page), opened(page, "open-rules"), page.locator(".rule-line").first.wait_for())),
        ("notifications", lambda page: (closed(page), opened(page, "open-notifications"))),
        ("explore", lambda page: (closed(page), explore(page))),
        ("alarms", lambda page: (closed(page), page.get_by_test_id("open-habits").click())),
        ("home", lambda page: (page.keyboard.press("Escape"), go(page, "#home", "home"))),
        ("compare", lambda page: go(page, f"#compare={','.join(runs)}", "compare")),
        ("gate", gate),
    ]  # fmt: skip


def explore(page: Any) -> None:
    page.get_by_role("button", name="explore").first.click()
    page.locator("[data-testid=explore] .plotly").first.wait_for()


def go(page: Any, fragment: str, view: str) -> None:
    page.evaluate("(to) => { location.hash = to; }", fragment)
    page.get_by_test_id(view).wait_for()


def gate(page: Any) -> None:
    page.evaluate("() => sessionStorage.clear()")
    page.reload()
    page.get_by_test_id("token-gate").wait_for()


def test_every_view_is_wcag_aa_and_fits(server: ServerProcess, sized: Any, axe: str, tmp_path: Path) -> None:
    faults: list[str] = []
    with training(server, tmp_path, "first") as loop, training(server, tmp_path / "b", "second"):
        open_run(sized, f"{server.url}/#t={server.admin_token}&run={loop.run.id}")
        sized.set_default_timeout(APPEARS_MS)
        loop.bad_steps = 10**9  # an incident that is over folds itself
        incident_of_nan(sized).wait_for()
        runs = [run["id"] for run in server.get("/api/runs")["items"]]
        for name, lead in views(runs):
            lead(sized)
            for theme in ("light", "dark"):
                faults += [f"{name}, {theme}: {fault}" for fault in findings(sized, axe, theme)]
            faults += [f"{name}, sideways: {fault}" for fault in sized.evaluate(SIDEWAYS)]
    assert not faults, "\n".join(faults)


def test_the_empty_state_is_wcag_aa_and_fits(server: ServerProcess, sized: Any, axe: str) -> None:
    sized.set_default_timeout(APPEARS_MS)
    sized.goto(server.page_url)
    sized.get_by_test_id("empty-state").wait_for()
    faults = [*findings(sized, axe, "light"), *findings(sized, axe, "dark"), *sized.evaluate(SIDEWAYS)]
    assert not faults, "\n".join(faults)


def findings(page: Any, axe: str, theme: str) -> list[str]:
    page.emulate_media(color_scheme=theme)
    until(lambda: page.evaluate("() => document.documentElement.dataset.theme") == theme, "the theme is on", 10)
    page.evaluate(axe)
    return [*page.evaluate(RUN_AXE), *page.evaluate(BEST_PRACTICES)]
