"""`import` and `sync` on the server's own machine find it as a trainer does, whatever its admin token is."""

import asyncio
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lossguard_server.terminal.commands import app
from server_inside import running_server
from spool_damage import stream, write


async def test_points_come_in_without_the_admin_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOSSGUARD_URL", raising=False)
    monkeypatch.delenv("LOSSGUARD_TOKEN", raising=False)
    monkeypatch.setenv("LOSSGUARD_DIR", "~/spool")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "spool").mkdir()
    write(tmp_path / "spool", stream(20))
    (tmp_path / "other.csv").write_text("step,a\n0,1\n")
    async with running_server(tmp_path / "data") as inside:  # its admin token is told, and in no file

        async def said(*words: str) -> str:
            done = await asyncio.to_thread(CliRunner().invoke, app, [*words, "--data", str(tmp_path / "data")])
            assert done.exit_code == 0, done.output
            return done.output

        assert await said("sync") == "r-0-0: 20 messages are at the server\n"
        assert "1 points" in await said("import", str(tmp_path / "other.csv"))
        assert {run["name"] for run in await inside.items("/api/runs")} == {"n", "other"}
