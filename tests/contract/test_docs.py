"""The docs name everything that there is: routes, messages, events, commands, contracts, rules, and files they link."""

import re
import runpy
from dataclasses import fields
from pathlib import Path

import msgspec
import pytest
from pydantic import BaseModel

from lossguard.protocol import messages
from lossguard_server.app import create_app
from lossguard_server.edges import access, models, rule_models
from lossguard_server.edges.incidents import Incident, SpanBlame
from lossguard_server.rules import default_rules
from lossguard_server.settings import Settings

ROOT = Path(__file__).parents[2]
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text()
RULES = (ROOT / "docs" / "rules.md").read_text()
DOCS = sorted([*ROOT.glob("docs/*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("benchmarks/*.md")])
TELLING = ["services/broadcast.py", *(f"services/viewing/{name}.py" for name in ("hub", "mailbox", "messages", "tail"))]
SHAPES = (models.Run, models.Alert, models.Command, Incident, SpanBlame, rule_models.Rule, rule_models.Rules)


def first_cells() -> list[str]:
    """Of every row of the protocol's tables."""
    return [line.split(" | ")[0] for line in PROTOCOL.splitlines() if line.startswith("| `")]


def test_every_route_is_documented(tmp_path: Path) -> None:
    app = create_app(Settings(data_dir=tmp_path))
    paths = {route.path for route in app.routes if hasattr(route, "path")}
    documented = re.sub(r"\{[^}]*\}", "{}", PROTOCOL)
    undocumented = sorted(path for path in paths if f"{re.sub(r'{[^}]*}', '{}', path)}" not in documented)
    assert undocumented == []


def test_every_method_of_a_route_is_documented_in_its_row() -> None:
    cells = first_cells()

    def is_documented(method: str, path: str) -> bool:
        whole = re.compile(re.escape(path) + r"(?=[`?])")
        word = "WS" if method == access.SOCKET else method
        return any(whole.search(cell) and f"`{word}" in cell for cell in cells)

    assert [route for route in access.ROUTES if not is_documented(*route)] == []


def test_every_message_is_documented_or_defined_as_one() -> None:
    kinds = [*messages.EVENT_KINDS, *messages.COMMAND_KINDS]
    assert [kind for kind in kinds if f"`{kind}" not in PROTOCOL] == []
    structs = [c.__name__ for c in vars(messages).values() if isinstance(c, type) and issubclass(c, msgspec.Struct)]
    undocumented = [name for name in structs if not (getattr(messages, name).__doc__ or "").strip()]
    assert undocumented == []


def test_every_message_to_a_browser_has_its_row() -> None:
    sources = "".join((ROOT / "server" / "lossguard_server" / name).read_text() for name in TELLING)
    kinds = set(re.findall(r'"type": "(\w+)"', sources))
    assert {"run", "points", "alert", "incident", "resync"} <= kinds
    assert sorted(kind for kind in kinds if f"| `{kind}`" not in first_cells()) == []


def test_every_kind_of_contract_has_its_row() -> None:
    cells = first_cells()
    rows = [f"| `{kind}`" if kind else '| `""`' for kind in messages.CONTRACT_KINDS]
    assert [row for row in rows if row not in cells] == []


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_every_field_of_what_is_told_is_documented(shape: type[BaseModel]) -> None:
    section = PROTOCOL.split(f"\n**{shape.__name__}**")[1].split("\n\n**")[0]
    if section.startswith(" `{"):
        section = section.split("`")[1]
    else:  # SpanBlame: a blame, and more
        section += PROTOCOL.split("- `blame`:")[1].split("\n")[0]
    assert [name for name in shape.model_fields if not re.search(rf"\b{name}\b", section)] == []


def test_every_rule_is_documented() -> None:
    assert [rule.name for rule in default_rules() if f"`{rule.name}`" not in RULES] == []


def test_the_page_calls_every_rule_by_its_title() -> None:
    said = (ROOT / "web" / "src" / "lib" / "ruleTitles.ts").read_text()
    assert dict(re.findall(r'\["(\w+)", "(.+)"\]', said)) == {rule.name: rule.info.title for rule in default_rules()}


def test_what_the_rules_say_of_themselves_is_up_to_date() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "make_rules.py"))
    assert made["page"](RULES) == RULES, "run python docs/make_rules.py"
    assert all(f"| `{each.name}` |" in RULES for rule in default_rules() for each in fields(rule.parameters))


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", path.read_text())
    broken = [link for link in links if "://" not in link and not (path.parent / link).exists()]
    assert broken == []


def test_no_document_names_a_file_that_is_gone() -> None:
    named = re.findall(
        r"`((?:trainer|server|web|tests|benchmarks|docs)/[\w./-]+)`", "".join(p.read_text() for p in DOCS)
    )
    assert [name for name in named if not (ROOT / name).exists()] == []
