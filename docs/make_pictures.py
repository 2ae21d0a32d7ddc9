"""Takes the pictures of docs/img by real trainings, and prints what docs/incidents.md quotes of them.

    python docs/make_pictures.py [--only SCENE ...] [--folder FOLDER]

Rules of this file: nothing is staged but the runs themselves; a picture that shows something else than its name says
is a fault of the page. What is done to a run is pressed on the page. Needs Chromium and the tests' helpers.
"""

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from picturing import DARK, DESK, ENDLESS, LIGHT, SMALL, WAIT_MS, Studio, View

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

from processes import ServerProcess, chromium_page  # noqa: E402

LATER_STEPS = 200
BUG = ("denovo", "--variant", "log1p_x100", "--eval-every", "100", "--batch-size", "8")
GAUSSIAN = ("denovo", "--variant", "l1", "--curriculum", "gaussian", "--steps", "600", "--stage-steps", "150")
LOW = {"width": 1440, "height": 340}  # three runs in a list
NEVER = "90000"  # steps: of a stage that nobody waits for


def page(studio: Studio) -> None:
    """The views of the page: an incident while it goes on, all runs, two of them beside each other, control."""
    short = ("--stage-steps", "150", "--steps", "500")
    bug, mend = (studio.trained(name, *BUG, *short, "--variant", name) for name in ("log1p_x100", "l1"))
    with studio.training("live", *BUG, "--stage-steps", "150", *ENDLESS) as live:
        live.reach(180)
        card = live.incident_with("contribution_dominates")
        studio.take(
            {
                "run": View(f"run={live.id}", "[data-testid=alert-remedy]"),
                "incident": View(f"run={live.id}", f"{card} [data-testid=alert-remedy]", of=card),
                "home": View("home", "[data-testid=home-run]", looks=((*DARK[:2], LOW), (*LIGHT[:2], LOW))),
                "compare": View(f"compare={bug},{mend}", "[data-testid=compare-verdict]"),
            }
        )
        studio.open(f"run={live.id}")
        studio.page.get_by_test_id("alert-remedy").first.click()
        live.judged("set_weight")
        looks = (DARK, LIGHT, SMALL)
        studio.take({"control": View(f"run={live.id}", "[data-testid=effect]", to_what_if, looks=looks)})


def to_what_if(page: Any) -> None:
    page.get_by_test_id("weight-input-spectrum").fill("0.04")
    page.locator("[data-testid=what-if-spectrum][data-state=told]").wait_for()
    page.get_by_test_id("what-if-spectrum").scroll_into_view_if_needed()


def look_ahead(studio: Studio) -> None:
    """Report 1: held off from the alert; begun all the same; mended by the weight that the alert computed."""
    with studio.training("look-ahead", *BUG, "--stage-steps", "700", *ENDLESS) as run:
        card = run.incident_with("look_ahead")
        studio.take({"incident-look-ahead": View(f"run={run.id}", f"{card} [data-testid=ahead-hold]")})
        studio.open(f"run={run.id}")
        studio.page.locator(card).get_by_test_id("ahead-hold").first.click()
        run.reach(max(700, run.applied("hold_stage")) + LATER_STEPS)
        studio.page.get_by_test_id("btn-release").click()
        studio.page.get_by_test_id("send-stage").click()
        run.applied("release_stage")
        to_second_stage(studio)
        run.applied("go_to_stage")
        card = run.incident_with("contribution_dominates")
        studio.page.locator(card).get_by_test_id("alert-remedy").first.click()
        run.reach(run.applied("set_weight") + LATER_STEPS)
        run.judged("set_weight")
        studio.take({"incident-precursor": View(f"run={run.id}", "[data-testid=effect]")})


def to_second_stage(studio: Studio) -> None:
    studio.page.locator("[data-testid=stage-row]").nth(1).get_by_role("button").click()
    studio.page.get_by_test_id("send-stage").click()


def losses(studio: Studio) -> None:
    """Reports 2 and 3: the drawn Gaussians beside the nearest peak, all else alike."""
    ids = [studio.trained(f"{spectrum}-l1", *GAUSSIAN, "--spectrum", spectrum) for spectrum in ("huber", "gaussian")]
    studio.take({"incident-losses": View(f"compare={','.join(ids)}", "[data-testid=compare-verdict]")})


def covariance(studio: Studio) -> None:
    """Report 4: the contract names the matrix, and the covariance's loss is taken out."""
    with studio.training("covariance", "ris", "--variant", "unnormalised", "--eval-every", "20", *ENDLESS) as run:
        card = run.incident_with("contract")
        run.incident_with("train_eval")
        studio.take({"incident-covariance": View(f"run={run.id}", f"{card} [data-testid=alert-remedy]")})
        studio.open(f"run={run.id}")
        studio.page.locator(card).get_by_test_id("alert-remedy").first.click()
        run.reach(run.applied("gate") + LATER_STEPS)
        studio.take({"incident-covariance-out": View(f"run={run.id}", card)})


def mask(studio: Studio) -> None:
    """Report 5: nothing is hidden; the stage that hides 15 % is one press away. And the mean over nothing."""
    for variant in ("unmasked", "empty_mask"):
        staged = ("--variant", variant, "--curriculum", "staged", "--stage-steps", NEVER, "--eval-every", "20")
        with studio.training(f"mask-{variant}", "tabular", *staged, *ENDLESS) as run:
            card = run.incident_with("train_eval" if variant == "unmasked" else "nonfinite")
            run.reach(60)
            if variant == "empty_mask":
                studio.take({"incident-empty-mask": View(f"run={run.id}", card)})
            studio.open(f"run={run.id}")
            to_second_stage(studio)
            run.reach(run.applied("go_to_stage") + LATER_STEPS)
            run.judged("go_to_stage")
            if variant == "unmasked":
                studio.take({"incident-masked": View(f"run={run.id}", go=close_news)})


def close_news(page: Any) -> None:
    for toast in page.get_by_test_id("toast").all():
        toast.get_by_role("button", name="close").click()


def planets(studio: Studio) -> None:
    """Report 5's healthy control."""
    with studio.training("planets", "planets", "--eval-every", "20", *ENDLESS) as run:
        run.reach(LATER_STEPS)
        studio.take({"incident-planets": View(f"run={run.id}")})


SCENES = {scene.__name__: scene for scene in (page, look_ahead, losses, covariance, mask, planets)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=tuple(SCENES), default=tuple(SCENES))
    parser.add_argument("--folder", type=Path, default=HERE / "img")
    options = parser.parse_args()
    options.folder.mkdir(exist_ok=True)
    for name in options.only:  # a server each: the page then shows the scene's own runs
        with ExitStack() as ends:
            scratch = Path(ends.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
            server = ServerProcess(scratch / "data").start()
            ends.callback(server.stop)
            opened = ends.enter_context(chromium_page(scratch / "profile", **DESK))
            opened.set_default_timeout(WAIT_MS)
            SCENES[name](Studio(server, opened, scratch, options.folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
