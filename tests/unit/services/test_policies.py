"""What the server does by itself: within the budget, once an alert, and whatever it does not do is said."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session

from lossguard_server.services.commands import Commands, Intention
from lossguard_server.services.live import LiveRun
from lossguard_server.services.parameters import Place
from lossguard_server.services.policies.policies import RETRY_S, WAIT_MAX_S, Policies
from lossguard_server.services.policies.standing import FilePolicies, Standing
from lossguard_server.services.policies.wishes import Policy
from lossguard_server.store import alerts, audit, commands
from lossguard_server.store.commands import Outcome, StoredCommand
from store_world import Store, opened_store
from unit.services.policy_world import RULE, alert_of, run_of

POLICY = Policy("lower_weight", 2, pause_s=0.0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened_store(tmp_path) as opened:
        opened.stream("r1")
        yield opened


class World:
    """A server's policies over a store; another World over the same store is the server after a restart."""

    def __init__(self, store: Store, run: LiveRun, policy: Policy = POLICY) -> None:
        self.store, self._run = store, run
        ids = count(1000 * store.read(lambda session: len(commands.newest_first(session, "r1"))))
        clock = store.clock.of_services
        self.commands = given = Commands(store.writer, store.reading, clock, lambda: f"c{next(ids)}", lambda told: None)
        self.standing = Standing([RULE], FilePolicies({RULE: policy}), store.writer, store.reading, clock)
        self.policies = Policies(self, given, self.standing, store.writer, store.reading, clock)  # type: ignore[arg-type]

    async def find(self, run_id: str) -> LiveRun:
        return self._run

    async def fire(self, name: str = "a1", **changed: Any) -> None:
        """An alert is stored, told, and answered."""
        alert = alert_of(name, **changed)
        self.store.write(lambda session: alerts.upsert(session, dict(alert)))
        self.policies.alert(alert)
        await self.policies.settled()

    async def later(self, elapsed_s: float = RETRY_S) -> None:
        """Time passes, and what waits is tried again."""
        self.store.clock.now_s += elapsed_s
        self.policies.tick()
        await self.policies.settled()

    def given(self) -> list[StoredCommand]:
        return self.store.read(lambda session: commands.given_by(session, "r1", "policy:"))

    def said(self) -> list[tuple[str, str]]:
        """(what, alert) of the policies' own rows, oldest first."""
        rows = self.store.read(lambda session: audit.said_by(session, "r1", "policy:"))
        return [(row["what"], row["detail"]["alert"]) for row in rows if row["what"].startswith("policy")]

    def settle(self, command: StoredCommand, state: str, **effect: Any) -> None:
        """The trainer and the judge of effects say what became of it."""

        def change(session: Session) -> None:
            moved = commands.move(session, command, state, 1.0, Outcome())
            assert moved is not None
            if effect:
                commands.set_effect(session, command.id, effect)

        self.store.write(change)


@asynccontextmanager
async def opened(store: Store, run: LiveRun | None = None, policy: Policy = POLICY) -> AsyncIterator[World]:
    world = World(store, run or run_of(), policy)
    await world.policies.recall()
    running = asyncio.create_task(world.policies.run())
    try:
        yield world
    finally:
        running.cancel()


async def test_an_alert_becomes_a_command_like_any_other(store: Store) -> None:
    async with opened(store) as world:
        await world.fire()
        [command] = world.given()
        assert (command.kind, command.args) == ("set_weight", {"component": "aux", "value": 0.01})
        assert command.idempotency_key == "policy:a1"
        assert command.expires_s == command.created_s + WAIT_MAX_S, "what it is for is over by then"
        assert (command.actor, command.alert, command.state) == (f"policy:{RULE}", "a1", "queued")
        assert command.reason == f"The policy for {RULE} (set by: file) does lower_weight when it fires; 1 of 2 left."
        [row] = store.read(lambda session: audit.newest_first(session, "r1"))
        assert (row["what"], row["actor"]) == ("command queued", f"policy:{RULE}")


async def test_a_budget_is_never_exceeded_and_its_end_is_said_once(store: Store) -> None:
    async with opened(store) as world:
        for name in ("a1", "a2", "a3", "a4"):
            await world.fire(name)
            for command in world.given():
                if command.state == "queued":
                    world.settle(command, "cancelled")
        assert [command.alert for command in world.given()] == ["a1", "a2"]
        assert world.said() == [("policy did nothing", "a3")]
        view = await world.policies.view(run_of())
        assert (view["used"], view["refused"], view["waiting"]) == ({RULE: 2}, {}, {})


async def test_a_restart_gives_no_new_budget_and_acts_upon_no_alert_twice(store: Store) -> None:
    async with opened(store) as world:
        await world.fire("a1")
        world.settle(world.given()[0], "cancelled")
    async with opened(store) as world:
        await world.fire("a1", last_step=50)  # more is known of it
        assert len(world.given()) == 1
        await world.fire("a2")
        world.settle(world.given()[1], "cancelled")
        await world.fire("a3")
        assert [command.alert for command in world.given()] == ["a1", "a2"]
        assert world.said() == [("policy did nothing", "a3")]


async def test_an_alert_is_acted_upon_once_whatever_is_told_of_it(store: Store) -> None:
    async with opened(store) as world:
        for told in ({}, {"last_step": 60}, {"state": "resolved"}, {"last_step": 70}, {"severity": "warning"}):
            await world.fire("a1", **told)
            if world.given()[0].state == "queued":
                world.settle(world.given()[0], "cancelled")
        assert len(world.given()) == 1


async def test_an_alert_that_began_before_its_policy_is_not_acted_upon(store: Store) -> None:
    async with opened(store, policy=Policy("off")) as world:
        await world.fire("a1")
        await world.standing.change(Place("p"), {RULE: {"do": "pause", "budget": 1}}, "t1")
        await world.fire("a1", last_step=50)
    async with opened(store) as world:
        await world.fire("a1", last_step=60)
        assert (world.given(), world.said()) == ([], [])


async def test_warnings_are_left_alone_until_they_are_critical(store: Store) -> None:
    async with opened(store) as world:
        await world.fire("a1", severity="warning")
        assert world.given() == []
    async with opened(store) as world:  # over a restart, too
        await world.fire("a1", severity="warning", last_step=50)
        assert world.given() == []
        await world.fire("a1", severity="critical")
        assert len(world.given()) == 1


async def test_what_the_script_does_not_allow_is_said_once_and_shown(store: Store) -> None:
    run = run_of(["pause"])
    async with opened(store, run) as world:
        await world.fire("a1")
        await world.fire("a2")
        assert (world.given(), world.said()) == ([], [("policy did nothing", "a1")])
        refused = (await world.policies.view(run))["refused"]
        assert refused == {RULE: "The training script does not allow 'set_weight'; it allows pause."}


async def test_while_an_action_has_no_verdict_the_next_alert_waits_and_is_answered_then(store: Store) -> None:
    async with opened(store) as world:
        await world.fire("a1")
        await world.fire("a2")
        await world.later()
        assert [command.alert for command in world.given()] == ["a1"]
        assert world.said() == [("policy waits", "a2")], "once"
        assert "(c0) has no verdict: it is queued" in (await world.policies.view(run_of()))["waiting"][RULE]
        world.settle(world.given()[0], "sent")
        world.settle(world.given()[0], "applied")
        await world.later()
        assert len(world.given()) == 1, "applied is not judged"
    store.write(lambda session: commands.set_effect(session, "c0", {"verdict": "no effect"}))
    async with opened(store) as world:  # what waits outlives a restart
        await world.policies.settled()
        assert [command.alert for command in world.given()] == ["a1", "a2"]
        assert (await world.policies.view(run_of()))["waiting"] == {}
    async with opened(store) as world:  # nor is it answered again
        await world.policies.settled()
        assert (len(world.given()), world.said()) == (2, [("policy waits", "a2")])


async def test_a_policy_rests_between_two_actions(store: Store) -> None:
    async with opened(store, policy=Policy("checkpoint", 9)) as world:
        await world.fire("a1")
        world.settle(world.given()[0], "cancelled")
        await world.fire("a2")
        await world.later(590.0)
        assert len(world.given()) == 1
        await world.later(10.0)
        assert [command.alert for command in world.given()] == ["a1", "a2"]


async def test_an_alert_that_is_over_before_its_turn_is_not_acted_upon(store: Store) -> None:
    async with opened(store) as world:
        await world.fire("a1")
        await world.fire("a2")
        await world.fire("a2", state="acknowledged")
        world.settle(world.given()[0], "cancelled")
        await world.later()
        assert [command.alert for command in world.given()] == ["a1"]
        assert world.said() == [("policy waits", "a2"), ("policy did nothing", "a2")]


async def test_an_alert_that_a_person_answered_first_is_theirs(store: Store) -> None:
    run = run_of()
    run.connections.clear()
    async with opened(store, run) as world:
        await world.fire("a1")
        run.connections[0, 0] = 1
        await world.commands.give(run, Intention("pause", {}, "k", "t1", alert="a1"))
        await world.later()
        assert (world.given(), world.said()) == ([], [("policy waits", "a1"), ("policy did nothing", "a1")])


async def test_a_trainer_that_is_away_is_waited_for_but_not_for_ever(store: Store) -> None:
    run = run_of()
    run.connections.clear()
    async with opened(store, run) as world:
        await world.fire("a1")
        await world.fire("a2")
        assert world.said() == [("policy waits", "a1"), ("policy waits", "a2")]
        run.connections[0, 0] = 1
        await world.later()
        assert [command.alert for command in world.given()] == ["a1"]
        await world.later(WAIT_MAX_S)
        assert world.said()[2:] == [("policy did nothing", "a2")]
        world.settle(world.given()[0], "cancelled")
        await world.later()
        assert len(world.given()) == 1


async def test_skip_is_recorded_and_counted_and_commands_nothing(store: Store) -> None:
    async with opened(store, policy=Policy("skip", 2)) as world:
        for name in ("a1", "a2", "a3"):
            await world.fire(name)
        assert world.given() == []
        left = "policy left it to the guard"
        assert world.said() == [(left, "a1"), (left, "a2"), ("policy did nothing", "a3")]
        assert (await world.policies.view(run_of()))["used"] == {RULE: 2}


async def test_what_a_deleted_run_of_the_same_name_used_does_not_count(store: Store) -> None:
    older = {"alert": "a1", "rule": RULE, "do": "skip", "reason": "r"}
    store.write(lambda session: audit.add(session, 0.5, f"policy:{RULE}", "policy left it to the guard", older, "r1"))
    async with opened(store, policy=Policy("skip", 1)) as world:
        assert (await world.policies.view(run_of()))["used"] == {}
        await world.fire("a1")
        assert world.said()[1:] == [("policy left it to the guard", "a1")]


async def test_a_deleted_run_is_forgotten(store: Store) -> None:
    run = run_of()
    run.connections.clear()
    async with opened(store, run) as world:
        await world.standing.change(Place("p", "r1"), {RULE: {"do": "pause", "budget": 1}}, "t1")
        await world.fire("a1")
        world.policies.forget("r1")
        view = await world.policies.view(run)
        assert (view["waiting"], view["own"]) == ({}, {})
        assert view["policies"][RULE]["do"] == "lower_weight"
