"""What a person sees of incidents, says of alerts and asks of a range: real trainer, real server, real Chromium.

Rules of this file: the trainer runs into the loss that its second stage mis-scales, and is paused then, so that what is
on the screen stands still.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

import lossguard as lg
from processes import RECORD_NOTIFICATIONS, ServerProcess, TrainerProcess, until

pytestmark = pytest.mark.browser

APPEARS_MS = 60_000
ARGUMENTS = ("denovo", "--variant", "log1p_x100", "--stage-steps", "60", "--steps", "100000")


@pytest.fixture
def blown_up(server: ServerProcess, tmp_path: Path, page: Any) -> Iterator[Any]:
    """The page of a run that is paused in the middle of its incident."""
    page.set_default_timeout(APPEARS_MS)
    trainer = TrainerProcess(server, tmp_path, *ARGUMENTS)
    page.goto(server.page_url)
    dominates = page.locator("[data-testid=alert-line][data-rule=contribution_dominates]")
    dominates.first.wait_for()
    page.get_by_test_id("btn-pause").click()
    page.get_by_test_id("vital-state").filter(has_text="paused").wait_for()
    yield page
    trainer.end()


def run_of(server: ServerProcess) -> str:
    return str(server.get("/api/runs")["items"][0]["id"])


def percents(said: str) -> list[int]:
    return [int(number) for number in re.findall(r"\((-?\d+) %\)", said)]


def plain(said: str) -> str:
    return said.replace("\u2009", "")


def test_an_incident_says_what_why_and_what_went_first(
    server: ServerProcess, blown_up: Any, complaints: list[str]
) -> None:
    told = server.get(f"/api/runs/{run_of(server)}/incidents")["items"][0]
    card = blown_up.locator(f"[data-incident='{told['id']}']")
    assert card.get_attribute("data-severity") == told["severity"] == "critical"
    assert f"since step {told['first_step']}" in plain(card.inner_text())
    headline = card.get_by_test_id("incident-headline").inner_text()
    assert headline
    assert told["headline"]["message"].endswith(headline)
    assert card.get_by_test_id("cause").inner_text() == told["cause"]["text"]
    assert sum(percents(card.locator(".blame-parts").first.inner_text())) == 100
    signs = plain(card.get_by_test_id("first-bad").inner_text())
    for sign in told["first_bad"][:5]:
        assert sign["series"] in signs
        assert sign["lead_steps"] <= 0 or f"{sign['lead_steps']} steps before" in signs
    lines = card.get_by_test_id("alert-line")
    assert {lines.nth(i).get_attribute("data-alert") for i in range(lines.count())} == set(told["alerts"])
    assert card.locator("[data-testid=alert-remedy]:visible").count() == 1, "its alerts offer the same, folded"
    assert complaints == []


def test_an_incident_is_shown_foreseen_mended_and_told_in_order(server: ServerProcess, blown_up: Any) -> None:
    page = blown_up
    told = server.get(f"/api/runs/{run_of(server)}/incidents")["items"][0]
    card = page.locator(f"[data-incident='{told['id']}']")
    assert re.search(r"\d\d:\d\d:\d\d, (just now|a minute ago)", card.locator(".alert-since").first.inner_text())
    chart = card.get_by_test_id("evidence-chart")
    onsets = {sign["series"]: sign["step"] for sign in told["first_bad"]}
    drawn = chart.get_attribute("data-series")
    assert drawn == told["headline"]["series"]
    assert int(chart.get_attribute("data-onset")) == onsets.get(drawn, told["first_step"])
    assert chart.locator(".evidence-plot").count() == 2
    assert all(re.match("M", line.get_attribute("d")) for line in chart.locator(".evidence-line").all())
    other = next(series for series in onsets if series != drawn)
    card.locator(".sign-series", has_text=other).first.click()
    page.locator(f"[data-testid=evidence-chart][data-series='{other}']").wait_for()

    card.locator("[data-testid=remedy-what-if][data-state=told]").wait_for()
    foreseen = plain(card.get_by_test_id("remedy-what-if").inner_text())
    assert re.search(r"If pressed: share .* → .*, total .* → ", foreseen), foreseen
    assert server.get(f"/api/runs/{run_of(server)}/commands")["items"][0]["kind"] == "pause", (
        "nothing was sent by looking"
    )
    card.get_by_test_id("alert-remedy").first.click()
    page.get_by_test_id("btn-resume").click()
    life = page.locator(".incident .life").first
    until(lambda: "applied at step" in plain(life.inner_text()), "the remedy is applied")
    until(lambda: page.get_by_test_id("life-effect").count() > 0, "its effect is told in the incident", 120)
    rows = page.locator("[data-testid=timeline][open] .timeline-row")
    steps = [int(row.get_attribute("data-step")) for row in rows.all()]
    kinds = [row.get_attribute("data-kind") for row in rows.all()]
    assert steps == sorted(steps)
    assert kinds.index("alert") < kinds.index("command") < kinds.index("effect")


def test_an_incident_is_judged_silenced_and_linked_as_a_whole(server: ServerProcess, blown_up: Any) -> None:
    page = blown_up
    told = server.get(f"/api/runs/{run_of(server)}/incidents")["items"][0]
    card = page.locator(f"[data-incident='{told['id']}']")
    card.get_by_test_id("incident-verdict-true").click()
    card.locator("[data-testid=incident-verdict-true][aria-pressed=true]").wait_for()
    card.get_by_test_id("incident-silence-60").click()
    card.get_by_test_id("incident-silenced").wait_for()
    stored = server.get(f"/api/runs/{run_of(server)}/alerts")["items"]
    of_it = [alert for alert in stored if alert["id"] in told["alerts"]]
    assert {alert["verdict"] for alert in of_it} == {"true"}
    assert all(alert["silenced_until_s"] for alert in of_it if alert["state"] != "resolved")

    href = card.get_by_test_id("incident-link").get_attribute("href")
    assert href == f"#run={run_of(server)}&alert={told['headline']['alert']}"
    assert server.admin_token not in href
    other = page.context.new_page()
    other.goto(f"{server.url}/{href}")
    other.evaluate("token => { location.hash = `t=${token}` + location.hash.replace('#', '&') }", server.admin_token)
    shown = other.locator(f"#card-{told['headline']['alert']}.is-shown")
    shown.wait_for(timeout=APPEARS_MS)
    other.close()


def test_a_verdict_and_a_silence_are_kept_over_a_reload(server: ServerProcess, blown_up: Any) -> None:
    page = blown_up
    line = page.locator("[data-testid=alert-line][data-rule=contribution_dominates]").first
    line.locator("> summary").click()
    line.get_by_test_id("verdict-false").click()
    line.locator("[data-testid=verdict-false][aria-pressed=true]").wait_for()
    line.get_by_test_id("silence-60").click()
    assert re.search(r"until .+ \((59|60) min\)", line.get_by_test_id("silenced").inner_text())
    alert = line.get_attribute("data-alert")
    stored = next(a for a in server.get(f"/api/runs/{run_of(server)}/alerts")["items"] if a["id"] == alert)
    assert stored["verdict"] == "false"
    assert stored["silenced_until_s"] > 0

    page.reload()
    line = page.locator(f"[data-testid=alert-line][data-alert='{alert}']")
    line.locator("> summary", has_text="false alarm · silenced").click()
    line.get_by_test_id("verdict-false").click()
    line.locator("[data-testid=verdict-false][aria-pressed=false]").wait_for()
    line.get_by_test_id("silence-0").click()
    line.get_by_test_id("silence-60").wait_for()
    stored = next(a for a in server.get(f"/api/runs/{run_of(server)}/alerts")["items"] if a["id"] == alert)
    assert (stored["verdict"], stored["silenced_until_s"]) == (None, None)


def test_who_may_only_look_sees_what_was_said(server: ServerProcess, blown_up: Any, tmp_path: Path) -> None:
    admin = {"Authorization": f"Bearer {server.admin_token}"}
    alert = blown_up.locator("[data-testid=alert-line][data-rule=contribution_dominates]").first.get_attribute(
        "data-alert"
    )
    for what, body in (("verdict", {"verdict": "true"}), ("silence", {"minutes": 480})):
        said = httpx.post(f"{server.url}/api/alerts/{alert}/{what}", json=body, headers=admin, trust_env=False)
        assert said.status_code == 200, said.text
    asked = {"name": "viewer", "scopes": ["view"]}
    token = httpx.post(f"{server.url}/api/tokens", json=asked, headers=admin, trust_env=False).json()["token"]
    other = blown_up.context.browser.new_context().new_page()
    other.goto(f"{server.url}/#t={token}")
    line = other.locator(f"[data-testid=alert-line][data-alert='{alert}']")
    line.locator("> summary").click()
    said_only = line.get_by_test_id("sayings")
    assert "Verdict: true alarm" in said_only.inner_text()
    assert "Silenced until" in said_only.inner_text()
    assert other.locator(".incident button:not(.sign-series, [data-testid=incident-copy])").count() == 0
    assert (
        other.get_by_test_id("remedy-readonly").first.inner_text().startswith("What would help: Set precursor weight")
    )


def test_a_dragged_range_is_explained(server: ServerProcess, blown_up: Any) -> None:
    page = blown_up
    drag(page, 0.3, 0.95)
    shown = page.locator(".range-text").inner_text()
    first, last = (int(step) for step in re.findall(r"\d+", plain(shown)))
    page.get_by_test_id("explain-range").click()
    page.get_by_test_id("range-text").wait_for()
    panel = page.get_by_test_id("range-blame")
    told = server.get(f"/api/runs/{run_of(server)}/blame?from={first}&to={last}")
    assert f"steps {first} to {last}" in plain(panel.inner_text())
    assert page.get_by_test_id("range-text").inner_text() == told["text"]
    rows = page.get_by_test_id("range-row")
    assert sum(percents(" ".join(rows.all_inner_texts()))) == 100
    assert rows.first.get_attribute("data-component") == told["parts"][0]["component"]
    assert panel.locator(".blame-bar rect").count() == len(told["parts"])
    page.get_by_role("button", name="back to live").click()
    panel.wait_for(state="detached")


def drag(page: Any, start: float, end: float) -> None:
    """Over the chart of the total, from one part of its width to another."""
    box = page.get_by_test_id("chart-contributions").bounding_box()
    left, width, y = box["x"] + 58, box["width"] - 72, box["y"] + 120
    page.mouse.move(left + start * width, y)
    page.mouse.down()
    page.mouse.move(left + end * width, y, steps=8)
    page.mouse.up()
    page.locator(".range-text", has_text=re.compile(r"^steps ")).wait_for()


def test_a_range_that_nobody_can_explain_says_why(server: ServerProcess, page: Any, tmp_path: Path) -> None:
    with lg_run(server, tmp_path) as run:
        for _ in range(10):
            run.boundary()
            run.log({"metric/accuracy": 0.5})
        page.set_default_timeout(APPEARS_MS)
        page.goto(server.page_url)
        page.get_by_test_id("explain-range").click()
        refused = page.get_by_test_id("range-refused")
        refused.wait_for()
        assert "There is nothing to compare in this range." in refused.inner_text()


@contextmanager
def lg_run(server: ServerProcess, folder: Path) -> Iterator[lg.Run]:
    run = lg.init("test", "no losses", url=server.url, token=server.ingest_token, dir=str(folder / "spool"))
    try:
        yield run
    finally:
        run.finish(timeout_s=5)


def test_one_notification_an_incident_also_of_a_run_that_is_not_shown(
    server: ServerProcess, tmp_path: Path, page: Any
) -> None:
    page.add_init_script(RECORD_NOTIFICATIONS)
    page.set_default_timeout(APPEARS_MS)
    with lg_run(server, tmp_path) as shown:
        shown.boundary()
        shown.log({"metric/accuracy": 0.5})
        page.goto(f"{server.page_url}&run={shown.id}")
        page.locator(".chart-host").first.wait_for()
        page.get_by_test_id("open-habits").click()
        page.get_by_test_id("habit-browser").check()
        page.keyboard.press("Escape")
        trainer = TrainerProcess(server, tmp_path, *ARGUMENTS)
        until(lambda: page.evaluate("() => window.told.length"), "the other run's incident is told", 60)
        other = next(run["id"] for run in server.get("/api/runs")["items"] if run["project"] != "test")
        until(lambda: server.get(f"/api/runs/{other}")["alerts"]["critical"] > 1, "it has several critical alerts")
        until(lambda: page.title().startswith("(1!) "), "the tab counts incidents")
        told = page.evaluate("() => window.told")
        trainer.end()
    incidents = server.get(f"/api/runs/{other}/incidents")["items"]
    assert len(told) == len([one for one in incidents if one["severity"] == "critical"]) == 1, (told, incidents)
    assert told[0].startswith("denovo/")
