"""GET /api/runs/{run}/report.html: one file about one run, to be kept and sent around.

Rules of this file: gathered and made with the reads of points, one at a time (see reads.py): a report may take a core
for seconds. The answer is a download, never a page of this server, whose policy lets
no inline script run.
"""

from urllib.parse import quote

from fastapi import FastAPI, Request
from starlette.responses import Response

from ..services.clock import Clock
from ..services.registry import Registry
from ..services.reporting.document import MEDIA_TYPE, document
from ..services.reporting.gather import Asked, Gatherer
from ..services.views import run_view
from .http import REFUSALS
from .reads import Reads

PATH = "/api/runs/{run}/report.html"


class Reports:
    """The handler."""

    def __init__(self, registry: Registry, gatherer: Gatherer, reads: Reads, clock: Clock) -> None:
        self._registry, self._gatherer, self._reads, self._clock = registry, gatherer, reads, clock

    async def report(self, request: Request, run: str) -> Response:
        """The run as one HTML file, which needs no server."""
        found, wall_s = await self._registry.find(run), self._clock.wall_s()
        headers = {"Content-Disposition": f"attachment; filename=\"report.html\"; filename*=UTF-8''{quote(run)}.html"}
        if request.method == "HEAD":
            return Response(media_type=MEDIA_TYPE, headers=headers)
        asked = Asked(found, run_view(found, self._clock.monotonic_s(), wall_s), wall_s)
        answer = await self._reads.alone(lambda: document(self._gatherer.record(asked)))
        return Response(answer, media_type=MEDIA_TYPE, headers=headers)


def add_routes(app: FastAPI, reports: Reports) -> None:
    """Put the handler on the app."""
    answers = {200: {"description": "The file.", "content": {"text/html": {}}}, **REFUSALS}
    app.add_api_route(
        PATH, reports.report, methods=["GET"], response_model=None, responses=answers, operation_id="report"
    )
    app.add_api_route(PATH, reports.report, methods=["HEAD"], response_model=None, include_in_schema=False)
