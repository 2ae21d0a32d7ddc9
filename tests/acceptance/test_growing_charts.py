"""A chart that grows under a person's eyes holds, pixel by pixel, what it would hold if all of it were drawn at once.

Rules of this file: numbers are made up and come in bursts, as a trainer sends them; the page draws the tips of its
curves then, and all of them two seconds after the last. The pictures before and after that are compared in the page.
"""

from math import sin
from pathlib import Path
from typing import Any

import pytest

import lossguard as lg
from processes import ServerProcess, until

pytestmark = pytest.mark.browser

APPEARS_MS = 30_000
BURST_STEPS, BURST_MS = 5, 90
WHOLE_MS = 3_000  # the page draws all of a chart 2 s after it was drawn before
FAINT = 24  # of 255: the edge of a line that begins elsewhere
FEW = 24  # colours of pixels that may be more than that apart
GROUPS = 12  # more than there are colours: the others are dashed

# A tip is drawn within what lies to the right of some pixel, as high as the canvas: nothing else is clipped so.
COUNT_TIPS = """
  window.tips = 0;
  const { rect } = CanvasRenderingContext2D.prototype;
  CanvasRenderingContext2D.prototype.rect = function (x, y, width, height) {
    if (y === 0 && width === this.canvas.width && height === this.canvas.height) window.tips += 1;
    rect.call(this, x, y, width, height);
  };
"""
CHARTS = """[...document.querySelectorAll(".chart-host")].filter((host) => {
  const { top, bottom } = host.getBoundingClientRect();
  return bottom > 0 && top < innerHeight;
})"""
DRAWN_TO = f"() => Math.max(-1, ...{CHARTS}.map((host) => Number(host.dataset.lastStep)))"
KEEP = f"""() => {{
  const drawn = {CHARTS}.map((host) => {{
    const canvas = host.querySelector("canvas");
    return canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  }});
  (window.pictures ??= []).push(drawn);
  return drawn.length;
}}"""
UNLIKE = f"""() => {{
  const [before, after] = window.pictures.splice(0);
  return before.map(({{ data }}, at) => {{
    let unlike = 0;
    for (let i = 0; i < data.length; i += 1) if (Math.abs(data[i] - after[at].data[i]) > {FAINT}) unlike += 1;
    return unlike;
  }});
}}"""


class Growing:
    """A run that this test logs to by itself."""

    def __init__(self, server: ServerProcess, folder: Path) -> None:
        losses = {"ce": 1.0, "aux": 0.5}
        where = {"url": server.url, "token": server.ingest_token, "dir": str(folder / "spool")}
        self.run = lg.init("test", "growing", losses=losses, **where)
        self.step = 0
        self._server = server

    def declares(self, prefix: str) -> bool:
        runs = self._server.get("/api/runs")["items"]
        series = self._server.get(f"/api/runs/{runs[0]['id']}/series")["items"] if runs else []
        return any(each["name"].startswith(prefix) for each in series)

    def log(self, steps: int) -> None:
        for step in range(self.step, self.step + steps):
            ce, aux = 2 + sin(step * 1.7), 1 + sin(step / 40)
            values = {"loss/ce": ce, "loss/aux": aux, "loss/total": ce + 0.5 * aux}
            groups = {f"grad_norm/group{g}": 2.0**g * (1.5 + sin(step * 0.9 + g)) for g in range(GROUPS)}
            rare = {"accuracy": sin(step / 100)} if step % 70 == 0 else {}
            self.run.log(values | groups | rare, step=step)
        self.step += steps


def test_charts_that_grew_are_those_of_all(
    server: ServerProcess, page: Any, complaints: list[str], tmp_path: Path
) -> None:
    page.set_default_timeout(APPEARS_MS)
    growing = Growing(server, tmp_path)
    growing.log(250)
    until(lambda: growing.declares("system/"), "what is measured of the machine is declared, which loads all anew")
    page.add_init_script(COUNT_TIPS)
    page.goto(server.page_url)
    page.locator("[data-testid=chart-losses]:not([data-last-step=''])").wait_for()
    for more in (50, 2000):  # a column a step, and columns of several
        growing.log(more)
        for view in ("whole run", "last 200"):
            page.get_by_role("button", name=view).click()
            unlike = unlike_after_growing(page, growing)
            assert max(unlike) <= FEW, (view, growing.step, unlike)
    growing.run.finish(timeout_s=5)
    assert complaints == []


def unlike_after_growing(page: Any, growing: Growing) -> list[int]:
    """How many colours of each chart in view differ between what grew and what is drawn at once."""
    until(lambda: drawn_to(page, growing), "what is there is drawn")
    page.evaluate("() => { window.tips = 0; }")
    for _ in range(20):
        growing.log(BURST_STEPS)
        page.wait_for_timeout(BURST_MS)
    until(lambda: drawn_to(page, growing), "what came is drawn", 10)
    assert page.evaluate("() => window.tips") > 0
    assert page.evaluate(KEEP) >= 3
    page.wait_for_timeout(WHOLE_MS)
    page.evaluate(KEEP)
    return [int(count) for count in page.evaluate(UNLIKE)]


def drawn_to(page: Any, growing: Growing) -> bool:
    return bool(page.evaluate(DRAWN_TO) == growing.step - 1)
