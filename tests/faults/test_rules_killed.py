"""kill -9 of the server at random points of stormy runs: it says what a server says that was never killed.

LOSSGUARD_FAULTS_SEED repeats a run that failed.

Rules of this file: two real servers get the same messages, one of them dies again and again; everything that is kept of
what the rules said is compared, but for the instants at which it was said.
"""

import asyncio
import json
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from lossguard.protocol import COMMAND_KINDS
from lossguard.protocol.messages import ContractSpec, ControlsSpec, Sequenced, StageSpec
from processes import ServerProcess, until
from raw_trainer import RawTrainer

SEED = int(os.environ.get("LOSSGUARD_FAULTS_SEED", random.SystemRandom().randrange(1 << 31)))
RUNS = (2, 3, 7)  # seeds: without a rollback, with one and a component that comes late, with two
KILLS = 3
N = 900
TIMES = ("fired_s", "opened_s")
PATTERN = [1, 1, 2, 5, 20]  # rows a frame
SENT = [1, 5, 40, 200]  # messages between two acknowledgements


def trace(seed: int) -> dict[str, np.ndarray]:
    """A component that dominates from 300 on, norms that rise, a total that jumps, a matrix outside its range, NaN."""
    rng, at = np.random.default_rng(seed), np.arange(N)
    ce, aux = 2.2 * np.exp(rng.normal(0, 0.03, N)), 700 * np.exp(rng.normal(0, 0.03, N))
    weight = np.where(at < 300, 0.0, 0.01)
    total = ce + weight * aux
    total[520:560] *= 4
    norm = 0.5 * np.exp(rng.normal(0, 0.3, N)) * np.where((at > 400) & (at < 450), 30, 1)
    columns = {"loss/total": total, "loss/ce": ce, "loss/aux": aux, "weight/ce": np.ones(N), "weight/aux": weight}
    columns |= {"grad_norm/total": norm, "matrix/R/fro": np.where(at % 97 < 5, 500.0, 50.0)}
    for name in ("loss/total", "loss/ce"):
        columns[name][[700, 820]] = np.nan
    return columns


def stormy(seed: int) -> list[Sequenced]:
    """What its trainer sends: frames of a row or many, steps in two frames, trips, and rollbacks of an odd seed."""
    choose, columns, written = random.Random(seed), trace(seed), RawTrainer("http://", "")
    written.declare(
        components=["ce", "aux"],
        stages=[StageSpec("a", 0, {"ce": 1.0}), StageSpec("b", 300, {"ce": 1.0, "aux": 0.01})],
        controls=ControlsSpec(list(COMMAND_KINDS), {"aux": (0.0, 0.1)}),
        contracts=[ContractSpec("matrix/R/fro", 30.0, 60.0, "range")],
    )
    rollbacks = sorted({choose.randint(310, 600), choose.randint(601, 880)}) if seed % 2 else []
    at = 0
    while at < N:
        end = min(N, at + choose.choice(PATTERN))
        late = ("loss/aux", "weight/aux") if seed % 3 == 0 and at < 200 else ()
        rows = {
            name.replace("/", "__"): values[at:end].tolist() for name, values in columns.items() if name not in late
        }
        if end - at == 1 and choose.random() < 0.4:
            first = {name: rows.pop(name) for name in list(rows) if name != "loss__total" and choose.random() < 0.4}
            if first:
                written.frame([at], **first)
        written.frame(list(range(at, end)), **rows)
        if choose.random() < 0.02:
            written.event("trip", end, series=["running_mean"], text="A buffer is not finite.", action="skipped")
        at = end
        if rollbacks and at > rollbacks[0]:
            rollbacks.pop(0)
            to = max(0, at - choose.randint(1, 150))
            written.event("rollback", at, **{"from": at, "to": to})
            at = to
    written.event("finish", N, state="finished")
    return written.messages


@contextmanager
def serving(folder: Path) -> Iterator[ServerProcess]:
    """A server with one channel, to nowhere, that wants to be told everything."""
    server = ServerProcess(folder, options=["--notify-allow", "127.0.0.1"]).start()
    try:
        hook = {"name": "nowhere", "kind": "webhook", "url": "http://127.0.0.1:9/hook", "resolved": True}
        answer = httpx.post(f"{server.url}/api/channels", json=hook, headers=admin(server), trust_env=False)
        assert answer.is_success, answer.text
        yield server
    finally:
        server.stop()


def admin(server: ServerProcess) -> dict[str, str]:
    return {"Authorization": f"Bearer {server.admin_token}"}


async def connected(server: ServerProcess, run: str, messages: list[Sequenced]) -> RawTrainer:
    trainer = RawTrainer(server.url, server.ingest_token, run=run)
    trainer.messages = messages
    await trainer.connect()
    return trainer


async def sent(server: ServerProcess, run: str, messages: list[Sequenced], kills: int, choose: random.Random) -> int:
    """Deliver it all, the server dying so often on the way; how many alerts were acknowledged meanwhile."""
    points, acknowledged, at = sorted(choose.sample(range(50, len(messages)), kills)), 0, 0
    trainer = await connected(server, run, messages[:at])
    for point in [*points, len(messages)]:
        while at < point:
            at = min(point, at + choose.choice(SENT))
            trainer.messages = messages[:at]
            await trainer.deliver()
            if kills and choose.random() < 0.5:
                if choose.random() < 0.5:  # else it may have nothing to acknowledge yet
                    await asyncio.to_thread(until, lambda: is_done(server), "it is judged")
                acknowledged += await asyncio.to_thread(acknowledge_one, server, run, choose)
        if point < len(messages):
            # it may die before it has judged what it acknowledged, in the middle, or idle
            await asyncio.sleep(choose.choice([0.0, 0.01, 0.1, 0.3]))
            trainer.disconnect()
            server.kill()
            server.start()
            trainer = await connected(server, run, messages[:at])
    trainer.disconnect()
    return acknowledged


def acknowledge_one(server: ServerProcess, run: str, choose: random.Random) -> bool:
    alerts = listed(server, f"/api/runs/{run}/alerts")
    firing = [each["id"] for each in alerts if each["state"] == "firing"]
    if not firing:
        return False
    path = f"/api/alerts/{choose.choice(firing)}/acknowledge"
    return httpx.post(server.url + path, headers=admin(server), trust_env=False).status_code == 200


def kept(server: ServerProcess, run: str) -> dict[str, list[str]]:
    """The run's alerts, incidents and notices, each as text, without times and whether a person has seen it."""
    alerts, incidents = listed(server, f"/api/runs/{run}/alerts"), listed(server, f"/api/runs/{run}/incidents")
    for alert in alerts:
        alert["state"] = "firing" if alert["state"] == "acknowledged" else alert["state"]
    told = [each for each in listed(server, "/api/notifications?limit=1000") if each["run"] == run]
    return {
        "alerts": [as_text(each) for each in alerts],
        "incidents": [as_text(each) for each in incidents],
        # after the channel's id
        "notices": sorted(json.dumps({"key": each["key"].partition(":")[2]}) for each in told),
    }


def differences(expected: list[str], found: list[str]) -> list[Any]:
    """What each entry has that differs, (expected, found) by name; empty where all are the same."""
    if len(expected) != len(found):
        return [(len(expected), len(found)), sorted(set(expected) ^ set(found))]
    pairs = [(json.loads(one), json.loads(other)) for one, other in zip(expected, found, strict=True) if one != other]
    return [
        {name: (one[name], other[name]) for name in one if repr(one[name]) != repr(other[name])} for one, other in pairs
    ]


def listed(server: ServerProcess, path: str) -> list[dict[str, Any]]:
    return list(server.get(path)["items"])


def as_text(entry: dict[str, Any]) -> str:
    return json.dumps({name: value for name, value in entry.items() if name not in TIMES}, sort_keys=True)


@pytest.mark.timeout(180)
async def test_a_server_killed_at_random_points_says_what_an_unbroken_one_says(tmp_path: Path) -> None:
    print(f"LOSSGUARD_FAULTS_SEED={SEED}")
    choose, acknowledged = random.Random(SEED), 0
    with serving(tmp_path / "unbroken") as unbroken, serving(tmp_path / "killed") as killed:
        for seed in RUNS:
            run, messages = f"r{seed}", stormy(seed)
            await sent(unbroken, run, messages, 0, choose)
            acknowledged += await sent(killed, run, messages, KILLS, choose)
        await asyncio.to_thread(until, lambda: all(is_done(each) for each in (unbroken, killed)), "all is judged")
        for run in (f"r{seed}" for seed in RUNS):
            expected, found = kept(unbroken, run), kept(killed, run)
            for what, entries in expected.items():
                assert not (off := differences(entries, found[what])), f"{what} of {run}, seed {SEED}: {off}"
                assert len(set(entries)) == len(entries), f"{what} of {run} twice"
            assert len(expected["alerts"]) >= 5
            assert expected["incidents"]
            assert expected["notices"]
        assert killed.get("/api/rules/health")["failed"] == []
    assert acknowledged


def is_done(server: ServerProcess) -> bool:
    """Every row is judged, those that came last too: the trainer's last word is stored behind them."""
    return bool(server.get("/api/rules/health")["lagging_runs"] == 0)
