"""docs/control.md says of commands what the code does: kinds, verbs, and the table of their life."""

import re
from pathlib import Path

import pytest

from lossguard.protocol import COMMAND_KINDS
from lossguard.protocol.commands import checked
from lossguard.protocol.steering import LEASED_KINDS, NotPossible
from lossguard_server.services import command_states as states
from lossguard_server.terminal.verbs import VERBS, Verb

CONTROL = (Path(__file__).parents[2] / "docs" / "control.md").read_text()
ROWS = [line.split(" | ") for line in CONTROL.splitlines() if line.startswith("| `")]


def test_every_kind_has_its_row_with_the_arguments_that_both_ends_take() -> None:
    found = dict(pair for row in ROWS for pair in re.findall(r"`(\w+) \{([^}]*)\}`", row[0]))
    assert sorted(found) == sorted(COMMAND_KINDS)
    for kind, names in found.items():
        with pytest.raises(NotPossible) as refused:
            checked(kind, {"?": 0})
        lease = ["lease_steps?"] if kind in LEASED_KINDS else []
        said = ", ".join([*filter(None, names.split(", ")), *lease]) or "no arguments"
        assert str(refused.value) == f"{kind} does not take '?'; it takes {said}"


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_every_verb_stands_in_the_row_of_its_kind(verb: Verb) -> None:
    rows = [row for row in ROWS if re.search(rf"`{verb.kind} \{{", row[0])]
    assert [row for row in rows if f"`{verb.name} " in row[1]] == rows != []


def test_the_life_of_a_command_is_the_table_of_the_code() -> None:
    told = {
        (row[0].strip("| `"), to)
        for row in ROWS
        if row[0].strip("| `") in states.STATES
        for to in re.findall(r"`(\w+)`", re.sub(r"\(.*?\)", "", row[-1]))
    }
    assert told == {(one, to) for one in states.STATES for to in states.STATES if states.is_legal(one, to)}
