"""A client of the server's HTTP surface, for the command line.

Rules of this file: whatever goes wrong becomes a Refused with one sentence and a hint; the address and the token come
from LOSSGUARD_URL and LOSSGUARD_TOKEN, else from the data folder of the same user's server.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Literal
from urllib.parse import quote, urlsplit

import httpx

from lossguard.protocol.numbers import dumps

DEFAULT_URL = "http://127.0.0.1:5677"
LINES = "application/x-ndjson"
TIMEOUT_S = 10.0
DOWNLOAD_TIMEOUT_S = 60.0  # between two parts: the first rows of a long run may take seconds


class Refused(Exception):
    """The server, or the way to it, said no."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


class Unreachable(Refused):
    """Nobody answers there, for now."""


class Client:
    """One server, one token."""

    def __init__(self, url: str, token: str, transport: httpx.BaseTransport | None = None) -> None:
        self.url, self.token = url.rstrip("/"), token
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        # trust_env off: a proxy from the environment must not see a loopback token
        self._http = httpx.Client(
            base_url=self.url, headers=headers, timeout=TIMEOUT_S, trust_env=False, transport=transport
        )

    def get(self, path: str, **params: Any) -> Any:
        """The JSON answer to a GET. Raises Refused."""
        return self._request("GET", path, params=params)

    def post(self, path: str, body: dict[str, Any], timeout_s: float = TIMEOUT_S) -> Any:
        """The JSON answer to a POST. Raises Refused."""
        return self._request("POST", path, timeout=timeout_s, **_json(body))

    def put(self, path: str, body: Any, **params: Any) -> Any:
        """The JSON answer to a PUT. Raises Refused."""
        return self._request("PUT", path, params=params, **_json(body))

    def lines(self, path: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The lines of JSON that answer a POST, as they come. Raises Refused."""
        sent = _json(body)
        sent["headers"]["Accept"] = LINES
        try:
            with self._http.stream("POST", path, timeout=DOWNLOAD_TIMEOUT_S, **sent) as response:
                if response.is_error or not response.headers.get("content-type", "").startswith(LINES):
                    response.read()
                    self._content(response)  # raises: an answer without lines is a refusal
                    raise self._stranger()
                for line in response.iter_lines():
                    if line:
                        yield json.loads(line)
        except httpx.ConnectError as error:
            raise self._nobody(error) from error
        except (httpx.HTTPError, ValueError) as error:
            raise Refused(f"The answer of {self.url} broke off ({error}).", "Ask again.") from error

    def patch(self, path: str, body: dict[str, Any]) -> Any:
        """The JSON answer to a PATCH. Raises Refused."""
        return self._request("PATCH", path, **_json(body))

    def delete(self, path: str, **params: Any) -> Any:
        """The JSON answer to a DELETE. Raises Refused."""
        return self._request("DELETE", path, params=params)

    def download(self, path: str, file: BinaryIO, **params: Any) -> int:
        """Write a GET's answer to `file` as it comes; returns its bytes. Raises Refused, OSError of the file."""
        given = {name: value for name, value in params.items() if value is not None}
        size_bytes = 0
        try:
            with self._http.stream("GET", path, params=given, timeout=DOWNLOAD_TIMEOUT_S) as response:
                if response.is_error or "content-disposition" not in response.headers:
                    response.read()
                    self._content(response)  # raises: an answer without a file is a refusal
                    raise self._stranger()
                for part in response.iter_bytes():
                    file.write(part)
                    size_bytes += len(part)
        except httpx.ConnectError as error:
            raise self._nobody(error) from error
        except httpx.HTTPError as error:
            raise Refused(
                f"The download from {self.url} broke off after {size_bytes} bytes ({error}).",
                "Run it again; the server's log may say why.",
            ) from error
        return size_bytes

    def run_id(self, wanted: str) -> str:
        """The id of the run called `wanted`: an id, the beginning of one, project/name, name or label; newest first."""
        runs = self.get("/api/runs")["items"]
        ways: list[Callable[[dict[str, Any]], bool]] = [
            lambda run: run["id"] == wanted,
            lambda run: wanted in _names(run),
            lambda run: run["id"].startswith(wanted),
        ]
        for matches in ways:
            found = [run["id"] for run in runs if matches(run)]
            if found:
                return str(found[0])
        raise Refused(f"There is no run {wanted!r} on {self.url}.", "`lossguard runs` lists them.")

    def only_run(self, wanted: str, among: Literal["shown", "deleted", "all"] = "shown") -> dict[str, Any]:
        """The run with this id, project/name, name or label, where no other has it. Raises Refused.

        `among`: runs that lists show, those that are deleted and can be restored, or both.
        """
        runs: list[dict[str, Any]] = [] if among == "deleted" else self.get("/api/runs")["items"]
        if among != "shown":
            runs = [*runs, *self.get("/api/runs", deleted=True)["items"]]
        if named := [run for run in runs if run["id"] == wanted]:
            return named[0]
        named = [run for run in runs if wanted in _names(run)]
        if len(named) == 1:
            return named[0]
        if not named:
            raise Refused(f"No run on {self.url} has the id or name {wanted!r}.", "`lossguard runs` lists them.")
        ids = ", ".join(str(run["id"]) for run in named)
        raise Refused(f"{len(named)} runs are called {wanted!r}.", f"Give the id of one: {ids}.")

    def command(self, wanted: str) -> dict[str, Any]:
        """The command with this id, or the only one whose id begins so. Raises Refused."""
        begun: list[dict[str, Any]] = []
        for run in self.get("/api/runs")["items"]:
            for item in self.get(address("runs", run["id"], "commands"))["items"]:
                if item["id"] == wanted:
                    return dict(item)
                if wanted and item["id"].startswith(wanted):
                    begun.append(item)
        if not begun:
            raise Refused(f"There is no command {wanted!r} on {self.url}.", "`lossguard commands RUN` shows the ids.")
        if len(begun) > 1:
            ids = ", ".join(str(item["id"]) for item in begun[:8])
            raise Refused(f"{len(begun)} commands begin with {wanted!r}.", f"Give more of the id: {ids}.")
        return begun[0]

    def close(self) -> None:
        """Let the connection go."""
        self._http.close()

    def _request(self, method: str, path: str, **options: Any) -> Any:
        try:
            return self._content(self._http.request(method, path, **options))
        except httpx.HTTPError as error:
            raise self._nobody(error) from error

    def _content(self, response: httpx.Response) -> Any:
        """The JSON of an answer. Raises Refused when it is a refusal, or none of a lossguard server."""
        try:
            answer = response.json() if response.content else {}
        except ValueError:
            raise self._stranger() from None
        if response.is_error:
            if not isinstance(answer, dict):
                raise self._stranger()
            raise Refused(str(answer.get("message", response.reason_phrase)), str(answer.get("hint", "")))
        return answer

    def _nobody(self, error: httpx.HTTPError) -> Refused:
        return Unreachable(f"No lossguard server answers at {self.url} ({error}).", "Start one with `lossguard serve`.")

    def _stranger(self) -> Refused:
        return Refused(f"{self.url} is not a lossguard server: it answered no JSON.", "Check LOSSGUARD_URL.")


def _names(run: Mapping[str, Any]) -> tuple[str, ...]:
    """What a person may call it by; no run is called by an empty label."""
    label = run.get("label")
    return (f"{run['project']}/{run['name']}", run["name"], *([label] if label else []))


def address(*parts: str) -> str:
    """A path of the server's: each part is text, whatever characters it has."""
    return "/api/" + "/".join(quote(part, safe="") for part in parts)


def own_client(data_dir: Path, environ: Mapping[str, str]) -> Client:
    """The client for the server that the environment names, else for the one that keeps its data in `data_dir`.

    Raises Refused."""
    url, is_own = _address_of(server_file(data_dir), environ)
    return Client(url, _token(environ) or (_read(data_dir / "token") if is_own else ""))


def trainers_access(data_dir: Path, environ: Mapping[str, str]) -> tuple[str, str]:
    """The address and the token with which a trainer of the same user comes, for what goes to the trainers' socket.

    Raises Refused."""
    found = server_file(data_dir)
    url, is_own = _address_of(found, environ)
    return url, _token(environ) or (str(found.get("ingest_token") or "") if is_own else "")


def server_file(data_dir: Path) -> dict[str, Any]:
    """What the server in `data_dir` left to be found by: url, ingest_token, pid; empty when there is none."""
    try:
        found = json.loads(_read(data_dir / "server.json") or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _address_of(found: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[str, bool]:
    """Where the server is, and whether it is the one that left `found`."""
    own_url = str(found.get("url") or DEFAULT_URL).rstrip("/")
    url = (environ.get("LOSSGUARD_URL") or own_url).rstrip("/")
    if not _is_address(url):
        raise Refused(f"The server's address is {url!r}; it must look like {DEFAULT_URL}.", "Check LOSSGUARD_URL.")
    # the tokens of the data folder belong to that server: they must not travel to another address
    return url, url == own_url


def _is_address(url: str) -> bool:
    """Whether a request can be sent there at all; httpx would tell by errors of several families, and late."""
    try:
        parts = urlsplit(url)
        httpx.URL(url)
        (parts.hostname or "").encode("idna")  # as a socket will: no label is empty or too long
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except (ValueError, httpx.InvalidURL):
        return False


def _token(environ: Mapping[str, str]) -> str:
    """What a header can carry; the refusal does not repeat it. Raises Refused."""
    token = environ.get("LOSSGUARD_TOKEN", "")
    if not (token.isascii() and token.isprintable()):
        raise Refused("LOSSGUARD_TOKEN has characters that no token has.", "Copy it again.")
    return token


def _json(body: Any) -> dict[str, Any]:
    """The options of a request with this body; a number that is not finite crosses as its word. Raises Refused."""
    try:
        return {"content": dumps(body), "headers": {"Content-Type": "application/json"}}
    except UnicodeEncodeError:
        raise Refused("A text in it is not valid Unicode.", "Check how this terminal encodes what is typed.") from None


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
