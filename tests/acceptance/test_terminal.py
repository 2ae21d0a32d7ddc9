"""The command line as a person types it: real processes, exit codes 0, 1 and 2."""

import asyncio
import json
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from typer.testing import CliRunner

import lossguard as lg
from journal_reader import stored_points
from lossguard.protocol.messages import Command, ControlsSpec, Heartbeat
from lossguard_server.terminal.commands import app
from processes import ServerProcess, clean_environment, until
from raw_trainer import RawTrainer


def lossguard(*words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "lossguard_server", *words],
        capture_output=True, text=True, timeout=60, env=clean_environment() | environment,
    )  # fmt: skip


def offline_run(spool: Path, steps: int) -> lg.Run:
    run = lg.init("p", "n", mode="offline", dir=spool, losses={"a": 1.0})
    for step in range(steps):
        run.log({"x": float(step)})
    return run


def test_sync_delivers_what_was_spooled_offline_once(server: ServerProcess, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    run = offline_run(spool, 50)
    run.finish()
    done = lossguard("sync", str(spool), "--data", str(server.folder))
    assert (done.returncode, "messages are at the server" in done.stdout) == (0, True), done.stdout + done.stderr
    assert stored_points(server.folder, run.id)["x"] == [(step, float(step)) for step in range(50)]
    assert list(spool.iterdir()) == []
    assert "Nothing to deliver" in lossguard("sync", str(spool), "--data", str(server.folder)).stdout
    nowhere = lossguard("sync", str(tmp_path / "none"), "--data", str(server.folder))
    assert (nowhere.returncode, "There is no folder" in nowhere.stderr) == (1, True), nowhere.stderr


def test_sync_leaves_the_spool_of_a_living_trainer_alone(server: ServerProcess, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    run = offline_run(spool, 5)
    until(lambda: list(spool.glob("*.lgs")), "the trainer has spooled")
    done = lossguard("sync", str(spool), "--data", str(server.folder))
    assert "its trainer is alive" in done.stdout
    run.finish()
    assert "messages are at the server" in lossguard("sync", str(spool), "--data", str(server.folder)).stdout


def test_commands_reach_the_run_and_say_what_became_of_them(server: ServerProcess, tmp_path: Path) -> None:
    data = ("--data", str(server.folder))
    run = lg.init("p", "named", url=server.url, token=server.ingest_token, dir=tmp_path / "spool", losses={"a": 1.0})
    steps = run.steps(iter(int, 1))  # endless
    next(steps)
    until(lambda: "named" in lossguard("runs", *data).stdout, "the run is listed")
    assert json.loads(lossguard("runs", "--json", *data).stdout)[0]["name"] == "named"
    sent = lossguard("weight", "named", "a", "0.5", "--no-wait", "--json", *data)
    assert sent.returncode == 0, sent.stderr
    until(lambda: next(steps) == 0 and run.weights == {"a": 0.5}, "the weight is in force")
    reverted = lossguard("revert", json.loads(sent.stdout)["id"], "--no-wait", *data)
    assert reverted.returncode == 0, reverted.stderr
    until(lambda: next(steps) == 0 and run.weights == {"a": 1.0}, "the schedule rules again")
    run.finish()


CURRICULUM = lg.Curriculum(
    lg.Stage("one", weights={"a": 1.0, "b": lg.ramp(0.0, 0.3, 50)}),
    lg.Stage("two", start=60, weights={"a": 0.1, "b": 1.0}),
)
STEERED = [
    ("weight", "steered", "a", "0.7", "--ramp", "7", "--for", "30"), ("hold", "steered", "--for", "11"),
    ("scale", "steered", "0.3333333333333333", "b"), ("gate", "steered", "b", "closed", "--for", "3"),
    ("stage", "steered", "one"),
]  # fmt: skip


def test_a_steered_run_is_exported_and_repeats_itself_without_anybody(server: ServerProcess, tmp_path: Path) -> None:
    data = ("--data", str(server.folder))
    run = lg.init(
        "p", "steered", url=server.url, token=server.ingest_token, dir=tmp_path / "spool", curriculum=CURRICULUM
    )
    steps, weights = run.steps(iter(int, 1)), []

    def stepped(done: "Future[subprocess.CompletedProcess[str]]") -> bool:
        next(steps)
        weights.append(dict(run.weights))
        return done.done()

    with ThreadPoolExecutor(1) as person:
        for words in STEERED:
            done = person.submit(lossguard, *words, *data)
            until(lambda done=done: stepped(done), "it is applied")  # type: ignore[misc]
            assert " is applied as " in done.result().stdout, done.result().stderr
        reverted = json.loads(lossguard("commands", "steered", "--json", *data).stdout)[-3]["id"]
        done = person.submit(lossguard, "revert", reverted[:8], *data)
        until(lambda: stepped(done), "it is reverted")
        assert " is applied as " in done.result().stdout, done.result().stderr
    exported = lossguard("export", "steered", "--curriculum", "-o", str(tmp_path / "mended.json"), *data)
    assert exported.returncode == 0, exported.stderr
    run.finish()
    mended = lg.Curriculum.load(tmp_path / "mended.json")
    again = lg.init("p", "again", mode="offline", dir=tmp_path / "other", curriculum=mended)
    repeated = [dict(again.weights) for _ in again.steps(weights)]
    again.finish()
    assert repeated == weights


async def said(*words: str) -> "subprocess.CompletedProcess[str]":
    return await asyncio.to_thread(lossguard, *words)


async def beaten(trainer: RawTrainer, data: tuple[str, ...], **beat: int) -> None:
    """The server knows the trainer's word."""
    await trainer.send(Heartbeat(state="running", step=59, **beat))
    while (listed := json.loads((await said("runs", "--json", *data)).stdout)[0]) | beat != listed:
        pass


async def rolled_back_and_detailed(server: ServerProcess) -> None:
    data = ("--data", str(server.folder))
    trainer = RawTrainer(server.url, server.ingest_token, name="guarded")
    await trainer.connect()
    trainer.declare(controls=ControlsSpec(["instrument", "rollback"]))
    trainer.frame(range(60), loss__total=[1.0] * 60)
    await trainer.deliver()
    await beaten(trainer, data, detail_until=70)
    refused = await said("rollback", "guarded", *data)
    assert (refused.returncode, "no healthy snapshot" in refused.stderr) == (1, True), refused.stderr
    await beaten(trainer, data, snapshot_step=40)
    for words, args in (
        (("rollback", "guarded", "--before", "30", "--reason", "why not"), {"before_step": 30}),
        (("instrument", "guarded", "--steps", "25"), {"steps": 25}),
    ):
        sent = await said(*words, "--no-wait", "--json", *data)
        assert sent.returncode == 0, sent.stderr
        told, command = json.loads(sent.stdout), await trainer.expect(Command)
        assert (told["kind"], told["args"], told["id"]) == (words[0], args, command.id)
    second = await said("rollback", "guarded", *data)
    assert (second.returncode, "an earlier rollback is on its way" in second.stderr) == (1, True), second.stderr
    plain = await said("instrument", "guarded", "--steps", "25", "--no-wait", *data)
    assert plain.stdout.startswith("instrument is queued as "), plain.stdout + plain.stderr
    waiting = asyncio.create_task(said("instrument", "guarded", "--steps", "30", *data))
    command = await trainer.expect(Command)
    while command.args != {"steps": 30}:
        command = await trainer.expect(Command)
    trainer.event("command", 60, id=command.id, state="applied", old=None, new=89, ranks=4)
    await trainer.deliver()
    assert (await waiting).stdout == f"instrument is applied as {command.id} at step 60 on 4 ranks: none -> 89\n"
    impatient = await said("instrument", "guarded", "--steps", "40", "--timeout", "0.1", *data)
    assert (impatient.returncode, "after 0.1 s." in impatient.stderr) == (1, True), impatient.stderr
    too_many = await said("instrument", "guarded", "--steps", "100001", *data)
    assert (too_many.returncode, "1 to 100000" in too_many.stderr) == (1, True), too_many.stderr
    trainer.disconnect()


def test_rollback_and_detail_reach_the_run(server: ServerProcess) -> None:
    asyncio.run(rolled_back_and_detailed(server))


def test_refusals_end_with_1_and_a_sentence(server: ServerProcess) -> None:
    for words in (("weight", "nobody", "a", "0.5"), ("rollback", "nobody")):
        done = lossguard(*words, "--data", str(server.folder))
        assert done.returncode == 1, done.stdout + done.stderr
        assert "There is no run 'nobody'" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("weight", "nobody", "a", "much"),
        ("nonsense",),
        ("pause",),
        ("rollback", "nobody", "--before", "-1"),
        ("instrument", "nobody"),
        ("instrument", "nobody", "--steps", "0"),
        ("instrument", "nobody", "--steps", "some"),
    ],
)
def test_wrong_usage_ends_with_2(words: tuple[str, ...]) -> None:
    assert CliRunner().invoke(app, list(words)).exit_code == 2


def test_no_server_and_a_wrong_token_are_told_apart(server: ServerProcess, tmp_path: Path) -> None:
    wrong = lossguard("runs", LOSSGUARD_URL=server.url, LOSSGUARD_TOKEN="wrong")
    assert (wrong.returncode, "token" in wrong.stderr.lower()) == (1, True), wrong.stderr
    absent = lossguard("runs", LOSSGUARD_URL="http://127.0.0.1:1")
    assert (absent.returncode, "lossguard serve" in absent.stderr) == (1, True), absent.stderr
