"""kill -9 of the server in the middle of a run, and a restart: no point lost, none doubled."""

from pathlib import Path

from journal_reader import assert_matches_record, stored_messages, stored_points
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
        seqs = [message.seq for message in stored_messages(server.folder, run["id"])]
        assert seqs == list(range(1, len(seqs) + 1))
        assert server.get(f"/api/runs/{run['id']}")["gaps"] == 0
    finally:
        trainer.end()
        server.stop()
