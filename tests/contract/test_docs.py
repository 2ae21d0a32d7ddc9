"""The docs name everything that there is: routes, messages, events, commands, rules, and files that they link."""

import re
from pathlib import Path

import msgspec
import pytest

from lossguard.protocol import messages
from lossguard_server.app import create_app
from lossguard_server.rules import default_rules
from lossguard_server.settings import Settings

ROOT = Path(__file__).parents[2]
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text()
RULES = (ROOT / "docs" / "rules.md").read_text()
DOCS = sorted([*ROOT.glob("docs/*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("benchmarks/*.md")])


def test_every_route_is_documented(tmp_path: Path) -> None:
    app = create_app(Settings(data_dir=tmp_path))
    paths = {route.path for route in app.routes if hasattr(route, "path")}
    documented = re.sub(r"\{[^}]*\}", "{}", PROTOCOL)
    undocumented = sorted(path for path in paths if f"{re.sub(r'{[^}]*}', '{}', path)}" not in documented)
    assert undocumented == []


def test_every_message_is_documented_or_defined_as_one() -> None:
    kinds = [*messages.EVENT_KINDS, *messages.COMMAND_KINDS]
    assert [kind for kind in kinds if f"`{kind}" not in PROTOCOL] == []
    structs = [c.__name__ for c in vars(messages).values() if isinstance(c, type) and issubclass(c, msgspec.Struct)]
    undocumented = [name for name in structs if not (getattr(messages, name).__doc__ or "").strip()]
    assert undocumented == []


def test_every_rule_is_documented() -> None:
    assert [rule.name for rule in default_rules() if f"`{rule.name}`" not in RULES] == []


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
