"""Alerts that begin to fire: each is handed over once, whatever is told of it later."""

import asyncio
from typing import Any

import pytest

from lossguard_server.errors import RunOver
from lossguard_server.services.beginnings import WAITING_MAX, Beginnings, by_id, by_severity
from unit.services.policy_world import alert_of

TOLD = [
    alert_of(severity="warning"), alert_of(severity="warning", last_step=9), alert_of(state="acknowledged"), alert_of(),
    alert_of(last_step=50), alert_of("a2", state="resolved"), alert_of("a2"),
]  # fmt: skip


async def handed(beginnings_of: Any, told: list[dict[str, Any]]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []

    async def answer(alert: dict[str, Any]) -> None:
        found.append((alert["id"], alert["severity"]))
        raise RunOver("It is no trouble.")

    beginnings = Beginnings(answer, beginnings_of)
    for alert in told:
        beginnings.alert(alert)
    running = asyncio.create_task(beginnings.run())
    await beginnings.settled()
    running.cancel()
    return found


async def test_an_alert_begins_once() -> None:
    assert await handed(by_id, TOLD) == [("a1", "warning"), ("a2", "critical")]


async def test_an_alert_that_becomes_critical_begins_once_more() -> None:
    assert await handed(by_severity, TOLD) == [("a1", "warning"), ("a1", "critical"), ("a2", "critical")]


async def test_a_storm_is_bounded() -> None:
    storm = [alert_of(f"a{number}") for number in range(WAITING_MAX + 5)]
    assert len(await handed(by_id, storm)) == WAITING_MAX


async def test_the_fault_of_one_alert_is_logged_and_the_others_are_answered(caplog: pytest.LogCaptureFixture) -> None:
    found = []

    async def answer(alert: dict[str, Any]) -> None:
        found.append(alert["id"])
        if alert["id"] == "a1":
            raise OverflowError

    beginnings = Beginnings(answer)
    for name in ("a1", "a2"):
        beginnings.alert(alert_of(name))
    running = asyncio.create_task(beginnings.run())
    await asyncio.wait_for(beginnings.settled(), 10.0)
    running.cancel()
    assert found == ["a1", "a2"]
    assert "alert a1 of run r1 is not answered" in caplog.text


async def test_what_was_seen_before_does_not_begin() -> None:
    found = []

    async def answer(alert: dict[str, Any]) -> None:
        found.append(alert["id"])

    beginnings = Beginnings(answer)
    beginnings.saw([alert_of("a1")])
    beginnings.alert(alert_of("a1"))
    beginnings.again(alert_of("a3"))
    running = asyncio.create_task(beginnings.run())
    await beginnings.settled()
    running.cancel()
    assert found == ["a3"]
