"""Waiting ends by what becomes of the command, by its limit, or by a server that is gone; the command goes on."""

from typing import Any

import httpx
import pytest

from lossguard_server.terminal.client import Client
from lossguard_server.terminal.following import PATIENCE_S, PAUSE_MAX_S, Following

QUEUED = {"id": "c1", "run": "r1", "state": "queued", "effect": None}


class World:
    """A clock that only sleeping moves, and a server that answers look after look; an answer is a state, or what
    goes wrong."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.now_s, self.pauses_s = list(answers), 0.0, []  # type: ignore[var-annotated]

    def clock(self) -> float:
        return self.now_s

    def sleep(self, pause_s: float) -> None:
        self.pauses_s.append(pause_s)
        self.now_s += pause_s

    def __call__(self, request: httpx.Request) -> httpx.Response:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        if isinstance(answer, httpx.Response):
            return answer
        assert request.url.path == "/api/commands/c1"
        return httpx.Response(200, json={**QUEUED, "state": answer})

    def following(self, limit_s: float | None = None) -> Following:
        client = Client("http://server", "t", httpx.MockTransport(self))
        return Following(client, limit_s, self.clock, self.sleep)


def test_it_looks_until_the_command_is_settled_ever_less_often() -> None:
    world = World(*["queued"] * 30, "applied")
    seen = world.following().until_settled(QUEUED)
    assert (seen.command["state"], seen.trouble) == ("applied", None)
    assert len(world.pauses_s) == 31
    assert world.pauses_s == sorted(world.pauses_s)
    assert (world.pauses_s[0], world.pauses_s[-1]) == (0.0, PAUSE_MAX_S)


def test_what_is_settled_already_is_not_looked_at() -> None:
    world = World("queued")
    assert world.following().until_settled({**QUEUED, "state": "rejected"}).command["state"] == "rejected"
    assert world.pauses_s == []


def test_a_limit_ends_the_waiting_and_not_the_command() -> None:
    world = World("received")
    seen = world.following(limit_s=5.0).until_settled(QUEUED)
    assert seen.command["state"] == "received"
    assert seen.trouble is not None
    assert seen.trouble.message == "Command c1 is still received after 5 s."
    assert 5.0 < world.now_s < 5.0 + 2 * PAUSE_MAX_S


def test_a_server_that_comes_back_in_time_is_waited_for() -> None:
    gone = [httpx.ConnectError("refused")] * 40
    world = World("queued", *gone, "queued", *gone, "applied")
    assert world.following().until_settled(QUEUED).command["state"] == "applied"


def test_a_server_that_stays_away_is_told_with_the_command_as_it_was() -> None:
    world = World("sent", httpx.ConnectError("refused"))
    seen = world.following().until_settled(QUEUED)
    assert seen.command["state"] == "sent"
    assert seen.trouble is not None
    assert "No lossguard server answers" in seen.trouble.message
    assert PATIENCE_S < world.now_s < PATIENCE_S + 2.0


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (httpx.Response(401, json={"error": "e", "message": "The token is unknown.", "hint": "h"}), "token"),
        (httpx.Response(404, json={"message": "There is no such command.", "hint": "h"}), "There is no such command"),
    ],
)
def test_a_refusal_ends_it_at_once(answer: httpx.Response, why: str) -> None:
    world = World(answer)
    seen = world.following().until_settled(QUEUED)
    assert (seen.command, len(world.pauses_s)) == (QUEUED, 1)
    assert seen.trouble is not None
    assert why in seen.trouble.message


def test_a_person_who_goes_leaves_the_command_behind() -> None:
    seen = World(KeyboardInterrupt()).following().until_settled(QUEUED)
    assert seen.trouble is not None
    assert seen.trouble.message == "Command c1 is still queued and goes on without this terminal."
