"""The data folder belongs to one server and one user; its tokens stay over restarts."""

import math
from pathlib import Path

import pytest

from lossguard_server import datadir
from lossguard_server.datadir import Note
from lossguard_server.errors import DataDirInUse, StartupError
from lossguard_server.settings import Settings, default_data_dir


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_two_servers_never_share_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "data"
    with datadir.locked(folder):
        assert mode(folder) == 0o700
        assert mode(folder / "lossguard.lock") == 0o600
        with pytest.raises(DataDirInUse, match="choose another folder"), datadir.locked(folder):
            pass
    with datadir.locked(folder):
        pass


def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartupError, match="cannot be used"), datadir.locked(tmp_path / "file" / "data"):
        pass


def test_the_admin_token_is_made_once_and_private(tmp_path: Path) -> None:
    token = datadir.admin_token(tmp_path)
    assert len(token) >= 43, "256 bits in base64"
    assert datadir.admin_token(tmp_path) == token
    assert mode(tmp_path / "token") == 0o600


def test_the_note_is_private_and_read_back(tmp_path: Path) -> None:
    note = Note("http://127.0.0.1:1", "secret", 7)
    assert datadir.read_note(tmp_path) is None
    datadir.write_note(tmp_path, note)
    assert datadir.read_note(tmp_path) == note
    assert mode(tmp_path / "server.json") == 0o600
    for broken in ("", "[]", '{"url": 1}', "{"):
        (tmp_path / "server.json").write_text(broken)
        assert datadir.read_note(tmp_path) is None


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"LOSSGUARD_DATA": "/a/b", "XDG_DATA_HOME": "/x"}, "/a/b"),
        ({"XDG_DATA_HOME": "/x"}, "/x/lossguard"),
        ({}, str(Path.home() / ".local/share/lossguard")),
    ],
)
def test_the_default_folder(environ: dict[str, str], expected: str) -> None:
    assert default_data_dir(environ) == Path(expected)


def test_hosts_and_origins_are_exact(tmp_path: Path) -> None:
    token = "t" * 16
    settings = Settings.from_environment({"LOSSGUARD_TOKEN": token}, host="Box.Example", port=99, data_dir=tmp_path)
    assert settings.allowed_hosts == {"127.0.0.1:99", "localhost:99", "[::1]:99", "box.example:99"}
    assert "http://localhost:99" in settings.allowed_origins
    assert token not in repr(settings), "a token does not belong in a log"
    assert Settings(tmp_path, host="0.0.0.0").url == "http://127.0.0.1:5677"
    assert Settings(tmp_path, host="::1").url == "http://[::1]:5677"


def test_further_names_are_allowed_exactly_as_given(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, port=99, extra_hosts=("Box.example:8443",))
    assert "box.example:8443" in settings.allowed_hosts
    assert {"http://box.example:8443", "https://box.example:8443"} <= settings.allowed_origins
    assert "https://127.0.0.1:99" not in settings.allowed_origins


def test_an_admin_token_that_could_be_guessed_is_refused_and_not_repeated(tmp_path: Path) -> None:
    def token(said: str) -> str | None:
        return Settings.from_environment({"LOSSGUARD_TOKEN": said}, data_dir=tmp_path).admin_token

    assert (token(""), token("z" * 16)) == (None, "z" * 16)
    for short in ("zz", "z" * 15):
        with pytest.raises(StartupError, match=rf"has {len(short)} of at least 16 char.*token_urlsafe") as refused:
            token(short)
        assert short not in str(refused.value)


def test_runs_are_kept_for_as_long_as_is_said(tmp_path: Path) -> None:
    def kept_s(given: float | None, said: str | None) -> float:
        environ = {} if said is None else {"LOSSGUARD_KEEP_DAYS": said}
        return Settings.from_environment(environ, data_dir=tmp_path, keep_days=given).keep_s

    assert kept_s(None, None) == math.inf
    assert (kept_s(0.5, "7"), kept_s(None, "7")) == (43_200.0, 7 * 86_400.0)
    for nonsense in ("0", "-1", "nan", "inf", "a week"):
        with pytest.raises(StartupError, match="cannot be kept"):
            kept_s(None, nonsense)


def test_where_people_find_the_page_is_checked_at_the_start(tmp_path: Path) -> None:
    def url(given: str | None, said: str = "") -> str | None:
        return Settings.from_environment({"LOSSGUARD_PUBLIC_URL": said}, data_dir=tmp_path, public_url=given).public_url

    assert url(None) is None
    for good in ("https://lg.example", "http://box:5677/lossguard/", "http://[::1]:5677"):
        assert url(good) == url(None, good) == good
    for bad in ("lg.example", "ftp://x", "https://", "https://x:y", "https://x:0", "http://u:p@x", "http://x/#a",
                "http://x/?a=b", "http://a b", "http://[::1"):  # fmt: skip
        with pytest.raises(StartupError, match="where people find the page"):
            url(bad)
        with pytest.raises(StartupError, match="--public-url like"):
            url(None, bad)


def test_a_host_for_notifications_is_checked_at_the_start(tmp_path: Path) -> None:
    def hosts(*given: str) -> tuple[str, ...]:
        return Settings.from_environment({}, data_dir=tmp_path, notify_allow=given).notify_allow

    good = ("alerts.corp", "10.0.0.7:9000", "fd00::7", "[fd00::7]", "[fd00::7]:25", "my_box:80")
    assert hosts(*good) == good
    for bad in ("", "http://alerts.corp", "alerts.corp/", "a b", "x:", "x:0", "x:65536", "x:y", "[x]:1", "10.0.0.0/8",
                "*.corp", "[fd00::7", "a,b"):  # fmt: skip
        with pytest.raises(StartupError, match="--notify-allow a name or an address"):
            hosts(bad)
