"""Other people's plugins run apart: they reach what they may, and nothing on the server."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lossguard_server.errors.notifying import AppriseNotInstalled, BadChannel
from lossguard_server.services.notifying import wording
from lossguard_server.services.notifying.apprise_child import _outcome
from lossguard_server.services.notifying.apprise_guard import Guard
from lossguard_server.services.notifying.messenger import Messenger
from lossguard_server.services.notifying.reach import Reach
from lossguard_server.services.notifying.schemes import REFUSED_SCHEMES
from lossguard_server.services.notifying.told import DELIVERED, LATER, REFUSED
from notify_world import Receiver, receiving

WORDS = wording.of_test("c", "http://lg")
apprise = pytest.mark.skipif(
    "not __import__('importlib.util').util.find_spec('apprise')", reason="apprise is not there"
)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@apprise
async def test_a_message_arrives_and_a_refusal_says_why(receiver: Receiver) -> None:
    host = receiver.url.removeprefix("http://")
    messenger = Messenger(["127.0.0.1"], os.environ)
    receiver.answers["/bad"] = (403, {}, b"no such token")
    receiver.answers["/full"] = (503, {}, b"come back")
    told = [await messenger.send(f"json://{host}/{path}", WORDS) for path in ("ok", "bad", "full")]
    assert [each.outcome for each in told] == [DELIVERED, REFUSED, LATER]
    assert "no such token" in told[1].said
    assert b"This is a test of the channel" in receiver.got[0][2]


@apprise
@pytest.mark.parametrize(
    "url", ["json://127.0.0.1:{port}/", "xml://localhost:{port}/", "form://2130706433:{port}/", "ntfy://localhost:{port}/t",
            "mailto://u:p@localhost:{port}/?from=a@b.co&to=d@e.co&mode=insecure", "rsyslog://127.0.0.1:{port}", "mqtt://127.0.0.1:{port}/t",
            "irc://127.0.0.1:{port}/#x", "gotify://localhost:{port}/token"]
)  # fmt: skip
async def test_no_plugin_reaches_a_private_address(receiver: Receiver, url: str) -> None:
    told = await Messenger([], os.environ).send(url.format(port=receiver.url.rpartition(":")[2]), WORDS)
    is_understood = "not one that apprise understands" not in told.said  # some need a package that may not be here
    assert (told.outcome, told.is_kept_in) == ((LATER, True) if is_understood else (REFUSED, False)), told
    assert receiver.got == []


@apprise
async def test_a_redirect_to_a_private_address_ends_there(receiver: Receiver) -> None:
    with receiving() as inner:
        host = receiver.url.removeprefix("http://")
        receiver.answers["/?redirect=yes"] = receiver.answers["/"] = (307, {"Location": f"{inner.url}/inner"}, b"")
        told = await Messenger([host], os.environ).send(f"json://{host}/?redirect=yes", WORDS)
        assert len(receiver.got) == 1
        assert inner.got == []
    assert (told.outcome, told.is_kept_in) == (LATER, True)
    assert "not a public address" in told.said


@apprise
async def test_what_acts_on_the_server_is_refused_by_name() -> None:
    messenger = Messenger([], os.environ)
    for scheme in REFUSED_SCHEMES:
        with pytest.raises(BadChannel, match="on the server itself"):
            await messenger.check(f"{scheme.upper()}://x")
        assert (await messenger.send(f"{scheme}://", WORDS)).outcome == REFUSED


@apprise
async def test_an_address_is_known_by_its_service_and_shows_nothing_else() -> None:
    messenger = Messenger([], os.environ)
    slack = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general"
    assert await messenger.check(slack) == "slack://… (Slack)"
    for url in ("nonsense://x", "slack://", "x", "", " syslog://"):
        with pytest.raises(BadChannel):
            await messenger.check(url)


async def test_without_the_library_it_says_what_to_install() -> None:
    messenger = Messenger([], os.environ, is_installed=lambda: False)
    with pytest.raises(AppriseNotInstalled, match=r"pip install 'lossguard\[notify\]'"):
        await messenger.check("ntfy://topic")
    told = await messenger.send("ntfy://topic", WORDS)
    assert told.outcome == LATER, "it may be installed tomorrow"
    assert "pip install" in told.said


@apprise
async def test_what_hangs_is_ended(receiver: Receiver) -> None:
    told = await Messenger([], os.environ, total_s=0.01).send("json://127.0.0.1:9/", WORDS)
    assert told.outcome == LATER
    assert "did not end within" in told.said


@apprise
async def test_a_child_gets_no_proxy_and_none_of_our_secrets(receiver: Receiver) -> None:
    host = receiver.url.removeprefix("http://")
    environ = {
        **os.environ,
        "http_proxy": "http://127.0.0.1:1",
        "LOSSGUARD_TOKEN": "x",
        "ALL_PROXY": "http://127.0.0.1:1",
    }
    messenger = Messenger(["127.0.0.1"], environ)
    assert (await messenger.send(f"json://{host}/", WORDS)).outcome == DELIVERED
    assert "LOSSGUARD_TOKEN" not in messenger._environ


@apprise
async def test_a_netrc_on_the_server_is_not_looked_at_and_ends_nothing(receiver: Receiver, tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    host = receiver.url.removeprefix("http://")
    receiver.answers["/"] = (503, {}, b"come back")
    messenger = Messenger(["127.0.0.1"], {**os.environ, "HOME": str(tmp_path), "NETRC": str(tmp_path / ".netrc")})
    told = await messenger.send(f"json://{host}/", WORDS)
    assert told.outcome == LATER, told
    assert "file" not in told.said
    assert "Authorization" not in receiver.got[0][1]


@pytest.mark.parametrize(
    ("event", "detail", "outcome", "is_kept_in"),
    [("open", "/x", LATER, False), ("socket.connect", ("10.0.0.1", 9), LATER, True),
     ("socket.connect", "/run/x.sock", REFUSED, False), ("os.system", "true", REFUSED, False)],
)  # fmt: skip
def test_only_a_program_that_is_refused_is_final(event: str, detail: Any, outcome: str, is_kept_in: bool) -> None:
    guard = Guard(Reach([]))
    guard._roots = ()
    with pytest.raises(PermissionError):
        guard._hear(event, (detail, detail, 0))
    assert len(guard.refusals) == 1
    assert guard.is_kept_in is is_kept_in
    assert _outcome(False, [], guard) == outcome


def test_of_pythons_path_only_what_is_needed_is_handed_on(tmp_path: Path) -> None:
    (tmp_path / "ours" / "lossguard_server").mkdir(parents=True)
    (tmp_path / "project").mkdir()
    path = os.pathsep.join([str(tmp_path / "project"), str(tmp_path / "ours"), ""])
    assert Messenger([], {"PYTHONPATH": path})._environ["PYTHONPATH"] == str(tmp_path / "ours")
    assert "PYTHONPATH" not in Messenger([], {"PYTHONPATH": str(tmp_path / "project")})._environ


@pytest.mark.parametrize(
    ("name", "is_open"),
    [("secrets.env", False), ("config.json", False), ("id_rsa", False), ("code.py", True), ("lib.cpython.so", True),
     ("certifi/cacert.pem", True), ("apprise/assets/x.png", True), ("y-1.0.dist-info/entry_points.txt", True),
     ("app/notes.txt", False)],
)  # fmt: skip
def test_of_the_folders_of_python_only_code_and_its_data_are_open(tmp_path: Path, name: str, is_open: bool) -> None:
    file = tmp_path / "certifi" / name  # a folder above the path says nothing
    file.parent.mkdir(parents=True)
    file.write_text("")
    program = (
        "import sys\n"
        f"sys.path.append({str(tmp_path / 'certifi')!r})\n"
        "from lossguard_server.services.notifying.apprise_guard import Guard\n"
        "from lossguard_server.services.notifying.reach import Reach\n"
        f"guard = Guard(Reach([]))\nguard.install()\nguard.close_files()\nopen({str(file)!r}).close()\n"
        "import platform\nplatform.platform()\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode == 0) is is_open, done.stderr


@pytest.mark.parametrize(
    ("deed", "refusal"),
    [
        ("import subprocess; subprocess.run(['true'])", "run a program"),
        ("import os; os.system('true')", "run a program"),
        ("import os; os.posix_spawn('/bin/true', ['true'], dict())", "run a program"),
        ("import os; os.execv('/bin/true', ['true'])", "run a program"),
        ("import os; os.fork()", "run a program"),
        ("open({file!r})", "a file on the server"),
        ("open({file!r}, 'wb')", "a file on the server"),
        ("import os; os.open({file!r}, os.O_RDONLY)", "a file on the server"),
        ("import sys; open(sys.prefix + '/x', 'w')", "a file on the server"),
        ("import socket; socket.socket(socket.AF_UNIX).connect('/run/docker.sock')", "a program on the server"),
        ("import socket; socket.create_connection(('127.0.0.1', 9))", "not a public address"),
        ("import socket; socket.create_connection(('127.0.0.1', 8))", "not a public address"),
        ("import socket; socket.socket().connect(('localhost', 9))", "not a public address"),
        ("import socket; socket.socket().connect_ex(('10.0.0.1', 9))", "not a public address"),
        ("import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'', ('169.254.169.254', 53))", "not a public"),
        ("import asyncio; asyncio.run(asyncio.open_connection('::1', 9))", "not a public address"),
    ],
)
def test_the_guard_refuses(tmp_path: Path, deed: str, refusal: str) -> None:
    file = tmp_path / "secret"
    file.write_text("secret")
    program = (
        "import asyncio, socket, subprocess, os, sys\n"
        "from lossguard_server.services.notifying.apprise_guard import Guard\n"
        "from lossguard_server.services.notifying.reach import Reach\n"
        "guard = Guard(Reach(['elsewhere', '127.0.0.1:7']))\nguard.install()\nguard.close_files()\n"
        f"try:\n    {deed.format(file=str(file))}\nfinally:\n    print(*guard.refusals)\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=False)
    assert refusal in done.stdout, done.stderr
    assert "PermissionError" in done.stderr
    assert file.read_text() == "secret"


def test_the_guard_lets_through_what_was_allowed() -> None:
    with receiving() as receiver:
        port = receiver.url.rpartition(":")[2]
        program = (
            "import socket\n"
            "from lossguard_server.services.notifying.apprise_guard import Guard\n"
            "from lossguard_server.services.notifying.reach import Reach\n"
            f"guard = Guard(Reach(['localhost:{port}']))\nguard.install()\nguard.close_files()\n"
            f"socket.create_connection(('localhost', {port})).close()\nimport wave\nprint('through')\n"
        )
        done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "through", done.stderr
