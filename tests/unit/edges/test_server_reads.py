"""What takes a thread for long goes one at a time, and the charts always have another."""

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from lossguard_server.edges import comparing, reports
from lossguard_server.edges.comparing import ComparingApi
from lossguard_server.edges.reads import Reads
from lossguard_server.edges.reports import Reports
from lossguard_server.services.clock import Clock

WAIT_S = 10.0


async def test_reports_and_comparisons_leave_a_thread_to_the_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    reads, go, begun = Reads(), threading.Event(), list[str]()

    def held(who: str) -> Any:
        begun.append(who)
        assert go.wait(WAIT_S)
        return ""

    async def find(run: str) -> Any:
        return SimpleNamespace(id=run)

    registry: Any = SimpleNamespace(find=find)
    clock = Clock(lambda: 0.0, lambda: 0.0)
    monkeypatch.setattr(reports, "run_view", lambda *_: {})
    monkeypatch.setattr(reports, "document", lambda _: held("report"))
    monkeypatch.setattr(comparing, "compare", lambda *_: held("comparison"))
    monkeypatch.setattr(ComparingApi, "_told", lambda *_: [])
    gatherer: Any = SimpleNamespace(record=lambda _: None)
    source: Any = None
    compares = ComparingApi(registry, source, source, reads, clock)
    report = Reports(registry, gatherer, reads, clock)
    request: Any = SimpleNamespace(method="GET")
    tasks = [asyncio.create_task(compares.compare(["a", "b"])) for _ in range(2)]
    tasks += [asyncio.create_task(report.report(request, "a")) for _ in range(2)]
    try:
        async with asyncio.timeout(WAIT_S):
            while not begun:
                await asyncio.sleep(0.001)
            assert await reads.run(lambda: "a chart") == "a chart"
            assert begun == ["comparison"], "whoever else is long waits, and takes no thread"
            go.set()
            await asyncio.gather(*tasks)
    finally:
        go.set()
        reads.close()
    assert sorted(begun) == ["comparison"] * 2 + ["report"] * 2
