"""What an import may cost."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "fastapi", "starlette", "pydantic", "sqlmodel", "uvicorn", "plotly")


@pytest.mark.parametrize(
    ("module", "banned"),
    [
        ("lossguard", HEAVY),
        ("lossguard.scenarios", HEAVY),
        ("lossguard.protocol", HEAVY),
        ("lossguard_server.app", ("torch",)),
        ("lossguard_server.cli", HEAVY),
    ],
)
def test_import_pulls_in_nothing_heavy(module: str, banned: tuple[str, ...]) -> None:
    script = f"import {module}, sys; print([m for m in {banned!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


def test_the_command_says_what_to_install_when_the_server_is_missing() -> None:
    script = "import sys; sys.modules['typer'] = None\nfrom lossguard_server.cli import main\nsys.exit(main())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "pip install 'lossguard[server]'" in done.stderr
