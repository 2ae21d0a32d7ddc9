"""The page is served from a listed folder; where it is not built, that is said in one sentence."""

from pathlib import Path

import pytest

from lossguard_server.edges.pages import Pages, routes_page
from lossguard_server.errors import NotThere


@pytest.fixture
def built(tmp_path: Path) -> Pages:
    (tmp_path / "static" / "assets").mkdir(parents=True)
    (tmp_path / "static" / "index.html").write_text("<!doctype html>")
    (tmp_path / "static" / "assets" / "app-1a2b.js").write_text("1")
    (tmp_path / "secret.txt").write_text("not yours")
    (tmp_path / "static" / "assets" / "out").symlink_to(tmp_path)
    return Pages(tmp_path / "static")


async def test_the_page_and_its_assets(built: Pages) -> None:
    index = await built.index()
    assert (index.status_code, index.headers["cache-control"]) == (200, "no-cache")
    asset = await built.asset("app-1a2b.js")
    assert (asset.body, asset.media_type) == (b"1", "text/javascript")
    assert "immutable" in asset.headers["cache-control"]


@pytest.mark.parametrize(
    "name", ["../index.html", "..", ".", "", "../../secret.txt", "out", "out/secret.txt", "x" * 5_000]
)
async def test_no_name_leads_out_of_the_folder(built: Pages, name: str) -> None:
    with pytest.raises(NotThere):
        await built.asset(name)


async def test_a_page_that_is_not_built_says_what_to_do(tmp_path: Path) -> None:
    answer = await Pages(tmp_path / "none").index()
    assert answer.status_code == 503
    assert b"make page" in answer.body
    with pytest.raises(NotThere):
        await Pages(tmp_path / "none").asset("a.js")


async def test_plotly_comes_from_the_wheel() -> None:
    assert len((await Pages().plotly()).body) > 1_000_000


def test_the_list_of_routes_is_text() -> None:
    page = routes_page({"paths": {"/<script>": {"get": {"description": "<img src=x>"}}}})
    assert "<script>" not in page
    assert "<img" not in page
    assert "/&lt;script&gt;" in page
