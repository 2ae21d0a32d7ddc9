"""What a process that runs other people's plugins may do: talk to public addresses, and nothing else.

Rules of this file:
- An audit hook cannot be taken off again, and sees what every library does: each connection with the address that it
  really goes to (so redirects, name servers that change their mind and protocols other than HTTP come past here), each
  program that is to be run, each file that is to be opened.
- What is refused for ever is a program, or a way to one. An address is refused until the server is started with leave
  to go there. A file that a library looked for is refused, too, and says nothing of the message: the library goes on
  without it, or the next try does.
- For a process that sends one message and ends; never for the server itself.
"""

import os
import socket
import ssl
import sys
import zoneinfo
from collections.abc import Iterable
from typing import Any

from ...errors.notifying import AddressRefused
from .reach import Reach, is_public

_PROGRAMS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty",
             "os.startfile", "pty.spawn")  # fmt: skip
_CONNECTIONS = ("socket.connect", "socket.sendto", "socket.sendmsg")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_DEVICES = (os.devnull, "/dev/urandom")
_CODE = (".py", ".pyc", ".so", ".pyd")
_DATA = ("certifi", "apprise", "tzdata", "zoneinfo")  # packages that read files of their own
_METADATA = (".dist-info", ".egg-info")  # which plugins a library has; a library looks there, too


class Guard:
    """Refuses with PermissionError, which libraries take for what it is; `refusals` are the sentences, `is_final` says
    that another try would end the same way, `is_kept_in` that it would unless the server may go there."""

    def __init__(self, reach: Reach) -> None:
        self.refusals: list[str] = []
        self.is_final = self.is_kept_in = False
        self._reach, self._allowed = reach, set[tuple[str, int]]()
        self._roots: tuple[str, ...] | None = None  # of Python's code
        self._known: tuple[str, ...] = ()
        self._ask = socket.getaddrinfo

    def install(self) -> None:
        """From now on, for the life of this process."""
        setattr(socket, "getaddrinfo", self._resolve)  # noqa: B010  the annotations forbid the plain way
        sys.addaudithook(self._hear)

    def close_files(self) -> None:
        """From now on no file is opened but Python's code, what its packages bring along, and what TLS needs."""
        paths = ssl.get_default_verify_paths()
        bundle = os.environ.get("REQUESTS_CA_BUNDLE")
        # the program itself is read by the module platform
        self._known = _folders([paths.cafile, paths.capath, bundle, *zoneinfo.TZPATH, sys.executable])
        self._roots = _folders([*sys.path, sys.prefix, sys.base_prefix])

    def _resolve(self, host: Any, port: Any, *rest: Any, **named: Any) -> Any:
        found = self._ask(host, port, *rest, **named)
        for *_, address in found:
            if isinstance(host, str) and self._reach.allows(host, int(address[1])):
                self._allowed.add((str(address[0]), int(address[1])))
        return found

    def _hear(self, event: str, details: tuple[Any, ...]) -> None:
        if event in _CONNECTIONS:
            self._connection(details[1])
        elif event in _PROGRAMS:
            self._refuse("It would run a program on the server.")
        elif event == "open" and self._roots is not None:
            self._file(details[0], details[2], self._roots)

    def _connection(self, address: Any) -> None:
        if address is None:  # of a socket that is connected, and was checked then
            return
        if not isinstance(address, tuple) or len(address) < 2:
            self._refuse("It would talk to a program on the server.")
        host, port = str(address[0]), int(address[1])
        if not is_public(host) and (host, port) not in self._allowed and not self._reach.allows(host, port):
            self.is_kept_in = True
            sentence = f"It leads to {host[:60]}, which is not a public address. {AddressRefused.hint}"
            self._refuse(sentence, is_final=False)

    def _file(self, path: Any, flags: int, roots: Iterable[str]) -> None:
        if not isinstance(path, str | bytes) or os.fsdecode(path) in _DEVICES:
            return
        real = os.path.realpath(os.fsdecode(path))
        is_known = any(_below(real, self._known)) or any(map(_is_pythons, _below(real, roots)))
        if flags & _WRITES or not is_known:
            self._refuse("It would read or write a file on the server.", is_final=False)

    def _refuse(self, sentence: str, is_final: bool = True) -> None:
        self.is_final = self.is_final or is_final
        if sentence not in self.refusals:
            self.refusals.append(sentence)
        raise PermissionError(sentence)


def _folders(known: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(root for root in map(os.path.realpath, filter(None, known)) if root != os.sep)


def _below(real: str, roots: Iterable[str]) -> list[str]:
    """The path within each of the roots in which it lies."""
    whole = [os.path.basename(real) for root in roots if real == root]
    return whole + [real.removeprefix(root + os.sep) for root in roots if real.startswith(root + os.sep)]


def _is_pythons(path: str) -> bool:
    """Code, or what a package brings along; a folder on Python's path may hold anything else, too."""
    *folders, name = path.split(os.sep)
    return name.endswith(_CODE) or any(folder in _DATA or folder.endswith(_METADATA) for folder in folders)
