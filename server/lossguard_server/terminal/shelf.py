"""The subcommands that list runs, name and tag them, put them away, delete them and bring them back.

Rules of this file: parse, call, print. What is said of one run is said of one: a name that several have is refused.
"""

import json
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from .client import Client, Refused, address
from .console import AsJson, Data, ask, show

Item = dict[str, Any]
RunWords = Annotated[
    str,
    typer.Argument(metavar="RUN", help="Its whole id, or a name (or project/name, or label) that only one run has."),
]
COLUMNS = ("id", "project", "name", "label", "state", "step", "total", "health", "tags")
LOOSE = {"ignore_unknown_options": True}  # -tag is no option


def runs(
    every: Annotated[bool, typer.Option("--all", help="Those that are archived as well.")] = False,
    deleted: Annotated[
        bool, typer.Option("--deleted", help="Only those that are deleted and can be restored.")
    ] = False,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """List the runs, newest first."""
    if deleted:
        found = ask(data, lambda client: list(client.get("/api/runs", deleted=True)["items"]))
    else:
        items = ask(data, lambda client: client.get("/api/runs")["items"])
        found = [item for item in items if every or not item.get("archived")]
    show(found, (*COLUMNS, "archived") if every else COLUMNS, as_json)


def label(
    run: RunWords,
    text: Annotated[str, typer.Argument(help='What you call it; "" takes the label away.')],
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Give a run a name of your own; its name in the training script stays."""
    changed = ask(data, lambda client: _change(client, client.only_run(run), {"label": text}))
    _say(changed, f"is called {changed['label']!r}" if changed["label"] else "has no label", as_json)


def tag(
    run: RunWords,
    changes: Annotated[
        list[str] | None, typer.Argument(metavar="[+TAG|-TAG]...", help="+a gives a, -b takes b.")
    ] = None,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Give tags to a run, or take them away; without any, show them."""

    def work(client: Client) -> Item:
        found = client.only_run(run)
        return _change(client, found, {"tags": _tagged(found["tags"], changes)}) if changes else found

    found = ask(data, work)
    _say(found, f"is tagged {', '.join(found['tags'])}" if found["tags"] else "has no tags", as_json)


def archive(run: RunWords, as_json: AsJson = False, data: Data = None) -> None:
    """Put a run away: `lossguard runs` and the page show it only when they are asked to."""
    _say(ask(data, lambda client: _change(client, client.only_run(run), {"archived": True})), "is archived", as_json)


def unarchive(run: RunWords, as_json: AsJson = False, data: Data = None) -> None:
    """Take a run back out of the archive."""
    changed = ask(data, lambda client: _change(client, client.only_run(run), {"archived": False}))
    _say(changed, "is not archived", as_json)


def delete(
    run: RunWords,
    now: Annotated[bool, typer.Option("--now", help="For good, at once: it cannot be restored.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Delete a run with everything that is stored of it; until the server's `--keep-deleted` is over it can be
    restored."""

    def remove(client: Client) -> Item:
        found = client.only_run(run, "all" if now else "shown")
        if not yes:
            for_good = " for good" if now else ""
            _confirm(f"Delete run {_words(found)} with all its points, alerts and commands{for_good}?")
        client.delete(address("runs", found["id"]), **({"now": True} if now else {}))
        return found

    gone = ask(data, remove)
    hint = "" if now else f"; `lossguard restore {gone['id']}` brings it back"
    print(json.dumps({"run": gone["id"]}) if as_json else f"run {_words(gone)} is deleted{hint}")


def restore(run: RunWords, as_json: AsJson = False, data: Data = None) -> None:
    """Bring a deleted run back."""

    def work(client: Client) -> Item:
        found = client.only_run(run, "deleted")
        return dict(client.post(address("runs", found["id"], "restore"), {}))

    _say(ask(data, work), "is there again", as_json)


def add_to(app: typer.Typer) -> None:
    """Put the subcommands on the app."""
    app.command()(runs)
    app.command()(label)
    app.command(context_settings=LOOSE)(tag)
    verbs: tuple[Callable[..., None], ...] = (archive, unarchive, delete, restore)
    for verb in verbs:
        app.command()(verb)


def _change(client: Client, run: Item, change: Item) -> Item:
    return dict(client.patch(address("runs", run["id"]), change))


def _tagged(tags: list[str], changes: list[str]) -> list[str]:
    """The tags after the changes, in order. Raises Refused."""
    found = list(tags)
    for change in changes:
        sign, name = change[:1], change[1:].strip()
        if sign not in ("+", "-") or not name:
            raise Refused(f"{change!r} is no change of a tag.", "Say +TAG to give one, -TAG to take one away.")
        found = [each for each in found if each != name] + ([name] if sign == "+" else [])
    return found


def _say(run: Item, what: str, as_json: bool) -> None:
    print(json.dumps(run) if as_json else f"run {_words(run)} {what}")


def _words(run: Item) -> str:
    return f"{run['id']} ({run['project']}/{run['name']}, {run['state']})"


def _confirm(question: str) -> None:
    """Raises Refused unless a person says yes."""
    if not sys.stdin.isatty():
        raise Refused(question, "Nobody is there to answer; give --yes.")
    if not typer.confirm(question):
        raise Refused("Nothing is deleted.")
