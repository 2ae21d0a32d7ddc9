"""From a press to the step boundary at which it is applied, and what the readiness for it costs a step.

    python benchmarks/control.py [--commands 100] [--steps-ms 5 50 200] [--ranks 1 2 4] [--rounds 60]

Press: an HTTP POST of `set_weight` leaves for a server process; applied: the trainer's loop, in this process, comes out
of the boundary with the new weight. Steps wait, as a loop does whose work is a GPU's. Presses fall at random within a
step. Budget: one step and 100 ms.

Cost: the same boundary with the ranks' agreement and without it, in blocks that take turns; `--rounds` blocks of each.
Ranks are processes of torchrun, on gloo, on this machine's cores.
"""

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx
import numpy as np

import lossguard as lg

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from processes import ServerProcess, until
from torchrun import torchrun

BUDGET_MS = 100.0  # beside one step
BLOCK = 25  # steps
WORK_MS = 5.0  # of a step whose boundary is measured
BOOTSTRAPS = 2_000


# -- press to applied --------------------------------------------------------------------------------------------------


class Trainer(threading.Thread):
    """Steps of `step_s`; notes when each new weight came into force."""

    def __init__(self, run: lg.Run, step_s: float) -> None:
        super().__init__(daemon=True)
        self._run, self._step_s = run, step_s
        self.applied_at_s: dict[float, float] = {}
        self.steps_s: list[float] = []
        self.is_over = False

    def run(self) -> None:
        before_s = time.perf_counter()
        for _ in self._run.steps(iter(int, 1)):
            now_s = time.perf_counter()
            self.applied_at_s.setdefault(self._run.weights["a"], now_s)
            self.steps_s.append(now_s - before_s)
            before_s = now_s
            if self.is_over:
                return
            time.sleep(self._step_s)


def press_to_applied(server: ServerProcess, folder: str, step_ms: float, commands: int) -> tuple[list[float], float]:
    """Seconds of each command, and the median step."""
    run = lg.init(
        "bench", f"control-{step_ms:g}", url=server.url, token=server.ingest_token, dir=folder, losses={"a": 1.0}
    )
    trainer, pause, taken = Trainer(run, step_ms / 1e3), threading.Event(), []
    trainer.start()
    until(lambda: server.get(f"/api/runs/{run.id}")["connected"], "the trainer is connected")
    headers = {"Authorization": f"Bearer {server.admin_token}"}
    with httpx.Client(base_url=server.url, headers=headers, trust_env=False) as client:
        for number in range(commands):
            pause.wait(random.uniform(0.05, 0.05 + step_ms / 1e3))  # at random within a step
            value = (number + 1) / (2 * commands)
            body = {"kind": "set_weight", "args": {"component": "a", "value": value}, "idempotency_key": f"{number}"}
            pressed_s = time.perf_counter()
            answer = client.post(f"/api/runs/{run.id}/commands", json=body)
            assert answer.status_code == 201, answer.text
            until(lambda value=value: value in trainer.applied_at_s, "it is applied")  # type: ignore[misc]
            taken.append(trainer.applied_at_s[value] - pressed_s)
    trainer.is_over = True
    trainer.join()
    run.finish(timeout_s=5.0)
    return taken, statistics.median(trainer.steps_s)


def press_table(steps_ms: list[float], commands: int) -> None:
    print(f"{commands} commands each, pressed at random within a step\n")
    print("| step ms | press to applied, median ms | p95 ms | budget ms | |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        server = ServerProcess(Path(folder) / "data").start()
        try:
            for step_ms in steps_ms:
                taken, step_s = press_to_applied(server, f"{folder}/spool", step_ms, commands)
                median_ms, p95_ms = (float(each) * 1e3 for each in np.percentile(taken, [50, 95]))
                budget_ms = step_s * 1e3 + BUDGET_MS
                verdict = "held" if p95_ms <= budget_ms else "MISSED"
                print(
                    f"| {step_s * 1e3:.1f} | {median_ms:.1f} | {p95_ms:.1f} | {budget_ms:.0f} | {verdict} |", flush=True
                )
        finally:
            server.stop()


# -- the cost of a step ------------------------------------------------------------------------------------------------


def boundaries(rank: int, folder: Path) -> dict[str, list[float]]:
    """Of one rank: seconds of each block's steps, with the ranks' agreement, without, and without once more (A/A)."""
    import torch.distributed as dist

    from lossguard.ranks import Alone

    if int(os.environ["WORLD_SIZE"]) > 1:
        dist.init_process_group("gloo")
    url, token = json.loads((folder / "server").read_text())
    run = lg.init("bench", f"ranks-{folder.name}", url=url, token=token, dir=folder / "spool", losses={"a": 1.0})
    controller = run._loop.parts.controller  # type: ignore[union-attr]
    honest, taken = controller._ranks, dict[str, list[float]](control=[], none=[], again=[])
    steps = iter(run.steps(iter(int, 1)))
    agreed, nothing = controller.apply, lambda step, wants=None: True
    assert isinstance(honest, Alone) == (int(os.environ["WORLD_SIZE"]) == 1)
    for round_ in range(int(os.environ["ROUNDS"])):
        for name in random.Random(round_).sample(list(taken), len(taken)):  # the same order on every rank
            controller.apply = agreed if name == "control" else nothing
            began_s = time.perf_counter()
            for _ in range(BLOCK):
                next(steps)
                time.sleep(WORK_MS / 1e3)
            taken[name].append((time.perf_counter() - began_s) / BLOCK)
    controller.apply = agreed
    run.finish(timeout_s=5.0)
    return taken


def cost_table(ranks: list[int], rounds: int) -> None:
    print(f"\n{rounds} blocks of {BLOCK} steps of {WORK_MS:g} ms each way, in turns; the slowest rank counts\n")
    print("| ranks | without ms | control adds us a step | 95 % interval | A/A us |\n|---|---|---|---|---|")
    for world in ranks:
        with tempfile.TemporaryDirectory() as folder:
            server = ServerProcess(Path(folder) / "data").start()
            try:
                (job_folder := Path(folder) / str(world)).mkdir()
                (job_folder / "server").write_text(json.dumps([server.url, server.ingest_token]))
                os.environ["ROUNDS"] = str(rounds)
                job = torchrun(boundaries, world, job_folder, limit_s=300)
                assert job.status == 0, job.printed
            finally:
                server.stop()
        cost_line(world, job.returned)


def cost_line(world: int, returned: dict[int, dict[str, list[float]]]) -> None:
    """Medians of paired differences, with a bootstrap interval."""
    slowest = {
        name: np.max([each[name] for each in returned.values()], axis=0) for name in ("control", "none", "again")
    }
    added = (slowest["control"] - slowest["none"]) * 1e6
    draws = np.random.default_rng(0).choice(added, (BOOTSTRAPS, len(added)))
    low, high = np.percentile(np.median(draws, axis=1), [2.5, 97.5])
    noise = float(np.median((slowest["again"] - slowest["none"]) * 1e6))
    without_ms = float(np.median(slowest["none"])) * 1e3
    print(
        f"| {world} | {without_ms:.3f} | {np.median(added):.0f} | {low:.0f} to {high:.0f} | {noise:.0f} |", flush=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commands", type=int, default=100)
    parser.add_argument("--steps-ms", type=float, nargs="*", default=[5.0, 50.0, 200.0])
    parser.add_argument("--ranks", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--rounds", type=int, default=60)
    options = parser.parse_args()
    press_table(options.steps_ms, options.commands)
    cost_table(options.ranks, options.rounds)


if __name__ == "__main__":
    main()
