"""The page, its assets, Plotly's bundle, and a list of the routes.

Rules of this file: a file is served because it was found by listing a fixed folder, never because a request named a
path. All of it is public: the token is not in it.
"""

import html
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from ..errors import NotThere

STATIC = resources.files("lossguard_server") / "static"
MEDIA_TYPES = {
    "js": "text/javascript",
    "css": "text/css",
    "html": "text/html; charset=utf-8",
    "json": "application/json",
    "map": "application/json",
    "svg": "image/svg+xml",
    "png": "image/png",
    "ico": "image/x-icon",
    "woff2": "font/woff2",
    "webmanifest": "application/manifest+json",
}
FOR_EVER = "public, max-age=31536000, immutable"  # the build puts a hash of the content into each asset's name
ASK_AGAIN = "no-cache"

NOT_BUILT = """<!doctype html><meta charset="utf-8"><title>lossguard</title>
<p>The page is not built: run <code>make page</code> in the source folder, or install the wheel, which carries it.</p>
"""


class Pages:
    """Serves what a browser loads."""

    def __init__(self, static: Traversable = STATIC) -> None:
        self._static = static

    async def index(self) -> Response:
        """The page."""
        index = self._static / "index.html"
        if not index.is_file():
            return HTMLResponse(NOT_BUILT, status_code=503, headers={"Cache-Control": ASK_AGAIN})
        return _file(index, ASK_AGAIN)

    async def asset(self, name: str) -> Response:
        """A script, style or font of the page. Raises NotThere."""
        folder = self._static / "assets"
        found = {file.name: file for file in folder.iterdir() if file.is_file()} if folder.is_dir() else {}
        if name not in found:
            raise NotThere(f"It is /assets/{name[:80]}.")
        return _file(found[name], FOR_EVER)

    async def plotly(self) -> Response:
        """Plotly's bundle, from the installed wheel. Raises NotThere."""
        bundle = resources.files("plotly") / "package_data" / "plotly.min.js"
        if not bundle.is_file():
            raise NotThere("The plotly wheel brings no bundle.")
        return _file(bundle, ASK_AGAIN)

    async def docs(self, request: Request) -> Response:
        """Every route in one table. No script: the strict policy forbids the usual viewers, which live on a CDN."""
        return HTMLResponse(routes_page(request.app.openapi()))


def routes_page(schema: dict[str, Any]) -> str:
    """HTML that lists the routes of an OpenAPI schema."""
    rows = "".join(
        f"<tr><td>{html.escape(method.upper())}<td><code>{html.escape(path)}</code>"
        f"<td>{html.escape(operation.get('description') or operation.get('summary') or '')}"
        for path, operations in schema["paths"].items()
        for method, operation in operations.items()
    )
    return (
        '<!doctype html><meta charset="utf-8"><title>lossguard: routes</title><h1>Routes</h1>'
        '<p>The whole description is <a href="openapi.json">openapi.json</a>.</p>'
        f"<table><tr><th>Method<th>Route<th>What{rows}</table>"
    )


def _file(file: Traversable, caching: str) -> Response:
    media_type = MEDIA_TYPES.get(file.name.rpartition(".")[2], "application/octet-stream")
    return Response(file.read_bytes(), media_type=media_type, headers={"Cache-Control": caching})
