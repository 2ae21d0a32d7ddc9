"""The report as a file: whatever a name is, it is text; whatever a number is, it is told; the policy fits the file."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from lossguard_server.services.reporting.document import document
from lossguard_server.services.reporting.markup import el, plain
from lossguard_server.services.reporting.record import Contract, FirstNotFinite, NotFinite, Record
from report_world import alert, blame, chart, command, event, incident, line, patch, record

CORPUS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</title></style></script><svg onload=alert(1)>",
    "<!--<script>",
    "javascript:alert(1)",
    "' onmouseover='alert(1)",
    "{{constructor.constructor('alert(1)')()}}",
    "$\\href{javascript:alert(1)}{x}$ <b>&lt;i&gt;</b> <a href='javascript:alert(1)'>",
    "\u202egnp.exe\u2028\u0000\ud800",
)
TAGS = {
    *("html", "head", "meta", "title", "style", "template", "script", "body", "nav", "main", "header", "section"),
    *("h1", "h2", "h3", "h4", "p", "span", "a", "dl", "div", "dt", "dd", "ol", "ul", "li", "time", "article"),
    *("table", "thead", "tbody", "tr", "th", "td", "svg", "rect", "figure", "figcaption", "button", "details"),
    *("summary", "pre", "code", "strong"),
}


class Read(HTMLParser):
    """Which elements and attributes a parser finds, and the text of each element."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags, self.attributes, self.texts, self.within = set[str](), list[tuple[str, str]](), list[str](), ""
        self.scripts = list[str]()
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        self.within = tag
        if tag in ("script", "style"):
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self.within = ""

    def handle_data(self, data: str) -> None:
        if self.within in ("script", "style"):
            self.scripts[-1] += data
        else:
            self.texts.append(data)


def hostile(name: str) -> Record:
    """The name wherever the wire may bring a text."""
    odd = line(f"loss/{name}", [1.0, 2.0], not_finite=(NotFinite(1, 1, 1, 0, 0),))
    piece = {"from": 0, "to": None, "stage": name, "gated": [name], "lr_scale": 1.0, "clip": None, "held": False}
    return record(
        **hostile_story(name),
        run=hostile_run(name),
        version=name,
        stages=[{"start": 0, "name": name, "weights": {}}, {"start": 5, "name": name, "weights": {}}],
        audit=[{"at_s": 1.0, "actor": name, "what": name, "detail": {name: name}}],
        patch=patch(run=name, effective=[{**piece, "weights": {name: 1.0}}]),
        charts=[chart(odd, title=name, unit=name, contracts=(Contract(name, 0.0, 1.0),))],
        evidence={"i1": chart(odd, id="evidence-0", title=name)},
        first_not_finite=FirstNotFinite(1, (name,)),
    )


def hostile_run(name: str) -> dict[str, Any]:
    texts = dict.fromkeys(("id", "name", "project", "label", "note", "device", "state"), name)
    guard = {"modes": [name], "on_trip": name, "notes": [name]}
    config = {name: {name: name}, "list": [name]}
    return {**texts, "tags": [name], "components": [{"name": name}], "config": config, "guard": guard}


def hostile_story(name: str) -> dict[str, Any]:
    parameter = {"name": name, "value": 1, "default": 2, "unit": name, "set_by": name}
    origin = dict.fromkeys(("component", "module", "op", "phase", "value", "text"), name)
    where = {"where": {"file": name, "line": name}}
    happened = incident(
        headline={"alert": "a1", "rule": name, "series": name, "component": name, "message": name},
        cause={"text": name},
        blame=blame((name, name, 1.0, 100), text=f"{name}!"),
        count={name: 1},
        first_bad=[{"series": name, "step": 1, "lead_steps": 1, "deviation": 1.0}],
        remedy={"kind": name, "args": {name: name}, "text": name},
    )
    said = {"text": name, "name": name, "action": name, "reason": name, "where": name, "state": name, "message": name}
    kinds = ("stage", "trip", "origin", "rollback", "gap", "error", "finish", "resume", "detail", name)
    return {
        "rules": [{"name": name, "title": name, "enabled": False, "enabled_by": name, "parameters": [parameter]}],
        "incidents": [happened],
        "alerts": [
            alert(rule=name, series=name, component=name, message=name, evidence={"origin": {**origin, **where}}),
            alert(id="a2", incident=None, message=name),
        ],
        "commands": [
            command(reason=name, actor=name, refusal=name, args={"component": name, "value": name}),
            command(kind=name, args={name: name}, effect={"verdict": name, "text": name}),
        ],
        "events": [{"step": at, "kind": kind, "time_s": 1_000.0, "data": said} for at, kind in enumerate(kinds)],
    }


@pytest.mark.parametrize("name", CORPUS)
def test_a_name_is_only_text(name: str) -> None:
    page = document(hostile(name))
    read = Read(page)
    assert read.tags <= TAGS
    assert not [each for each in read.attributes if each[0].startswith("on") or each[0] == "style"]
    assert {
        value.partition(":")[0] for key, value in read.attributes if key == "href" and not value.startswith("#")
    } == {"data"}
    assert not [key for key, _ in read.attributes if key in ("src", "srcdoc", "action", "formaction")]
    assert len(read.scripts) == 5  # two styles, the data, Plotly, the report's own
    json.loads(read.scripts[2])
    assert not set(read.scripts[2]) & set("<>&\u2028\u2029")
    shown = re.sub("[\u202e\x00\ud800]", "\ufffd", name)
    assert sum(text == shown for text in read.texts) > 8


def test_what_plotly_shows_has_no_markup_of_its_own() -> None:
    figures = json.loads(Read(document(hostile("<b>a</b> &amp; $x$"))).scripts[2])["figures"]
    texts = [text for figure in figures.values() for text in strings(figure)]
    assert [text for text in texts if "<b>" in text or " & " in text or re.search(r"(?<!\u200b)\$", text)] == []
    assert any(plain("<b>a</b> &amp; $x$") in text for text in texts)


def strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for each in inner for text in strings(each)]


def test_the_policy_allows_what_is_in_the_file_and_nothing_else() -> None:
    read = Read(document(record()))
    said = next(value for _, value in read.attributes if "default-src" in value)
    style, plotly_style, data, plotly, own = read.scripts
    assert json.loads(data)["figures"]

    def hashed(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    assert said.split("; ") == [
        "default-src 'none'",
        f"script-src {hashed(plotly)} {hashed(own)}",
        f"style-src {hashed(style)} {hashed(plotly_style)}",
        "img-src data: blob:",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    assert "unsafe" not in said
    assert "http" not in said


ODD = (float("nan"), float("inf"), float("-inf"), 1.7e308, -1.7e308, 5e-324, -0.0)


@pytest.mark.parametrize("value", ODD)
def test_any_number_may_stand_anywhere(value: float) -> None:
    odd = line("loss/a", [value, 1.0, value], look=-1)
    forms = [
        chart(
            odd, line("loss/b", [value] * 3), id=form, form=form, is_log=is_log, contracts=(Contract("a", value, None),)
        )
        for form in ("lines", "areas", "shares", "steps")
        for is_log in (True, False)
    ]
    page = document(
        record(
            run={"total": value, "started_s": value, "config": {"x": value}},
            seen_s=value,
            made_s=value,
            charts=forms,
            incidents=[
                incident(
                    opened_s=value,
                    blame=blame(("a", "loss", value, 100)),
                    first_bad=[{"series": "a", "step": 1, "lead_steps": value, "deviation": value}],
                )
            ],
            alerts=[alert(fired_s=value, evidence={"value": value})],
            commands=[command(args={"component": "a", "value": value})],
            events=[event("trip", 3, value, text="t")],
            audit=[{"at_s": value, "actor": "x", "what": "y", "detail": {"v": value}}],
            patch=patch(
                effective=[
                    {
                        "from": 0,
                        "to": None,
                        "stage": None,
                        "weights": {"a": value},
                        "gated": [],
                        "lr_scale": value,
                        "clip": value,
                        "held": True,
                    }
                ]
            ),
            rules=[
                {
                    "name": "x",
                    "title": "X",
                    "enabled": True,
                    "enabled_by": "run",
                    "parameters": [{"name": "p", "unit": "", "value": value, "default": value, "set_by": "run"}],
                }
            ],
        )
    )
    block = Read(page).scripts[2]
    json.loads(block, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


def test_words_of_the_wire_that_are_no_words_change_nothing() -> None:
    odd: list[Any] = [None, 3, True, [], {}, ["x"], {"a": 1}, 10**400]
    for value in odd:
        page = document(
            record(
                events=[
                    event("stage", 0, name=value),
                    event("trip", 1, text=value, action=value),
                    event("rollback", 5, **{"to": value, "from": value}),
                    event("gap", 2, **{"from": value, "to": value, "reason": value}),
                    event("origin", 1, text=value),
                ],
                alerts=[alert(evidence={"origin": {"where": value, "text": value, "reproduced": value}})],
                commands=[
                    command(args={"component": value, "value": value, "ramp_steps": value}),
                    command(kind="scale_weights", args={"components": value}),
                ],
                incidents=[
                    incident(
                        cause={"text": value},
                        remedy={"kind": "stop", "args": value, "text": value},
                        blame={"parts": value if isinstance(value, list) else [], "text": value},
                    )
                ],
            )
        )
        assert b"<h2" in page


def test_elements_escape_whatever_is_no_markup() -> None:
    assert (
        el("p", "<b>", el("i", '"x"'), None, 3, title="'<")
        == '<p title="&#x27;&lt;">&lt;b&gt;<i>&quot;x&quot;</i>3</p>'
    )
    assert el("rect", x="1", hidden=True, class_=None) == '<rect x="1" hidden/>'
