"""The guard's events reach HTTP and viewers as they came, non-finite numbers and hostile data included."""

import asyncio
import math
from pathlib import Path
from typing import Any

import pytest

from lossguard.protocol.codec import encode
from lossguard.protocol.messages import Event, Refusal
from server_inside import running_server

NAN, INF = math.nan, math.inf
DATA: dict[str, dict[str, Any]] = {
    "trip": {"mode": "trip", "action": "skipped", "series": ["loss/ce", "buffers"], "micro_batch": None, "value": NAN},
    "origin": {"component": "ce", "where": ["loss.py", 12, "log"], "reproduced": None, "steps_late": 2, "worst": -INF},
    "rollback": {"from": 9, "to": 4, "command": None, "data_rewound": False, "losses": [1.5, INF]},
    "detail": {"level": "full", "until": 90, "reason": "é \U0001f600 <script>"},
    "freeze_frame": {
        "from": 0,
        "to": 8,
        "batches": list(range(256)),
        "rng": {"cpu": "00" * 5_056},
        "scale": {"a": NAN},
    },
}


async def test_each_kind_comes_out_as_it_went_in(tmp_path: Path) -> None:
    async with running_server(tmp_path) as inside:
        trainer, viewer = inside.trainer(), await inside.watch("r1")
        await trainer.connect()
        await viewer.expect("run")
        for kind, data in DATA.items():
            trainer.event(kind, 8, **data)
        await trainer.deliver()
        told = [(await viewer.expect("event"))["event"] for _ in DATA]
        assert [(event["kind"], event["step"]) for event in told] == [(kind, 8) for kind in DATA]
        assert [repr(event["data"]) for event in told] == [repr(data) for data in DATA.values()], "NaN is itself here"
        listed = await inside.items("/api/runs/r1/events")
        assert [event["kind"] for event in listed] == list(DATA)
        assert listed[0]["data"]["value"] == "NaN"
        assert listed[1]["data"]["worst"] == "-Infinity"
        assert listed[2]["data"]["losses"] == [1.5, "Infinity"]
        assert listed[4]["data"] == DATA["freeze_frame"] | {"scale": {"a": "NaN"}}


HOSTILE: dict[str, Any] = {
    "words for numbers": {"from": "NaN", "to": "0", "until": "x", "level": 5, "text": 3, "series": 7},
    "out of range": {"from": -1, "to": 1 << 60, "until": 1 << 62, "level": "full", "text": None},
    "not whole": {"from": NAN, "to": 3.5, "until": INF, "level": "full"},
    "huge": {"text": "x" * 900_000, "to": "y" * 1_000},
    "nested": {"to": {"to": {"to": [{"to": 1}]}}, "text": [["a"]], "until": {}, "level": ["full"]},
    "nothing": {},
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=list(HOSTILE))
async def test_what_makes_no_sense_is_stored_and_moves_nothing(tmp_path: Path, data: dict[str, Any]) -> None:
    async with running_server(tmp_path) as inside:
        trainer = inside.trainer()
        await trainer.connect()
        trainer.frame(range(10), loss__total=[1.0] * 9 + [NAN])
        for kind in DATA:
            trainer.event(kind, 9, **data)
        trainer.frame([10], loss__total=[1.0])
        await trainer.deliver()
        assert len(await inside.items("/api/runs/r1/events")) == len(DATA)
        run = await inside.get("/api/runs/r1")
        assert (run["step"], run["trips"], run["detail_until"]) == (10, 1, None)
        assert (await inside.get("/api/runs/r1/points", series="loss/total"))["last_step"] == 10
        while not (alerts := await inside.items("/api/runs/r1/alerts")):
            await asyncio.sleep(0)
        assert (alerts[0]["rule"], alerts[0]["step"], alerts[0]["state"]) == ("nonfinite", 9, "firing")
        assert len(str(alerts[0])) < 20_000, "it travels with every change"


DEEP: Any = 1
for _ in range(40):
    DEEP = {"a": DEEP}


@pytest.mark.parametrize(
    "event",
    [
        Event(seq=1, kind="trip", step=1 << 60, data={}),
        Event(seq=1, kind="origin", step=-(1 << 60), data={}),
        Event(seq=1, kind="rollback", step=1, data=DEEP),
        Event(seq=1, kind="freeze_frame", step=1, data={"rng": b"\x00"}),
        Event(seq=1, kind="never heard of", step=1, data={}),
    ],
)
async def test_what_cannot_be_shown_is_refused(tmp_path: Path, event: Event) -> None:
    async with running_server(tmp_path) as inside:
        trainer = inside.trainer()
        await trainer.connect()
        await trainer.socket.send(encode(event))
        trainer.session.sent(event.seq)
        refusal = await trainer.expect(Refusal)
        assert (refusal.retry, refusal.error) == (False, "bad_message")
        assert await inside.items("/api/runs/r1/events") == []
