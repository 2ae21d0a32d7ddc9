"""The `lossguard` command.

Rules of this file: it must run where only the SDK is installed, to say what is missing; hence nothing of the server is
imported before `main`. Exit codes: 0 done, 1 refused with a reason, 2 usage.
"""

import sys


def main() -> int:
    """Run the command line; returns the exit code."""
    try:
        from .terminal.commands import app
    except ModuleNotFoundError as missing:
        if missing.name is not None and missing.name.partition(".")[0] == "lossguard_server":
            raise
        print(
            f"The lossguard command needs the server's packages ({missing.name} is not installed).\n"
            f"Install them with: pip install 'lossguard[server]'",
            file=sys.stderr,
        )
        return 1
    try:
        app(prog_name="lossguard")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0
