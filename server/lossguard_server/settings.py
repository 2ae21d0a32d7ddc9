"""What the server is told before it starts.

Rules of this file: one frozen value, made once at the roof and handed down; nothing else reads the environment.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 5677
_EVERYWHERE = {"0.0.0.0", "[::]", ""}  # addresses to listen on; no browser has a reason to name them


def default_data_dir(environ: Mapping[str, str]) -> Path:
    """Where data live when nobody says: $LOSSGUARD_DATA, else the user's XDG data folder."""
    if chosen := environ.get("LOSSGUARD_DATA"):
        return Path(chosen).expanduser()
    base = environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "lossguard"


@dataclass(frozen=True)
class Settings:
    """How a server runs.

    `port` 0 takes any free port. `db_url` None stores in `data_dir`/lossguard.db. `admin_token` None takes the one
    in `data_dir`/token, which is made at the first start. `extra_hosts` are further names (with the port, where it is
    not the default one of the scheme) by which browsers and trainers may call this server: its own beyond loopback.
    """

    data_dir: Path
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    db_url: str | None = None
    admin_token: str | None = field(default=None, repr=False)
    extra_hosts: tuple[str, ...] = ()

    @classmethod
    def from_environment(
        cls,
        environ: Mapping[str, str],
        host: str = DEFAULT_HOST,
        port: int = DEFAULT_PORT,
        data_dir: Path | None = None,
        db_url: str | None = None,
        extra_hosts: tuple[str, ...] = (),
    ) -> "Settings":
        """What was given, completed from the environment (`LOSSGUARD_TOKEN`, `LOSSGUARD_DATA`, `XDG_DATA_HOME`)."""
        return cls(
            data_dir=data_dir if data_dir is not None else default_data_dir(environ),
            host=host,
            port=port,
            db_url=db_url,
            admin_token=environ.get("LOSSGUARD_TOKEN") or None,
            extra_hosts=extra_hosts,
        )

    @property
    def database_url(self) -> str:
        return self.db_url if self.db_url is not None else f"sqlite:///{self.data_dir.absolute() / 'lossguard.db'}"

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


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
