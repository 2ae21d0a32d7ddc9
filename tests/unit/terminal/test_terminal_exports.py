"""A download is a whole file or none, whatever stands at the other end."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from lossguard_server.terminal.client import Client, Refused, address
from lossguard_server.terminal.exports import Exported, export, format_of

RUNS = {"items": [{"id": "r 1?#%", "project": "p", "name": "n"}]}
ATTACHED = {"Content-Disposition": "attachment"}


def client(answer: Callable[[httpx.Request], httpx.Response]) -> Client:
    """A client whose server lists one run, and answers an export as told."""

    def handle(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=RUNS) if request.url.path == "/api/runs" else answer(request)

    return Client("http://server", "token", httpx.MockTransport(handle))


def broken() -> Iterator[bytes]:
    yield b"step,a\r\n"
    raise httpx.RemoteProtocolError("peer closed connection")


def test_the_file_is_there_when_it_is_whole(tmp_path: Path) -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, content=b"step,a\r\n", headers=ATTACHED)

    target = tmp_path / "a.csv"
    done = export(client(answer), "n", str(target), "csv", {"series": ["x&y", "z"], "from": 3, "to": None})
    assert done == Exported("r 1?#%", str(target), "csv", 8)
    assert target.read_bytes() == b"step,a\r\n"
    assert asked[0].url.raw_path == b"/api/runs/r%201%3F%23%25/export?format=csv&series=x%26y&series=z&from=3"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (httpx.Response(200, content=broken(), headers=ATTACHED), "broke off after 8 bytes"),
        (httpx.Response(200, text="<html>"), "is not a lossguard server"),
        (httpx.Response(200, json={}), "is not a lossguard server"),
        (httpx.Response(502, text="bad gateway"), "is not a lossguard server"),
        (httpx.Response(500, json=["?"]), "is not a lossguard server"),
        (httpx.Response(404, json={"message": "No.", "hint": "h"}), "No."),
    ],
)
def test_what_was_there_stays_when_the_download_fails(tmp_path: Path, answer: httpx.Response, says: str) -> None:
    target = tmp_path / "a.csv"
    target.write_text("the last one")
    with pytest.raises(Refused) as caught:
        export(client(lambda request: answer), "n", str(target), "csv", {})
    assert says in caught.value.message
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.csv", "the last one")]


def test_a_server_that_is_gone_is_named(tmp_path: Path) -> None:
    def gone(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(Refused, match="No lossguard server answers"):
        export(client(gone), "n", str(tmp_path / "a.csv"), "csv", {})


@pytest.mark.parametrize("target", ["", "none/a.csv", "file/a.csv"])
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, target: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Refused, match=r"cannot be written|is a folder"):
        export(client(lambda request: httpx.Response(200, headers=ATTACHED)), "n", str(tmp_path / target), "csv", {})


@pytest.mark.parametrize(
    ("output", "given", "form"),
    [("a.csv", None, "csv"), ("a.JSONL", None, "jsonl"), ("a.pq", None, "parquet"), ("-", "csv", "csv")],
)
def test_the_format_is_that_of_the_suffix_unless_given(output: str, given: str | None, form: str) -> None:
    assert format_of(output, given) == form


def test_an_address_takes_any_text() -> None:
    assert address("runs", "a/b ü", "export") == "/api/runs/a%2Fb%20%C3%BC/export"
