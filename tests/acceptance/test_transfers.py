"""Export and import as a person types them: real processes, real files."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest

from processes import ServerProcess, clean_environment, until
from raw_trainer import RawTrainer

ODD_BITS = [0x7FF8000000000ABC, 0xFFF0000000000001, 0x7FF0000000000000, 0xFFF0000000000000, 0x8000000000000000, 1]
ODD = np.array(ODD_BITS, np.uint64).view(np.float64)
HOSTILE = ["=1+1", "@x", "'=y", "step", "step'", 'a,"b";-c', "日本", "{braces}", "a/b/c", " lead"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    process = ServerProcess(tmp_path_factory.mktemp("transfers") / "data").start()
    asyncio.run(odd_run(process))
    yield process
    assert process.stop() == 0


async def odd_run(server: ServerProcess) -> None:
    """Every odd number, names that mean harm, and series that are not there at each step."""
    trainer = RawTrainer(server.url, server.ingest_token, run="odd", name="odd")
    await trainer.connect()
    trainer.declare()
    trainer.frame(range(10, 10 + len(ODD)), **{name: ODD.tolist() for name in HOSTILE}, odd=ODD)
    trainer.frame([3, 12, 1 << 50], now_and_then=[0.1, 2 / 3, 5e-324])
    trainer.event("finish", 1 << 50, state="finished")
    await trainer.deliver()
    trainer.disconnect()


def run(
    *words: str | Path, server: ServerProcess | None = None, **environment: str
) -> "subprocess.CompletedProcess[bytes]":
    data = ["--data", str(server.folder)] if server is not None else []
    return subprocess.run(
        [sys.executable, "-m", "lossguard_server", *map(str, words), *data],
        capture_output=True, timeout=60, env=clean_environment() | environment,
    )  # fmt: skip


def export(server: ServerProcess, of: str, target: Path, *more: str) -> bytes:
    done = run("export", of, "-o", target, *more, server=server)
    assert done.returncode == 0, done.stderr
    return target.read_bytes()


def test_parquet_has_the_bits(server: ServerProcess, tmp_path: Path) -> None:
    export(server, "odd", tmp_path / "odd.parquet")
    table = pq.read_table(tmp_path / "odd.parquet")
    assert table["odd"].drop_null().combine_chunks().to_numpy().view(np.uint64).tolist() == ODD_BITS
    assert table["step"].to_pylist() == [3, *range(10, 16), 1 << 50]
    assert table["now_and_then"].to_pylist() == [0.1, None, None, 2 / 3, None, None, None, 5e-324]
    assert {"step'", "step''", "=1+1", 'a,"b";-c'} <= set(table.column_names)


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_export_import_export_is_the_same_file(server: ServerProcess, tmp_path: Path, form: str) -> None:
    first = export(server, "odd", tmp_path / f"one.{form}")
    imported = run("import", tmp_path / f"one.{form}", "--project", form, "--json", server=server)
    assert imported.returncode == 0, imported.stderr
    told = json.loads(imported.stdout)
    assert (told["series"], told["points"], told["skipped"]) == (len(HOSTILE) + 2, 6 * len(HOSTILE) + 9, 0)
    again = export(server, told["run"], tmp_path / f"two.{form}")
    assert sorted_columns(form, again) == sorted_columns(form, first)
    assert server.get(f"/api/runs/{told['run']}")["state"] == "finished"
    twice = run("import", tmp_path / f"one.{form}", "--project", form, server=server)
    assert (twice.returncode, b"all of it was there already" in twice.stdout) == (0, True), twice.stderr
    assert export(server, told["run"], tmp_path / f"three.{form}") == again


def sorted_columns(form: str, data: bytes) -> list[list[str]]:
    """Lines whose columns are in order: which series comes first is the run's matter."""
    if form == "jsonl":
        return [sorted(map(repr, json.loads(line).items())) for line in data.splitlines()]
    rows = [line.split(",") for line in data.decode().replace('"a,""b"";\'-c"', "quoted").split("\r\n")]
    return sorted(map(list, zip(*rows[:-1], strict=True)))


def test_a_torch_log_becomes_runs(server: ServerProcess, tmp_path: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(tmp_path / "logs") as writer:
        for step in range(100):
            writer.add_scalar("loss/train", float("nan") if step == 50 else step / 2, step)
            writer.add_scalar("acc", step, step, new_style=True)
            writer.add_scalars("both", {"x": step, "y": -step}, step)
        writer.add_text("note", "words")
    done = run("import", tmp_path / "logs", "--json", server=server)
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(one["name"], one["points"]) for one in told] == [("logs", 200), ("logs/both_x", 100), ("logs/both_y", 100)]
    lines = export(server, told[0]["run"], tmp_path / "logs.csv").decode().split("\r\n")
    assert lines[0] == 'step,"loss/train","acc"'
    assert (lines[50], lines[51], lines[100]) == ("49,24.5,49.0", "50,NaN,50.0", "99,49.5,99.0")


def test_stdout_takes_part_of_an_export(server: ServerProcess) -> None:
    words = ("export", "odd", "-o", "-", "--format", "jsonl", "--series", "odd", "--from", "12", "--to", "13")
    done = run(*words, server=server)
    assert done.stdout == b'{"step":12,"odd":"Infinity"}\n{"step":13,"odd":"-Infinity"}\n', done.stderr


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (("export", "nobody", "-o", "x.csv"), 1, "There is no run 'nobody'"),
        (("export", "odd", "-o", "x.csv", "--series", "none"), 1, "The run has no such series. It is 'none'"),
        (("export", "odd", "-o", "x.xlsx"), 1, "--format csv|jsonl|parquet"),
        (("export", "odd", "-o", "-"), 1, "--format csv|jsonl|parquet"),
        (("export", "odd", "-o", "x.csv", "--format", "xml"), 1, "There is no format 'xml'"),
        (("export", "odd", "-o", "none/x.csv"), 1, "cannot be written"),
        (("export", "odd"), 2, "--output"),
        (("export", "odd", "-o", "x.csv", "--from", "some"), 2, "--from"),
        (("import", "none.csv"), 1, "none.csv: It cannot be read"),
        (("import", "none.csv", "--format", "xml"), 1, "There is no format 'xml'"),
        (("import",), 2, ""),
        (("delete", "odd"), 1, "--yes"),
    ],
)
def test_refusals(
    server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], code: int, why: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*words, server=server)
    assert (done.returncode, why in done.stderr.decode()) == (code, True), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_bad_file_is_refused_whole(server: ServerProcess, tmp_path: Path) -> None:
    (tmp_path / "good.csv").write_text("step,a\n0,1\n")
    (tmp_path / "bad.csv").write_text("step,a\n0,1\n1,2,3\n")
    before = len(server.get("/api/runs")["items"])
    done = run("import", tmp_path / "good.csv", tmp_path / "bad.csv", server=server)
    assert (done.returncode, b"bad.csv, line 3: It has 3 cells" in done.stderr) == (1, True), done.stderr
    assert b"good.csv: run " in done.stdout
    assert len(server.get("/api/runs")["items"]) == before + 1


def test_a_server_that_dies_in_the_middle_leaves_no_half_file(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data").start()
    rows = "\n".join(f"{step},{step / 3},{step / 7}" for step in range(600_000))
    (tmp_path / "long.csv").write_text(f"step,a,b\n{rows}\n")
    assert run("import", tmp_path / "long.csv", server=server).returncode == 0
    target = tmp_path / "out" / "long.csv"
    target.parent.mkdir()
    command = [
        sys.executable,
        "-m",
        "lossguard_server",
        "export",
        "long",
        "-o",
        str(target),
        "--data",
        str(server.folder),
    ]
    client = subprocess.Popen(command, stderr=subprocess.PIPE, env=clean_environment())
    until(lambda: any(part.stat().st_size for part in target.parent.iterdir()), "the first rows are there", 30)
    client.send_signal(signal.SIGSTOP)  # what it does not read the server cannot finish
    server.kill()
    client.send_signal(signal.SIGCONT)
    _, said = client.communicate(timeout=60)
    assert (client.returncode, b"broke off after" in said) == (1, True), said
    assert list(target.parent.iterdir()) == []
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.url}/healthz", trust_env=False)
