"""What is in force, what will change by itself, and what was commanded, as a person reads it and a program does."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import Result
from typer.testing import CliRunner

from lossguard_server.terminal import console
from lossguard_server.terminal.client import Client
from lossguard_server.terminal.commands import app

STAGES = [
    {"name": "ce only", "start": 0, "begins_at": None},
    {"name": "second", "start": 100, "begins_at": None},
    {"name": "third", "start": 200, "begins_at": 260},
]
SCHEDULE = {
    "version": 4, "held": {"since": 140, "until": 160}, "position": 140, "stages": STAGES,
    "weights": {"ce": 1.0, "aux": "NaN"}, "gated": ["aux"], "lr_scale": 0.5, "clip": None,
    "changes": [{"step": 160, "text": "the hold ends"}, {"step": 260, "weights": {"ce": 2.0}}],
    "operations": [{"step": 140, "id": "c4", "kind": "hold_stage", "args": {"lease_steps": 20}}],
}  # fmt: skip
COMMANDS = [
    {
        "id": name, "run": "r1", "number": number, "kind": "pause", "args": {}, "state": state, "actor": "op",
        "step": None, "reason": None, "alert": None, "old": None, "new": None, "refusal": None, "history": [],
    }
    for number, (name, state) in enumerate([("c2", "sent"), ("c1", "rejected")])
]  # fmt: skip
PATCH = {"lossguard": "curriculum", "version": 1, "stages": [{"name": "é", "weights": {"a": 0.1 + 0.2}}], "x": "NaN"}
Said = Callable[..., Result]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Said:
    answers: dict[str, Any] = {
        "/api/runs": {"items": [{"id": "r1", "project": "p", "name": "n"}]}, "/api/runs/r1/schedule": SCHEDULE,
        "/api/runs/r1/commands": {"items": COMMANDS}, "/api/runs/r1/curriculum": PATCH,
    }  # fmt: skip
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=answers[request.url.path]))
    monkeypatch.setattr(console, "own_client", lambda folder, environ: Client("http://server", "t", transport))
    return lambda *words: CliRunner().invoke(app, list(words))


def rows(done: Result) -> list[str]:
    assert done.exit_code == 0, done.output
    return [" ".join(row.split()) for row in done.stdout.splitlines()]


def test_the_schedule_says_what_is_in_force_and_what_comes(said: Said) -> None:
    found = rows(said("schedule", "n"))
    assert found[0] == "version 4; the curriculum's clock is held until step 160, at 140"
    assert {"ce only 0", "second 100 now", "third 200 260"} <= set(found)
    assert {"weight of ce 1", "weight of aux NaN", "gate of aux closed", "learning rates times 0.5"} <= set(found)
    assert not any("clipped" in row for row in found)
    assert {"step 160 the hold ends", "step 260 weights=ce 2"} <= set(found)
    assert "step 140 c4 hold_stage lease_steps=20" in found
    assert json.loads(said("schedule", "n", "--json").stdout) == SCHEDULE


def test_commands_are_listed_with_their_life_and_the_open_ones_alone(said: Said) -> None:
    assert [row.split()[1] for row in rows(said("commands", "r1")) if "pause" in row] == ["c2", "c1"]
    assert [each["id"] for each in json.loads(said("commands", "r1", "--open", "--json").stdout)] == ["c2"]


def test_the_curriculum_is_written_with_every_bit(said: Said, tmp_path: Path) -> None:
    target = tmp_path / "mended.json"
    done = said("export", "r1", "--curriculum", "-o", str(target))
    assert (done.exit_code, f"of run r1 are in {target}" in done.stdout) == (0, True), done.output
    assert json.loads(target.read_text()) == PATCH
    printed = said("export", "r1", "--curriculum", "-o", "-")
    assert json.loads(printed.stdout) == PATCH


@pytest.mark.parametrize("more", [["--series", "a"], ["--from", "1"], ["--to", "1"], ["--format", "csv"]])
def test_a_curriculum_is_exported_whole(said: Said, tmp_path: Path, more: list[str]) -> None:
    target = tmp_path / "mended.json"
    assert said("export", "r1", "--curriculum", "-o", str(target), *more).exit_code == 2
    assert not target.exists()
