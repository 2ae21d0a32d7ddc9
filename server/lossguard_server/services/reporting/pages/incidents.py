"""The incidents: what, since when, who is to blame, what went first, where it was born, what was done.

Rules of this file: pure; an alert that belongs to no incident is told at the end.
"""

from collections.abc import Sequence

from ..markup import Child, Markup, el
from ..record import Item, Record
from ..story import answers_to, heading_of
from ..words import as_float, as_map, deed, number, plural, step, text
from .charts import chart_figure
from .parts import badge, blame_bar, facts, left_out, listed, quiet, section, table

ALERTS_MAX = 40  # of one incident
SIGNS_MAX = 16


def incidents(record: Record) -> Markup:
    """All of them, oldest first."""
    alone = [alert for alert in record.alerts if alert["incident"] is None]
    cards = [_card(record, incident) for incident in record.incidents]
    return section(
        "incidents",
        "Incidents",
        *(cards or [quiet("None.")]),
        left_out(len(record.incidents), record.of.get("incidents", 0), "incidents"),
        el("h3", "Alerts of no incident") if alone else None,
        _alerts(alone) if alone else None,
        left_out(len(record.alerts), record.of.get("alerts", 0), "alerts"),
    )


def _card(record: Record, incident: Item) -> Markup:
    head, tone = as_map(incident["headline"]), "critical" if incident["severity"] == "critical" else "warning"
    components = [text(each["name"]) for each in record.run["components"]]
    blame, cause = incident["blame"], text(as_map(incident["cause"]).get("text"))
    alerts = [alert for alert in record.alerts if alert["incident"] == incident["id"]]
    message, blamed = text(head.get("message")), text(as_map(blame).get("text"))
    chart = record.evidence.get(incident["id"])
    return el(
        "article",
        el("h3", heading_of(record, incident)),
        el("p", badge(tone, tone), " ", _since(incident), class_="quiet"),
        el("p", message),
        el("p", cause) if cause else None,
        el("h4", "Blame") if blame else None,
        el("p", blamed) if blamed and blamed not in message else None,
        blame_bar(blame, components),
        _first_bad(incident),
        _origin(alerts),
        _remedy(record, incident),
        chart_figure(chart, f"Evidence: {chart.title}") if chart is not None else None,
        el("h4", plural(sum(incident["count"].values()), "alert")) if incident["count"] else None,
        _alerts(alerts[:ALERTS_MAX]) if alerts else None,
        left_out(min(len(alerts), ALERTS_MAX), len(alerts), "alerts"),
        class_=f"card {tone}",
    )


def _since(incident: Item) -> str:
    first, last = step(incident["first_step"]), step(incident["last_step"])
    is_open = incident["state"] == "open"
    return f"since step {first}, open" if is_open else f"from step {first} to {last}"


def _first_bad(incident: Item) -> Markup | None:
    signs = [as_map(sign) for sign in incident["first_bad"]]
    if not signs:
        return None
    rows = [
        (
            text(sign.get("series")),
            step(sign.get("step")),
            lead_text(sign.get("lead_steps")),
            "" if sign.get("deviation") is None else f"{number(sign.get('deviation'))} spreads",
        )
        for sign in signs[:SIGNS_MAX]
    ]
    shown = table("First bad", ("Series", "Off since step", "Lead to the first symptom", "Furthest off"), rows)
    return el("div", el("h4", "What went first"), shown, left_out(len(rows), len(signs), "series"))


def lead_text(steps: object) -> str:
    """ "12 steps before", "at the same step", "3 steps after"."""
    lead = as_float(steps)
    if lead is None or lead != lead or abs(lead) == float("inf"):
        return "unknown"
    if lead == 0:
        return "at the same step"
    return f"{plural(int(abs(lead)), 'step')} {'before' if lead > 0 else 'after'}"


def _origin(alerts: Sequence[Item]) -> Markup | None:
    """Where a value that is not finite was born."""
    found = next((origin for alert in alerts if (origin := as_map(as_map(alert["evidence"]).get("origin")))), None)
    if found is None:
        return None
    where = as_map(found.get("where"))
    place = ":".join(str(where[key]) for key in ("file", "line") if key in where) or text(found.get("where"))
    pairs: list[tuple[str, Child]] = [
        ("Component", text(found.get("component"))),
        ("Module", text(found.get("module"))),
        ("Operation", text(found.get("op"))),
        ("Phase", text(found.get("phase"))),
        ("Value", text(found.get("value"))),
        ("Where", place),
        ("Reproduced", {"True": "yes", "False": "no"}.get(str(found.get("reproduced")))),
    ]
    said = text(found.get("text"))
    return el("div", el("h4", "Origin of the value that is not finite"), el("p", said) if said else None, facts(pairs))


def _remedy(record: Record, incident: Item) -> Markup | None:
    remedy, answers = as_map(incident["remedy"]), answers_to(record, incident)
    if not remedy and not answers:
        return None
    said = text(remedy.get("text")) or (deed(remedy.get("kind"), remedy.get("args")) if remedy else "")
    return el(
        "div",
        el("h4", "Remedy"),
        el("p", said) if said else None,
        listed([_answer(command) for command in answers], "answers") if answers else quiet("Nobody answered it."),
    )


def _answer(command: Item) -> Markup:
    effect = as_map(command["effect"])
    at = "" if command["step"] is None else f" at step {step(command['step'])}"
    verdict = text(effect.get("verdict")) if effect.get("decided") is not False else "not decided"
    tone = {"worked": "ok", "worse": "critical"}.get(verdict, "")
    did = deed(command["kind"], command["args"])
    return el(
        "span",
        f"{did[:1].upper()}{did[1:]}: {text(command['state']).replace('_', ' ')}{at}. ",
        badge(tone, verdict) if effect else None,
        f" {text(effect.get('text'))}" if effect else None,
    )


def _alerts(alerts: Sequence[Item]) -> Markup:
    rows = [
        (
            badge("critical" if alert["severity"] == "critical" else "warning", text(alert["severity"])),
            f"{step(alert['step'])} to {step(alert['last_step'])}",
            text(alert["series"]),
            text(alert["message"]),
            text(alert["state"]),
            {"true": "right", "false": "false alarm"}.get(text(alert.get("verdict")), ""),
        )
        for alert in alerts
    ]
    return table("Alerts", ("Severity", "Steps", "Series", "What", "State", "Verdict"), rows)
