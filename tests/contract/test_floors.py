"""Imports point downwards; each rule carries its reason."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SDK = ROOT / "trainer" / "lossguard"


@dataclass(frozen=True)
class Rule:
    """Files matching `where` (a glob below the root) import nothing that begins with one of `banned`."""

    where: str
    banned: tuple[str, ...]
    reason: str
    allowed: tuple[str, ...] = ()


IMPURE = ("time", "asyncio", "os", "socket", "random", "logging", "torch", "threading", "datetime", "pathlib")
RULES = [
    Rule("trainer/lossguard/protocol/**/*.py", IMPURE, "the protocol is pure: time and I/O are its callers' matter"),
    Rule("server/lossguard_server/rules/**/*.py", IMPURE, "a verdict is a pure function of what was measured"),
    Rule("trainer/lossguard/**/*.py", ("lossguard_server", "fastapi", "sqlmodel", "uvicorn"),
         "the SDK must run where the server is not installed"),
    Rule("trainer/lossguard/protocol/**/*.py", ("lossguard",), "the protocol is the ground of the SDK",
         allowed=("lossguard.protocol",)),
    Rule("server/lossguard_server/**/*.py", ("lossguard",), "the server knows the SDK's wire and nothing else of it",
         allowed=("lossguard.protocol",)),
    Rule("server/lossguard_server/**/*.py", ("torch",), "the server image has no torch"),
    Rule("server/lossguard_server/rules/**/*.py",
         ("lossguard_server.store", "lossguard_server.services", "lossguard_server.edges", "lossguard_server.app"),
         "rules are the ground floor"),
    Rule("server/lossguard_server/store/**/*.py",
         ("lossguard_server.services", "lossguard_server.edges", "lossguard_server.app", "fastapi", "starlette"),
         "the store lies below services and knows no HTTP"),
    Rule("server/lossguard_server/services/**/*.py",
         ("lossguard_server.edges", "lossguard_server.app", "lossguard_server.terminal", "fastapi", "starlette"),
         "services are called by edges, and know no sockets"),
    Rule("server/lossguard_server/edges/**/*.py", ("lossguard_server.app", "lossguard_server.terminal"),
         "edges are put together by the roof"),
    Rule("server/lossguard_server/terminal/**/*.py",
         ("lossguard_server.store", "lossguard_server.services", "lossguard_server.edges"),
         "the command line is a client of the HTTP surface"),
    Rule("trainer/lossguard/protocol/**/*.py", ("lossguard.link", "lossguard.spool", "lossguard.run"), "upwards"),
    Rule("trainer/lossguard/spool.py", ("lossguard.link", "lossguard.run", "lossguard.controls"), "store lies below"),
    *(
        Rule(f"trainer/lossguard/{part}", ("lossguard.link", "lossguard.run", "lossguard.start"),
             "the spool and what delivers it are below the link")
        for part in ("spool_*.py", "thin*.py", "disk_sync.py", "outgoing.py", "orphans.py", "dialling.py")
    ),
    Rule("trainer/lossguard/controls.py", ("lossguard.link", "lossguard.run"), "controls lie below the link"),
    Rule("trainer/lossguard/link.py", ("lossguard.run", "lossguard.start", "lossguard.instrument"),
         "the link is below the run"),
    *(
        Rule(f"trainer/lossguard/{part}",
             tuple(f"lossguard.{name}" for name in ("run", "loop", "recovery", "assembly", "start", "link")),
             "what measures and guards is paced by the loop, and does not know it")
        for part in ("guard/*.py", "origin/*.py", "snapshots/*.py", "instrument.py", "grad_norms.py", "step_losses.py",
                     "freeze_frame.py", "detail.py", "gradients.py", "activations.py", "norms.py", "ring.py")
    ),
    Rule("trainer/lossguard/*.py", ("lossguard.scenarios",), "scenarios are users of the SDK, not a part of it"),
    Rule("trainer/lossguard/**/*.py", ("server", "trainer", "web", "tests"), "folders are no packages"),
    Rule("server/lossguard_server/**/*.py", ("server", "trainer", "web", "tests"), "folders are no packages"),
]  # fmt: skip


def imports_of(path: Path) -> Iterator[str]:
    """Absolute names of the modules that a file imports, also inside functions; type-checking imports too."""
    package = list(path.relative_to(ROOT).with_suffix("").parts[1:-1])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            # `from package import module` names the module; the package alone says nothing
            yield from (f"{module}.{alias.name}" for alias in node.names)


def violations(rule: Rule, files: dict[str, list[str]]) -> list[str]:
    """`file imports module: reason` for each import that the rule bans."""
    found = []
    for file, modules in files.items():
        for module in modules:
            if _within(module, rule.banned) and not _within(module, rule.allowed):
                found.append(f"{file} imports {module}: {rule.reason}")
    return found


def _within(module: str, names: tuple[str, ...]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in names)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.where}: {rule.reason}")
def test_imports_point_downwards(rule: Rule) -> None:
    paths = sorted(ROOT.glob(rule.where))
    assert paths, f"{rule.where} matches no file: the rule guards nothing"
    files = {str(path.relative_to(ROOT)): list(imports_of(path)) for path in paths}
    assert violations(rule, files) == []


def test_the_check_finds_a_planted_violation() -> None:
    rule = Rule("x", ("lossguard_server.services",), "upwards")
    assert violations(rule, {"store/a.py": ["lossguard_server.services.hub"]}) == [
        "store/a.py imports lossguard_server.services.hub: upwards"
    ]
    assert violations(rule, {"store/a.py": ["lossguard_server.services_other"]}) == []
