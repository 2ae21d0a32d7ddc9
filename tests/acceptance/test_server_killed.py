"""kill -9 of the server in the middle of a run, and a restart: no point lost, none doubled."""

from pathlib import Path

import lossguard as lg
from journal_reader import assert_matches_record, assert_no_hole, stored_points
from processes import ServerProcess, TrainerProcess, until


def test_no_point_is_lost_or_doubled_over_kills_of_the_server(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data").start()
    trainer = TrainerProcess(server, tmp_path, "denovo", "--stage-steps", "100", "--steps", "240")
    try:
        for kill_at in (40, 100):
            until(lambda at=kill_at: len(trainer.record()) > at, f"the trainer passes step {kill_at}")
            server.kill()
            recorded = len(trainer.record())
            until(lambda at=recorded: len(trainer.record()) > at + 5, "training goes on without a server")
            server.start()
        assert trainer.wait() == 0, trainer.log_text()
        run = server.get("/api/runs")["items"][0]
        until(lambda: server.get(f"/api/runs/{run['id']}")["state"] == "finished", "the server has the end of the run")
        record = trainer.record()
        assert len(record) == 240
        assert_matches_record(stored_points(server.folder, run["id"]), record)
        assert_no_hole(server.folder, run["id"])
        assert server.get(f"/api/runs/{run['id']}")["gaps"] == 0
    finally:
        trainer.end()
        server.stop()


def test_what_an_emptied_server_lost_is_a_gap_that_is_shown_and_the_run_goes_on(tmp_path: Path) -> None:
    """As after a restore from an older backup, at its worst; and the new server is killed once more."""
    server = ServerProcess(tmp_path / "data").start()
    run = lg.init("p", "n", url=server.url, token=server.admin_token, dir=tmp_path / "spool")
    try:
        for step in range(100):
            run.log({"x": float(step)}, step=step)
        until(lambda: len(stored_points(server.folder, run.id).get("x", [])) == 100, "all of it is stored")
        until(lambda: not list((tmp_path / "spool").iterdir()), "the trainer has forgotten it")
        server.kill()
        for path in server.folder.glob("lossguard.db*"):
            path.unlink()
        server.start()  # the admin token lies in a file of its own; the others went with the database
        for step in range(100, 200):
            run.log({"x": float(step)}, step=step)
        until(lambda: (100, 100.0) in stored_points(server.folder, run.id).get("x", []), "the run goes on")
        server.kill()
        server.start()
        run.finish()
        assert [step for step, _ in stored_points(server.folder, run.id)["x"]] == list(range(100, 200))
        assert server.get(f"/api/runs/{run.id}")["gaps"] >= 1
    finally:
        run.finish(timeout_s=1)
        server.stop()
