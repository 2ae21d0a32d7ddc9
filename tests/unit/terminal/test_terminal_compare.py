"""`lossguard compare`: the table, the tree and the differences, as a person reads them; refusals in a sentence."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lossguard_server.terminal import compare as compare_module
from lossguard_server.terminal.client import Refused
from lossguard_server.terminal.commands import app

ANSWER: dict[str, Any] = {
    "axis": {"kind": "step", "note": "Steps stand where they are."},
    "runs": [{"id": "a", "name": "old"}, {"id": "b", "name": "[bold]new"}],
    "parting": [{"label": "total", "pairs": [{"run": "b", "text": "Part at step 80: 2.5 in new, NaN in old."}]}],
    "verdict": [
        {"title": "values not finite", "winners": ["b"], "equal": False, "why": "new: 0 against 3 of old.",
         "cells": [{"text": "3", "detail": "3 NaN; the first: loss/ce at step 81"}, {"text": "0", "detail": ""}]},
        {"title": "memory", "winners": [], "equal": False, "why": "Only old has it.",
         "cells": [{"text": "1 GiB", "detail": ""}, {"text": "not logged", "detail": ""}]},
    ],
    "decisions": [
        {"run": "b", "against": "a", "text": "Adopt new.", "cautions": ["old broke itself."],
         "nodes": [{"question": "NaN losses?", "answer": "no", "why": "All finite.", "leads": "compare"}]}
    ],
    "config": {"rows": [{"path": "config.lr", "values": {"a": 0.1}}], "left_out": 2, "same": 7},
}  # fmt: skip


class OneServer:
    """Answers as a client does."""

    def run_id(self, wanted: str) -> str:
        if wanted not in ("a", "b"):
            raise Refused(f"There is no run {wanted!r}.")
        return wanted

    def get(self, path: str, **params: Any) -> Any:
        assert (path, params) == ("/api/compare", {"run": ["a", "b"], "axis": "stage"})
        return ANSWER


@pytest.fixture(autouse=True)
def one_server(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(data: Path | None, question: Any) -> Any:
        try:
            return question(OneServer())
        except Refused as refused:
            print(refused.message, refused.hint)
            raise SystemExit(1) from None

    monkeypatch.setattr(compare_module, "ask", ask)


def said(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["compare", *arguments])
    return result.exit_code, result.output


def test_the_table_the_tree_and_the_differences_are_printed() -> None:
    code, output = said("a", "b", "--axis", "stage")
    assert code == 0
    for words in (
        "(3 NaN; the first: loss/ce at step 81)", "[bold]new", "not known", "Part at step 80: 2.5 in new, NaN in old.",
        "[bold]new instead of old?", "NaN losses? no: All finite. -> compare", "= Adopt new.", "! old broke itself.",
        "absent", "2 more are left out.",
    ):  # fmt: skip
        assert words in output, words


def test_as_json_it_is_the_answer() -> None:
    assert json.loads(said("a", "b", "--axis", "stage", "--json")[1]) == ANSWER


@pytest.mark.parametrize("runs", [("a",), ("a", "a"), ("a", "nobody")])
def test_what_cannot_be_compared_is_refused(runs: tuple[str, ...]) -> None:
    code, output = said(*runs, "--axis", "stage")
    assert (code, "run" in output) == (1, True)
