"""Where the server is, which token to show, where the spool lies: arguments, environment, then the user's own server.

Rules of this file: read afresh at every connection attempt, because the server may start after the trainer. A server of
the same user on the same machine leaves its address and an ingest token in DATA/server.json (mode 0600).
"""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from .errors import ConfigError

DEFAULT_URL = "http://127.0.0.1:5677"
MODES = ("online", "offline", "off")
SPOOL_GIB = 2.0
SPOOL_BYTES_MIN = 32 << 20  # four segments: below that there would be nothing to thin
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


@dataclass(frozen=True)
class Endpoint:
    """A server's trainer socket, and the token for it."""

    url: str
    token: str
    reveals_token: bool  # plain http to another machine


def mode_from(argument: str | None, environ: Mapping[str, str]) -> str:
    """online, offline (spool only) or off (nothing leaves the process)."""
    mode = argument or environ.get("LOSSGUARD_MODE") or "online"
    if mode not in MODES:
        source = "mode" if argument else "LOSSGUARD_MODE"
        raise ConfigError(f"{source} is {mode!r}; it must be one of {', '.join(MODES)}.")
    return mode


def endpoint(url: str | None, token: str | None, environ: Mapping[str, str]) -> Endpoint:
    """The server to talk to now. Raises ConfigError for an address that is none."""
    found = _own_server(environ)
    base = url or environ.get("LOSSGUARD_URL") or found.get("url") or DEFAULT_URL
    try:
        parts = urlsplit(base)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no port, an IPv6 address that does not end
        is_address = False
    if not is_address:
        raise ConfigError(f"The server's address is {base!r}; it must look like {DEFAULT_URL}.")
    # the token found in server.json is for that server only: it must not travel to another address
    own = found.get("ingest_token", "") if base.rstrip("/") == found.get("url", "").rstrip("/") else ""
    scheme = "wss" if parts.scheme == "https" else "ws"
    return Endpoint(
        url=urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + "/ws/trainer", "", "")),
        token=token or environ.get("LOSSGUARD_TOKEN") or own,
        reveals_token=scheme == "ws" and parts.hostname not in _LOOPBACK,
    )


def data_folder(environ: Mapping[str, str]) -> Path:
    """The folder in which a server of this user keeps its data by default."""
    if given := environ.get("LOSSGUARD_DATA"):
        return Path(os.path.expanduser(given))
    return Path(environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "lossguard"


def spool_folder(argument: str | os.PathLike[str] | None, environ: Mapping[str, str]) -> Path:
    """The folder for spools."""
    if given := argument or environ.get("LOSSGUARD_DIR"):
        return Path(os.path.expanduser(given))
    return Path(environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "lossguard" / "spool"


def spool_cap_bytes(environ: Mapping[str, str]) -> int:
    """How much a run's spool may take on disk, in bytes; LOSSGUARD_SPOOL_GIB. Raises ConfigError."""
    text = environ.get("LOSSGUARD_SPOOL_GIB") or str(SPOOL_GIB)
    try:
        gib = float(text)
    except ValueError:
        gib = math.nan
    if not 0.0 < gib < math.inf:
        raise ConfigError(f"LOSSGUARD_SPOOL_GIB is {text!r}; it is a number of GiB above 0.")
    return max(SPOOL_BYTES_MIN, int(gib * 2**30))


def spool_address(mode: str, url: str | None, token: str | None, environ: Mapping[str, str]) -> str:
    """The server that a spool is for: later trainers bring it there only; "" where none is known (offline)."""
    if mode == "offline" and not (url or environ.get("LOSSGUARD_URL")):
        return ""
    return endpoint(url, token, environ).url


def _own_server(environ: Mapping[str, str]) -> dict[str, str]:
    try:
        found = json.loads((data_folder(environ) / "server.json").read_text())
    except (OSError, ValueError, RuntimeError):  # RuntimeError: there is no home folder
        return {}
    if not isinstance(found, dict):
        return {}
    return {key: value for key, value in found.items() if isinstance(value, str)}
