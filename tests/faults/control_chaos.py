"""A server, a steered trainer that goes on from its checkpoints, and an operator who gives random commands; kill -9.

Rules of this file: waiting is polling against a deadline. Nobody but this process's server and trainers is killed. A
request whose answer was lost is made again with its key until there is an answer, as a careful operator would.
"""

import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from faults.control_checks import check_commands, check_life, check_once, check_replays, check_shown
from faults.control_life import COMPONENTS, STAGES, Record, live
from faults.evidence import collect
from faults.lives import FORKS
from lossguard.protocol.codec import decode_sequenced
from lossguard.protocol.messages import Declaration, Event
from lossguard_server.services.command_states import OPEN
from lossguard_server.services.plan_fold import fold
from processes import ServerProcess, clean_environment, until

ANSWER_S = 60.0
SHARP = 0.8  # of the kills wait for the instant after a command came into force: then most can be lost
Wish = tuple[str, dict[str, Any]]


class Wishes:
    """Random commands, most of them possible."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._makers = {
            "set_weight": (30, self._set_weight), "scale_weights": (10, self._scale), "gate": (8, self._gate),
            "hold_stage": (6, self._hold), "release_stage": (5, dict), "go_to_stage": (5, self._go_to),
            "set_lr_scale": (8, self._lr), "set_clip": (4, self._clip), "pause": (4, dict), "checkpoint": (4, dict),
            "rollback": (4, dict), "instrument": (2, lambda: {"steps": 3}),
        }  # fmt: skip

    def one(self, steering: Sequence[str]) -> Wish:
        """A kind and its arguments; `steering`: ids of commands that may be reverted."""
        if steering and self._chance.random() < 0.1:
            return "revert", {"command": self._chance.choice(steering[-10:])}
        kinds, made = list(self._makers), list(self._makers.values())
        kind = self._chance.choices(kinds, [weight for weight, _ in made])[0]
        return kind, self._makers[kind][1]()

    def _set_weight(self) -> dict[str, Any]:
        ramp = {"ramp_steps": self._chance.randint(1, 90)} if self._chance.random() < 0.4 else {}
        value = self._chance.choice([0.0, 1e-4, self._chance.random(), 5.0])  # the last is beyond some bounds
        return {"component": self._component(), "value": value, **ramp, **self._lease(0.4)}

    def _scale(self) -> dict[str, Any]:
        names = {"components": self._chance.sample(COMPONENTS, 2)} if self._chance.random() < 0.5 else {}
        return {"factor": self._chance.uniform(0.5, 1.6), **names, **self._lease(0.7)}

    def _gate(self) -> dict[str, Any]:
        return {"component": self._component(), "open": self._chance.random() < 0.5, **self._lease(0.6)}

    def _hold(self) -> dict[str, Any]:
        return self._lease(0.5)

    def _go_to(self) -> dict[str, Any]:
        return {"stage": self._chance.choice(STAGES).name}

    def _lr(self) -> dict[str, Any]:
        return {"value": self._chance.uniform(0.1, 2.0), **self._lease(0.5)}

    def _clip(self) -> dict[str, Any]:
        return {"value": self._chance.uniform(0.5, 9.0), **self._lease(0.5)}

    def _component(self) -> str:
        return self._chance.choice(COMPONENTS)

    def _lease(self, likely: float) -> dict[str, Any]:
        return {"lease_steps": self._chance.randint(1, 200)} if self._chance.random() < likely else {}


class Operator:
    """Gives commands over HTTP; knows what was accepted, and which of it may be reverted."""

    def __init__(self, server: ServerProcess, seed: int) -> None:
        self._url, self._headers = server.url, {"Authorization": f"Bearer {server.admin_token}"}
        self._chance, self._wishes = random.Random(seed), Wishes(random.Random(seed + 1))
        self.accepted: set[str] = set()
        self.steering: list[str] = []
        self.did: Counter[str] = Counter()
        self.faults: list[str] = []
        self._keys = 0

    def give(self, run: str, wish: Wish | None = None) -> str | None:
        """One command; its id, or None where it was refused."""
        kind, args = wish or self._wishes.one(self.steering)
        self._keys += 1
        body = {"kind": kind, "args": args, "idempotency_key": f"k{self._keys}"}
        if wish is None and self._chance.random() < 0.1:
            body["expires_in_s"] = self._chance.uniform(0.005, 0.3)
        answer = self._answer(f"/api/runs/{run}/commands", body)
        if answer.status_code not in (200, 201):
            self.did[f"refused: {answer.json()['error']}"] += 1
            return None
        id = str(answer.json()["id"])
        self.accepted.add(id)
        self.did[kind] += 1
        if kind not in ("pause", "resume", "checkpoint", "rollback", "instrument"):
            self.steering.append(id)
        if wish is None:
            self._fuss(run, body, id)
        return id

    def _fuss(self, run: str, body: dict[str, Any], id: str) -> None:
        """Now and then the same once more, or it is taken back at once."""
        chance = self._chance.random()
        if chance < 0.1:
            again = self._answer(f"/api/runs/{run}/commands", body)
            self.did["given twice"] += 1
            if again.status_code != 200 or again.json()["id"] != id:
                self.faults.append(f"doubled: {body} is {id} and {again.text}")
        elif chance < 0.15:
            self.did[f"cancelled: {self._answer(f'/api/commands/{id}/cancel', {}).status_code}"] += 1

    def _answer(self, path: str, body: dict[str, Any]) -> httpx.Response:
        """The server's word, whoever kills it meanwhile."""

        def ask() -> httpx.Response | None:
            try:
                answer = httpx.post(self._url + path, json=body, headers=self._headers, trust_env=False, timeout=10)
            except httpx.HTTPError:
                self.did["asked again"] += 1
                return None
            return answer if answer.status_code < 500 else None

        found = until(ask, f"an answer to {body}", ANSWER_S)
        assert found is not None
        return found


class ControlChaos:
    """`with`, then `give` and `strike` as often as you like, then `settle`; `faults` says what was wrong."""

    def __init__(
        self,
        folder: Path,
        seed: int,
        server_entry: Sequence[str] = ("-m", "lossguard_server"),
        trainer_sabotage: str = "",
    ) -> None:
        self.faults: list[str] = []
        self.kills: Counter[str] = Counter()
        self.states: Counter[str] = Counter()
        self._folder, self._sabotage = folder, trainer_sabotage
        self._chance = random.Random(seed)
        self.server = ServerProcess(folder / "data", server_entry)
        self._seed = seed
        self._lives: list[BaseProcess] = []
        self._record = Record(folder)

    def __enter__(self) -> "ControlChaos":
        with ExitStack() as undo:
            undo.callback(self._end)
            self.server.start()
            self.operator = Operator(self.server, self._seed)
            self._begin()
            undo.pop_all()  # it stands: what was started is ended by __exit__
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._end()

    def _end(self) -> None:
        for life in self._lives:
            if life.is_alive():
                life.kill()
                life.join()
        self.server.kill()

    def give(self, count: int, first: Wish | None = None) -> None:
        """So many random commands, at random instants; a pause is not left alone for long."""
        pause = threading.Event()
        for number in range(count):
            wish = first if number == 0 else None
            if self.is_paused and self._chance.random() < 0.3:
                wish = ("resume", dict[str, Any]())
            self.operator.give(self.run, wish)
            pause.wait(self._chance.random() * 0.03)

    def strike(self, victim: str = "") -> None:
        """kill -9 of somebody, while commands come; then both are back."""
        victim = victim or self._chance.choice(("server", "trainer", "both"))
        self.kills[victim] += 1
        sure = ("set_weight", {"component": "a", "value": self._chance.random()})
        giving = threading.Thread(target=self.give, args=(self._chance.randint(1, 4), sure), daemon=True)
        is_sharp = self._chance.random() < SHARP
        mark, end_s = self._record.newest_plan(), time.monotonic() + (3.0 if is_sharp else self._chance.random() * 0.4)
        giving.start()
        while time.monotonic() < end_s and self._record.newest_plan() == mark:
            pass  # a rest of a millisecond would miss it
        if victim != "server":
            self._lives[-1].kill()
            self._lives[-1].join()
        if victim != "trainer":
            self.server.kill()
            self.server.start()
        if victim != "server":
            self._begin()
        giving.join(2 * ANSWER_S)
        assert not giving.is_alive()

    def settle(self) -> None:
        """All commands come to an end, the trainer finishes, and everything is compared."""
        # paused or not: the heartbeat that would say so is up to a second behind the last command
        until(lambda: self.operator.give(self.run, ("resume", {})), "the trainer is told to go on")
        self._sync()
        deadline_s = time.monotonic() + 20
        while time.monotonic() < deadline_s and not self._is_final():
            threading.Event().wait(0.05)
        stored = self.commands()
        self.states = Counter(row["state"] for row in stored)
        exported = self.server.get(f"/api/runs/{self.run}/curriculum")["operations"]
        (self._folder / "stop").touch()
        self._lives[-1].join(60)
        if self._lives[-1].exitcode != 0:
            self.faults.append(f"the trainer failed: {self._log()}")
            return
        self._sync()
        self.server.stop()
        self._check(stored, exported)

    @property
    def run(self) -> str:
        return (self._folder / "attempt0").read_text().split()[0]

    @property
    def is_paused(self) -> bool:
        try:
            return bool(self._known().get("state") == "paused")
        except (httpx.HTTPError, OSError, ValueError):  # the server is dead
            return False

    def _known(self) -> dict[str, Any]:
        """The run as the server has it; empty while it is too young to be known."""
        return next((run for run in self.server.get("/api/runs")["items"] if run["id"] == self.run), {})

    def commands(self) -> list[dict[str, Any]]:
        """As the server has them."""
        return list(self.server.get(f"/api/runs/{self.run}/commands")["items"])

    def _is_final(self) -> bool:
        return not any(row["state"] in OPEN for row in self.commands())

    def _begin(self) -> None:
        """One more life; returns when it makes steps, or is paused."""
        env = {
            "LOSSGUARD_URL": self.server.url,
            "LOSSGUARD_TOKEN": self.server.admin_token,
            "LOSSGUARD_DIR": str(self._folder / "spool"),
        }
        number, made = len(self._lives), len(self._record)
        process = FORKS.Process(target=live, args=(self._folder, number, env, self._sabotage))
        process.start()
        self._lives.append(process)
        until(lambda: len(self._record) > made or not process.is_alive() or self._waits(number), "the trainer trains")
        assert process.is_alive(), self._log()
        until(lambda: self._known().get("connected"), "the trainer is connected")

    def _waits(self, number: int) -> bool:
        """It was paused again before its first step."""
        return (self._folder / f"attempt{number}").exists() and self.is_paused

    def _log(self) -> str:
        return (self._folder / f"log{len(self._lives) - 1}").read_text()[-4000:]

    def _sync(self) -> None:
        """What dead trainers left is delivered."""
        command = [sys.executable, "-m", "lossguard_server", "sync", str(self._folder / "spool")]
        env = clean_environment() | {"LOSSGUARD_URL": self.server.url, "LOSSGUARD_TOKEN": self.server.admin_token}
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            self.faults.append(f"lossguard sync: {done.stdout}{done.stderr}")

    def _check(self, stored: list[dict[str, Any]], exported: list[dict[str, Any]]) -> None:
        trails = self._trails()
        entries = self._record.entries()
        self.faults += self.operator.faults
        for life in range(len(self._lives)):
            run, attempt = (self._folder / f"attempt{life}").read_text().split()
            name = f"life {life}, attempt {attempt}"
            if run != self.run or int(attempt) not in trails:
                self.faults.append(f"{name} of {run} is not stored")
                continue
            told = trails[int(attempt)]
            self.faults += check_life(entries[entries["life"] == life], told, name) + check_once(told, name)
        newest = fold(trails[max(trails)]).plan
        self.faults += check_shown(entries, newest) + check_replays(trails)
        self.faults += check_commands(stored, self.operator.accepted, newest)
        if [(each["step"], each["id"]) for each in exported] != [(each.step, each.id) for each in newest.operations]:
            self.faults.append("the exported curriculum is another one than the trail's")
        asked = Counter(map(int, (self._folder / "asked").read_text().split())) if self._has_asked else Counter()
        done = {row["id"]: row["step"] for row in stored if row["kind"] == "checkpoint" and row["state"] == "applied"}
        self.faults += [
            f"checkpoint {each} at step {step} was never made" for each, step in done.items() if not asked[step]
        ]

    @property
    def _has_asked(self) -> bool:
        return (self._folder / "asked").exists()

    def _trails(self) -> dict[int, list[Declaration | Event]]:
        """By attempt, what lies in the journal."""
        streams = collect(self.server.folder).streams.get(self.run, {})
        found = {}
        for (_, attempt), stream in streams.items():
            messages = [decode_sequenced(payload) for _, payload in stream.journal]
            found[attempt] = [each for each in messages if isinstance(each, Declaration | Event)]
        return found
