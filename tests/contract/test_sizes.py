"""Files of at most 400 lines, functions of at most 60, classes of at most 250."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILE_LINES_MAX, FUNCTION_LINES_MAX, CLASS_LINES_MAX = 400, 60, 250
FOLDERS = ("trainer", "server", "tests", "benchmarks", "web/src")
ENDINGS = {".py", ".ts", ".tsx", ".css"}


def sources() -> list[Path]:
    return [
        p for folder in FOLDERS for p in (ROOT / folder).rglob("*") if p.suffix in ENDINGS and "static" not in p.parts
    ]


def definitions(path: Path) -> Iterator[tuple[str, int, int]]:
    """(name, body lines without the docstring, limit) of each function and class."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
            yield node.name, lines, CLASS_LINES_MAX if isinstance(node, ast.ClassDef) else FUNCTION_LINES_MAX


def test_there_is_something_to_measure() -> None:
    assert len(sources()) > 50


def test_no_file_outgrows_its_limit() -> None:
    long = {str(p.relative_to(ROOT)): n for p in sources() if (n := len(p.read_text().splitlines())) > FILE_LINES_MAX}
    assert long == {}


def test_no_function_and_no_class_outgrows_its_limit() -> None:
    long = [
        f"{path.relative_to(ROOT)}: {name} has {lines} lines, at most {limit}"
        for path in sources()
        if path.suffix == ".py"
        for name, lines, limit in definitions(path)
        if lines > limit
    ]
    assert long == []


def test_broad_excepts_stand_only_at_the_roofs() -> None:
    roofs = {
        "trainer/lossguard/link.py",
        "server/lossguard_server/edges/trainer_socket.py",
        "server/lossguard_server/edges/browser_socket.py",
        "server/lossguard_server/services/beginnings.py",
        "server/lossguard_server/services/effects/effects.py",
        "server/lossguard_server/services/engine/run.py",
        "server/lossguard_server/store/writer.py",
    }
    broad = {
        str(path.relative_to(ROOT))
        for folder in ("trainer", "server")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException")))
    }
    assert broad <= roofs
