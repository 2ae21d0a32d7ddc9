"""Names and texts from the wire are text on every view of the page, in a real Chromium: no markup, no script.

Rules of this file: VIEWS is a table: a new view is a line that says how it is opened, and which texts are to be read in
which place of it (text, titles, labels and values of fields count). Whatever it shows: no script ran, no dialog opened,
no error and no violation of the policy is in the console, no element was made of a text.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest

from hostile_world import MAIN, NAMES, TEXTS, hostile_runs, short, side
from processes import ServerProcess, chromium_page

pytestmark = pytest.mark.browser

APPEARS_MS = 15_000
ALL, ALL_SHORT = list(NAMES.values()), [short(text) for text in NAMES.values()]
VIOLATIONS = """
  window.violations = [];
  document.addEventListener("securitypolicyviolation", (event) =>
    window.violations.push(`${event.violatedDirective} ${event.sourceFile.split("/").at(-1)} ${event.sample}`));
"""
SAID_IN = """(place) => [...document.querySelectorAll(place)].flatMap((root) =>
  [root, ...root.querySelectorAll("*")].flatMap((element) =>
    [element.textContent, element.value, ...["title", "aria-label", "placeholder"].map((a) => element.getAttribute(a))]
  ).filter((text) => typeof text === "string")).concat(place === "title" ? [document.title] : [])"""
SHOW_ALL = "(legend) => legend.querySelectorAll('[aria-pressed=false]').forEach((button) => button.click())"
MADE = """() => {
  const foreign = [...document.querySelectorAll("[data-xss], iframe, object, embed, base, [srcdoc]")];
  const leads = ({ name, value }) => /(href|src|action)$/.test(name) && /javascript:/i.test(value);
  const isBad = (attribute) => /^on/.test(attribute.name) || leads(attribute);
  const acting = [...document.querySelectorAll("body *")].filter((element) => [...element.attributes].some(isBad));
  return [...foreign, ...acting].map((element) => element.outerHTML.slice(0, 200));
}"""


def nothing(_: Any) -> None:
    """The view is there once the page is."""


def press(test_id: str) -> Callable[[Any], None]:
    return lambda page: page.locator(f"[data-testid={test_id}]:visible").first.click()


def unfold(page: Any) -> None:
    """Every folded part."""
    page.evaluate("() => document.querySelectorAll('details').forEach((part) => { part.open = true; })")


def explore(chart: str) -> Callable[[Any], None]:
    """The chart in Plotly, all its lines, with the cross-hair in its middle."""

    def open_it(page: Any) -> None:
        section = page.locator("section.chart").filter(has=page.get_by_test_id(chart))
        section.locator(".legend").evaluate(SHOW_ALL)
        section.get_by_role("button", name="explore").click()
        page.locator("[data-testid=explore] .legendtext").first.wait_for()
        box = page.locator("[data-testid=explore] .nsewdrag").first.bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    return open_it


def open_backtest(page: Any) -> None:
    press("open-rules")(page)
    press("rules-tab-backtest")(page)
    page.get_by_test_id("backtest-run-choice").first.wait_for()


@dataclass(frozen=True)
class View:
    """`shows`: by CSS selector of a place, the texts that are to be read in it. `address`: what follows the token."""

    open: Callable[[Any], None] = nothing
    shows: Mapping[str, Sequence[str]] = field(default_factory=dict)
    address: str = f"&run={MAIN}"
    waits_for: str = "[data-testid=chart-losses]:not([data-last-step=''])"


VIEWS: dict[str, View] = {
    "run page": View(
        shows={"title": [NAMES["script"], NAMES["image"]], ".legend": ALL, "#control": ALL, "[data-testid=stages]": ALL}
    ),
    "incident cards": View(
        unfold,
        {
            "[data-testid=incident]": ALL,
            "[data-testid=origin]": [NAMES[key] for key in ("script", "image", "vector", "entities", "plotly")],
        },
    ),
    "command list": View(unfold, {".command-rows": ALL}),
    "explore contributions": View(explore("chart-contributions"), {"[data-testid=explore] .infolayer": ALL}),
    "explore losses": View(explore("chart-losses"), {"[data-testid=explore] .infolayer": ALL}),
    "rules": View(press("open-rules")),
    "backtest": View(open_backtest, {".backtest-run": ALL}),
    "notifications": View(press("open-notifications"), {"[data-testid=channel]": ALL_SHORT}),
    "keys": View(lambda page: page.keyboard.press("?")),
    "run list": View(shows={"[data-testid=run-item]": ALL}),
    "home": View(unfold, {"[data-testid=home]": ALL_SHORT}, "&home", "[data-testid=home-run]"),
    "compare": View(
        unfold, {"[data-testid=compare]": ALL}, f"&compare={MAIN},{side(0)},{side(1)}", "[data-testid=compare-verdict]"
    ),
}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("hostile") / "data"
    server = ServerProcess(folder, options=("--notify-allow", "127.0.0.1")).start()
    try:
        with hostile_runs(server):
            yield server
    finally:
        assert server.stop() == 0


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium_page(tmp_path_factory.mktemp("browser")) as first:
        yield first.context.browser


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """Of a person of its own: nothing is kept of the view before."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("name", VIEWS)
def test_every_text_is_text(name: str, hostile: ServerProcess, page: Any, complaints: list[str]) -> None:
    view = VIEWS[name]
    page.set_default_timeout(APPEARS_MS)
    page.add_init_script(VIOLATIONS)
    page.goto(f"{hostile.page_url}{view.address}")
    page.locator(view.waits_for).first.wait_for()
    view.open(page)
    missing = {place: left for place, wanted in view.shows.items() if (left := unread(page, place, wanted))}
    assert missing == {}
    harmless(page, complaints)


def unread(page: Any, place: str, wanted: Sequence[str]) -> list[str]:
    """Those of the texts that the place does not come to say within a while."""
    left = list(wanted)
    for _ in range(30):
        said = "\n".join(page.evaluate(SAID_IN, place)).replace("\u200b$\u200b", "$")  # as charts/plotly.ts writes it
        left = [text for text in left if text not in said]
        if not left:
            break
        page.wait_for_timeout(100)
    return left


def harmless(page: Any, complaints: list[str]) -> None:
    assert page.evaluate("() => window.canary ?? []") == [], "a script ran"
    assert page.evaluate("() => window.violations ?? []") == []
    assert page.evaluate(MADE) == [], "an element was made of a text"
    assert complaints == []


UNKNOWN_RUN = "the server responded with a status of 404"  # of the runs that the address names, rightly


def test_an_address_cannot_name_a_run_into_the_page(hostile: ServerProcess, page: Any, complaints: list[str]) -> None:
    page.set_default_timeout(APPEARS_MS)
    page.add_init_script(VIOLATIONS)
    for text in TEXTS.values():
        for parts in (("run", "alert", "from"), ("compare",), ("home",)):
            query = str(httpx.QueryParams({"t": hostile.admin_token, **dict.fromkeys(parts, text)}))
            page.goto("about:blank")
            page.goto(f"{hostile.url}/#{query}")
            page.locator(".app").wait_for()
            harmless(page, [said for said in complaints if UNKNOWN_RUN not in said])


def test_the_report_is_text(hostile: ServerProcess, page: Any, complaints: list[str], tmp_path: Path) -> None:
    """It is opened as a file, where no policy holds a script back."""
    headers = {"Authorization": f"Bearer {hostile.admin_token}"}
    answer = httpx.get(f"{hostile.url}/api/runs/{MAIN}/report.html", headers=headers, trust_env=False, timeout=60)
    assert answer.status_code == 200, answer.text
    file = tmp_path / "report.html"
    file.write_bytes(answer.content)
    page.set_default_timeout(APPEARS_MS)
    page.goto(file.as_uri())
    unfold(page)
    for plot in page.locator(".plot").all():  # drawn when it comes into view
        plot.scroll_into_view_if_needed()
        plot.locator(".main-svg").first.wait_for()
    for place, wanted in (("title", [NAMES["image"]]), ("body > :not(script)", ALL)):
        assert unread(page, place, wanted) == [], f"not to be read in {place}"
    harmless(page, complaints)


class Parts(HTMLParser):
    """The tags of a page with their attributes, and what stands within scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inline = ""
        self._within = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._within = tag

    def handle_endtag(self, tag: str) -> None:
        self._within = ""

    def handle_data(self, data: str) -> None:
        if self._within in ("script", "style"):
            self.inline += data.strip()


def test_the_built_page_has_nothing_inline(hostile: ServerProcess) -> None:
    answer = httpx.get(hostile.url, trust_env=False)
    assert answer.status_code == 200, answer.text
    parts = Parts()
    parts.feed(answer.text)
    assert parts.inline == ""
    for tag, attributes in parts.tags:
        assert not [name for name in attributes if name == "style" or name.startswith("on")], (tag, attributes)
        for address in (attributes.get("src"), attributes.get("href")):
            assert address is None or address.startswith(("./", "data:image/")), (tag, address)
    assert any(tag == "script" for tag, _ in parts.tags)
