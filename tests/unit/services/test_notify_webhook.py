"""A webhook goes to the address that was checked, once, signed, and takes its time only as long as it may."""

import asyncio
import json
import math
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from lossguard_server.errors.notifying import AddressRefused, BadChannel
from lossguard_server.services.notifying.news import of_incident
from lossguard_server.services.notifying.reach import Reach
from lossguard_server.services.notifying.resolver import resolved
from lossguard_server.services.notifying.sending import Sending, json_body, of_notice, of_test
from lossguard_server.services.notifying.signing import is_signed
from lossguard_server.services.notifying.told import DELIVERED, LATER, REFUSED
from lossguard_server.services.notifying.webhook import Webhook
from notify_world import RUN, SECRET, Mute, Receiver, alert, change, channel, receiving

NOW_S = 1_700_000_000.0


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@asynccontextmanager
async def webhooks(
    *allowed: str, answers: dict[str, list[str]] | None = None, total_s: float = 10.0
) -> AsyncIterator[Webhook]:
    async def resolve(host: str, port: int) -> list[str]:
        return answers[host] if answers is not None and host in answers else await resolved(host, port)

    webhook = Webhook(Reach(allowed), resolve, lambda: NOW_S, "0", total_s)
    try:
        yield webhook
    finally:
        await webhook.close()


async def test_the_receiver_can_check_who_sent_it_and_whether_it_had_it_before(receiver: Receiver) -> None:
    news = of_incident(change().incident, "opened", alert().to_dict(), RUN)
    assert news is not None
    message = of_notice("key-1", {"news": [news.to_dict()], "count": 1}, "http://lg")
    async with webhooks("127.0.0.1") as webhook:
        told = await Sending(webhook, Mute()).send(channel(f"{receiver.url}/hook?x=1"), message)  # type: ignore[arg-type]
    assert (told.outcome, told.status, told.said) == (DELIVERED, 200, "HTTP 200 OK: thanks")
    ((path, headers, body),) = receiver.got
    assert path == "/hook?x=1"
    assert headers["Host"] == receiver.url.removeprefix("http://")
    assert (headers["Idempotency-Key"], headers["X-Lossguard-Event"]) == ("key-1", "opened")
    signature = headers["X-Lossguard-Signature"]
    assert is_signed(signature, SECRET, body, NOW_S + 10)
    assert not is_signed(signature, SECRET, body + b" ", NOW_S)
    assert not is_signed(signature, "another", body, NOW_S)
    assert not is_signed(signature, SECRET, body, NOW_S + 301)
    assert not is_signed(signature.replace("t=17", "t=18"), SECRET, body, NOW_S + 1e8)
    for bad in ("", "t=,v1=", "t=x,v1=y", "v1=é", "t=١,v1=0", signature.partition(",")[0]):
        assert not is_signed(bad, SECRET, body, NOW_S)
    said = json.loads(body)
    assert {"version", "event", "key", "severity", "title", "text", "link", "count", "items"} == set(said)
    (item,) = said["items"]
    assert (item["project"], item["run"], item["component"], item["step"]) == ("p", "r1", "bonds", 100)
    assert item["values"][-1] == [100, "NaN"]
    assert item["sparkline"] == "▁█×"
    assert item["link"] == "http://lg/#run=r1&alert=a1"


@pytest.mark.parametrize(
    ("status", "headers", "outcome", "after_s"),
    [
        (204, {}, DELIVERED, None),
        (400, {}, REFUSED, None),
        (410, {}, REFUSED, None),
        (408, {}, LATER, None),
        (429, {"Retry-After": "90"}, LATER, 90.0),
        (503, {"Retry-After": "Tue, 14 Nov 2023 22:14:20 GMT"}, LATER, 60.0),
        (500, {}, LATER, None),
        (503, {"Retry-After": "Sun, 01 Jun 2025 00:00:00 +99999999999999999999"}, LATER, None),
        (200, {"Retry-After": "90"}, DELIVERED, None),
        (302, {"Location": "http://127.0.0.1:1/"}, REFUSED, None),
    ],
)
async def test_what_the_other_side_says_decides(
    receiver: Receiver, status: int, headers: dict[str, str], outcome: str, after_s: float | None
) -> None:
    receiver.answers["/"] = (status, headers, b"" if status == 204 else b"no:\n \x1b[1mreally")
    async with webhooks("127.0.0.1") as webhook:
        told = await webhook.send(f"{receiver.url}/", SECRET, "k", "test", b"{}")
    assert (told.outcome, told.status, told.after_s) == (outcome, status, after_s)
    assert len(receiver.got) == 1, "a redirect is not followed"
    assert told.said.startswith(f"HTTP {status} ")
    assert status == 204 or told.said.endswith(": no: [1mreally")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1", "[::1]", "[::ffff:127.0.0.1]", "metadata.test",
             "mixed.test", "mapped.test"]
)  # fmt: skip
async def test_no_way_of_writing_it_leads_to_a_private_address(receiver: Receiver, host: str) -> None:
    answers = {
        "metadata.test": ["169.254.169.254"],
        "mixed.test": ["8.8.8.8", "10.0.0.1"],
        "mapped.test": ["::ffff:a00:1"],
    }
    port = receiver.url.rpartition(":")[2]
    async with webhooks(answers=answers) as webhook:
        told = await webhook.send(f"http://{host}:{port}/", SECRET, "k", "test", b"{}")
    assert (told.outcome, told.is_kept_in) == (LATER, True)
    assert "not a public one" in told.said
    assert "--notify-allow" in told.said
    assert receiver.got == []


async def test_the_connection_goes_to_the_address_that_was_checked(receiver: Receiver) -> None:
    asked: list[str] = []

    async def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.99"]

    port = receiver.url.rpartition(":")[2]
    webhook = Webhook(Reach(["rebind.test"]), rebinding, lambda: NOW_S, "0")
    told = await webhook.send(f"http://rebind.test:{port}/", SECRET, "k", "test", b"{}")
    await webhook.close()
    assert told.outcome == DELIVERED
    assert asked == ["rebind.test"], "nobody else asked the name server, or its second answer would have been used"
    assert receiver.got[0][1]["Host"] == f"rebind.test:{port}"


async def test_tls_is_checked_against_the_name_and_not_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[Any] = []
    wrap = ssl.SSLContext.wrap_bio

    def noting(self: ssl.SSLContext, *args: Any, server_hostname: Any = None, **named: Any) -> Any:
        names.append(server_hostname)
        assert self.check_hostname
        assert self.verify_mode == ssl.CERT_REQUIRED
        return wrap(self, *args, server_hostname=server_hostname, **named)

    monkeypatch.setattr(ssl.SSLContext, "wrap_bio", noting)
    with receiving() as plain:
        port = plain.url.rpartition(":")[2]
        async with webhooks("tls.test", answers={"tls.test": ["127.0.0.1"]}) as webhook:
            told = await webhook.send(f"https://tls.test:{port}/", SECRET, "k", "test", b"{}")
    assert told.outcome == LATER
    assert names == [b"tls.test"]


async def test_a_proxy_of_the_environment_is_not_asked(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with webhooks("127.0.0.1") as webhook:
        assert (await webhook.send(f"{receiver.url}/", SECRET, "k", "test", b"{}")).outcome == DELIVERED


async def test_an_answer_without_end_ends() -> None:
    """Slow or fast: it is read for as long as a delivery may take, and as far as anybody reads."""
    sent = 0

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        with_delay = b"/slow" in first
        try:
            while True:
                writer.write(b"x" * (1 if with_delay else 65_536))
                await writer.drain()
                sent += 1
                if with_delay:
                    await asyncio.sleep(0.02)
        except ConnectionError:
            pass
        finally:
            writer.close()

    for first, outcome in ((b"/fast", DELIVERED), (b"/slow", LATER)):
        server = await asyncio.start_server(pour, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with webhooks("127.0.0.1", total_s=0.5) as webhook:
            told = await webhook.send(f"http://127.0.0.1:{port}{first.decode()}", SECRET, "k", "test", b"{}")
        assert told.outcome == outcome
        assert len(told.said) < 2_100
        server.close()
    assert sent < 1_000


async def test_nobody_there_is_a_reason_to_try_again() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        async with webhooks("127.0.0.1") as webhook:
            told = await webhook.send(f"http://127.0.0.1:{port}/", SECRET, "k", "test", b"{}")
    assert told.outcome == LATER
    assert "could not be reached" in told.said


async def test_a_name_server_that_does_not_answer_costs_one_delivery() -> None:
    async def never(host: str, port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    webhook = Webhook(Reach(), never, lambda: NOW_S, "0", 0.05)
    told = await webhook.send("https://example.org/", SECRET, "k", "test", b"{}")
    await webhook.close()
    assert told.outcome == LATER
    assert "did not answer within" in told.said


@pytest.mark.parametrize(
    "url",
    ["", "example.org", "ftp://example.org/", "file:///etc/passwd", "http://", "http:///x", "http://u:p@example.org/",
     "http://a b/", "http://%31/", "http://h:0/", "http://h:99999/", "http://h\\@e/", "gopher://h/", "http://[::1", "http://0177.0.0.1/",
     "https://" + "x" * 3_000],
)  # fmt: skip
async def test_what_is_no_address_is_refused_when_it_is_given(url: str) -> None:
    async with webhooks("h", "u") as webhook:
        with pytest.raises(BadChannel):
            webhook.check(url)
        assert (await webhook.send(url, SECRET, "k", "test", b"{}")).outcome == REFUSED


async def test_a_private_number_is_refused_when_it_is_given_and_a_name_is_not_asked_for() -> None:
    async with webhooks("10.0.0.7:9000") as webhook:
        for host in ("127.0.0.1", "2130706433", "[::1]", "169.254.169.254", "10.0.0.7:9001"):
            with pytest.raises(AddressRefused):
                webhook.check(f"http://{host}/")
        assert webhook.check("http://10.0.0.7:9000/x") == "http://10.0.0.7:9000"
        assert webhook.check("https://hooks.invalid/services/T/SECRET?k=SECRET") == "https://hooks.invalid"
        assert webhook.check("https://exämple.org/x") == "https://xn--exmple-cua.org"


async def test_what_is_said_does_not_repeat_the_secrets(receiver: Receiver) -> None:
    receiver.answers["/hooks/T0PSECRET?key=s3cr3tvalue"] = (
        404,
        {},
        b"no /hooks/T0PSECRET with s3cr3tvalue " + SECRET.encode(),
    )
    async with webhooks("127.0.0.1") as webhook:
        sending = Sending(webhook, Mute())  # type: ignore[arg-type]
        told = await sending.send(
            channel(f"{receiver.url}/hooks/T0PSECRET?key=s3cr3tvalue"), of_test("k", "c", "http://lg")
        )
    assert told.said.startswith("HTTP 404 Not Found: no ")
    assert not any(word in told.said for word in ("T0PSECRET", "s3cr3tvalue", SECRET))


def test_a_body_is_json_whatever_its_numbers() -> None:
    news = of_incident(change().incident, "opened", alert(evidence={"values": [[1, math.inf]]}).to_dict(), RUN)
    assert news is not None
    body = {
        "news": [{**news.to_dict(), "first_bad": [{"series": "s", "step": 1, "lead_steps": 2, "deviation": math.nan}]}],
        "count": 1,
    }
    said = json.loads(json_body(of_notice("k", body, "http://lg")))
    assert said["items"][0]["first_bad"][0]["deviation"] == "NaN"
    assert said["text"].startswith(said["title"])
