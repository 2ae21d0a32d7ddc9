"""Which addresses this server sends to. A channel's address comes from a person, and where it leads from a name server.

Rules of this file:
- Only what is public and of one machine. An address that carries another one (mapped, NAT64) is the one that it
  carries.
- A name is judged by its addresses, all of them; one that is not public refuses the name.
- Who needs a neighbour names it when the server is started; then nothing is asked of its address.
"""

import ipaddress
from collections.abc import Iterable, Sequence

from ...errors.notifying import AddressRefused

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC = tuple(
    map(
        ipaddress.ip_network,
        # carrier-grade NAT; protocol assignments; 6to4 and Teredo, which carry other addresses; a metadata service;
        # documentation (RFC 9637, which Python 3.11 does not know)
        ("100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "2002::/16", "2001::/23", "168.63.129.16/32", "3fff::/20"),
    )
)


class Reach:
    """The policy. `allowed`: hosts, as `name`, `address`, `name:port` or `[address]:port`, to which all is allowed."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self.allowed = frozenset(_normal(each) for each in allowed)

    def allows(self, host: str, port: int) -> bool:
        """Whether the host is one that the server was told of."""
        name = _normal(host)
        shown = f"[{name}]" if ":" in name else name
        return name in self.allowed or f"{shown}:{port}" in self.allowed

    def choose(self, host: str, port: int, addresses: Sequence[str]) -> str:
        """The address of the host to connect to, of those that its name has. Raises AddressRefused."""
        if not addresses:
            raise AddressRefused(f"{host[:200]} has no address.", "Check the name.")
        if not self.allows(host, port):
            for address in addresses:
                if not is_public(address):
                    raise AddressRefused(f"{host[:200]} leads to {address[:60]}, which is not a public one.")
        return addresses[0]


def is_public(text: str) -> bool:
    """Whether it is the address of one machine on the open Internet."""
    try:
        address = _carried(ipaddress.ip_address(text.partition("%")[0]))
    except ValueError:
        return False
    if any(address in network for network in _NOT_PUBLIC if network.version == address.version):
        return False
    if isinstance(address, ipaddress.IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _carried(address: Address) -> Address:
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if any(address in network for network in _NAT64):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address if address.ipv4_mapped is None else address.ipv4_mapped


def _normal(host: str) -> str:
    name = host.strip().lower().rstrip(".")
    is_bare = name.startswith("[") and name.endswith("]")
    return name[1:-1] if is_bare else name
