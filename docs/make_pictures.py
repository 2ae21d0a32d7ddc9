"""Takes the pictures of docs/img: every view of the page, dark, light and on a phone, of two real trainings.

    python docs/make_pictures.py [FOLDER]

Rules of this file: nothing is staged but the runs themselves (the denovo incident, its mend beside it); a picture that
shows something else than its name says is a fault of the page. Needs Chromium and the tests' helpers.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))

from processes import ServerProcess, TrainerProcess, chromium_page, until  # noqa: E402

VARIANTS = ("log1p_x100", "l1")
SIZES = ("--steps", "1500", "--stage-steps", "300", "--eval-every", "100", "--threads", "1")
DESK, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
WAIT_MS = 30_000
SETTLE_MS = 1_500  # charts draw, fonts and details arrive

Go = Callable[[Any], None]


def trained(server: ServerProcess, folder: Path) -> list[str]:
    """Both runs' ids: the incident, and the mended loss."""
    trainers = []
    for variant in VARIANTS:
        (own := folder / variant).mkdir()
        trainers.append(TrainerProcess(server, own, "denovo", "--variant", variant, "--name", variant, *SIZES))
    for trainer in trainers:
        assert trainer.wait(600) == 0, trainer.log_text()
    until(lambda: server.get("/api/rules/health")["lagging_runs"] == 0, "the rules have judged them")
    by_name = {run["name"]: run["id"] for run in server.get("/api/runs")["items"]}
    return [by_name[variant] for variant in VARIANTS]


def views(bug: str, mend: str) -> dict[str, tuple[str, str, Go]]:
    """By name: the address, what is waited for, and what is done then."""
    charts = ".chart-host:not([data-last-step=''])"  # on a phone the first one only is in view
    return {
        "run": (f"run={bug}", charts, lambda page: None),
        "incident": (f"run={bug}", "[data-testid=incident]", to_incident),
        "heat": (f"run={bug}", charts, to_heat_map),
        "home": ("home", "[data-testid=home-run]", lambda page: None),
        "compare": (f"compare={bug},{mend}", "[data-testid=compare-verdict]", lambda page: None),
        "palette": (f"run={bug}", charts, lambda page: page.keyboard.press("Control+k")),
        "rules": (f"run={bug}", charts, lambda page: page.get_by_test_id("open-rules").first.click()),
    }


def to_incident(page: Any) -> None:
    page.get_by_test_id("incident").first.scroll_into_view_if_needed()


def to_heat_map(page: Any) -> None:
    panel = page.get_by_role("region", name="Gradient norms", exact=True)
    panel.get_by_role("button", name="heat map").click()
    panel.scroll_into_view_if_needed()


def taken(page: Any, server: ServerProcess, runs: list[str], folder: Path) -> None:
    """Every view in every look."""
    looks = [("", "dark", DESK), ("-light", "light", DESK), ("-phone", "light", PHONE)]
    for suffix, scheme, size in looks:
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size(size)
        for name, (address, wanted, go) in views(*runs).items():
            page.goto("about:blank")
            page.goto(f"{server.page_url}&{address}")
            page.locator(wanted).first.wait_for(timeout=WAIT_MS)
            page.wait_for_timeout(SETTLE_MS)
            go(page)
            page.wait_for_timeout(SETTLE_MS)
            page.screenshot(path=folder / f"{name}{suffix}.png")


def main() -> int:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "img"
    with tempfile.TemporaryDirectory() as scratch:
        server = ServerProcess(Path(scratch) / "data").start()
        try:
            runs = trained(server, Path(scratch))
            with chromium_page(Path(scratch) / "profile") as page:
                taken(page, server, runs, folder)
        finally:
            server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
