"""What a person copies from a table is whole, however narrow the terminal is."""

import io
import re

import pytest
from rich.console import Console
from typer.testing import CliRunner

from lossguard.scenarios import SCENARIOS as TRAININGS
from lossguard_server.terminal.commands import SCENARIOS, app
from lossguard_server.terminal.console import NOTHING, put, put_lines

RUN = "0b2f7c1e9a0c4f11" * 3
SENTENCE = "The total has been four times its level for thirty steps " * 3


def written(is_terminal: bool, rows: list[list[str]]) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=is_terminal, color_system=None)
    put(console, ("id", "a run's name", "message"), rows, ("message",))
    return re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue()).splitlines()


@pytest.mark.parametrize("name", ["n7", "exp [7] of the third try, with a long name"])
def test_in_a_terminal_prose_alone_is_folded(name: str) -> None:
    found = written(True, [[RUN, name, SENTENCE]])
    assert RUN in found[2]
    assert name in found[2]
    assert len(found) > 4
    assert " ".join(" ".join(found[2:]).replace(RUN, "").replace(name, "").split()) == SENTENCE.strip()


def test_in_a_pipe_a_row_is_a_line() -> None:
    found = written(False, [[RUN, "n", SENTENCE], [RUN, "n", ""]])
    assert len(found) == 4
    assert SENTENCE.strip() in found[2]


def test_a_narrow_table_is_not_wider_than_its_terminal() -> None:
    assert max(map(len, written(True, [["r1", "n", SENTENCE]]))) <= 80


def test_where_there_is_nothing_it_says_so() -> None:
    assert written(True, []) == [NOTHING]
    out = io.StringIO()
    put_lines(Console(file=out), [])
    assert out.getvalue() == f"{NOTHING}\n"


def test_facts_stand_in_columns_and_sentences_below() -> None:
    out = io.StringIO()
    put_lines(Console(file=out, width=20), [(["a", "critical"], [SENTENCE]), (["abc", "x"], ["", "So."])])
    assert out.getvalue() == f"a    critical\n    {SENTENCE}\nabc  x\n    So.\n"


def test_help_names_what_there_is() -> None:
    assert {name: tuple(scenario.variants) for name, scenario in TRAININGS.items()} == SCENARIOS
    wide = {"COLUMNS": "300"}
    said = CliRunner().invoke(app, ["demo", "--help"], env=wide).stdout
    assert "tabular: unmasked, empty_mask, bert, progressive" in said
    assert "[rules.<rule>]" in CliRunner().invoke(app, ["backtest", "--help"], env=wide).stdout
