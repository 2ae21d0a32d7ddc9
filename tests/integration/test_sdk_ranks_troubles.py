"""Ranks that pause, die, end at different times or see different things: nobody hangs, nobody parts."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import torch

from torchrun import torchrun


def pauses(rank: int, folder: Path) -> dict[str, Any]:
    """A pause of three timeouts of the group, then a resume."""
    from lossguard.ranks import meeting
    from ranked_training import Operator, RankedTraining, patiently

    meeting.TIMEOUT_S = 2.0
    training = RankedTraining(folder, served=True)

    def operate(operator: Operator) -> None:
        pause = operator.send("pause")
        patiently(lambda: operator.applied(pause), "the pause")
        time.sleep(6.0)  # the pause is what is tested
        weight = operator.send("set_weight", component="fit", value=0.25)
        patiently(lambda: operator.applied(weight), "a weight that is set while all stand")
        resume = operator.send("resume")
        patiently(lambda: operator.applied(resume), "the end of the pause")
        operator.send("stop")

    operator = Operator(training, operate) if rank == 0 else None
    training.train(iter(lambda: training.batches(1)[0], None)).finish()
    found = {"weights": training.weights, "applied": training.applied(), "bits": training.bits()}
    if operator is not None:
        operator.joined()
        found["states"] = training.states()
    training.close()
    return found


def test_a_pause_outlives_the_timeout_of_the_group(tmp_path: Path) -> None:
    job = torchrun(pauses, 3, tmp_path)
    assert job.status == 0, job.printed
    first = job.returned[0]
    steps = {id: story[-1][1] for id, story in first["states"].items()}
    assert steps["c1"] == steps["c2"] == steps["c3"], "all of it at the boundary of the pause"
    assert [each["fit"] for each in first["weights"]][steps["c1"] - 1 : steps["c1"] + 1] == [1.0, 0.25]
    for rank in (1, 2):
        assert {key: job.returned[rank][key] for key in ("weights", "applied", "bits")} == {
            key: first[key] for key in ("weights", "applied", "bits")
        }


def dies(rank: int, folder: Path) -> dict[str, Any]:
    """Ranks that train for themselves; the last one is killed."""
    from ranked_training import Operator, RankedTraining, patiently

    training = RankedTraining(folder, "alone", served=True)

    def operate(operator: Operator) -> None:
        before = operator.send("set_weight", component="fit", value=0.5)
        patiently(lambda: operator.applied(before), "a command while all live")
        (folder / "die").touch()
        patiently(lambda: "can be controlled no more" in str(training.told()), "the rank is missed")
        after = operator.send("set_weight", component="fit", value=0.75)
        patiently(lambda: operator.settled(after), "a command without it is refused")
        (folder / "end").touch()

    operator = Operator(training, operate) if rank == 0 else None
    for x in training.run.steps(iter(lambda: training.batches(1)[0], None)):
        training.one(x)
        if rank == 2 and (folder / "die").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        if (folder / "end").exists():
            break
    began_s = time.monotonic()
    training.finish()
    found = {"applied": training.applied(), "steps": training.run.step, "end_s": time.monotonic() - began_s}
    if operator is not None:
        operator.joined()
        found["refusals"] = [event.data for event in training.told() if event.data.get("state") == "rejected"]
        found["told"] = [event.data for event in training.told() if event.data.get("where") == "ranks"]
    training.close()
    return found


def test_a_killed_rank_ends_control_and_not_the_training_of_the_others(tmp_path: Path) -> None:
    # torchrun ends the others once one has failed: here each rank is on its own, as on machines that do not see it
    job = torchrun(dies, 3, tmp_path, agent=False)
    assert set(job.returned) == {0, 1}, job.printed
    assert [each[0] for each in job.returned[0]["applied"]] == ["c1"]
    assert job.returned[1]["applied"] == job.returned[0]["applied"]
    assert job.returned[0]["steps"] > job.returned[0]["applied"][0][1]
    [refusal], [told] = job.returned[0]["refusals"], job.returned[0]["told"]
    assert refusal["id"] == "c2"
    assert refusal["reason"] == told["message"]
    assert told["message"].startswith("this run can be controlled no more: a rank is gone (")
    assert max(each["end_s"] for each in job.returned.values()) < 25


def loses_rank_0(rank: int, folder: Path) -> dict[str, Any]:
    """Rank 0 is killed, and with it the job's store; the others train on."""
    from ranked_training import RankedTraining

    training = RankedTraining(folder, "alone")
    waits: list[float] = []
    began_s = time.monotonic()
    for x in training.run.steps(training.batches(400)):
        waits.append(time.monotonic() - began_s)
        training.one(x)
        if rank == 0 and training.run.step == 20:
            os.kill(os.getpid(), signal.SIGKILL)
        began_s = time.monotonic()
    training.finish()
    return {"steps": training.run.step, "longest_s": max(waits)}


def test_a_killed_rank_0_holds_nobody_up(tmp_path: Path) -> None:
    job = torchrun(loses_rank_0, 3, tmp_path, agent=False)
    assert set(job.returned) == {1, 2}, job.printed
    assert [job.returned[rank]["steps"] for rank in (1, 2)] == [399, 399]
    assert max(each["longest_s"] for each in job.returned.values()) < 10


def ends_early(rank: int, folder: Path) -> dict[str, Any]:
    """Two epochs; rank 1 has fewer batches in each. Under DDP alone rank 0 would wait for it in its backward."""
    from ranked_training import RankedTraining

    training = RankedTraining(folder)
    for _ in range(2):
        training.train(training.batches(12 if rank == 1 else 15))
    return {"steps": training.finish().steps, "bits": training.bits()}


def test_an_epoch_ends_with_the_shortest_loader(tmp_path: Path) -> None:
    job = torchrun(ends_early, 2, tmp_path)
    assert job.status == 0, job.printed
    assert job.returned[0] == job.returned[1]
    assert job.returned[0]["steps"] == list(range(24))


def joins(rank: int, folder: Path) -> dict[str, Any]:
    """The same within torch's Join, which lets the longer loader be trained to its end."""
    from torch.distributed.algorithms.join import Join

    from ranked_training import RankedTraining

    training = RankedTraining(folder)
    with Join([training.model]):  # type: ignore[list-item]
        training.train(training.batches(12 if rank == 1 else 15))
    return {"steps": len(training.finish().steps)}


def test_within_join_no_loader_is_cut_short(tmp_path: Path) -> None:
    job = torchrun(joins, 2, tmp_path)
    assert job.status == 0, job.printed
    assert [job.returned[rank]["steps"] for rank in (0, 1)] == [15, 12]


def trips(rank: int, folder: Path) -> dict[str, Any]:
    """Rank 1 alone has gradients that are not finite at step 5, and a loss with finite gradients at step 7."""
    from ranked_training import RankedTraining

    training = RankedTraining(folder, folder.name)
    for x in training.run.steps(training.batches(10)):
        training.one(x, bad={5: "gradients", 7: "loss"}.get(training.run.step, "") if rank == 1 else "")
    training.finish()
    norms = [p.isfinite().all().item() for p in training.model.parameters()]
    return {"bits": training.bits(), "finite": all(norms), "guard": training.run.guard, "steps": training.steps}


def test_ranks_that_share_gradients_skip_together(tmp_path: Path) -> None:
    for kind in ("ddp", "fsdp"):
        (folder := tmp_path / kind).mkdir()
        job = torchrun(trips, 2, folder, at_once=True)
        assert job.status == 0, job.printed
        assert job.returned[0] == job.returned[1]
        assert job.returned[0] == {**job.returned[0], "finite": True, "guard": {"0 AdamW": "trip"}}
        assert job.returned[0]["steps"] == list(range(10)), "nobody replays: the others would not be there"


def test_ranks_that_do_not_are_only_observed(tmp_path: Path) -> None:
    (folder := tmp_path / "alone").mkdir()
    job = torchrun(trips, 2, folder)
    assert job.status == 0, job.printed
    assert [job.returned[rank]["guard"] for rank in (0, 1)] == [{"0 AdamW": "observe"}] * 2
    assert [job.returned[rank]["finite"] for rank in (0, 1)] == [True, False]


def tells_of_another(rank: int, folder: Path) -> dict[str, Any]:
    """As `trips`, and what rank 0 told of the others."""
    from ranked_training import RankedTraining

    training = RankedTraining(folder, "alone", served=True)
    for x in training.run.steps(training.batches(12)):
        training.one(x, bad="gradients" if rank == 1 and training.run.step == 5 else "")
    training.finish()
    told = [event for event in training.told() if event.kind == "nonfinite"] if rank == 0 else []
    training.close()
    return {"told": [[event.step, event.data["rank"]] for event in told]}


def test_rank_0_tells_of_another_that_is_not_finite(tmp_path: Path) -> None:
    job = torchrun(tells_of_another, 2, tmp_path)
    assert job.status == 0, job.printed
    (step, rank), *_ = job.returned[0]["told"]
    assert rank == 1
    assert 5 <= step <= 8, "a boundary or two late"


def rolls_back(rank: int, folder: Path) -> dict[str, Any]:
    import lossguard as lg
    from ranked_training import Operator, RankedTraining, patiently

    kinds = lg.Snapshots(every=4, healthy_after=2) if rank == 0 else lg.Snapshots(every=1000, healthy_after=2)
    training = RankedTraining(folder, served=True, snapshots=kinds)
    if rank == 1:  # it loses what it has: the roll back is to be refused by all, until there is a newer one
        training.run._loop.parts.keeper._shelf.promote = lambda: None  # type: ignore[union-attr]

    def operate(operator: Operator) -> None:
        patiently(lambda: training.run.step > 20, "snapshots are there")
        refused = operator.send("rollback")
        patiently(lambda: operator.settled(refused), "the first rollback")
        (folder / "mend").touch()
        patiently(lambda: (folder / "mended").exists(), "rank 1 keeps snapshots")
        step = training.run.step
        patiently(lambda: training.run.step > step + 20, "newer ones are there")
        second = operator.send("rollback")
        patiently(lambda: operator.settled(second), "the second rollback")
        operator.send("stop")

    operator = Operator(training, operate) if rank == 0 else None
    for x in training.run.steps(iter(lambda: training.batches(1)[0], None)):
        time.sleep(0.005)  # commands must fall among the steps
        training.one(x)
        if rank == 1 and (folder / "mend").exists() and not (folder / "mended").exists():
            del training.run._loop.parts.keeper._shelf.promote  # type: ignore[union-attr]
            (folder / "mended").touch()
    training.finish()
    found: dict[str, Any] = {"bits": training.bits(), "steps": training.steps}
    if operator is not None:
        operator.joined()
        found["told"] = {
            event.data["id"]: event.data
            for event in training.told()
            if event.kind == "command" and event.data["state"] != "received"
        }
    training.close()
    return found


def test_a_rollback_happens_on_all_ranks_or_on_none(tmp_path: Path) -> None:
    job = torchrun(rolls_back, 2, tmp_path)
    assert job.status == 0, job.printed
    first = job.returned[0]
    assert first["told"]["c1"]["state"] == "rejected"
    assert first["told"]["c1"]["reason"] == "there is no healthy snapshot"
    moved = first["told"]["c2"]
    assert moved["state"] == "applied"
    assert moved["ranks"] == 2
    assert 20 < moved["new"] < moved["old"], "to a snapshot that both took when rank 0 said so"
    assert (first["bits"], first["steps"]) == (job.returned[1]["bits"], job.returned[1]["steps"])
    assert torch.tensor(first["steps"]).diff().min() < 0


def restarts(rank: int, folder: Path) -> dict[str, Any]:
    from ranked_training import RankedTraining

    attempt = int(os.environ["TORCHELASTIC_RESTART_COUNT"])
    training = RankedTraining(folder)
    for x in training.run.steps(training.batches(8)):
        if attempt == 0 and rank == 1 and training.run.step == 4:
            os.kill(os.getpid(), signal.SIGKILL)
        training.one(x)
    training.finish()
    return {"run": training.run.id, "attempt": attempt, "steps": training.steps}


def test_an_elastic_restart_is_a_new_attempt_of_the_same_run(tmp_path: Path) -> None:
    job = torchrun(restarts, 2, tmp_path, "--max-restarts", "1")
    assert job.status == 0, job.printed
    assert [job.returned[rank]["attempt"] for rank in (0, 1)] == [1, 1]
    assert job.returned[0]["run"] == job.returned[1]["run"]
    assert job.returned[0]["steps"] == list(range(8))
    run = job.returned[0]["run"]
    streams = {path.name.removeprefix(f"{run}-").split(".")[0][:3] for path in (tmp_path / "spool").rglob(f"{run}-*")}
    assert streams == {"0-0", "1-0", "0-1", "1-1"}, sorted(map(str, tmp_path.rglob("*")))
