"""Where the server is and which token it is shown."""

import json
from pathlib import Path

import pytest

import lossguard as lg
from lossguard.environment import data_folder, endpoint, mode_from, spool_address, spool_cap_bytes, spool_folder


def own_server(folder: Path, url: str = "http://127.0.0.1:6001") -> dict[str, str]:
    """A server of this user that left its address; the environment in which it is found."""
    folder.mkdir(exist_ok=True)
    (folder / "server.json").write_text(json.dumps({"url": url, "ingest_token": "own", "pid": 5}))
    return {"LOSSGUARD_DATA": str(folder)}


def test_an_argument_wins_over_the_environment_and_that_over_the_own_server(tmp_path: Path) -> None:
    environ = own_server(tmp_path)
    assert endpoint(None, None, environ).url == "ws://127.0.0.1:6001/ws/trainer"
    environ["LOSSGUARD_URL"] = "https://lossguard.example/base/"
    assert endpoint(None, None, environ).url == "wss://lossguard.example/base/ws/trainer"
    assert endpoint("http://10.0.0.5:80", None, environ).url == "ws://10.0.0.5:80/ws/trainer"
    assert endpoint(None, None, {"LOSSGUARD_DATA": str(tmp_path / "none")}).url == "ws://127.0.0.1:5677/ws/trainer"


def test_the_tokens_precedence(tmp_path: Path) -> None:
    environ = own_server(tmp_path)
    assert endpoint(None, None, environ).token == "own"
    environ["LOSSGUARD_TOKEN"] = "environment"
    assert endpoint(None, None, environ).token == "environment"
    assert endpoint(None, "argument", environ).token == "argument"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:6002",
        "http://localhost:6001",
        "https://127.0.0.1:6001",
        "http://127.0.0.1:6001.evil.example",
        "http://127.0.0.1:6001@evil.example",
        "http://evil.example/?http://127.0.0.1:6001",
        "http://127.0.0.1:6001/other",
    ],
)
def test_the_own_servers_token_is_for_no_other_address(tmp_path: Path, url: str) -> None:
    environ = own_server(tmp_path)
    try:
        assert endpoint(url, None, environ).token == ""
        assert endpoint(None, None, {**environ, "LOSSGUARD_URL": url}).token == ""
    except lg.ConfigError:
        assert "evil" in url
    assert endpoint("http://127.0.0.1:6001/", None, environ).token == "own"


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '"x"', "null", '{"url": 5, "ingest_token": null}', "[" * 100_000, "\xff"]
)
def test_a_broken_note_of_the_own_server_is_no_server(tmp_path: Path, content: str) -> None:
    (tmp_path / "server.json").write_text(content, encoding="latin-1")
    found = endpoint(None, None, {"LOSSGUARD_DATA": str(tmp_path)})
    assert (found.url, found.token) == ("ws://127.0.0.1:5677/ws/trainer", "")


@pytest.mark.parametrize(
    "url",
    ["127.0.0.1:5677", "localhost", "ftp://host", "ws://host", "http://", "http:///path", "http://[::1", "http://h:port",
     "http://h:99999", "http://h:0", "https://[not-an-address]/", "file:///etc/passwd"],
)  # fmt: skip
def test_a_malformed_address_is_said_in_one_sentence(tmp_path: Path, url: str) -> None:
    environ = {"LOSSGUARD_DATA": str(tmp_path)}
    for given, around in ((url, environ), (None, {**environ, "LOSSGUARD_URL": url})):
        with pytest.raises(lg.ConfigError, match=r"it must look like http://127\.0\.0\.1:5677") as caught:
            endpoint(given, None, around)
        assert repr(url) in str(caught.value)


@pytest.mark.parametrize(
    ("url", "reveals"),
    [
        ("http://127.0.0.1:1", False),
        ("http://localhost:1", False),
        ("http://[::1]:1", False),
        ("http://192.168.0.9:1", True),
        ("https://192.168.0.9:1", False),
    ],
)
def test_a_token_in_the_clear_is_noticed(tmp_path: Path, url: str, reveals: bool) -> None:
    assert endpoint(url, "t", {"LOSSGUARD_DATA": str(tmp_path)}).reveals_token is reveals


def test_the_mode() -> None:
    assert mode_from(None, {}) == "online"
    assert mode_from(None, {"LOSSGUARD_MODE": ""}) == "online"
    assert mode_from(None, {"LOSSGUARD_MODE": "offline"}) == "offline"
    assert mode_from("off", {"LOSSGUARD_MODE": "offline"}) == "off"
    with pytest.raises(lg.ConfigError, match="mode is 'On'; it must be one of online, offline, off"):
        mode_from("On", {})
    with pytest.raises(lg.ConfigError, match="LOSSGUARD_MODE is 'disabled'"):
        mode_from(None, {"LOSSGUARD_MODE": "disabled"})


def test_the_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    assert data_folder({}) == Path("/home/ann/.local/share/lossguard")
    assert data_folder({"XDG_DATA_HOME": "/d"}) == Path("/d/lossguard")
    assert data_folder({"XDG_DATA_HOME": "/d", "LOSSGUARD_DATA": "/x"}) == Path("/x")
    assert spool_folder(None, {}) == Path("/home/ann/.local/state/lossguard/spool")
    assert spool_folder(None, {"XDG_STATE_HOME": "/s"}) == Path("/s/lossguard/spool")
    assert spool_folder(None, {"LOSSGUARD_DIR": "/y"}) == Path("/y")
    assert spool_folder("/z", {"LOSSGUARD_DIR": "/y"}) == Path("/z")
    # as a container's or a service's file says it, which no shell reads
    assert data_folder({"LOSSGUARD_DATA": "~/x"}) == Path("/home/ann/x")
    assert spool_folder(None, {"LOSSGUARD_DIR": "~/y"}) == Path("/home/ann/y")


@pytest.mark.parametrize(("text", "size"), [("", 2 << 30), ("0.5", 1 << 29), ("1e-9", 32 << 20), ("10", 10 << 30)])
def test_the_spool_s_limit_is_in_gib_and_leaves_room_for_four_segments(text: str, size: int) -> None:
    assert spool_cap_bytes({"LOSSGUARD_SPOOL_GIB": text}) == size
    assert spool_cap_bytes({}) == 2 << 30


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "2 GiB"])
def test_a_limit_that_is_none_is_said(text: str) -> None:
    with pytest.raises(lg.ConfigError, match=r"LOSSGUARD_SPOOL_GIB is .* GiB above 0"):
        spool_cap_bytes({"LOSSGUARD_SPOOL_GIB": text})


def test_a_spool_is_for_the_server_that_is_known(tmp_path: Path) -> None:
    own = own_server(tmp_path)
    assert spool_address("online", None, None, own) == "ws://127.0.0.1:6001/ws/trainer"
    assert spool_address("offline", None, None, own) == ""
    assert spool_address("offline", None, None, own | {"LOSSGUARD_URL": "https://a/x"}) == "wss://a/x/ws/trainer"
    assert spool_address("offline", "http://b", None, {}) == "ws://b/ws/trainer"
