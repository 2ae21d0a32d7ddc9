"""The shell of the page, in a real Chromium: palette, keys, addresses, news, and a server that is gone.

Rules of this file: what the page says of an action is compared with what the server has; no view is named that another
file tests by itself.
"""

import re
from pathlib import Path
from typing import Any

import pytest

from page_world import APPEARS_MS, drawn_step, incident_of_nan, open_run, says, training
from processes import RECORD_NOTIFICATIONS, ServerProcess, chromium_page, until

pytestmark = pytest.mark.browser

RECORD_CLIPBOARD = """
  window.copied = [];
  Object.defineProperty(navigator, "clipboard", { value: { writeText: (text) => {
    window.copied.push(text); return Promise.resolve(); } } });
"""
# what a page would sound, without a loudspeaker
RECORD_SOUND = """
  window.tones = 0;
  window.AudioContext = class { currentTime = 0; destination = {}; resume() { return Promise.resolve(); } };
  window.OscillatorNode = class { connect(to) { return to; } start() { window.tones += 1; } stop() {} };
  window.GainNode = class { gain = { setValueAtTime() {}, linearRampToValueAtTime() {} }; connect(to) { return to; } };
"""


def state_of(server: ServerProcess, run: str) -> str:
    return str(server.get(f"/api/runs/{run}")["state"])


def commands_of(server: ServerProcess, run: str) -> list[Any]:
    return list(server.get(f"/api/runs/{run}/commands")["items"])


def focused(page: Any) -> str:
    return str(page.evaluate("() => document.activeElement?.dataset.testid ?? document.activeElement?.tagName ?? ''"))


def pick(page: Any, words: str) -> None:
    page.keyboard.press("Control+k")
    page.get_by_test_id("palette-field").fill(words)
    page.keyboard.press("Enter")


def test_the_palette_only_opens_what_changes_a_run(server: ServerProcess, page: Any, tmp_path: Path) -> None:
    with training(server, tmp_path) as loop:
        open_run(page, server.page_url)
        page.get_by_test_id("open-palette").click()
        page.get_by_test_id("palette-field").fill("pau")
        chosen = page.locator("[role=option][aria-selected=true]")
        assert "Pause this run…" in chosen.inner_text()
        assert page.get_by_test_id("palette-field").get_attribute("aria-activedescendant") == chosen.get_attribute("id")
        page.keyboard.press("Enter")
        promise = page.get_by_test_id("proposal-order-pause")
        promise.get_by_text("Training waits before the next step").wait_for()
        assert commands_of(server, loop.run.id) == []
        page.keyboard.press("Escape")
        promise.wait_for(state="detached")
        until(lambda: focused(page) == "open-palette", "the focus is back where it was", 5)
        assert commands_of(server, loop.run.id) == []
        pick(page, "pause")
        page.get_by_test_id("send-order-pause").click()
        until(lambda: state_of(server, loop.run.id) == "paused", "it is paused", 10)
        says(page, "outcome-order-pause", "applied at step")
        page.keyboard.press("Escape")
        pick(page, "resume")
        page.get_by_test_id("send-order-resume").click()
        until(lambda: state_of(server, loop.run.id) == "running", "it goes on", 10)


def test_keys_lead_and_never_change_a_run_at_once(server: ServerProcess, page: Any, tmp_path: Path) -> None:
    with training(server, tmp_path) as loop:
        open_run(page, server.page_url)
        page.keyboard.press("/")
        assert page.evaluate("() => document.activeElement.id") == "run-filter"
        page.keyboard.press("Escape")
        for key in "hjkfgxyzsprw0123456789":
            page.keyboard.press(key)
        page.get_by_test_id("home").wait_for()
        page.keyboard.press("g")
        page.keyboard.press("r")
        page.locator("#charts").wait_for()
        page.keyboard.press(" ")
        until(lambda: focused(page) == "send-order-pause", "the button has the focus", 10)
        assert commands_of(server, loop.run.id) == []
        for _ in range(12):  # the focus stays in the dialog
            page.keyboard.press("Tab")
            inside = page.evaluate(
                "() => document.activeElement === document.body || document.activeElement.closest('dialog') !== null"
            )
            assert inside
        page.keyboard.press("Escape")
        page.keyboard.press("?")
        page.get_by_role("dialog", name="Keys").wait_for()
        page.get_by_test_id("habit-keys").uncheck()
        page.keyboard.press("Escape")
        page.keyboard.press("h")
        page.keyboard.press("Control+k")
        page.get_by_test_id("palette-field").wait_for()
        assert page.get_by_test_id("home").count() == 0, "single keys are off, Ctrl K is not"
        assert commands_of(server, loop.run.id) == []


def test_addresses_name_what_is_on_the_screen(server: ServerProcess, page: Any, tmp_path: Path) -> None:
    page.set_default_timeout(APPEARS_MS)
    page.add_init_script(RECORD_CLIPBOARD)
    with training(server, tmp_path, "one") as one, training(server, tmp_path / "two", "two") as two:
        open_run(page, server.page_url)
        until(lambda: drawn_step(page) > 60, "there is something to zoom", 20)
        both = f"#compare={one.run.id},{two.run.id}"
        zoomed = f"#run={one.run.id}&from=10&to=50"
        fresh = page.context.new_page()
        fresh.set_default_timeout(APPEARS_MS)
        for fragment, there in (("#home", "home"), (both, "compare"), (zoomed, "chart-losses")):
            fresh.goto("about:blank")
            fresh.goto(f"{server.url}/{fragment}&t={server.admin_token}")
            fresh.get_by_test_id(there).wait_for()
            until(lambda to=fragment: fresh.url.endswith(to), f"the address is {fragment} without the token", 10)
        fresh.locator(".range-text", has_text="steps 10 to 50").wait_for()
        fresh.goto("about:blank")
        page.keyboard.press("h")
        page.get_by_test_id("home").wait_for()
        page.evaluate("(to) => { location.hash = to; }", f"#run={one.run.id}")
        page.locator(f"[data-run='{one.run.id}'][aria-current=true]").wait_for()
        page.go_back()
        page.get_by_test_id("home").wait_for()
        page.go_forward()
        page.locator("#charts").wait_for()
        page.evaluate("(to) => { location.hash = to; }", zoomed)
        page.locator(".range-text", has_text="steps 10 to 50").wait_for()
        page.keyboard.press("y")
        until(lambda: page.evaluate("() => window.copied.length") == 1, "it is copied", 5)
        copied = page.evaluate("() => window.copied[0]")
        assert copied == f"{server.url}/{zoomed}"
        assert server.admin_token not in copied + page.url
        page.get_by_test_id("toast").filter(has_text="It holds no token").wait_for()


def test_news_are_told_lead_there_and_can_be_turned_off(server: ServerProcess, page: Any, tmp_path: Path) -> None:
    page.add_init_script(RECORD_NOTIFICATIONS)
    page.add_init_script(RECORD_SOUND)
    with training(server, tmp_path, "shown") as _, training(server, tmp_path / "b", "bad") as bad:
        open_run(page, server.page_url)
        calm = icon(page)
        page.keyboard.press("h")
        page.get_by_test_id("home").click(position={"x": 3, "y": 3})  # a browser sounds after a first click only
        bad.bad_steps = 10**9
        toast = page.locator("[data-testid=toast][data-tone=critical]")
        toast.filter(has_text="test/bad").wait_for()
        until(lambda: page.title().startswith("(1!)"), "the title counts it", 5)
        assert icon(page) != calm
        assert page.evaluate("() => window.tones") == 2, "one sound of two tones"
        toast.get_by_test_id("toast-look").click()
        page.locator(f"[data-run='{bad.run.id}'][aria-current=true]").wait_for()
        incident_of_nan(page).wait_for()
        toast.wait_for(state="detached")
        page.get_by_test_id("open-habits").click()
        for habit in ("toasts", "tab", "sound"):
            page.get_by_test_id(f"habit-{habit}").uncheck()
        until(lambda: page.title() == "test/bad · lossguard", "the title is only a title", 5)
        page.reload()
        page.get_by_test_id("open-habits").click()
        for habit in ("toasts", "tab", "sound"):
            assert not page.get_by_test_id(f"habit-{habit}").is_checked(), habit
        page.keyboard.press("Escape")
        with training(server, tmp_path / "c", "worse") as worse:
            worse.bad_steps = 10**9
            critical = page.locator(f"[data-run='{worse.run.id}'][data-health=critical]")
            critical.wait_for()
        assert toast.count() == 0
        assert page.evaluate("() => window.tones") == 0


def icon(page: Any) -> str:
    return str(page.evaluate("() => document.getElementById('favicon').href"))


def test_a_toast_can_be_closed(server: ServerProcess, page: Any, tmp_path: Path) -> None:
    with training(server, tmp_path):
        open_run(page, server.page_url)
        page.add_init_script(RECORD_CLIPBOARD)
        page.keyboard.press("y")
        toast = page.get_by_test_id("toast")
        toast.wait_for()
        region = page.get_by_label("News", exact=True)
        assert region.get_attribute("aria-live") == "polite"
        toast.get_by_test_id("toast-close").click()
        toast.wait_for(state="detached")


@pytest.mark.parametrize("view", ["home", "compare"])
def test_every_view_says_that_the_server_is_gone_and_comes_back(
    server: ServerProcess, page: Any, tmp_path: Path, view: str
) -> None:
    page.set_default_timeout(APPEARS_MS)
    with training(server, tmp_path, "one") as one, training(server, tmp_path / "two", "two") as two:
        open_run(page, server.page_url)
        fragment = "#home" if view == "home" else f"#compare={one.run.id},{two.run.id}"
        page.evaluate("(to) => { location.hash = to; }", fragment)
        shown = page.get_by_test_id(view)
        shown.filter(has_text="two").wait_for()
        server.kill()
        says(page, "link", "server gone")
        says(page, "gone", "nothing can be changed until it is back")
        assert "two" in shown.inner_text(), "what was there stays"
        server.start()
        says(page, "link", "connected")
        page.get_by_test_id("gone").wait_for(state="detached")
        page.get_by_test_id("toast").filter(has_text="The server is back").wait_for()
        assert page.url.endswith(fragment)


def test_reduced_motion_is_respected(server: ServerProcess, tmp_path: Path) -> None:
    with training(server, tmp_path), chromium_page(tmp_path / "calm") as page:
        page.emulate_media(reduced_motion="reduce")
        open_run(page, server.page_url)
        moving = page.evaluate(
            "() => [...document.querySelectorAll('#app *')].map((e) => getComputedStyle(e))"
            ".filter((s) => s.animationName !== 'none' || !/^(all )?0s|^none/.test(s.transition)).length"
        )
        assert moving == 0
        assert re.search(r"connected", page.get_by_test_id("link").inner_text())
