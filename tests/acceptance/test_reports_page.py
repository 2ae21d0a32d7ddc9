"""The reports' incidents as a person meets them: the alert and its words, the blame, the remedy pressed, healthy again.

Rules of this file: one server and one page for all, a real trainer each; what must fire, what went first and which
command mends it is read from the scenario's declared truth; healthy is what the server stored 200 steps later.
"""

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lossguard.scenarios import find
from processes import ServerProcess, TrainerProcess, chromium_page, until

pytestmark = pytest.mark.browser

APPEARS_MS = 60_000
LATER_STEPS = 200
PROBES = 5  # of 100 steps
ENDLESS = ("--steps", "100000", "--eval-every", "20")
STAGE_STEPS = 400  # room for a person to press a button before the stage begins


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    process = ServerProcess(tmp_path_factory.mktemp("reports") / "data").start()
    yield process
    assert process.stop() == 0


@pytest.fixture(scope="module")
def page(server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium_page(tmp_path_factory.mktemp("profile")) as opened:
        opened.set_default_timeout(APPEARS_MS)
        yield opened


class Shown:
    """A training under way and the page that shows it."""

    def __init__(self, server: ServerProcess, page: Any, run: str) -> None:
        self.server, self.page, self.id = server, page, run

    @property
    def now(self) -> Any:
        return self.server.get(f"/api/runs/{self.id}")

    def alerts(self, rule: str) -> list[Any]:
        return [each for each in self.server.get(f"/api/runs/{self.id}/alerts")["items"] if each["rule"] == rule]

    def incident_with(self, rule: str) -> Any:
        """The card of the incident that holds an alert of that rule, by its id: its words may change."""
        alert = until(lambda: self.alerts(rule), f"{rule} fires")[0]
        card = self.page.locator(f"[data-incident='{alert['incident']}']")
        card.wait_for()
        return card

    def applied_step(self, kind: str) -> int:
        """Where the newest command of that kind took effect."""
        return int(until(lambda: self._applied(kind), f"{kind} is applied"))

    def _applied(self, kind: str) -> Any:
        commands = self.server.get(f"/api/runs/{self.id}/commands")["items"]
        return next((each["step"] for each in commands if each["kind"] == kind and each["state"] == "applied"), None)

    def reach(self, step: int) -> None:
        until(lambda: (self.now["step"] or 0) >= step, f"step {step} is trained", 90)

    def newest(self, series: str, count: int) -> list[float]:
        """The last values of a series."""
        last = self.now["step"]
        found = self.server.get(f"/api/runs/{self.id}/points?series={series}&from={last - count}&to={last}&width=4000")
        return [float(bucket) for bucket in found["series"][series]["last"]]


@contextmanager
def shown(server: ServerProcess, page: Any, folder: Path, *arguments: str) -> Iterator[Shown]:
    trainer = TrainerProcess(server, folder, *arguments, *ENDLESS, "--name", folder.name)
    try:
        found = until(
            lambda: [each for each in server.get("/api/runs")["items"] if each["name"] == folder.name],
            f"the run is there; {trainer.log_text()[-500:]}",
        )
        page.goto("about:blank")
        page.goto(f"{server.page_url}&run={found[0]['id']}")
        yield Shown(server, page, found[0]["id"])
    finally:
        trainer.end()


def percents(card: Any) -> list[int]:
    return [int(word) for word in re.findall(r"\((-?\d+) %\)", card.locator(".blame-parts").first.inner_text())]


def signs(card: Any) -> str:
    return str(card.get_by_test_id("first-bad").inner_text()).replace("\u2009", "")


def unfold(line: Any) -> None:
    """What is over is a line, which the page opens by itself where a person mended it and nothing else is wrong."""
    line.wait_for()
    if line.get_attribute("open") is None:
        line.locator("> summary").click()


def assert_finite(values: list[float]) -> None:
    assert values
    assert all(map(math.isfinite, values)), values


def test_the_precursor_is_held_off_and_mended_when_it_comes(server: ServerProcess, page: Any, tmp_path: Path) -> None:
    truth = find("denovo").truth("log1p_x100")
    small = ("denovo", "--variant", "log1p_x100", "--stage-steps", str(STAGE_STEPS), "--batch-size", "8")
    with shown(server, page, tmp_path, *small) as run:
        card = run.incident_with("look_ahead")
        assert run.now["step"] < STAGE_STEPS, "the alert is there before the stage"
        assert "precursor" in card.get_by_test_id("incident-headline").inner_text()
        assert "begins in" in card.get_by_test_id("ahead").first.inner_text()
        card.get_by_test_id("ahead-hold").first.click()
        held = run.applied_step("hold_stage")
        assert held < STAGE_STEPS
        run.reach(STAGE_STEPS + LATER_STEPS)
        assert max(run.newest("loss/total", LATER_STEPS)) < 4
        assert set(run.newest("weight/precursor", LATER_STEPS)) == {0.0}
        assert run.alerts("contribution_dominates") == [], "the incident was avoided"

        page.get_by_test_id("btn-release").click()
        page.get_by_test_id("send-stage").click()
        released = run.applied_step("release_stage")
        page.locator("[data-testid=stage-row]").nth(1).get_by_role("button").click()  # no need to wait for it
        page.get_by_test_id("send-stage").click()
        begun = run.applied_step("go_to_stage")
        assert begun > released
        card = run.incident_with("contribution_dominates")
        assert sum(percents(card)) == 100
        assert "precursor" in signs(card)
        incident = card.get_attribute("data-incident")
        card.get_by_test_id("alert-remedy").first.click()
        mended = run.applied_step(str(truth.remedy))
        run.reach(mended + LATER_STEPS)
        assert max(run.newest("loss/total", 100)) < 4
        until(lambda: run.server.get(f"/api/runs/{run.id}/incidents")["items"][0]["state"] == "closed", "it is over")
        unfold(page.locator(f"[data-testid=incident-closed][data-of='{incident}']"))
        card.get_by_text(re.compile("worked by step")).first.wait_for()


def test_the_covariance_is_taken_out_and_the_rest_trains_on(server: ServerProcess, page: Any, tmp_path: Path) -> None:
    truth = find("ris").truth("unnormalised")
    with shown(server, page, tmp_path, "ris", "--variant", "unnormalised") as run:
        card = run.incident_with("contract")
        assert "R_samp" in card.get_by_test_id("incident-headline").inner_text()
        assert str(truth.first_bad) in signs(card)
        card.get_by_test_id("alert-remedy").first.click()
        mended = run.applied_step(str(truth.remedy))
        run.reach(mended + LATER_STEPS)
        assert_finite(run.newest("loss/total", 100))
        assert max(run.newest("loss/total", 100)) < 1e4
        probed = [norm for norm in run.newest("grad_norm/total", 100) if not math.isfinite(norm)]
        assert len(probed) <= PROBES, "a GradScaler tries a larger scale now and then"
        assert max(run.newest("matrix/R_samp/fro", 10)) < 1e-2
        assert card.get_attribute("data-state") == "open", "the code is not mended, and the page goes on saying so"


@pytest.mark.parametrize("variant", ["unmasked", "empty_mask"])
def test_the_mask_gets_its_part_by_the_stage(variant: str, server: ServerProcess, page: Any, tmp_path: Path) -> None:
    truth = find("tabular").truth(variant)
    staged = ("--curriculum", "staged", "--stage-steps", "90000", "--batch-size", "4")
    with shown(server, page, tmp_path, "tabular", "--variant", variant, *staged) as run:
        card = run.incident_with("count")
        assert "masked" in card.get_by_test_id("incident-headline").inner_text()
        assert str(truth.first_bad) in signs(card)
        for rule in truth.must_fire:
            if rule != "train_eval":  # which takes the evaluations of some hundred steps
                until(lambda rule=rule: run.alerts(rule), f"{rule} fires")
        page.locator("[data-testid=stage-row]").nth(1).get_by_role("button").click()
        page.get_by_test_id("send-stage").click()
        mended = run.applied_step(str(truth.remedy))
        run.reach(mended + LATER_STEPS)
        assert min(run.newest("count/masked", 100)) > 100
        assert_finite(run.newest("loss/total", 100))
        until(lambda: run.alerts("count")[0]["state"] == "resolved", "the count is well again")
