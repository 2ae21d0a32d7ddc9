"""One message through the library apprise, in a process of its own: a question on stdin, an answer on stdout.

Rules of this file:
- The address has secrets in it: it comes by stdin, and never stands in a command line, an environment or a log.
- The guard stands before the library sees the address.
- Asked without a message it only says which service the address is for.
"""

import json
import logging
import mimetypes
import re
import sys
from typing import Any

from .apprise_guard import Guard
from .reach import Reach
from .schemes import REFUSED_SCHEMES
from .told import DELIVERED, LATER, REFUSED, SAID_CHARS, outcome_of

_STATUS = re.compile(r"\berror[=:]\s*(\d{3})\b")  # how the plugins' complaints end
_NOT_UNDERSTOOD = "The address is not one that apprise understands."


def main() -> None:
    """Answer one question: {url, allowed, title?, text?, type?, timeout_s} with {outcome, said, service,
    is_kept_in?}."""
    question = json.loads(sys.stdin.buffer.read())
    out, sys.stdout = sys.stdout, sys.stderr  # whatever a plugin prints is no answer
    answer = answered(question)
    json.dump(answer, out)
    out.flush()


def answered(question: dict[str, Any]) -> dict[str, Any]:
    """The answer; from now on this process can do little else."""
    guard = Guard(Reach(question["allowed"]))
    guard.install()
    from apprise import Apprise, AppriseAsset, NotificationManager

    manager: Any = NotificationManager()  # type: ignore[no-untyped-call]
    manager.load_modules()
    manager.disable(*REFUSED_SCHEMES)
    logging.getLogger("apprise").setLevel(logging.DEBUG)  # of the details only the other side's answer is taken
    mimetypes.init()  # it reads the system's lists
    guard.close_files()
    asset = AppriseAsset(http_redirects=False, pgp_autogen=False, pem_autogen=False, async_mode=False)
    service = Apprise.instantiate(question["url"], asset=asset)
    if service is None:
        return {"outcome": REFUSED, "said": " ".join(guard.refusals) or _NOT_UNDERSTOOD, "service": ""}
    name = str(service.service_name)
    if "text" not in question:
        return {"outcome": DELIVERED, "said": "", "service": name}
    sender = Apprise(service, asset=asset)
    result = sender.notify(
        body=question["text"],
        title=question["title"],
        notify_type=question["type"],
        body_format="text",
        timeout=question["timeout_s"],
        log_level=logging.DEBUG,
    )
    lines = [(entry.level, str(entry.message)) for entry in result.logs()]
    outcome = _outcome(bool(result), lines, guard)
    is_kept_in = outcome == LATER and guard.is_kept_in
    return {"outcome": outcome, "said": _said(lines, guard), "service": name, "is_kept_in": is_kept_in}


def _outcome(is_delivered: bool, lines: list[tuple[str, str]], guard: Guard) -> str:
    if is_delivered:
        return DELIVERED
    statuses = {int(found) for _, line in lines for found in _STATUS.findall(line)}
    # a mail server may answer in three digits, too; 5yz there is "never", and is tried again like HTTP's: for a day
    is_final = guard.is_final or (bool(statuses) and all(outcome_of(status) == REFUSED for status in statuses))
    return REFUSED if is_final else LATER


def _said(lines: list[tuple[str, str]], guard: Guard) -> str:
    """What the plugin said of it, and what the other side said to the plugin."""
    told = [line for level, line in lines if level != "DEBUG" or line.startswith("Response Details")]
    return " ".join([*guard.refusals, *told])[:SAID_CHARS]


if __name__ == "__main__":
    main()
