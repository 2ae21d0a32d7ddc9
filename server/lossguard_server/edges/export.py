"""GET /api/runs/{run}/export: a run's points as a file, as long as it is.

Rules of this file:
- The answer streams: a part is made, in a thread, when the one before it has been taken; a slow client costs no memory.
- What fails before the first rows is a refusal. What fails later breaks the connection off, so that half a file does
  not look like a whole one.
"""

from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import FastAPI, Query, Request
from starlette.responses import Response, StreamingResponse

from ..services.exporting.parquet import Parquet
from ..services.exporting.table import WINDOW_POINTS, Format, Source, cut, table
from ..services.exporting.text import Csv, JsonLines
from ..services.live import LiveRun
from ..services.registry import Registry
from ..services.views import stages_view
from .http import REFUSALS, FromStep, ToStep
from .reads import Reads

PATH = "/api/runs/{run}/export"
MAX_SERIES_ASKED = 100_000

SeriesNames = Annotated[list[str], Query(max_length=MAX_SERIES_ASKED)]
FormatName = Literal["csv", "jsonl", "parquet"]


class Export:
    """The handler."""

    def __init__(self, registry: Registry, points: Source, reads: Reads, window_points: int = WINDOW_POINTS) -> None:
        self._registry, self._points, self._window_points = registry, points, window_points
        self._reads = reads

    async def export(
        self,
        request: Request,
        run: str,
        format: FormatName = "csv",
        series: SeriesNames = [],  # noqa: B006  FastAPI copies it
        from_: FromStep = None,
        to: ToStep = None,
    ) -> Response:
        """The asked series (all without) over [from, to], up to the last step that there is now."""
        form = _format(format, await self._registry.find(run))
        asked = await self._reads.run(lambda: cut(self._points, run, series, from_, to))
        headers = {
            "Content-Disposition": f"attachment; filename=\"run.{format}\"; filename*=UTF-8''{quote(run)}.{format}"
        }
        if request.method == "HEAD":
            return Response(media_type=form.media_type, headers=headers)
        parts = table(self._points, asked, form, self._window_points)
        first = await self._reads.run(lambda: list(islice(parts, 2)))  # the head and the first rows
        return StreamingResponse(self._streamed(first, parts), media_type=form.media_type, headers=headers)

    async def _streamed(self, first: list[bytes], parts: Iterator[bytes]) -> AsyncIterator[bytes]:
        for part in first:
            yield part
        while (following := await self._reads.run(lambda: next(parts, None))) is not None:
            yield following


def add_routes(app: FastAPI, export: Export) -> None:
    """Put the handler on the app."""
    of_format: dict[str, dict[str, str]] = {form.media_type.partition(";")[0]: {} for form in (Csv, JsonLines, Parquet)}
    answers = {200: {"description": "The file.", "content": of_format}, **REFUSALS}
    app.add_api_route(
        PATH, export.export, methods=["GET"], response_model=None, responses=answers, operation_id="export"
    )
    app.add_api_route(PATH, export.export, methods=["HEAD"], response_model=None, include_in_schema=False)


def _format(name: FormatName, run: LiveRun) -> Format:
    match name:
        case "csv":
            return Csv()
        case "jsonl":
            return JsonLines()
        case "parquet":
            return Parquet(_facts(run))


def _facts(run: LiveRun) -> dict[str, object]:
    stored, declaration = run.stored, run.declaration
    return {
        "id": run.id,
        "project": stored.project,
        "name": stored.name,
        "started_s": stored.created_s,
        "finish": stored.finish,
        "components": declaration.components,
        "stages": stages_view(declaration),
        "config": declaration.config,
    }
