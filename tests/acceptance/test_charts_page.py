"""What the charts of a run show and how a person moves in them, in a real Chromium against a real server.

Rules of this file: one finished run of 3,000 steps for all tests, sent over the real wire, with what charts must be
honest about: parts of both signs, values that are not finite, an extreme of one step, steps that never came, and a
series at every tenth step. Numbers are made up, because only they matter here.
No wait_for_function: it evaluates a string, which the page's CSP refuses.
"""

import asyncio
import csv
from collections.abc import Iterator
from math import inf, nan, sin
from pathlib import Path
from typing import Any

import pytest

from processes import ServerProcess, chromium_page, until
from raw_trainer import RawTrainer

pytestmark = pytest.mark.browser

STEPS = 3000
WHOLE = (0, STEPS - 1)
GAP = range(1200, 1260)
SPIKE_STEP = 777
NAN_STEP = 2000
GROUPS = ("encoder", "decoder", "head")
APPEARS_MS = 8_000


async def send_run(server: ServerProcess) -> None:
    steps = [step for step in range(STEPS) if step not in GAP]
    trainer = RawTrainer(server.url, server.ingest_token, run="charts", name="charts", project="look")
    await trainer.connect()
    trainer.declare(components=["ce", "bonus"])
    ce = [1e6 if step == SPIKE_STEP else nan if step == NAN_STEP else 3 + sin(step) for step in steps]
    trainer.frame(
        steps,
        **{
            "loss__total": [value - 1 for value in ce],
            "contribution__ce": ce,
            "contribution__bonus": [-1.0] * len(steps),
            "loss__ce": ce,
            "signed__a": [(-1) ** step * 10.0 ** (step % 5) for step in steps],
            "grad_norm__total": [inf if step == NAN_STEP else 2.0 for step in steps],
            **{f"grad_norm__{group}": [10.0**i + step / 300 for step in steps] for i, group in enumerate(GROUPS)},
        },
    )
    trainer.frame(list(range(0, STEPS, 10)), now_and_then__v=[float(step) for step in range(0, STEPS, 10)])
    trainer.event("finish", STEPS - 1, state="finished")
    await trainer.deliver()
    trainer.disconnect()


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    server = ServerProcess(tmp_path_factory.mktemp("charts") / "data").start()
    asyncio.run(send_run(server))
    yield server
    server.stop()


@pytest.fixture
def shown(stored: ServerProcess, page: Any, complaints: list[str]) -> Iterator[Any]:
    page.set_default_timeout(APPEARS_MS)
    page.goto(stored.page_url)
    page.locator("[data-testid=chart-losses]:not([data-last-step=''])").wait_for()
    page.get_by_test_id("density").wait_for()  # what it says makes the row above the charts grow
    yield page
    assert complaints == []


# The classes of what sticks out of the phone's screen, save what is cut off or closed.
BESIDE = """() => [...document.querySelectorAll(".middle *")]
    .filter(one => one.checkVisibility({contentVisibilityAuto: true}) && !one.closest(".chart-host"))
    .filter(one => one.getBoundingClientRect().right > 391)
    .map(one => one.className)"""


def chart(page: Any, chart_id: str, **attributes: str) -> Any:
    wanted = "".join(f"[data-{name}='{value}']" for name, value in attributes.items())
    return page.locator(f"[data-testid=chart-{chart_id}]{wanted}")


def panel(page: Any, title: str) -> Any:
    return page.get_by_role("region", name=title, exact=True)


def window(page: Any) -> tuple[int, int]:
    of = page.get_by_test_id("minimap")
    return int(of.get_attribute("data-from")), int(of.get_attribute("data-to"))


def point_at(page: Any, chart_id: str, part: float) -> None:
    """Move the mouse over the plot of a chart, `part` of its width from the left."""
    over = chart(page, chart_id).locator(".u-over, .drag-box")
    over.scroll_into_view_if_needed()
    box = over.bounding_box()
    page.mouse.move(box["x"] + box["width"] * part, box["y"] + box["height"] / 2)


def test_symlog_shows_both_signs_and_is_remembered(shown: Any) -> None:
    panel(shown, "signed").get_by_role("button", name="symlog").click()
    chart(shown, "other-signed", scale="symlog").wait_for()
    assert "linear within ±1" in panel(shown, "signed").locator("h2").inner_text()
    shown.reload()
    chart(shown, "losses", scale="log").wait_for()
    # Only what is in view is drawn.
    chart(shown, "other-signed").scroll_into_view_if_needed()
    chart(shown, "other-signed", scale="symlog").wait_for()


def test_shares_are_of_the_sum_of_magnitudes_and_say_so(shown: Any) -> None:
    contributions = panel(shown, "Contributions to the total")
    assert "a part is negative" in contributions.locator("h2").inner_text(), "areas would mislead"
    contributions.get_by_role("button", name="share %").click()
    chart(shown, "contributions", form="shares").wait_for()
    said = contributions.locator("h2").inner_text()
    assert "of the sum of magnitudes; negative parts hang below 0" in said
    chart(shown, "contributions", nonfinite="1").wait_for()


def test_smoothing_is_said_keeps_extremes_and_is_remembered(shown: Any) -> None:
    shown.keyboard.press("s")
    losses = panel(shown, "Raw losses")
    losses.locator("h2", has_text="smoothed, mean of 50 steps; faint: lowest to highest").wait_for()
    chart(shown, "losses", nonfinite="1").wait_for()
    shown.reload()
    losses.locator("h2", has_text="smoothed").wait_for()
    assert shown.get_by_test_id("smoothing").input_value() == "light"


def test_gradients_are_a_heat_map_and_open_as_one(shown: Any, complaints: list[str]) -> None:
    gradients = panel(shown, "Gradient norms")
    gradients.get_by_role("button", name="heat map").click()
    chart(shown, "gradients", form="heat", nonfinite="1").wait_for()
    point_at(shown, "gradients", 0.5)
    gradients.locator(".legend-value", has_text="…").first.wait_for()
    gradients.get_by_role("button", name="explore").click()
    shown.locator("[data-testid=explore] .heatmaplayer image").first.wait_for(state="attached")
    shown.get_by_role("dialog").get_by_role("button", name="close").click()
    box = chart(shown, "gradients").locator(".drag-box").bounding_box()
    shown.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + 20)
    shown.mouse.down()
    shown.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 20, steps=5)
    shown.mouse.up()
    until(lambda: window(shown)[0] > 500, "a drag on the heat map zooms", 10)


def test_the_cross_hair_says_every_value_of_every_chart(shown: Any) -> None:
    point_at(shown, "losses", SPIKE_STEP / WHOLE[1])
    shown.get_by_test_id("cursor-step").filter(has_text="steps 77").wait_for()
    for title in ("Contributions to the total", "Raw losses", "Gradient norms", "signed", "now and then"):
        legend = panel(shown, title).locator(".legend-value")
        assert legend.count() >= 1
        assert "–" not in legend.all_inner_texts(), title
    assert "1.000e6" in panel(shown, "Raw losses").locator(".legend-value").first.inner_text().replace("1e6", "1.000e6")
    point_at(shown, "losses", (NAN_STEP + 0.5) / WHOLE[1])
    panel(shown, "Raw losses").locator(".legend-value", has_text="NaN").wait_for()
    panel(shown, "Gradient norms").locator(".legend-value", has_text="+Inf").wait_for()


def test_arrow_keys_move_the_cross_hair_of_a_chart_with_the_focus(shown: Any) -> None:
    chart(shown, "losses").focus()
    shown.keyboard.press("End")
    shown.get_by_test_id("cursor-step").filter(has_text="2\u2009999").wait_for()
    shown.keyboard.press("ArrowLeft")
    said = panel(shown, "Raw losses").get_by_role("status").first
    said.filter(has_text="ce ").wait_for()
    assert window(shown) == WHOLE, "the window stands still"
    shown.keyboard.press("Escape")
    shown.get_by_test_id("cursor-step").filter(has_text="drag to zoom").wait_for()


def test_a_finger_points_and_nothing_lies_beside_the_screen(stored: ServerProcess, tmp_path: Path) -> None:
    with chromium_page(tmp_path / "phone", 390, 844) as page:
        page.set_default_timeout(APPEARS_MS)
        page.goto(stored.page_url)
        over = chart(page, "losses").locator(".u-over")
        over.scroll_into_view_if_needed()
        box = over.bounding_box()
        at = {"clientX": box["x"] + 100, "clientY": box["y"] + 40, "pointerType": "touch", "bubbles": True}
        over.dispatch_event("pointerdown", at)
        over.dispatch_event("pointerleave", at)
        panel(page, "Raw losses").locator(".legend-at", has_text="steps").wait_for()
        assert page.evaluate(BESIDE) == []
        for button in page.locator(".chart-tools button, .chart-tools summary").all():
            place = button.bounding_box()
            assert place is None or place["x"] + place["width"] <= 390, button.inner_text()


def test_keys_look_back_zoom_and_follow_again(shown: Any) -> None:
    shown.keyboard.press("+")
    until(lambda: window(shown) != WHOLE, "+ zooms in", 10)
    first = window(shown)
    shown.keyboard.press("ArrowLeft")
    until(lambda: window(shown)[0] < first[0], "left looks back", 10)
    shown.keyboard.press("Shift+ArrowRight")
    until(lambda: window(shown)[0] > first[0], "a page to the right", 10)
    shown.keyboard.press("Escape")
    until(lambda: window(shown) == WHOLE, "Escape follows again", 10)


def test_the_map_is_dragged(shown: Any) -> None:
    box = shown.get_by_test_id("minimap").locator("canvas").bounding_box()

    def at(part: float) -> tuple[float, float]:
        return box["x"] + box["width"] * part, box["y"] + box["height"] / 2

    for begin, end in ((0.5, 0.6), (0.55, 0.25)):
        shown.mouse.move(*at(begin))
        shown.mouse.down()
        shown.mouse.move(*at(end), steps=6)
        shown.mouse.up()
    until(lambda: 500 <= window(shown)[0] <= 700, f"selected and moved back: {window(shown)}", 10)
    assert 250 <= window(shown)[1] - window(shown)[0] <= 350


def test_a_mark_says_what_happened_and_zooms_on_demand(shown: Any) -> None:
    glyph = chart(shown, "losses").locator(".glyph").first
    glyph.wait_for()
    glyph.click()
    shown.get_by_test_id("mark-note").wait_for()
    assert window(shown) == WHOLE, "not before it is asked for"
    shown.get_by_test_id("mark-zoom").click()
    until(lambda: window(shown) != WHOLE, "it zooms", 10)


def test_folding_detail_and_gaps_are_said(shown: Any) -> None:
    shown.get_by_test_id("density").filter(has_text="points, extremes kept").wait_for()
    gaps = shown.get_by_test_id("gaps")
    gaps.filter(has_text="1 gap").wait_for()
    gaps.click()
    gaps.filter(has_text="1 gap: 60 steps never came").wait_for()
    assert window(shown)[0] < GAP.start < GAP.stop < window(shown)[1]
    shown.get_by_test_id("density").wait_for(state="detached")
    for vital in ("vital-age", "vital-gaps"):
        assert shown.get_by_test_id(vital).inner_text() != ""


def saved(page: Any, kind: str, chart_id: str) -> Path:
    page.get_by_test_id(f"save-{chart_id}").click()
    with page.expect_download() as download:
        page.get_by_test_id(f"{kind}-{chart_id}").click()
    return Path(download.value.path())


def test_any_chart_is_saved_as_a_picture(shown: Any) -> None:
    for form in ("lines", "heat map"):
        panel(shown, "Gradient norms").get_by_role("button", name=form, exact=True).click()
        picture = saved(shown, "png", "gradients").read_bytes()
        width, height = (int.from_bytes(picture[at : at + 4], "big") for at in (16, 20))
        assert picture.startswith(b"\x89PNG\r\n")
        assert width > 600
        assert height > 200


def test_any_chart_is_saved_as_numbers(shown: Any) -> None:
    folded = list(csv.DictReader(saved(shown, "csv", "losses").read_text().splitlines()))
    assert max(float(row["loss/ce max"] or 0) for row in folded) == 1e6
    assert [row["loss/ce not finite"] for row in folded].count("NaN") == 1
    every = {row["step"]: row for row in csv.DictReader(saved(shown, "points", "losses").read_text().splitlines())}
    assert len(every) == STEPS - len(GAP)
    assert every[str(NAN_STEP)]["loss/ce"] == "NaN"
    assert float(every[str(SPIKE_STEP)]["loss/ce"]) == 1e6
