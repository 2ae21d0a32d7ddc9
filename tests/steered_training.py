"""A process that trains on and on for tests of control, and writes the weights of each step as a line.

    python steered_training.py FOLDER [CURRICULUM_FILE STEPS]

Rules of this file: where it reports is in the environment; it ends when it is stopped, or after STEPS. Weights are
written as the hexadecimal words of their bits.
"""

import itertools
import json
import os
import sys
import time
from pathlib import Path

import lossguard as lg
from processes import LoggedProcess, ServerProcess, clean_environment

STEP_S = 0.002
STAGE_AT = 600
CURRICULUM = lg.Curriculum(
    lg.Stage("one", 0, {"a": 1.0, "b": 0.25}),
    lg.Stage("two", STAGE_AT, {"a": 1.0, "b": lg.ramp(0.25, 0.75, 50)}),
)


class SteeredProcess(LoggedProcess):
    """One of them, for a test."""

    def __init__(self, server: ServerProcess | None, folder: Path, *given: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "weights"
        env = clean_environment() | {"LOSSGUARD_DIR": str(folder / "spool"), "LOSSGUARD_MODE": "offline"}
        if server is not None:
            env |= {"LOSSGUARD_MODE": "online", "LOSSGUARD_URL": server.url, "LOSSGUARD_TOKEN": server.admin_token}
        env["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        super().__init__([__file__, str(folder), *given], folder / "trainer.log", env)

    def weights(self) -> list[dict[str, float]]:
        """Of each step that was made, from 0 on."""
        lines = self._path.read_text().splitlines(keepends=True) if self._path.exists() else []
        found = [json.loads(line) for line in lines if line.endswith("\n")]
        return [{name: float.fromhex(word) for name, word in each.items()} for each in found]

    @property
    def steps(self) -> int:
        return len(self.weights())


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
