"""Runs whose every name and text means something to a browser, a template, Plotly or a formula renderer.

Rules of this file: the wire is spoken by hand, because the SDK would not; all markup here carries `data-xss`, so an
element with it was made of a text, and every script adds to `window.canary`, so one that ran is seen; NAMES are what
the server takes as names (no control or formatting characters), TEXTS what a person or a trainer may say.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from math import nan
from typing import Any

import httpx

from lossguard.protocol.messages import ContractSpec, ControlsSpec, GuardSpec, StageSpec
from processes import ServerProcess, until
from raw_trainer import RawTrainer

RAN = "(window.canary=window.canary||[]).push"
NAMES: dict[str, str] = {
    "script": f"<script data-xss>{RAN}(1)</script>",
    "closed script": f"</title></style></textarea></script><script data-xss>{RAN}(2)</script>",
    "image": f"<img data-xss src=x onerror={RAN}(3)>",
    "vector": f"<svg data-xss onload={RAN}(4)><animate data-xss onbegin={RAN}(5) attributeName=x dur=1s>",
    "attribute": f"\" autofocus onfocus={RAN}(6) data-xss x=\"' onmouseover='{RAN}(7)",
    "frame": f"<iframe data-xss srcdoc='<script>parent.{RAN}(8)</script>'></iframe>",
    "javascript address": f'<a data-xss href="javascript:{RAN}(9)">a</a> javascript:{RAN}(10)',
    "entities": "&lt;b data-xss&gt;&#60;i data-xss&#62;&amp;amp;&quot;",
    "template marks": "{{constructor.constructor('return 1')()}} ${7*7} <%= 7*7 %> #{7*7} %{x} %s %(y)s",
    "plotly": '<b>bold</b><br>two<sup>up</sup><a href="https://example.org/">link</a> %{x:.1f} <extra></extra>',
    "formula": "$\\frac{1}{2}$ \\(a\\) $$b$$",
    "sheet and shell": '=HYPERLINK("http://x"),"; DROP TABLE run;-- $(id) `id`',
    "prototype": "constructor.prototype.hasOwnProperty.toString",
    "long": "W" * 200 + "&" * 200,
}
FORMATTING = {
    "bidi": "\u202egnp.exe\u202c \u2066<b data-xss>\u2069",
    "zero width": "a\u200bb\u200c\u200d\u2060c\ufeff<i data-xss>",
}
TEXTS = NAMES | FORMATTING
MAIN = "main"
STEPS, BAD_STEP = 80, 60
SHORT = 50  # characters of a tag, the shortest of what is limited


def side(number: int) -> str:
    """The id of the run that has the text of that number for a project, a name, a label and a tag."""
    return f"side{number}"


def short(text: str) -> str:
    """What of it is a tag, a label or a channel's name."""
    return text[:SHORT].strip()


@contextmanager
def hostile_runs(server: ServerProcess) -> Iterator[None]:
    """The runs, with the main one's trainer connected meanwhile."""
    ready, end, failed = threading.Event(), threading.Event(), []

    def feed() -> None:
        try:
            asyncio.run(_feed(server, ready, end))
        except Exception as error:  # noqa: BLE001  told in the thread that waits
            failed.append(error)
            ready.set()

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        assert ready.wait(30)
        assert failed == []
        until(lambda: server.get("/api/rules/health")["lagging_runs"] == 0, "the rules have judged all")
        until(lambda: _has_origin(server), "an alert has its origin")
        _say(server)
        yield
    finally:
        end.set()
        thread.join()


def _has_origin(server: ServerProcess) -> bool:
    return any("origin" in alert["evidence"] for alert in server.get(f"/api/runs/{MAIN}/alerts")["items"])


async def _feed(server: ServerProcess, ready: threading.Event, end: threading.Event) -> None:
    for number, text in enumerate(NAMES.values()):
        trainer = RawTrainer(server.url, server.ingest_token, side(number), project=text, name=text)
        await trainer.connect()
        trainer.frame([0, 1], loss__total=[2.0, 1.0])
        await trainer.deliver()
        trainer.disconnect()
    trainer = RawTrainer(server.url, server.ingest_token, MAIN, project=NAMES["script"], name=NAMES["image"])
    await trainer.connect()
    _declare(trainer)
    trainer.frame(range(STEPS), **_columns())
    for text in TEXTS.values():
        trainer.event("error", STEPS - 1, text=text, where=text)
        trainer.event("detail", STEPS - 1, level="full", until=STEPS + 5, reason=text)
    everywhere = {"component": NAMES["script"], "module": TEXTS["image"], "op": TEXTS["vector"], "text": TEXTS["bidi"]}
    place = {"phase": TEXTS["entities"], "where": [TEXTS["closed script"], 7, TEXTS["plotly"]]}
    trainer.event("origin", BAD_STEP, **everywhere, **place, reproduced=True, value="nan", steps_late=0)
    await trainer.deliver()
    ready.set()
    while not end.is_set():
        await trainer.beat("running", STEPS - 1)
        await asyncio.sleep(0.2)
    trainer.disconnect()


def _declare(trainer: RawTrainer) -> None:
    names = list(NAMES.values())
    trainer.declare(
        components=names,
        groups=names,
        stages=[StageSpec(name, 2 * number, dict.fromkeys(names, 1.0)) for number, name in enumerate(names)],
        controls=ControlsSpec(
            ["pause", "set_weight", "hold_stage", "go_to_stage", "rollback"], dict.fromkeys(names, (0.0, 2.0))
        ),
        contracts=[ContractSpec(f"loss/{name}", low=0.0, high=100.0) for name in names],
        config={name: text for name, text in zip(TEXTS.values(), reversed(TEXTS.values()), strict=True)},
        guard=GuardSpec(["trip"], "skip", list(TEXTS.values())),
        device=NAMES["formula"],
    )


def _columns() -> dict[str, list[float]]:
    """Every component's loss is NaN from BAD_STEP on: each has an alert."""
    columns: dict[str, list[float]] = {"loss/total": [14.0] * BAD_STEP + [nan] * (STEPS - BAD_STEP)}
    for name in NAMES.values():
        columns[f"loss/{name}"] = [1.0] * BAD_STEP + [nan] * (STEPS - BAD_STEP)
        columns[f"weight/{name}"] = [1.0] * STEPS
        columns[f"grad_norm/{name}"] = [0.5] * STEPS
        columns[f"matrix/{name}/fro"] = [3.0] * STEPS
        columns[f"metric/{name}"] = [0.1] * STEPS
        columns[name] = [0.2] * STEPS
    return columns


def _say(server: ServerProcess) -> None:
    """What a person says: commands with reasons, labels, notes, tags, channels."""
    with httpx.Client(
        base_url=server.url, headers={"Authorization": f"Bearer {server.admin_token}"}, trust_env=False
    ) as http:
        for number, text in enumerate(NAMES.values()):
            command: dict[str, Any] = {"kind": "set_weight", "args": {"component": text, "value": 0.5}, "reason": text}
            _taken(http.post(f"/api/runs/{MAIN}/commands", json=command | {"idempotency_key": f"k{number}"}))
            said = {"label": short(text), "note": text, "tags": [short(text)]}
            _taken(http.patch(f"/api/runs/{side(number)}", json=said))
            channel = {"name": short(text), "kind": "webhook", "url": "http://127.0.0.1:9/"}
            _taken(http.post("/api/channels", json=channel))


def _taken(answer: httpx.Response) -> None:
    assert answer.is_success, answer.text
