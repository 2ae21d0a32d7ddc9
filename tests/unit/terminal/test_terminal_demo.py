"""`lossguard demo`: what it does not know itself it passes on to the trainer."""

from typing import Any

import pytest
from typer.testing import CliRunner

from lossguard_server.terminal import demo
from lossguard_server.terminal.commands import SCENARIOS, app

Made = list[tuple[Any, ...]]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    """Every demo that was begun, by its arguments: folder, port, the trainer's arguments, headless, console."""
    found: Made = []

    class Replaced:
        def __init__(self, *arguments: Any) -> None:
            found.append(arguments)

        def run(self) -> None:
            found[-1] = (*found[-1], "ran")

    monkeypatch.setattr(demo, "Demo", Replaced)
    return found


def test_options_that_are_not_its_own_go_to_the_trainer(made: Made) -> None:
    given = ["demo", "tabular", "--headless", "--seed", "3", "--curriculum", "staged", "--loss", "huber", "--compile"]
    result = CliRunner().invoke(app, given)
    assert (result.exit_code, result.output) == (0, "")
    (_, _, trainer, headless, _, ran) = made[0]
    assert trainer == ["tabular", "--seed", "3", "--curriculum", "staged", "--loss", "huber", "--compile"]
    assert (headless, ran) == (True, "ran")


def test_a_person_gets_the_time_to_look_and_what_was_given_stays(made: Made) -> None:
    assert CliRunner().invoke(app, ["demo", "planets", "--steps", "7", "--size", "large"]).exit_code == 0
    assert made[0][2] == ["planets", "--steps", "7", "--stage-steps", "1000", "--seed", "0", "--size", "large"]
    assert "planets" in SCENARIOS
