"""A backtest, driven page by page, as one answer: JSON in the end, or a line of JSON after each page.

Rules of this file:
- Each page takes its turn among those of other backtests, in a thread of theirs: charts do not wait for it.
- When the client goes, the page in hand is the last one.
- Whatever happens, the slot is given back.
"""

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from fastapi import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from lossguard.protocol.numbers import dumps

from ..errors import ServerError
from .answers import Json
from .reads import Reads

LINES = "application/x-ndjson"
CLIENT_GONE = 499  # nobody reads it; nginx's number for it

log = logging.getLogger(__name__)


async def answer(
    request: Request, reads: Reads, said: Iterator[dict[str, Any]], release: Callable[[], None]
) -> Response:
    """`said`: {"progress": ...} any number of times, then {"result": ...}. `release` is called in the end, perhaps more
    than once. Raises what the first page raises."""
    is_streamed = LINES in request.headers.get("accept", "")
    first = None
    try:
        first = await reads.judge(lambda: next(said, None))
        if is_streamed:
            return _Lines(_lines(reads, first, said), release)
        return await _whole(request, reads, first, said)
    finally:
        if first is None or not is_streamed:
            release()


async def _whole(
    request: Request, reads: Reads, each: dict[str, Any] | None, said: Iterator[dict[str, Any]]
) -> Response:
    while each is not None and "result" not in each:
        if await request.is_disconnected():
            return Response(status_code=CLIENT_GONE)
        each = await reads.judge(lambda: next(said, None))
    assert each is not None
    return Json(each["result"])


async def _lines(reads: Reads, each: dict[str, Any] | None, said: Iterator[dict[str, Any]]) -> AsyncIterator[bytes]:
    try:
        while each is not None:
            yield dumps(each) + b"\n"
            each = await reads.judge(lambda: next(said, None))
    except ServerError as error:  # the answer has begun, so the refusal is its last line
        log.info("a backtest ended: %s", error)
        yield dumps({"error": {"error": error.code, "message": error.message, "hint": error.hint}}) + b"\n"


class _Lines(StreamingResponse):
    """Gives the slot back also when the client has gone before the first line."""

    def __init__(self, lines: AsyncIterator[bytes], release: Callable[[], None]) -> None:
        super().__init__(lines, media_type=LINES)
        self._release = release

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._release()
