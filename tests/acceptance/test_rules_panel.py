"""The page's panels of rules, policies and notifications, in a real Chromium against a real server.

Rules of this file: the run is made up in this process and, save where a policy acts, over before the page looks, so
that what a preview finds is known beforehand. No wait_for_function: it evaluates a string, which the page's CSP
refuses.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

import lossguard as lg
from processes import ServerProcess, until

pytestmark = pytest.mark.browser

APPEARS_MS = 15_000
STEPS, JUMP_STEP = 120, 80
LEVEL, JUMPED = 2.0, 2.6  # 1.3 times: below the default factor of loss_jump
WOBBLE = 0.01


class Receiver(BaseHTTPRequestHandler):
    """A webhook: keeps what comes; says no to everything after /no."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.got.append((self.path, body))  # type: ignore[attr-defined]
        status, said = (403, b"this hook was revoked") if self.path == "/no" else (200, b"thank you")
        self.send_response(status)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *args: Any) -> None:
        """Nothing."""


@contextmanager
def receiver() -> Iterator[tuple[str, list[Any]]]:
    """Its address, and what it gets."""
    hook = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    hook.got = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=hook.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{hook.server_port}", hook.got  # type: ignore[attr-defined]
    finally:
        hook.shutdown()
        thread.join()
        hook.server_close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    process = ServerProcess(tmp_path / "data", options=("--notify-allow", "127.0.0.1")).start()
    yield process
    assert process.stop() == 0


def trained(server: ServerProcess, folder: Path, jumped: float = JUMPED) -> str:
    """The id of a run that is over, whose loss jumps to `jumped` and stays there."""
    run = lg.init(
        "test", "rules", losses={"ce": 1.0}, url=server.url, token=server.ingest_token, dir=str(folder / "spool")
    )
    for step in range(STEPS):
        assert run.boundary()
        loss = (LEVEL if step < JUMP_STEP else jumped) + WOBBLE * (step % 3)
        run.total(ce=torch.tensor(loss))
    run.finish(timeout_s=10)
    until(lambda: server.get("/api/rules/health")["lagging_runs"] == 0, "the rules have judged it")
    return str(server.get("/api/runs")["items"][0]["id"])


def open_page(page: Any, address: str) -> None:
    page.set_default_timeout(APPEARS_MS)
    page.goto(address)
    page.locator("[data-testid=chart-losses]:not([data-last-step=''])").wait_for()


def open_rules(page: Any) -> None:
    page.locator("[data-testid=open-rules]:visible").click()
    page.get_by_test_id("rule-line-loss_jump").click()


def says(page: Any, test_id: str, words: str) -> None:
    page.get_by_test_id(test_id).filter(has_text=words).wait_for()


def factor_of(server: ServerProcess, run: str) -> tuple[float, str]:
    rules = {rule["name"]: rule for rule in server.get(f"/api/runs/{run}/rules")["rules"]}
    factor = next(each for each in rules["loss_jump"]["parameters"] if each["name"] == "factor")
    return factor["value"], factor["set_by"]


def test_a_parameter_is_previewed_and_set_for_this_run(
    server: ServerProcess, page: Any, complaints: list[str], tmp_path: Path
) -> None:
    run = trained(server, tmp_path)
    open_page(page, server.page_url)
    open_rules(page)
    says(page, "rule-precision", "nobody has judged its alerts yet")
    page.get_by_test_id("param-input-factor").fill("0.5")
    page.get_by_text("It must be 1.01 to 1e6.").wait_for()
    assert page.get_by_test_id("rules-set").is_disabled()
    page.get_by_test_id("param-input-factor").fill("1.1")
    page.get_by_test_id("rules-preview").click()
    says(page, "trial-summary", "only now")
    page.locator("[data-testid=finding][data-rule=loss_jump][data-when='only now']").wait_for()
    assert factor_of(server, run) == (1.5, "default"), "a preview sets nothing"
    page.get_by_test_id("rules-set").click()
    says(page, "rules-said", "Set for this run: loss_jump factor 1.5 → 1.1")
    says(page, "param-by-factor", "set for this run")
    assert factor_of(server, run) == (1.1, "run")
    page.reload()
    open_rules(page)
    says(page, "param-by-factor", "set for this run")
    page.get_by_test_id("param-reset-factor").click()
    page.get_by_test_id("rules-set").click()
    says(page, "param-by-factor", "default")
    assert factor_of(server, run) == (1.5, "default")
    assert complaints == []


def test_a_projects_value_counts_where_the_run_says_nothing(server: ServerProcess, page: Any, tmp_path: Path) -> None:
    run = trained(server, tmp_path)
    open_page(page, server.page_url)
    open_rules(page)
    page.get_by_test_id("rules-scope-project").click()
    page.get_by_test_id("param-input-factor").fill("1.2")
    page.get_by_test_id("rules-preview").click()
    page.locator("[data-testid=finding][data-rule=loss_jump][data-when='only now']").wait_for()
    page.get_by_test_id("rules-set").click()
    says(page, "rules-said", "Set for project test: loss_jump factor 1.5 → 1.2")
    page.get_by_test_id("rules-scope-run").click()
    says(page, "param-by-factor", "set for the project")
    assert factor_of(server, run) == (1.2, "project")


def test_edited_rules_are_tried_on_chosen_runs(server: ServerProcess, page: Any, tmp_path: Path) -> None:
    run = trained(server, tmp_path)
    open_page(page, server.page_url)
    open_rules(page)
    page.get_by_test_id("param-input-factor").fill("1.1")
    page.get_by_test_id("rules-tab-backtest").click()
    page.get_by_text("none", exact=True).click()
    assert page.get_by_test_id("backtest-run").is_disabled()
    page.locator(f"[data-testid=backtest-run-choice][data-run='{run}']").check()
    page.get_by_test_id("backtest-run").click()
    page.locator(f"[data-testid=trial-run][data-run='{run}'] [data-rule=loss_jump][data-when='only now']").wait_for()
    assert factor_of(server, run) == (1.5, "default")


@contextmanager
def training(server: ServerProcess, folder: Path) -> Iterator[threading.Event]:
    """A run under way, whose loss jumps when the event is set."""
    run = lg.init(
        "test", "live", losses={"ce": 1.0}, url=server.url, token=server.ingest_token, dir=str(folder / "spool")
    )
    jump, end = threading.Event(), threading.Event()

    def loop() -> None:
        while not end.wait(0.01) and run.boundary():
            run.total(ce=torch.tensor((50.0 if jump.is_set() else LEVEL) + WOBBLE * (run.step % 3)))

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield jump
    finally:
        end.set()
        headers = {"Authorization": f"Bearer {server.admin_token}"}
        path = f"{server.url}/api/runs/{server.get('/api/runs')['items'][0]['id']}/commands"
        # the loop may stand in a pause
        httpx.post(path, json={"kind": "stop", "idempotency_key": "end"}, headers=headers, trust_env=False)
        thread.join()
        run.finish(timeout_s=10)


def test_a_policy_is_set_acts_by_itself_and_is_taken_back(
    server: ServerProcess, page: Any, complaints: list[str], tmp_path: Path
) -> None:
    with training(server, tmp_path) as jump:
        open_page(page, server.page_url)
        until(lambda: server.get("/api/runs")["items"][0]["step"] > STEPS, "the rules know its level")
        run = server.get("/api/runs")["items"][0]["id"]
        open_rules(page)
        says(page, "rule-policy", "nothing happens")
        page.get_by_test_id("rules-tab-policies").click()
        says(page, "policies-none", "In this run nothing happens by itself.")
        page.get_by_test_id("policy-add").click()
        page.get_by_test_id("policy-rule").select_option("loss_jump")
        page.get_by_test_id("policy-do").select_option("checkpoint")
        page.get_by_text("here nothing would happen").wait_for()
        page.get_by_test_id("policy-do").select_option("pause")
        page.get_by_test_id("policy-budget").fill("0")
        assert page.get_by_test_id("policy-set").is_disabled()
        page.get_by_test_id("policy-budget").fill("2")
        page.get_by_test_id("policy-warnings").check()
        says(page, "policy-promise", "the server pauses the run without asking anybody: at most 2 times in a run")
        assert server.get(f"/api/runs/{run}/policies")["policies"] == {}, "nothing is set before Set is pressed"
        page.get_by_test_id("policy-set").click()
        says(page, "policies-said", "Set for this run")
        said = server.get(f"/api/runs/{run}/policies")["own"]["loss_jump"]
        assert said == {"do": "pause", "budget": 2, "severity": "warning", "pause_s": 600.0}
        says(page, "policy-used", "0 of 2 used")
        jump.set()
        says(page, "policy-used", "1 of 2 used")
        page.get_by_test_id("policy-change-loss_jump").click()
        page.get_by_test_id("policy-do").select_option("")
        page.get_by_test_id("policy-set").click()
        says(page, "policies-said", "Taken away for this run")
        says(page, "policy-used", "acted once before")
        page.keyboard.press("Escape")
        says(page, "vital-state", "paused")
        reason = "By itself: The policy for loss_jump (set by: run) does pause when it fires; 1 of 2 left."
        page.get_by_test_id("incident").get_by_text(reason).first.wait_for()
    assert complaints == []


def test_without_the_control_scope_nothing_can_be_set(server: ServerProcess, page: Any, tmp_path: Path) -> None:
    trained(server, tmp_path)
    admin = {"Authorization": f"Bearer {server.admin_token}"}
    asked = {"name": "viewer", "scopes": ["view"]}
    token = httpx.post(f"{server.url}/api/tokens", json=asked, headers=admin, trust_env=False).json()["token"]
    open_page(page, f"{server.url}/#t={token}")
    open_rules(page)
    says(page, "rules-view-only", "View only")
    page.get_by_test_id("param-input-factor").fill("1.1")
    page.get_by_test_id("rules-preview").click()
    says(page, "trial-summary", "only now")
    assert page.get_by_test_id("rules-set").is_disabled()
    page.get_by_test_id("rules-tab-policies").click()
    says(page, "rules-view-only", "Policies can be read here, not set.")
    assert page.get_by_test_id("policy-add").is_disabled()
    page.keyboard.press("Escape")
    page.locator("[data-testid=open-notifications]:visible").click()
    says(page, "channels-view-only", "View only")
    assert page.get_by_test_id("channel-add").count() == 0


def test_a_webhook_is_added_tested_and_deleted(server: ServerProcess, page: Any, tmp_path: Path) -> None:
    trained(server, tmp_path)
    with receiver() as (address, got):
        open_page(page, server.page_url)
        page.locator("[data-testid=open-notifications]:visible").click()
        for name, path in (("ops", "/hook"), ("old", "/no")):
            page.get_by_test_id("channel-add").click()
            page.get_by_test_id("field-name").fill(name)
            page.get_by_test_id("field-address").fill(f"{address}{path}")
            page.get_by_test_id("channel-save").click()
            assert page.get_by_test_id("channel-secret").inner_text().startswith("whsec_")
            page.get_by_test_id("channel-secret-close").click()
            page.locator(f"[data-name={name}] [data-testid=channel-test]").click()
        says(page, "channel-tested", "the other side answered with 200")
        says(page, "channel-tested", "this hook was revoked")
        assert {path: body["event"] for path, body in got} == {"/hook": "test", "/no": "test"}
        page.locator("[data-name=old] [data-testid=channel-delete]").click()
        page.locator("[data-name=old] [data-testid=channel-delete-confirm]").click()
        page.locator("[data-name=old]").wait_for(state="detached")
    assert [channel["name"] for channel in server.get("/api/channels")["items"]] == ["ops"]
    assert "/hook" not in page.content(), "an address does not come back"


def test_a_notifications_link_opens_the_alerts_card(server: ServerProcess, page: Any, tmp_path: Path) -> None:
    run = trained(server, tmp_path, jumped=50.0)
    alert = server.get(f"/api/runs/{run}/alerts")["items"][0]["id"]
    open_page(page, server.page_url)
    assert page.locator(".is-shown").count() == 0
    page.goto(f"{server.url}/#run={run}&alert={alert}")
    page.locator(f"#card-{alert}.is-shown").wait_for()


def test_rules_that_lag_or_failed_are_told_on_the_runs_view(server: ServerProcess, page: Any, tmp_path: Path) -> None:
    run = trained(server, tmp_path)
    failed = {"run": run, "rule": "loss_jump", "said": "ValueError: made up", "since_step": 7}
    health = {"lag_s": 12.4, "lagging_runs": 1, "judged_rows": 3, "failed": [failed]}
    page.route("**/api/rules/health", lambda route: route.fulfill(json=health))
    open_page(page, server.page_url)
    badge = page.locator("[data-testid=engine-badge]:visible")
    badge.filter(has_text="a rule failed").click()
    says(page, "engine-line", "12 s behind")
    says(page, "engine-line", "rule loss jump failed at step 7: ValueError: made up")
