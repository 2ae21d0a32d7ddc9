"""What the server is told before it starts.

Rules of this file: one frozen value, made once at the roof and handed down; no other setting of the server comes from
the environment.
"""

import ipaddress
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from .errors import StartupError

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 5677
CONFIG_NAME = "lossguard.toml"
MIN_TOKEN_CHARACTERS = 16  # of random letters and digits: 95 bits, which nobody guesses over a network
_HOST_PORT = re.compile(r"(?P<host>\[[^]]*\]|[^:]+)(?::(?P<port>[0-9]{1,5}))?")
_NAME = re.compile(r"[A-Za-z0-9._-]+")  # in its ASCII form, or an IPv4 address
_EVERYWHERE = {"0.0.0.0", "[::]", ""}  # addresses to listen on; no browser has a reason to name them


def default_data_dir(environ: Mapping[str, str]) -> Path:
    """Where data live when nobody says: $LOSSGUARD_DATA, else the user's XDG data folder."""
    if chosen := environ.get("LOSSGUARD_DATA"):
        return Path(os.path.expanduser(chosen))
    base = environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "lossguard"


@dataclass(frozen=True)
class Settings:
    """How a server runs.

    `port` 0 takes any free port. `db_url` None stores in `data_dir`/lossguard.db. `admin_token` None takes the one
    in `data_dir`/token, which is made at the first start. `extra_hosts` are further names (with the port, where it is
    not the default one of the scheme) by which browsers and trainers may call this server: its own beyond loopback.
    `keep_days`: runs that were not heard of for longer are deleted; None keeps every run. `config`: the configuration
    file; None takes `data_dir`/lossguard.toml, where there is one. `public_url`: where people find the page, for links
    in notifications; None: the server's own address. `notify_allow`: hosts that notifications may go to although they
    are not public. `keep_deleted_hours`: how long a run that was deleted can be brought back.
    """

    data_dir: Path
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    db_url: str | None = None
    admin_token: str | None = field(default=None, repr=False)
    extra_hosts: tuple[str, ...] = ()
    keep_days: float | None = None
    config: Path | None = None
    public_url: str | None = None
    notify_allow: tuple[str, ...] = ()
    keep_deleted_hours: float = 24.0

    @classmethod
    def from_environment(
        cls,
        environ: Mapping[str, str],
        host: str = DEFAULT_HOST,
        port: int = DEFAULT_PORT,
        data_dir: Path | None = None,
        db_url: str | None = None,
        extra_hosts: tuple[str, ...] = (),
        keep_days: float | None = None,
        config: Path | None = None,
        public_url: str | None = None,
        notify_allow: tuple[str, ...] = (),
        keep_deleted_hours: float | None = None,
    ) -> "Settings":
        """What was given, completed from the environment.

        (`LOSSGUARD_TOKEN`, `LOSSGUARD_DATA`, `LOSSGUARD_CONFIG`, `LOSSGUARD_KEEP_DAYS`, `LOSSGUARD_KEEP_DELETED`,
        `LOSSGUARD_PUBLIC_URL`, `XDG_DATA_HOME`.) Raises StartupError.
        """
        said = environ.get("LOSSGUARD_CONFIG")
        return cls(
            data_dir=data_dir if data_dir is not None else default_data_dir(environ),
            host=host,
            port=port,
            db_url=db_url,
            admin_token=_admin_token(environ.get("LOSSGUARD_TOKEN") or None),
            extra_hosts=extra_hosts,
            keep_days=_days(keep_days, environ.get("LOSSGUARD_KEEP_DAYS")),
            config=config if config is not None or not said else Path(os.path.expanduser(said)),
            public_url=_public_url(public_url or environ.get("LOSSGUARD_PUBLIC_URL") or None),
            notify_allow=tuple(map(_notified_host, notify_allow)),
            keep_deleted_hours=_hours(keep_deleted_hours, environ.get("LOSSGUARD_KEEP_DELETED")),
        )

    @property
    def database_url(self) -> str:
        return self.db_url if self.db_url is not None else f"sqlite:///{self.data_dir.absolute() / 'lossguard.db'}"

    @property
    def config_path(self) -> Path:
        """Where the configuration file is, if there is one."""
        return self.config if self.config is not None else self.data_dir / CONFIG_NAME

    @property
    def keep_s(self) -> float:
        """Seconds after its last sign for which a run is kept; infinite when every run is."""
        return math.inf if self.keep_days is None else self.keep_days * 86_400.0

    @property
    def keep_deleted_s(self) -> float:
        """Seconds for which a run that was deleted can be restored."""
        return self.keep_deleted_hours * 3_600.0

    @property
    def url(self) -> str:
        """Where a browser or a trainer of this machine finds the server."""
        host = _bracketed(self.host)
        return f"http://{DEFAULT_HOST if host in _EVERYWHERE else host}:{self.port}"

    @property
    def allowed_hosts(self) -> frozenset[str]:
        """The exact Host headers that are answered; anything else may be DNS rebinding."""
        names = {"127.0.0.1", "localhost", "[::1]"} | ({_bracketed(self.host)} - _EVERYWHERE)
        own = {f"{name}:{self.port}".lower() for name in names}
        return frozenset(own | {host.lower() for host in self.extra_hosts})

    @property
    def allowed_origins(self) -> frozenset[str]:
        """The exact Origin headers that are answered."""
        # an extra name may be that of a proxy that speaks https
        own = {f"http://{host}" for host in self.allowed_hosts}
        return frozenset(own | {f"https://{host.lower()}" for host in self.extra_hosts})


def _admin_token(said: str | None) -> str | None:
    if said is not None and len(said) < MIN_TOKEN_CHARACTERS:
        raise StartupError(
            f"LOSSGUARD_TOKEN, its admin token, has {len(said)} of at least {MIN_TOKEN_CHARACTERS} characters.",
            "Unset it, and one is made in the data folder; or make one: "
            'python -c "import secrets; print(secrets.token_urlsafe())"',
        )
    if said is not None and not (said.isascii() and said.isprintable() and " " not in said):
        raise StartupError(
            "LOSSGUARD_TOKEN, its admin token, holds a character that no request could carry.",
            "Use printable ASCII characters without spaces.",
        )
    return said


def _hours(given: float | None, said: str | None) -> float:
    hours = Settings.keep_deleted_hours if (number := _number(given, said)) is None else number
    if not 0.0 <= hours < math.inf:
        raise StartupError(
            f"Deleted runs cannot be kept for {said if given is None else given} hours.",
            "Give a number; 0: they go as soon as the server looks, which may take ten minutes.",
        )
    return hours


def _number(given: float | None, said: str | None) -> float | None:
    """What was given, else what the environment says; NaN where that is no number."""
    if given is not None or not said:
        return given
    try:
        return float(said)
    except ValueError:
        return math.nan


def _days(given: float | None, said: str | None) -> float | None:
    given = _number(given, said)
    if given is not None and not 0.0 < given < math.inf:  # nan, too, which must not delete a run
        raise StartupError(
            f"Runs cannot be kept for {said if said else given} days.", "Give a number above 0, or none."
        )
    return given


def _public_url(said: str | None) -> str | None:
    if said is None:
        return None
    try:
        parts = urlsplit(said)
        is_one = parts.port != 0 and bool(parts.hostname) and not any(letter.isspace() for letter in said)
    except ValueError:  # a port that is no number, a bracket that is not closed
        is_one = False
    # what stands behind the path would end up in front of the `#run=...` of each link; a user, in everybody's mail
    if not is_one or parts.scheme not in ("http", "https") or parts.query or parts.fragment or "@" in parts.netloc:
        raise StartupError(
            f"{said[:200]!r} is not where people find the page.", "Give --public-url like https://lossguard.example."
        )
    return said


def _notified_host(said: str) -> str:
    """A name or an address, alone or with a port. Raises StartupError."""
    bare = said.strip()
    found = _HOST_PORT.fullmatch(bare)
    if _is_ipv6(bare) or (found and 0 < int(found["port"] or 1) <= 65_535 and _is_host(found["host"])):
        return bare
    raise StartupError(
        f"{said[:200]!r} is not a host.", "Give --notify-allow a name or an address, or one with a port: 10.0.0.7:9000."
    )


def _is_host(said: str) -> bool:
    return _is_ipv6(said[1:-1]) if said.startswith("[") else _NAME.fullmatch(said) is not None


def _is_ipv6(said: str) -> bool:
    try:
        ipaddress.IPv6Address(said)
    except ValueError:
        return False
    return True


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
