"""SDK trainer processes, one life after another in one spool folder, with what each is owed by the server."""

import multiprocessing
import subprocess
import sys
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

from faults.evidence import Evidence
from faults.history import check_points
from faults.trainer_life import ACKED, BEGUN, LOGGED, Record, bits_at, live
from lossguard.protocol.codec import decode_sequenced
from lossguard.protocol.errors import BadMessage
from lossguard.protocol.messages import Frame
from lossguard.protocol.spool_format import SUFFIX
from processes import ServerProcess, clean_environment
from segments import parse_segment

# forked from a process that has imported torch once: the import takes longer than most of these lives last
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["torch", "lossguard", "lossguard.assembly", "faults.trainer_life"])
SERIES = "x"


@dataclass
class Life:
    """One process. `owed`: so many first steps must be stored in the end, whatever happened to it."""

    folder: Path
    process: BaseProcess
    record: Record
    owed: int = 0

    @property
    def run(self) -> str:
        path = self.folder / "run"
        return path.read_text() if path.exists() else ""

    def faults(self, evidence: Evidence) -> list[str]:
        """What the server owes this life and does not hold, or holds and should not."""
        if not self.run:
            return []
        column = evidence.points.get(self.run, {}).get(SERIES, [])  # beside it lie series of the machine
        count = len(column)
        name = f"the SDK's run {self.run}"
        if count < self.owed:
            return [f"{name}: lost: {self.owed} steps were in its spool, {count} are stored"]
        if count > self.record[BEGUN]:
            return [f"{name}: invented: {count} steps are stored, {self.record[BEGUN]} were logged"]
        # nothing here fills a disk or sets a server back: a gap would be a loss with a name
        faults = [f"{name}: a gap {gap} without a cause" for gap in evidence.gaps(self.run)]
        logged = {SERIES: [(step, bits_at(step)) for step in range(count)]}
        return faults + check_points([logged], {SERIES: column}, name=name)

    def acknowledged_faults(self, evidence: Evidence) -> list[str]:
        """At the instant of a server's death: what the trainer was told is stored, is."""
        stream = evidence.streams.get(self.run, {}).get((0, 0))
        stored = stream.last_seq if stream is not None else 0
        if self.run and stored < self.record[ACKED]:
            return [f"the SDK's run {self.run}: lost: {self.record[ACKED]} was acknowledged, {stored} is stored"]
        return []


class Lives:
    """The lives of one trainer: killed and started anew over one spool folder."""

    def __init__(self, server: ServerProcess, folder: Path, sabotage: str = "") -> None:
        self.all: list[Life] = []
        self._server, self._folder, self._sabotage = server, folder, sabotage
        self.spool = folder / "spool"

    def begin(self) -> None:
        """One more life."""
        folder = self._folder / f"life{len(self.all)}"
        folder.mkdir(parents=True)
        env = {
            "LOSSGUARD_URL": self._server.url,
            "LOSSGUARD_TOKEN": self._server.admin_token,
            "LOSSGUARD_DIR": str(self.spool),
        }
        record = Record(folder)  # before the process looks for it
        process = FORKS.Process(target=live, args=(folder, env, self._sabotage))
        process.start()
        self.all.append(Life(folder, process, record))

    @property
    def current(self) -> Life:
        return self.all[-1]

    def kill(self) -> None:
        """kill -9. What is in the spool at this instant is owed."""
        life = self.current
        life.process.kill()
        life.process.join()
        for other in self.all:
            other.owed = max(other.owed, self._spooled_steps(other.run))

    def finish(self) -> None:
        """The last life ends in good order: all that it logged is owed."""
        life = self.current
        (life.folder / "stop").touch()
        life.process.join(60)
        assert life.process.exitcode == 0, (life.folder / "log").read_text()
        life.owed = life.record[LOGGED]

    def sync(self) -> str:
        """`lossguard sync`: what dead trainers left is delivered. Returns what it says."""
        command = [sys.executable, "-m", "lossguard_server", "sync", str(self.spool)]
        env = clean_environment() | {"LOSSGUARD_URL": self._server.url, "LOSSGUARD_TOKEN": self._server.admin_token}
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def end(self) -> None:
        """Leave nothing running."""
        for life in self.all:
            if life.process.is_alive():
                life.process.kill()
                life.process.join()

    def _spooled_steps(self, run: str) -> int:
        """How many first steps of a run lie in the spool, or before it."""
        last = 0
        for path in self.spool.glob(f"*{SUFFIX}"):
            try:
                content = parse_segment(path.read_bytes())
            except (BadMessage, FileNotFoundError):  # torn at its very beginning; or delivered by somebody just now
                continue
            if content.hello.run != run:
                continue
            frames = [decode_sequenced(payload) for _, payload in content.records]
            last = max([last, *(m.first_step + m.n for m in frames if isinstance(m, Frame))])
        return last
