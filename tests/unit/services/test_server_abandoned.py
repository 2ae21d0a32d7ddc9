"""What is open of a run that is lost expires after five minutes, over restarts of the server too, and no sooner."""

import asyncio
from pathlib import Path
from typing import Any

from lossguard.protocol.messages import Heartbeat
from lossguard_server.services.abandoned import Abandoned
from lossguard_server.services.registry import Registry
from lossguard_server.store import audit, commands
from lossguard_server.store.commands import StoredCommand
from store_world import Store, opened_store

PAUSE = StoredCommand(
    "c1", "r1", 1, "pause", {}, "k1", "me", None, None, "sent", 1.0, None, None, None, None, []
)  # fmt: skip


def abandoned(store: Store, told: list[dict[str, Any]]) -> tuple[Abandoned, Registry]:
    """As after a start of the server."""
    clock = store.clock.of_services
    registry = Registry(store.reading)
    return Abandoned(store.writer, store.reading, registry, clock, told.append), registry


def state(store: Store) -> str:
    [command] = store.read(lambda session: commands.newest_first(session, "r1"))
    return command.state


def with_a_command(store: Store) -> None:
    store.stream("r1")
    store.write(lambda session: commands.add(session, PAUSE))


def test_it_expires_when_the_run_stays_away(tmp_path: Path) -> None:
    with opened_store(tmp_path) as store:
        with_a_command(store)
        told: list[dict[str, Any]] = []
        watch, _ = abandoned(store, told)
        for _ in range(300):
            asyncio.run(watch.tick())
            store.clock.now_s += 1.0
        assert (state(store), told) == ("sent", []), "a server that just started gives trainers time to come back"
        for _ in range(2):
            asyncio.run(watch.tick())
        assert state(store) == "expired"
        assert [(each["state"], each["refusal"]) for each in told] == [("expired", "The run was lost for 5 minutes.")]
        assert [each["what"] for each in store.read(lambda session: audit.newest_first(session, "r1"))] == [
            "command expired"
        ]


def test_a_run_that_comes_back_or_rests_with_a_heartbeat_keeps_its_commands(tmp_path: Path) -> None:
    with opened_store(tmp_path) as store:
        with_a_command(store)
        told: list[dict[str, Any]] = []
        watch, registry = abandoned(store, told)
        for second in range(900):
            if second % 290 > 250:
                run = asyncio.run(registry.find("r1"))
                run.beat(Heartbeat(state="paused", step=1), store.clock.now_s)
            asyncio.run(watch.tick())
            store.clock.now_s += 1.0
        assert (state(store), told) == ("sent", [])


def test_a_disk_that_is_full_is_tried_again(tmp_path: Path) -> None:
    with opened_store(tmp_path) as store:
        with_a_command(store)
        watch, _ = abandoned(store, [])
        asyncio.run(watch.tick())
        store.clock.now_s += 301.0
        store.writer.close()
        asyncio.run(watch.tick())
        assert state(store) == "sent"
