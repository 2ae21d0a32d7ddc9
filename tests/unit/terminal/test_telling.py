"""What became of a command, as a person reads it."""

from typing import Any

import pytest

from lossguard_server.terminal.telling import entry, life, told, value

APPLIED = {
    "id": "c1", "run": "r", "number": 12, "kind": "set_weight", "args": {"component": "ce", "value": 0.1},
    "state": "applied", "step": 7, "ranks": None, "old": None, "new": None, "refusal": None, "reason": None,
    "alert": None, "actor": "op", "history": [], "effect": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "set_weight is applied as c1 at step 7"),
        ({"ranks": 1}, "set_weight is applied as c1 at step 7 on 1 rank"),
        ({"old": 0.01, "new": 0.0001}, "set_weight is applied as c1 at step 7: 0.01 -> 0.0001"),
        ({"old": None, "new": 1.5}, "set_weight is applied as c1 at step 7: none -> 1.5"),
        (
            {"old": {"a": 1, "b": "NaN"}, "new": {"a": 0.5, "b": True}},
            "set_weight is applied as c1 at step 7: a 1, b NaN -> a 0.5, b true",
        ),
        ({"state": "queued", "step": None}, "set_weight is queued as c1"),
        ({"state": "rejected", "step": 7, "refusal": "it may not"}, "set_weight is rejected as c1: it may not"),
        (
            {"args": {"lease_steps": 3}, "old": "a", "new": "b"},
            "set_weight is applied as c1 at step 7: a -> b; its lease ends at step 10",
        ),
    ],
)
def test_a_command_in_a_sentence(fields: dict[str, Any], said: str) -> None:
    assert told({**APPLIED, **fields}) == said


def test_a_command_s_entry_has_its_life_its_reason_and_its_effect() -> None:
    history = [
        {"state": "queued", "at_s": 1e9},
        {"state": "sent", "at_s": 1e9 + 0.012},
        {"state": "applied", "at_s": 1e9 + 2},
    ]
    effect = {"verdict": "no effect", "at_step": 7, "steps": 50, "text": "Nothing moved.", "numbers": {}}
    more = {
        "history": history,
        "effect": effect,
        "reason": "too high",
        "alert": "a9",
        "ranks": 4,
        "old": 1.0,
        "new": 0.1,
    }
    facts, below = entry({**APPLIED, **more})
    assert facts == ["12", "c1", "set_weight", "component=ce value=0.1", "applied", "step 7 on 4 ranks", "1 -> 0.1"]
    assert below[0] == "given by op, because too high, for alert a9"
    assert below[1].startswith("queued 2001-09-0")
    assert below[1].endswith(", sent after 0.012 s, applied after 2 s")
    assert below[2:] == ["", "effect: Nothing moved."]


def test_a_life_without_history_is_empty() -> None:
    assert life([]) == ""


@pytest.mark.parametrize(
    ("given", "said"),
    [(0.1, "0.1"), (1 / 3, repr(1 / 3)), (1.0, "1"), (1e-7, "1e-07"), (3, "3"), (["a", "b"], "a,b"), (False, "false"),
     (None, "none")],
)  # fmt: skip
def test_a_number_is_told_so_that_it_can_be_typed_again(given: Any, said: str) -> None:
    assert value(given) == said
