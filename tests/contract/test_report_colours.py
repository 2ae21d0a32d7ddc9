"""A report has the page's colours: a person who turns from one to the other meets the same lines."""

import re
from pathlib import Path

import pytest

from lossguard_server.services.reporting.colours import DARK, LIGHT, PALETTE

TOKENS = Path(__file__).parents[2] / "web" / "src" / "style" / "tokens.css"


def colours_of_page(theme: str) -> dict[str, str]:
    (block,) = re.findall(rf':root\[data-theme="{theme}"\] \{{(.*?)\}}', TOKENS.read_text(), re.DOTALL)
    return dict(re.findall(r"--([\w-]+): (#\w+);", block))


@pytest.mark.parametrize(("theme", "mine"), [("light", LIGHT), ("dark", DARK)])
def test_colours_are_the_pages(theme: str, mine: dict[str, str]) -> None:
    page = colours_of_page(theme)
    assert mine == {name: page.get(name) for name in mine}


def test_palette_is_as_large_as_the_pages() -> None:
    assert sum(name.startswith("series-") for name in colours_of_page("light")) == PALETTE
