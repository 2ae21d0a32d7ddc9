"""Each verb gives the command that it says, once, and tells what became of it; the exit code agrees with that."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from click.testing import Result
from typer.testing import CliRunner

from lossguard.protocol import COMMAND_KINDS
from lossguard.protocol.commands import checked
from lossguard_server.terminal import console
from lossguard_server.terminal.client import Client
from lossguard_server.terminal.commands import app
from lossguard_server.terminal.verbs import VERBS

EFFECT = {"verdict": "worked", "at_step": 7, "steps": 50, "text": "The total fell.", "numbers": {}}


class Server:
    """One run, whose commands go through `states`, one a look; the last stays."""

    def __init__(self, *states: str, **fields: Any) -> None:
        self.states, self.fields = list(states or ["queued", "sent", "received", "applied"]), fields
        self.posted: list[tuple[str, dict[str, Any]]] = []
        self.answer: dict[str, Any] | None = None  # to a POST, in place of the command
        self.effects: Iterator[Any] = iter([None])
        self.run_state = "running"

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if request.method == "POST":
            self.posted.append((path, json.loads(request.content)))
            return httpx.Response(201, json=self.answer or self.command())
        if path == "/api/runs":
            return httpx.Response(200, json={"items": [{"id": "r1", "project": "p", "name": "n"}]})
        if path == "/api/runs/r1":
            return httpx.Response(200, json={"id": "r1", "state": self.run_state})
        command = self.command()
        if path == "/api/commands/c1":
            return httpx.Response(200, json=command)
        assert path == "/api/runs/r1/commands"
        return httpx.Response(200, json={"items": [command, {**command, "id": "other"}]})

    def command(self) -> dict[str, Any]:
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        kind = self.posted[-1][1].get("kind", "pause") if self.posted else "pause"
        given = self.posted[-1][1].get("args", {}) if self.posted else {}
        is_applied = state == "applied"
        return {
            "id": "c1", "run": "r1", "number": 3, "kind": kind, "args": given, "state": state, "actor": "a",
            "reason": None, "alert": None, "step": 7 if is_applied else None, "old": 1.0 if is_applied else None,
            "new": 0.25 if is_applied else None, "ranks": 2 if is_applied else None, "refusal": None,
            "effect": next(self.effects, None), "history": [], **self.fields,
        }  # fmt: skip


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Any:
    def invoke(server: Server, *words: str) -> Result:
        transport = httpx.MockTransport(server)
        monkeypatch.setattr(console, "own_client", lambda folder, environ: Client("http://server", "t", transport))
        return CliRunner().invoke(app, list(words))

    return invoke


@pytest.mark.parametrize(
    ("words", "kind", "args"),
    [
        ("pause r1", "pause", {}),
        ("resume n", "resume", {}),
        ("stop p/n", "stop", {}),
        ("weight r1 ce 0.5", "set_weight", {"component": "ce", "value": 0.5}),
        (
            "weight r1 ce 0.5 --ramp 100 --for 300",
            "set_weight",
            {"component": "ce", "value": 0.5, "ramp_steps": 100, "lease_steps": 300},
        ),
        ("weight r1 ce -- -0.5", "set_weight", {"component": "ce", "value": -0.5}),
        ("scale r1 0.1", "scale_weights", {"factor": 0.1}),
        (
            "scale r1 0.1 ce aux --for 5",
            "scale_weights",
            {"factor": 0.1, "components": ["ce", "aux"], "lease_steps": 5},
        ),
        ("gate r1 ce closed", "gate", {"component": "ce", "open": False}),
        ("gate r1 ce open --for 9", "gate", {"component": "ce", "open": True, "lease_steps": 9}),
        ("hold r1 --for 200", "hold_stage", {"lease_steps": 200}),
        ("release r1", "release_stage", {}),
        ("stage r1 second", "go_to_stage", {"stage": "second"}),
        ("lr r1 0.5", "set_lr_scale", {"value": 0.5}),
        ("clip r1 1", "set_clip", {"value": 1.0}),
        ("revert c", "revert", {"command": "c1"}),
        ("checkpoint r1", "checkpoint", {}),
        ("rollback r1", "rollback", {}),
        ("rollback r1 --before 30", "rollback", {"before_step": 30}),
        ("instrument r1 --steps 25", "instrument", {"steps": 25}),
    ],
)
def test_a_verb_gives_its_command(said: Any, words: str, kind: str, args: dict[str, Any]) -> None:
    server = Server()
    if kind == "revert":
        server.states = ["applied"]
    done = said(server, *words.split())
    assert done.exit_code == 0, done.output
    [(path, body)] = server.posted
    assert path == "/api/runs/r1/commands"
    assert (body.pop("kind"), body.pop("args")) == (kind, args)
    assert len(body.pop("idempotency_key")) == 32
    assert body == {}
    assert checked(kind, args) == args, "what is sent is what both ends take"


def test_there_is_a_verb_for_every_kind_of_command() -> None:
    assert sorted(verb.kind for verb in VERBS) == sorted(COMMAND_KINDS)


def test_it_waits_until_the_command_is_applied_and_says_step_ranks_and_values(said: Any) -> None:
    done = said(Server(), "weight", "r1", "ce", "0.25", "--ramp", "100", "--for", "300")
    assert done.stdout == (
        "set_weight is applied as c1 at step 7 on 2 ranks: 1 -> 0.25; its ramp ends at step 107; "
        "its lease ends at step 307\n"
    )
    told = json.loads(said(Server(), "weight", "r1", "ce", "0.25", "--json").stdout)
    assert (told["state"], told["step"], told["ranks"]) == ("applied", 7, 2)


def test_without_waiting_it_says_that_the_command_is_queued(said: Any) -> None:
    server = Server()
    assert said(server, "pause", "r1", "--no-wait").stdout == "pause is queued as c1\n"
    assert json.loads(said(Server(), "pause", "r1", "--no-wait", "--json").stdout)["state"] == "queued"


@pytest.mark.parametrize("state", ["rejected", "expired", "superseded", "cancelled"])
def test_what_is_not_carried_out_ends_with_1_and_its_reason(said: Any, state: str) -> None:
    plain = said(Server("queued", state, refusal="it may not"), "lr", "r1", "2")
    assert (plain.exit_code, plain.stdout) == (1, f"set_lr_scale is {state} as c1: it may not\n")
    done = said(Server("queued", state, refusal="it may not"), "lr", "r1", "2", "--json")
    assert (done.exit_code, json.loads(done.stdout)["state"]) == (1, state)
    assert done.stderr == f"set_lr_scale is {state} as c1: it may not\n"


def test_what_the_operator_says_goes_with_the_command(said: Any) -> None:
    server = Server()
    words = ["--reason", "too high", "--expires", "30", "--expect-version", "0", "--key", "k1"]
    assert said(server, "scale", "r1", "0.5", *words).exit_code == 0
    assert server.posted[0][1] == {
        "kind": "scale_weights", "args": {"factor": 0.5}, "idempotency_key": "k1", "reason": "too high",
        "expires_in_s": 30.0, "expect_version": 0,
    }  # fmt: skip


def test_the_verdict_is_waited_for_where_it_is_asked_for(said: Any) -> None:
    server = Server("queued", "applied")
    server.effects = iter([None, None, None, EFFECT])
    done = said(server, "weight", "r1", "ce", "0.25", "--wait-effect")
    assert done.exit_code == 0
    assert done.stdout.splitlines()[1:] == ["effect: The total fell."]


def test_a_run_that_is_over_brings_no_verdict(said: Any) -> None:
    server = Server("applied")
    server.run_state = "finished"
    done = said(server, "hold", "r1", "--wait-effect", "--json")
    assert (done.exit_code, json.loads(done.stdout)["state"]) == (1, "applied")
    assert "The run is finished: there will be no verdict on c1." in done.stderr


def test_a_dry_run_gives_nothing_and_shows_before_and_after(said: Any) -> None:
    server = Server()
    share = {"ce": {"before": 0.25, "after": 0.5}, "aux": {"before": 0.75, "after": None}}
    now = {"step": 9, "total": {"before": 11.0, "after": 2.0}, "weight": {"ce": {"before": 1.0, "after": 1e-7}}}
    server.answer = {
        "dry_run": True, "from": 8, "to": 9, "steps": [8, 9], "share": share, "now": now, "left_out": 3,
        "total": {"before": [9.0, 11.0], "after": ["Infinity", 2.0, 2.0]}, "text": "As the losses were.",
    }  # fmt: skip
    done = said(server, "weight", "r1", "ce", "0.25", "--dry-run")
    assert done.exit_code == 0, done.output
    assert server.posted[0][1]["dry_run"] is True
    rows = [" ".join(row.split()) for row in done.stdout.splitlines()]
    assert rows[0] == "Nothing is given. Steps 8 to 9, had it been in force:"
    assert "total, median 10 inf" in rows
    assert "total, largest 11 inf" in rows
    assert "total, step 9 11 2" in rows
    assert "weight of ce, step 9 1 1e-07" in rows
    assert "share of ce, median 25.00 % 50.00 %" in rows
    assert "share of aux, median 75.00 %" in rows
    assert rows[-1] == "As the losses were. 3 steps with a loss that is not stored are left out."
    assert json.loads(said(server, "weight", "r1", "ce", "1", "--dry-run", "--json").stdout) == server.answer


def test_a_dry_run_of_a_run_without_steps_says_so(said: Any) -> None:
    server = Server()
    server.answer = {"dry_run": True, "from": None, "to": None, "steps": [], "share": {}, "now": None, "total": {}}
    assert "There are no stored steps" in said(server, "lr", "r1", "2", "--dry-run").stdout


def test_numbers_that_are_not_finite_are_sent_as_words_for_the_server_to_refuse(said: Any) -> None:
    server = Server()
    assert said(server, "weight", "r1", "ce", "nan").exit_code == 0
    assert server.posted[0][1]["args"]["value"] == "NaN"


@pytest.mark.parametrize(("state", "code"), [("cancelled", 0), ("applied", 1)])
def test_cancel_takes_the_command_back_that_is_named(said: Any, state: str, code: int) -> None:
    server = Server("queued")
    server.answer = {**server.command(), "state": state}
    done = said(server, "cancel", "c1")
    assert (done.exit_code, server.posted) == (code, [("/api/commands/c1/cancel", {})])
    assert done.stdout.startswith(f"pause is {state} as c1")


@pytest.mark.parametrize(
    "words",
    [
        "weight r1 ce much", "weight r1 ce 0.5 --ramp 0", "weight r1 ce 0.5 --for x", "gate r1 ce ajar", "hold",
        "stage r1", "scale r1", "pause r1 --dry-run", "pause r1 --ramp 3", "release r1 --for 3",
        "hold r1 --no-wait --wait-effect", "rollback r1 --before -1", "instrument r1", "revert",
    ],
)  # fmt: skip
def test_wrong_usage_ends_with_2_and_asks_nothing(said: Any, words: str) -> None:
    server = Server()
    assert said(server, *words.split()).exit_code == 2
    assert server.posted == []


def test_a_command_is_named_by_the_beginning_of_its_id_where_that_is_one(said: Any) -> None:
    server = Server("applied")
    assert said(server, "revert", "o").exit_code == 0
    assert server.posted[0][1]["args"] == {"command": "other"}
    for none in ("x", ""):
        refused = said(Server("applied"), "revert", none)
        assert (refused.exit_code, f"There is no command {none!r}" in refused.stderr) == (1, True)
