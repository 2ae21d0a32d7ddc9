"""Takes the pictures of docs/img: every view of the page, dark, light and on a phone, of three real trainings.

    python docs/make_pictures.py [FOLDER]

Rules of this file: nothing is staged but the runs themselves (the denovo incident, its mended loss, and the incident
while it goes on); a picture that shows something else than its name says is a fault of the page. Needs Chromium and
the tests' helpers.
"""

import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

from processes import ServerProcess, TrainerProcess, chromium_page, until  # noqa: E402

VARIANTS = ("log1p_x100", "l1")
SIZES = ("--stage-steps", "300", "--eval-every", "100", "--threads", "1")
ENDS, GOES_ON = ("--steps", "1500"), ("--steps", "100000")
DESK, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
LOOKS = (("", "dark", DESK), ("-light", "light", DESK), ("-phone", "light", PHONE))
WAIT_MS = 60_000
SETTLE_MS = 1_500  # charts draw, fonts and details arrive
DRAWN = ".chart-host:not([data-last-step=''])"  # on a phone the first one only is in view

Go = Callable[[Any], None]


@dataclass(frozen=True)
class View:
    """`address`: the page's, without the token. `of`: what of the page is taken, all of it where empty."""

    address: str
    wanted: str = DRAWN
    go: Go = lambda page: None
    of: str = ""


def trained(server: ServerProcess, folder: Path, name: str, variant: str, steps: tuple[str, str]) -> TrainerProcess:
    (own := folder / name).mkdir()
    return TrainerProcess(server, own, "denovo", "--variant", variant, "--name", name, *steps, *SIZES)


def runs_of(server: ServerProcess) -> dict[str, str]:
    """Ids by name."""
    return {run["name"]: run["id"] for run in server.get("/api/runs")["items"]}


def before(bug: str, mend: str, live: str) -> dict[str, View]:
    """The views of runs that nobody has touched."""
    return {
        "run": View(f"run={live}", "[data-testid=alert-remedy]"),
        "incident": View(f"run={live}", "[data-testid=alert-remedy]", of="[data-testid=incident]"),
        "heat": View(f"run={bug}", go=to_heat_map),
        "home": View("home", "[data-testid=home-run]"),
        "compare": View(f"compare={bug},{mend}", "[data-testid=compare-verdict]"),
        "palette": View(f"run={live}", go=lambda page: page.keyboard.press("Control+k")),
        "rules": View(f"run={live}", go=lambda page: page.get_by_test_id("open-rules").first.click()),
    }


def after(live: str) -> dict[str, View]:
    """The run whose remedy was pressed."""
    return {"control": View(f"run={live}", "[data-testid=effect]", to_what_if)}


def press_remedy(page: Any, server: ServerProcess, live: str) -> None:
    page.set_viewport_size(DESK)
    page.goto(f"{server.page_url}&run={live}")
    page.get_by_test_id("alert-remedy").first.click(timeout=WAIT_MS)
    page.get_by_test_id("effect").first.wait_for(timeout=WAIT_MS)


def to_heat_map(page: Any) -> None:
    panel = page.locator("[data-chart=grad_norm]")
    panel.get_by_test_id("chart-shape").click()
    panel.scroll_into_view_if_needed()


def to_what_if(page: Any) -> None:
    page.get_by_test_id("weight-input-spectrum").fill("0.04")
    page.locator("[data-testid=what-if-spectrum][data-state=told]").wait_for(timeout=WAIT_MS)
    page.get_by_test_id("what-if-spectrum").scroll_into_view_if_needed()


def taken(page: Any, server: ServerProcess, views: Mapping[str, View], folder: Path) -> None:
    """Every view in every look."""
    for suffix, scheme, size in LOOKS:
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size(size)
        for name, view in views.items():
            page.goto("about:blank")
            page.goto(f"{server.page_url}&{view.address}")
            page.locator(view.wanted).first.wait_for(timeout=WAIT_MS)
            page.wait_for_timeout(SETTLE_MS)
            view.go(page)
            page.wait_for_timeout(SETTLE_MS)
            place = page.locator(view.of).first if view.of else page
            place.screenshot(path=folder / f"{name}{suffix}.png")


def main() -> int:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "img"
    folder.mkdir(exist_ok=True)
    with ExitStack() as ends:
        scratch = Path(ends.enter_context(tempfile.TemporaryDirectory()))
        server = ServerProcess(scratch / "data").start()
        ends.callback(server.stop)
        for variant in VARIANTS:
            trainer = trained(server, scratch, variant, variant, ENDS)
            ends.callback(trainer.end)
            assert trainer.wait(600) == 0, trainer.log_text()
        live = trained(server, scratch, "live", VARIANTS[0], GOES_ON)
        ends.callback(live.end)
        until(lambda: "live" in runs_of(server), "the third run is known", 60)
        runs = runs_of(server)
        until(lambda: (server.get(f"/api/runs/{runs['live']}")["step"] or 0) > 330, "its incident has come", 120)
        page = ends.enter_context(chromium_page(scratch / "profile"))
        taken(page, server, before(runs[VARIANTS[0]], runs[VARIANTS[1]], runs["live"]), folder)
        press_remedy(page, server, runs["live"])
        taken(page, server, after(runs["live"]), folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
