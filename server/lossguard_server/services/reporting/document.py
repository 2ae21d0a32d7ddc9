"""A record as one HTML file that needs no server and no network.

Rules of this file:
- Its policy lets run its own two scripts and its own styles, by their hashes, and nothing else: not even an image from
  elsewhere. What the wire brings is text, or data in a block that no browser runs.
- The file is the same for the same record.
"""

import base64
import hashlib
import json
import re
from importlib import resources

from .colours import as_css, dark_of_light
from .markup import Markup, el
from .overlay import Overlay, overlay_of
from .pages import charts, incidents, opening, tables, timeline
from .plots import figure_of
from .record import Chart, Record
from .words import text

MEDIA_TYPE = "text/html; charset=utf-8"
SECTIONS = (
    ("verdict", "Verdict"), ("timeline", "Timeline"), ("incidents", "Incidents"), ("charts", "Charts"),
    ("audit", "Audit trail"), ("curriculum", "Curriculum"), ("rules", "Rules"), ("configuration", "Configuration"),
)  # fmt: skip
# what ends a script element, or begins a comment in it, and what older parsers take for the end of a line
_ESCAPES: dict[str, str | int | None] = {
    "<": "\\u003c",
    ">": "\\u003e",
    "&": "\\u0026",
    "\u2028": "\\u2028",
    "\u2029": "\\u2029",
}


def document(record: Record) -> bytes:
    """The whole file."""
    overlay = overlay_of(record)
    style, plotly, script = as_css() + _asset("report.css"), _plotly(), _asset("report.js")
    head = [
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=policy([plotly, script], [style, _PLOTLY_STYLE])),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="referrer", content="no-referrer"),
        el("meta", name="color-scheme", content="light dark"),
        el("title", f"{text(record.run['name'])}: lossguard report"),
        el("style", Markup(style)),
        # Plotly adds its rules to the sheet with the id it knows; one that it made itself the policy would refuse.
        el("style", Markup(_PLOTLY_STYLE), id="plotly.js-style-global"),
        *(el("template", id=identity) for identity in sorted(set(_MAP_STYLE.findall(plotly)))),
    ]
    block = f'<script type="application/json" id="figures">{_figures(record, overlay)}</script>'
    scripts = [Markup(block), Markup(f"<script>{plotly}</script>"), Markup(f"<script>{script}</script>")]
    body = el("body", _contents(), el("main", *_sections(record, overlay)), *scripts)
    whole = el("html", el("head", *head), body, lang="en")
    return f"<!doctype html>\n{whole}\n".encode("utf-8", "replace")


def policy(scripts: list[str], styles: list[str]) -> str:
    """The Content-Security-Policy: these inline scripts and styles, images that the page made itself, nothing else."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {' '.join(map(_hash, scripts))}",
            f"style-src {' '.join(map(_hash, styles))}",
            "img-src data: blob:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


_PLOTLY_STYLE = ".js-plotly-plot{position:relative}"
# The bundle brings the styles of a map, which it adds to the page unless it finds them there, by this id.
_MAP_STYLE = re.compile(r'getElementById\("([0-9a-f]{64})"\)')


def _sections(record: Record, overlay: Overlay) -> list[Markup]:
    return [
        opening.opening(record),
        opening.verdict(record),
        timeline.timeline(record, overlay),
        incidents.incidents(record),
        charts.charts(record),
        tables.audit(record),
        tables.curriculum(record),
        tables.rules(record),
        tables.configuration(record),
    ]


def _contents() -> Markup:
    links = [el("a", name, href=f"#{identity}") for identity, name in SECTIONS]
    return el("nav", *links, aria_label="Contents")


def _figures(record: Record, overlay: Overlay) -> str:
    """{"dark": {light colour: dark colour}, "figures": {id: figure}} as JSON that no parser takes for markup."""
    whole = (0, max(record.last_step, 1))
    found = {chart.id: figure_of(chart, overlay, *whole) for chart in record.charts if chart.lines}
    found |= {chart.id: figure_of(chart, overlay, *_extent(chart)) for chart in record.evidence.values()}
    figures = ",".join(f"{json.dumps(identity)}:{figure}" for identity, figure in found.items())
    block = f'{{"dark":{json.dumps(dark_of_light())},"figures":{{{figures}}}}}'
    return block.translate(str.maketrans(_ESCAPES))


def _extent(chart: Chart) -> tuple[int, int]:
    return int(min(line.steps[0] for line in chart.lines)), int(max(line.steps[-1] for line in chart.lines))


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _asset(name: str) -> str:
    return (resources.files(__package__) / "assets" / name).read_text("utf-8").replace("\r", "")


def _plotly() -> str:
    """The bundle, such that it cannot end its own element; a browser hashes it with plain ends of lines."""
    bundle = (resources.files("plotly") / "package_data" / "plotly.min.js").read_text("utf-8")
    return bundle.replace("\r\n", "\n").replace("\r", "\n").replace("</script", "<\\/script").replace("<!--", "<\\!--")
