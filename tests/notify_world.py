"""What tests of notifications share: incidents, channels, and a real receiver on this machine."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from lossguard_server.rules.alert import Alert
from lossguard_server.rules.incident import Incident, IncidentChange
from lossguard_server.services.notifying.channel import Channel
from lossguard_server.services.notifying.policy import Wishes
from lossguard_server.services.notifying.told import DELIVERED, Told
from lossguard_server.store import alerts
from lossguard_server.store.runs import StoredRun
from store_world import Store, opened_store

RUN = StoredRun("r1", "p", "n", 1.0, 1.0, 1, 0, None)
SECRET = "whsec_of_the_test"


def alert(alert_id: str = "a1", run: str = "r1", **changed: Any) -> Alert:
    fields: dict[str, Any] = {
        "id": alert_id, "run": run, "rule": "loss_jump", "series": "loss/total", "component": None,
        "severity": "critical", "state": "firing", "step": 100, "last_step": 100, "fired_s": 1.0, "resolved_step": None,
        "message": "The total jumped to 9 times its level at step 100.",
        "evidence": {"values": [[98, 1.0], [99, 1.1], [100, float("nan")]]}, "blame": None, "remedy": None,
    }  # fmt: skip
    return Alert(**{**fields, **changed})


@contextmanager
def alerted_store(folder: Path) -> Iterator[Store]:
    """A store in which the run has its alert."""
    with opened_store(folder) as opened:
        opened.stream("r1")
        opened.write(lambda session: alerts.upsert(session, alert().to_dict()))
        yield opened


def change(news: Any = "opened", incident: str = "i1", **changed: Any) -> IncidentChange:
    fields: dict[str, Any] = {
        "id": incident, "run": "r1", "state": "open", "severity": "critical", "first_step": 90, "last_step": 100,
        "opened_s": 1.0,
        "headline": {"alert": "a1", "rule": "loss_jump", "series": "loss/total", "component": "bonds", "message": "M."},
        "cause": {"text": "The loss of bonds began it."},
        "first_bad": [{"series": "grad/bonds", "step": 88, "lead_steps": 12, "deviation": 9.0}],
        "alerts": ["a1"], "count": {"loss_jump": 1}, "blame": {"text": "80 % is bonds."},
        "remedy": {"kind": "set_weight", "args": {}, "text": "Set bonds to 0.01."},
    }  # fmt: skip
    return IncidentChange(Incident(**{**fields, **changed}), news)


def channel(url: str = "https://example.org/hook", channel_id: str = "c1", **wishes: Any) -> Channel:
    return Channel(
        channel_id, f"name of {channel_id}", "webhook", url, SECRET, "https://…", True, Wishes(**wishes), 1.0
    )


@dataclass
class Receiver:
    """A web server that notes what it gets and answers as it is told: (status, headers, body) by path."""

    url: str = ""
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    answers: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            receiver.got.append((self.path, dict(self.headers), body))
            status, headers, answer = receiver.answers.get(self.path, (200, {}, b"thanks"))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(answer)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Mute:
    """A way to send that only notes, and answers with `told`, or with what `told_by_channel` says."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []
        self.told = Told(DELIVERED, "HTTP 200 OK", 200)
        self.told_by_channel: dict[str, Told] = {}

    async def send(self, channel: Channel, message: Any) -> Told:
        self.sent.append((channel.id, message))
        return self.told_by_channel.get(channel.id, self.told)
