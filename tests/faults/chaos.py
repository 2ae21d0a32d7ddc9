"""kill -9 of server, trainers and both, at random instants under load, with the checks at the instant of each kill.

Rules of this file: the at-crash check is what makes it see (a client that resumes heals a server that had acknowledged
too early); everything random comes from one seed; the load goes on until the last kill.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from faults.evidence import Evidence, collect
from faults.history import Logged, check_run
from faults.hostile import HostileStream
from faults.lives import Lives
from faults.trainer_life import LOGGED
from lossguard.protocol.messages import Hello
from processes import ServerProcess

# (run, rank, attempt): two attempts of one run live at once, and two ranks; the rest stand alone
FROZEN_STEPS = 60  # of the SDK's trainers: two of its link's rounds
STREAMS = (("twice", 0, 0), ("twice", 0, 1), ("ranks", 0, 0), ("ranks", 1, 0), ("alone", 0, 0))


class Chaos:
    """A server, hostile raw streams, SDK trainers. `async with`, then `kill` as often as you like, then `settle`."""

    def __init__(
        self,
        folder: Path,
        seed: int,
        server_entry: Sequence[str] = ("-m", "lossguard_server"),
        trainers: int = 2,
        trainer_sabotage: str = "",
        hostility: float = 0.15,
    ) -> None:
        self.faults: list[str] = []
        self.kills: Counter[str] = Counter()
        self._random = random.Random(seed)
        self._server = ServerProcess(folder / "data", server_entry)
        self._folder, self._seed, self._hostility = folder, seed, hostility
        self._trainers, self._trainer_sabotage = trainers, trainer_sabotage

    async def __aenter__(self) -> "Chaos":
        await asyncio.to_thread(self._server.start)
        url = self._server.url.replace("http", "ws", 1) + "/ws/trainer"
        address = (url, self._server.admin_token)  # the port and this token outlive a restart
        self.streams = [
            HostileStream(
                lambda: address,
                Hello(run=run, project="chaos", name=run, rank=rank, world_size=2, attempt=attempt),
                self._seed + number,
                self._hostility,
            )
            for number, (run, rank, attempt) in enumerate(STREAMS)
        ]
        self.lives = [
            Lives(self._server, self._folder / f"trainer{number}", self._trainer_sabotage)
            for number in range(self._trainers)
        ]
        for lives in self.lives:
            lives.begin()
        self._running = [asyncio.create_task(stream.run()) for stream in self.streams]
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        for lives in self.lives:
            await asyncio.to_thread(lives.end)
        self._server.kill()

    async def kill(self, victim: str = "", frozen: float = 0.3) -> None:
        """One fault: wait for some load, then kill somebody. `frozen`: how likely a server stands still before."""
        victim = victim or (self._random.choice(("server", "trainer", "both")) if self.lives else "server")
        await self._load(self._random.randrange(20, 400))
        self.kills[victim] += 1
        lives = self._random.choice(self.lives) if victim != "server" else None
        if lives is not None:
            lives.kill()
        if victim != "trainer":
            if self._random.random() < frozen:
                await self._freeze_server()
            await self._kill_server()
        if lives is not None:
            lives.begin()

    async def settle(self) -> Evidence:
        """Everybody behaves and finishes; the last words are checked too. Returns what is stored then."""
        for stream in self.streams:
            stream.stop()
        await asyncio.gather(*self._running)
        results = await asyncio.gather(*(stream.drain() for stream in self.streams), return_exceptions=True)
        self.faults += [
            f"{stream.hello.run}/{stream.hello.attempt} is never delivered: {stream.did}"
            for stream, result in zip(self.streams, results, strict=True)
            if isinstance(result, TimeoutError)
        ]
        for lives in self.lives:
            await asyncio.to_thread(lives.finish)
            await asyncio.to_thread(lives.sync)
        await asyncio.to_thread(self._server.stop)
        evidence = collect(self._server.folder)
        self._check(evidence)
        for life in [life for lives in self.lives for life in lives.all]:
            self.faults += life.faults(evidence)
        return evidence

    @property
    def did(self) -> Counter[str]:
        """What the hostile streams have done and been told."""
        return sum((stream.did for stream in self.streams), Counter())

    async def _load(self, messages: int) -> None:
        """Until so many more messages were acknowledged."""
        aim = self._acked() + messages
        async with asyncio.timeout(30):
            while self._acked() < aim:
                await asyncio.sleep(0.002)

    def _acked(self) -> int:
        return sum(stream.logged.acked_seq for stream in self.streams)

    async def _freeze_server(self) -> None:
        """Long enough that every trainer has something on its way that nobody will ever read."""
        self._server.freeze()
        aims = [(life, life.record[LOGGED] + FROZEN_STEPS) for life in (lives.current for lives in self.lives)]
        async with asyncio.timeout(30):
            while any(life.process.is_alive() and life.record[LOGGED] < aim for life, aim in aims):
                await asyncio.sleep(0.002)

    async def _kill_server(self) -> None:
        self._server.kill()
        async with asyncio.timeout(30):  # the last acknowledgements may lie in the streams' sockets
            while any(stream.is_connected for stream in self.streams):
                await asyncio.sleep(0.002)
        evidence = await asyncio.to_thread(collect, self._server.folder)
        self._check(evidence)
        for life in [life for lives in self.lives for life in lives.all]:
            self.faults += life.acknowledged_faults(evidence)
        await asyncio.to_thread(self._server.start)

    def _check(self, evidence: Evidence) -> None:
        self.faults += evidence.faults
        logged: dict[str, dict[tuple[int, int], Logged]] = {}
        for stream in self.streams:
            self.faults += stream.faults
            stream.faults.clear()
            logged.setdefault(stream.hello.run, {})[stream.hello.rank, stream.hello.attempt] = stream.logged
        for run, streams in logged.items():
            stored = evidence.streams.get(run, {})
            self.faults += [
                f"{run}/{key}: lost: {streams[key].acked_seq} was acknowledged, nothing is stored"
                for key in streams.keys() - stored.keys()
                if streams[key].acked_seq
            ]
            self.faults += check_run(
                [streams[key] for key in stored], list(stored.values()), evidence.points.get(run, {}), run
            )
