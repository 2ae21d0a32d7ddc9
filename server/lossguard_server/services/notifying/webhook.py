"""Sends a webhook: one POST to one checked address.

Rules of this file:
- The name is resolved once, its addresses are checked, and the connection goes to the one that was checked, with the
  name in TLS and in Host. A name server that answers differently the second time is not asked a second time.
- No redirect is followed, no proxy of the environment is used, no connection is kept (an address may bear many names).
- All of it ends within TOTAL_S, and of the answer at most ANSWER_BYTES are read, as they come.
"""

import asyncio
import re
import socket
from collections.abc import Callable

import httpx

from ...errors.notifying import AddressRefused, BadChannel
from .backoff import retry_after_s
from .news import plain
from .reach import Reach
from .resolver import Resolve, addresses
from .signing import EVENT, KEY, SIGNATURE, signed
from .told import LATER, REFUSED, SAID_CHARS, Told, outcome_of

TOTAL_S = 10.0
CONNECT_S = 5.0
ANSWER_BYTES = 64 << 10
URL_CHARS = 2_000
_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[A-Za-z0-9._:-]+")  # a name in its ASCII form, or an address


class Webhook:
    """Owned by the event loop's thread."""

    def __init__(
        self, reach: Reach, resolve: Resolve, wall_s: Callable[[], float], version: str, total_s: float = TOTAL_S
    ) -> None:
        """`wall_s` gives epoch seconds, which are signed; `total_s`: how long one delivery may take."""
        self._reach, self._resolve, self._wall_s, self._total_s = reach, resolve, wall_s, total_s
        self._http = httpx.AsyncClient(
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(total_s, connect=min(CONNECT_S, total_s)),
            limits=httpx.Limits(max_keepalive_connections=0),
            headers={"User-Agent": f"lossguard/{version}", "Accept-Encoding": "identity"},
        )

    def check(self, url: str) -> str:
        """What is shown of a channel with this address. Raises BadChannel, AddressRefused; asks no name server."""
        parsed = parsed_url(url)
        host, port = _host(parsed), _port(parsed)
        try:  # numbers in all the forms that the system takes: 2130706433, 0x7f.1, ::ffff:7f00:1
            numeric = addresses(host, port, socket.AI_NUMERICHOST)
        except (OSError, UnicodeError):
            numeric = []
        if numeric:
            self._reach.choose(host, port, numeric)
        return f"{parsed.scheme}://{parsed.netloc.decode()}"

    async def send(self, url: str, secret: str, key: str, event: str, body: bytes) -> Told:
        """One try to deliver `body`, signed with `secret`."""
        try:
            parsed = parsed_url(url)
            async with asyncio.timeout(self._total_s):
                host, port = _host(parsed), _port(parsed)
                address = self._reach.choose(host, port, await self._resolve(host, port))
                headers = {
                    "Content-Type": "application/json",
                    KEY: key,
                    EVENT: event,
                    SIGNATURE: signed(secret, body, int(self._wall_s())),
                }
                return await self._post(parsed, address, headers, body)
        except AddressRefused as refused:  # a server that is started with --notify-allow delivers it
            return Told(LATER, str(refused), is_kept_in=True)
        except BadChannel as refused:
            return Told(REFUSED, refused.message)
        except TimeoutError:
            return Told(LATER, f"It did not answer within {self._total_s:g} s.")
        except (httpx.HTTPError, OSError) as error:
            return Told(LATER, f"It could not be reached: {plain(error, SAID_CHARS) or type(error).__name__}.")

    async def close(self) -> None:
        """Let what is left of connections go."""
        await self._http.aclose()

    async def _post(self, parsed: httpx.URL, address: str, headers: dict[str, str], body: bytes) -> Told:
        request = self._http.build_request(
            "POST",
            parsed.copy_with(host=address),
            content=body,
            headers={"Host": parsed.netloc.decode(), **headers},
            extensions={"sni_hostname": _host(parsed)},
        )
        response = await self._http.send(request, stream=True)
        try:
            answer = await _beginning(response)
        finally:
            await response.aclose()
        status = f"HTTP {response.status_code} {response.reason_phrase}".strip()
        said = plain(answer.decode("utf-8", "replace"), SAID_CHARS)
        outcome = outcome_of(response.status_code)
        asked = response.headers.get("retry-after") if outcome == LATER else None
        asked_s = retry_after_s(asked, self._wall_s())
        return Told(outcome, f"{status}: {said}" if said else status, response.status_code, asked_s)


def parsed_url(url: str) -> httpx.URL:
    """The address of a webhook. Raises BadChannel."""
    try:
        parsed = httpx.URL(url) if len(url) <= URL_CHARS else None
        port = parsed.port if parsed is not None else None
    except (httpx.InvalidURL, ValueError) as error:
        raise BadChannel(f"Its address is not one: {plain(error, 200)}.") from None
    is_complete = parsed is not None and parsed.scheme in _PORTS and _HOST.fullmatch(_host(parsed)) is not None
    if parsed is None or not is_complete or not 0 < (1 if port is None else port) <= 65_535:
        raise BadChannel("Its address must begin with http:// or https:// and name a host.")
    if parsed.userinfo:
        raise BadChannel("Its address has a user in it, which would not be sent.", "Put a secret into the path.")
    return parsed


async def _beginning(response: httpx.Response) -> bytes:
    """As much of the answer as anybody reads."""
    answer = b""
    async for part in response.aiter_raw():
        answer += part
        if len(answer) >= ANSWER_BYTES:
            break
    return answer[:ANSWER_BYTES]


def _host(parsed: httpx.URL) -> str:
    return parsed.raw_host.decode()


def _port(parsed: httpx.URL) -> int:
    return parsed.port or _PORTS[parsed.scheme]
