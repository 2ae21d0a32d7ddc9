"""A process that trains on and on for tests of control, and writes the weights of each step as a line.

    python steered_training.py FOLDER [CURRICULUM_FILE STEPS]

Rules of this file: where it reports is in the environment; it ends when it is stopped, or after STEPS. Weights are
written as the hexadecimal words of their bits.
"""

import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import lossguard as lg
from processes import ServerProcess, clean_environment

STEP_S = 0.002
STAGE_AT = 600
CURRICULUM = lg.Curriculum(
    lg.Stage("one", 0, {"a": 1.0, "b": 0.25}),
    lg.Stage("two", STAGE_AT, {"a": 1.0, "b": lg.ramp(0.25, 0.75, 50)}),
)


class SteeredProcess:
    """One of them, for a test."""

    def __init__(self, server: ServerProcess | None, folder: Path, *given: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path, self._log = folder / "weights", folder / "trainer.log"
        env = clean_environment() | {"LOSSGUARD_DIR": str(folder / "spool"), "LOSSGUARD_MODE": "offline"}
        if server is not None:
            env |= {"LOSSGUARD_MODE": "online", "LOSSGUARD_URL": server.url, "LOSSGUARD_TOKEN": server.admin_token}
        env["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        with self._log.open("wb") as log:
            command = [sys.executable, __file__, str(folder), *given]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=env)

    def weights(self) -> list[dict[str, float]]:
        """Of each step that was made, from 0 on."""
        lines = self._path.read_text().splitlines(keepends=True) if self._path.exists() else []
        found = [json.loads(line) for line in lines if line.endswith("\n")]
        return [{name: float.fromhex(word) for name, word in each.items()} for each in found]

    @property
    def steps(self) -> int:
        return len(self.weights())

    def wait(self, timeout_s: float = 60.0) -> int:
        return self._process.wait(timeout_s)

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def log_text(self) -> str:
        return self._log.read_text(errors="replace")


def main(folder: str, file: str = "", steps: str = "") -> None:
    """Train."""
    run = lg.init("tests", "steered", curriculum=lg.Curriculum.load(file) if file else CURRICULUM)
    with (Path(folder) / "weights").open("w", buffering=1) as lines:
        for _ in run.steps(range(int(steps)) if steps else itertools.count()):
            lines.write(json.dumps({name: weight.hex() for name, weight in run.weights.items()}) + "\n")
            time.sleep(STEP_S)
    run.finish(timeout_s=20)


if __name__ == "__main__":
    main(*sys.argv[1:])
