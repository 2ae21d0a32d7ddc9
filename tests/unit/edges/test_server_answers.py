"""Whatever goes wrong, the answer has one shape; whatever the number, JSON can carry it."""

import json
import math

import httpx
import pytest
from fastapi import FastAPI, Request

from lossguard_server import errors
from lossguard_server.edges.answers import Json, asks_for_msgpack, json_map, on_fault, on_server_error, refusal


@pytest.fixture
def app() -> FastAPI:
    made = FastAPI()
    made.add_exception_handler(errors.ServerError, on_server_error)
    made.add_exception_handler(Exception, on_fault)

    @made.get("/full")
    async def full() -> None:
        raise errors.DiskFull

    @made.get("/fault")
    async def fault() -> None:
        raise KeyError("secret detail")

    return made


@pytest.mark.parametrize(("path", "status", "error"), [("/full", 507, "disk_full"), ("/fault", 500, "server_error")])
async def test_a_failure_is_a_refusal_without_secrets(app: FastAPI, path: str, status: int, error: str) -> None:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        answer = await http.get(path)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert set(answer.json()) == {"error", "message", "hint"}
    assert "secret" not in answer.text


def test_numbers_that_json_does_not_have_are_words() -> None:
    assert Json([math.nan, math.inf, -math.inf, -0.0, 5e-324]).body == b'["NaN","Infinity","-Infinity",-0.0,5e-324]'
    entries = {'a"b': [math.nan], "c": {}}
    assert json.loads(json_map(entries.items())) == {'a"b': ["NaN"], "c": {}}
    assert json_map([]) == b"{}"


@pytest.mark.parametrize(
    ("accept", "is_asked_for"),
    [
        ("application/msgpack", True),
        ("application/msgpack, application/json;q=0.5", True),
        ("text/html,Application/MsgPack;q=0.9", True),
        ("application/msgpack;q=0", False),
        ("application/msgpack;q=0.0, */*", False),
        ("*/*", False),
        ("application/*", False),
        ("application/msgpackx", False),
        ("", False),
    ],
)
def test_msgpack_is_for_those_who_name_it(accept: str, is_asked_for: bool) -> None:
    request = Request({"type": "http", "headers": [(b"accept", accept.encode())]})
    assert asks_for_msgpack(request) is is_asked_for


def every_error(root: type[errors.ServerError]) -> list[type[errors.ServerError]]:
    return [root, *(found for child in root.__subclasses__() for found in every_error(child))]


def made_of(kind: type[errors.ServerError]) -> errors.ServerError:
    """One with data of its own takes them in place of a detail."""
    own: dict[type[errors.ServerError], tuple[object, ...]] = {
        errors.OutOfOrder: (7,),
        errors.UnknownRule: ("a", "b"),
        errors.UnknownParameter: ("a", "b", ["c"], None),
        errors.ParameterOutOfBounds: ("a", "b", 1.0, 2.0, 3.0),
    }
    return kind(*own.get(kind, ("Detail.",)))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", every_error(errors.ServerError), ids=lambda kind: kind.__name__)
def test_every_error_is_a_sentence_with_a_stable_code(kind: type[errors.ServerError]) -> None:
    made = made_of(kind)
    assert made.message[0].isupper()
    assert (kind.__doc__ or "").strip().splitlines()[0].endswith(".")
    assert kind.code == kind.code.lower()
    assert 400 <= refusal(made).status_code < 600


def test_codes_tell_errors_apart() -> None:
    kinds = every_error(errors.ServerError)
    own = [kind.code for kind in kinds if "code" in kind.__dict__]
    assert len(set(own)) == len(own)
