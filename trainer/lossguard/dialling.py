"""How a trainer's websocket is opened, and what a door that stays shut says.

Rules of this file: nothing here draws from the global random state, follows a redirect with a token, or uses a proxy.
"""

import json
from functools import partial

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from .environment import Endpoint
from .protocol.messages import MAX_MESSAGE_BYTES, SUBPROTOCOL

OPEN_TIMEOUT_S = 5.0


def dial(endpoint: Endpoint) -> connect:
    """A connection to be entered. Raises what websockets raises, and OSError."""
    headers = {"Authorization": f"Bearer {endpoint.token}"} if endpoint.token else {}
    return _connect(endpoint.url, additional_headers=headers)


_connect = partial(
    connect,
    subprotocols=[Subprotocol(SUBPROTOCOL)],
    compression=None,
    max_size=MAX_MESSAGE_BYTES,
    open_timeout=OPEN_TIMEOUT_S,
    close_timeout=1.0,
    ping_interval=None,  # websockets draws its pings from the global random state
    proxy=None,
    user_agent_header=None,
)


def said(error: InvalidStatus) -> tuple[str, str]:
    """The message and the hint of a refused handshake: the server's own, else by its status."""
    status = error.response.status_code
    try:
        answer = json.loads(error.response.body or b"")
        return str(answer["message"])[:500], str(answer.get("hint") or "it tries again now and then")[:500]
    except (ValueError, KeyError, TypeError, AttributeError):
        return (
            f"HTTP {status}",
            "set LOSSGUARD_TOKEN to a token with the scope 'ingest'" if status == 401 else "see its log",
        )
