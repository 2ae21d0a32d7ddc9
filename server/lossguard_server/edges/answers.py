"""What goes back over HTTP: JSON by the one number codec, msgpack where it is asked for, and refusals of one shape.

Rules of this file: nobody else builds a JSON response. Starlette's own writes a bare NaN, or fails on it.
"""

import logging
from collections.abc import Iterable
from typing import Any

import msgspec
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from lossguard.protocol.numbers import dumps

from ..errors import BadRequest, MethodNotAllowed, NotThere, ServerError, StorageError
from .headers import HEADERS

MSGPACK = "application/msgpack"

log = logging.getLogger(__name__)


class Json(Response):
    """A JSON answer; non-finite numbers are words."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return dumps(content)


def json_map(entries: Iterable[tuple[str, Any]]) -> bytes:
    """A JSON map, written entry by entry: one call over megabytes would hold the interpreter, and with it every
    acknowledgement, for as long as it takes."""
    return b"{" + b",".join(dumps(key) + b":" + dumps(value) for key, value in entries) + b"}"


def items_bytes(found: Iterable[Any]) -> bytes:
    """A long list's answer, written entry by entry like a map."""
    return b'{"items":[' + b",".join(map(dumps, found)) + b'],"next":null}'


def asks_for_msgpack(request: Request) -> bool:
    """Whether `Accept` names msgpack itself, and not only something of which it is a kind."""
    named = ",".join(request.headers.getlist("accept")).lower().split(",")
    return any(kind.partition(";")[0].strip() == MSGPACK and not _is_refused(kind) for kind in named)


def _is_refused(kind: str) -> bool:
    """`q=0` says: anything but this."""
    weights = (part.strip().removeprefix("q=") for part in kind.split(";")[1:] if part.strip().startswith("q="))
    return any(weight.strip("0.") == "" for weight in weights)


def packed(content: Any) -> bytes:
    """msgpack; a non-finite number is itself."""
    return msgspec.msgpack.encode(content)


def items(found: list[Any]) -> Json:
    """A list's answer."""
    return Json({"items": found, "next": None})


def refusal(error: ServerError) -> Json:
    """{error, message, hint} with the error's status."""
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}
    return Json(
        {"error": error.code, "message": error.message, "hint": error.hint}, status_code=error.status, headers=headers
    )


async def on_server_error(request: Request, error: Exception) -> Response:
    """A refusal that a service raised."""
    assert isinstance(error, ServerError)
    if isinstance(error, StorageError):
        log.warning("%s %s: %s", request.method, request.url.path, error)
    return refusal(error)


async def on_validation_error(request: Request, error: Exception) -> Response:
    """What FastAPI found wrong with the request's parts."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return refusal(BadRequest(f"{where}: {first['msg']}."))


async def on_http_error(request: Request, error: Exception) -> Response:
    """What the framework refuses by itself."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        return refusal(MethodNotAllowed(f"It is {request.method}."))
    if error.status_code == 404:
        return refusal(NotThere())
    answer = refusal(BadRequest(f"{error.detail}."))
    answer.status_code = error.status_code
    return answer


async def on_fault(request: Request, error: Exception) -> Response:
    """A fault of ours. The framework logs it with its traceback."""
    answer = refusal(ServerError(hint="Report this; the server's log has the details."))
    answer.headers.update(HEADERS)  # this handler stands outside of the middleware that adds them
    return answer
