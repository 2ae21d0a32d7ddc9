"""The subcommands of `lossguard notify`: where notifications go, and whether they get there.

Rules of this file: parse, call, print. An address may be given on stdin (`-`), because a command line is seen by every
user of the machine and kept by the shell.
"""

import json
import re
import sys
from typing import Annotated, Any

import typer
from rich.console import Console

from .client import Client, Refused, address
from .console import AsJson, Data, ask, cell, put_lines, show

STDIN = "-"
TEST_TIMEOUT_S = 45.0  # a mail server takes its time; the server itself gives up after 30 s
SCHEMES = ("http", "https")
SEVERITIES = ("critical", "warning")
TIME = re.compile("([01][0-9]|2[0-3]):[0-5][0-9]")

app = typer.Typer(no_args_is_help=True, help="Notifications: where they go, and what became of them.")
ChannelName = Annotated[str, typer.Argument(metavar="CHANNEL", help="A channel's id or name.")]
_COLUMNS = ("id", "name", "kind", "service", "enabled", "severity", "resolved", "projects", "quiet")


@app.command("list")
def channels(as_json: AsJson = False, data: Data = None) -> None:
    """List the channels, without their secrets."""
    items = ask(data, lambda client: client.get("/api/channels")["items"])
    show(items if as_json else [{**item, "quiet": _hours(item["quiet"])} for item in items], _COLUMNS, as_json)


@app.command()
def outbox(
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="How many.")] = 50,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """List the last notifications: owed, delivered, given up and why."""
    items = ask(data, lambda client: client.get("/api/notifications", limit=limit)["items"])
    print(json.dumps(items)) if as_json else put_lines(Console(), [_entry(item) for item in items])


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="What to call it.")],
    url: Annotated[str, typer.Argument(help="An http(s) webhook or an address of apprise's; - reads it from stdin.")],
    apprise: Annotated[bool, typer.Option("--apprise", help="An http(s) address is one of apprise's, too.")] = False,
    severity: Annotated[str, typer.Option(help="critical, or warning for both.")] = "critical",
    project: Annotated[list[str] | None, typer.Option(help="Only of this project; may be given several times.")] = None,
    resolved: Annotated[bool, typer.Option("--resolved", help="Tell the end of an incident, too.")] = False,
    quiet: Annotated[str | None, typer.Option(metavar="HH:MM-HH:MM", help="Quiet hours.")] = None,
    zone: Annotated[str, typer.Option(help="The zone of the quiet hours, such as Europe/Berlin.")] = "UTC",
    wake_for_nonfinite: Annotated[
        bool, typer.Option("--wake-for-nonfinite", help="A critical non-finite value is told in quiet hours, too.")
    ] = False,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Add a channel; a webhook's secret is shown once."""
    if severity not in SEVERITIES:
        raise typer.BadParameter(f"{severity!r}: it is critical, or warning for both.", param_hint="--severity")
    hours = None if quiet is None else {**_times(quiet), "zone": zone, "nonfinite_breaks": wake_for_nonfinite}
    given = sys.stdin.readline().strip() if url == STDIN else url
    is_webhook = given.partition("://")[0].lower() in SCHEMES and not apprise
    body = {
        "name": name,
        "kind": "webhook" if is_webhook else "apprise",
        "url": given,
        "severity": severity,
        "projects": list(project or ()),
        "resolved": resolved,
    }

    if hours is not None:
        body["quiet"] = hours
    made = ask(data, lambda client: client.post("/api/channels", body, TEST_TIMEOUT_S))
    if as_json:
        print(json.dumps(made))
        return
    print(f"channel {made['name']} ({made['service']}) is {made['id']}")
    if made["secret"]:
        print(f"its secret, shown this once: {made['secret']}")


@app.command("test")
def try_out(channel: ChannelName, as_json: AsJson = False, data: Data = None) -> None:
    """Send a real message; prints what the other side said. Exit code 1 when it was not delivered."""

    def send(client: Client) -> Any:
        found = _find(client, channel)
        return client.post(address("channels", found["id"], "test"), {}, TEST_TIMEOUT_S)

    tested = ask(data, send)
    if as_json:
        print(json.dumps(tested))
    else:
        print(
            f"{'delivered' if tested['delivered'] else 'not delivered'} in {tested['took_s']:.1f} s: {tested['said']}"
        )
    if not tested["delivered"]:
        raise typer.Exit(1)


@app.command()
def remove(channel: ChannelName, as_json: AsJson = False, data: Data = None) -> None:
    """Remove a channel, with what is still owed to it."""

    def delete(client: Client) -> Any:
        found = _find(client, channel)
        client.delete(address("channels", found["id"]))
        return found

    gone = ask(data, delete)
    print(json.dumps({"channel": gone["id"]}) if as_json else f"channel {gone['name']} is removed")


def _find(client: Client, wanted: str) -> dict[str, Any]:
    """The channel of that id, or the only one of that name. Raises Refused."""
    items: list[dict[str, Any]] = client.get("/api/channels")["items"]
    found = [item for item in items if item["id"] == wanted] or [item for item in items if item["name"] == wanted]
    if len(found) == 1:
        return found[0]
    what = f"{len(found)} channels are" if found else "No channel is"
    raise Refused(f"{what} called {wanted!r}.", "`lossguard notify list` lists them; give an id.")


def _times(quiet: str) -> dict[str, str]:
    start, dash, end = (part.strip() for part in quiet.partition("-"))
    if not dash or not TIME.fullmatch(start) or not TIME.fullmatch(end):
        raise typer.BadParameter(f"{quiet!r} are no quiet hours: give them as 22:00-07:00.", param_hint="--quiet")
    return {"from": start, "to": end}


def _entry(item: dict[str, Any]) -> tuple[list[str], list[str]]:
    """A notification's line, with its message and what became of it."""
    facts = [cell(item.get(key)) for key in ("state", "channel_name", "severity", "run", "kind")]
    tries = item.get("tries", 0)
    said = f"after {tries} {'try' if tries == 1 else 'tries'}: {item['said']}" if item.get("said") else ""
    return [*facts, f"step {cell(item.get('step'))}"], [cell(item.get("message")), said]


def _hours(quiet: dict[str, Any] | None) -> str:
    return "" if quiet is None else f"{quiet['from']}-{quiet['to']} {quiet['zone']}"
