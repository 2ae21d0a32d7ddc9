"""Sends through the library apprise: mail, Slack, Discord, ntfy and many more, each message by a process of its own.

Rules of this file: its plugins are other people's code with an address from a person, so they run apart: what hangs is
killed, what fails is one message, and what they may reach is decided by apprise_guard.py.
"""

import asyncio
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ...errors.notifying import AppriseNotInstalled, BadChannel
from .schemes import REFUSED_SCHEMES
from .told import LATER, REFUSED, SAID_CHARS, Told
from .wording import Words

CHILD = f"{__package__}.apprise_child"
TOTAL_S = 30.0
URL_CHARS = 2_000
_TYPES = {"critical": "failure", "warning": "warning", "resolved": "success"}
# no proxy and no token of ours: what a program needs to start and to verify certificates
_KEPT = ("PATH", "HOME", "USERPROFILE", "APPDATA", "SYSTEMROOT", "TEMP", "TMP", "LANG", "LC_ALL", "TZ", "PYTHONHOME",
         "VIRTUAL_ENV", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")  # fmt: skip
_PACKAGES = ("lossguard_server", "lossguard", "apprise", "requests")


def is_apprise_installed() -> bool:
    """Whether there is something to send with."""
    return importlib.util.find_spec("apprise") is not None


class Messenger:
    """Owned by the event loop's thread."""

    def __init__(
        self,
        allowed: Iterable[str],
        environ: Mapping[str, str],
        is_installed: Callable[[], bool] = is_apprise_installed,
        total_s: float = TOTAL_S,
    ) -> None:
        """`allowed`: hosts as for Reach; `environ`: the server's, of which little is handed on."""
        self._allowed, self._total_s, self._is_installed = sorted(allowed), total_s, is_installed
        self._environ = _handed_on(environ)

    async def check(self, url: str) -> str:
        """What is shown of a channel with this address. Raises BadChannel, AppriseNotInstalled."""
        scheme = url.partition("://")[0].strip().lower()
        if scheme in REFUSED_SCHEMES:
            raise BadChannel(f"{scheme}:// would act on the server itself.")
        if "://" not in url or len(url) > URL_CHARS:
            raise BadChannel("Its address must be a URL, as apprise's documentation shows them.")
        if not self._is_installed():
            raise AppriseNotInstalled()
        answer = await self._ask({"url": url})
        if answer["outcome"] != "delivered":
            raise BadChannel(str(answer["said"])[:SAID_CHARS])
        return f"{scheme}://… ({answer['service']})"

    async def send(self, url: str, words: Words) -> Told:
        """One try to deliver the words."""
        if url.partition("://")[0].strip().lower() in REFUSED_SCHEMES:
            return Told(REFUSED, "It would act on the server itself.")
        if not self._is_installed():
            return Told(LATER, str(AppriseNotInstalled()))
        answer = await self._ask(
            {"url": url, "title": words.title, "text": words.text, "type": _TYPES.get(words.severity, "info")}
        )
        return Told(str(answer["outcome"]), str(answer["said"]), is_kept_in=bool(answer.get("is_kept_in")))

    async def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        asked = json.dumps({**question, "allowed": self._allowed, "timeout_s": self._total_s * 0.8}).encode()
        child = await asyncio.create_subprocess_exec(
            # -P: the folder in which the server was started is no place to import from
            sys.executable, "-P", "-m", CHILD,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env=self._environ,
        )  # fmt: skip
        try:
            async with asyncio.timeout(self._total_s):
                said, complained = await child.communicate(asked)
        except TimeoutError:
            return {"outcome": LATER, "said": f"It did not end within {self._total_s:g} s.", "service": ""}
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        return _answer(said, complained)


def _handed_on(environ: Mapping[str, str]) -> dict[str, str]:
    kept = {name: environ[name] for name in _KEPT if name in environ}
    # requests looks for a password of the host in ~/.netrc, which is not for other people's plugins
    kept["NETRC"] = os.devnull
    # of the path only where our own packages lie: what is not on it the guard keeps shut
    path = [each for each in environ.get("PYTHONPATH", "").split(os.pathsep) if each and _has_package(each)]
    return {**kept, "PYTHONPATH": os.pathsep.join(path)} if path else kept


def _has_package(folder: str) -> bool:
    return any(os.path.isdir(os.path.join(folder, name)) for name in _PACKAGES)


def _answer(said: bytes, complained: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(said)
    except ValueError:
        answer = None
    if isinstance(answer, dict) and {"outcome", "said", "service"} <= answer.keys():
        return answer
    last = complained.decode("utf-8", "replace").strip().splitlines()[-1:]
    return {"outcome": LATER, "said": f"apprise failed: {''.join(last)[:SAID_CHARS]}", "service": ""}
