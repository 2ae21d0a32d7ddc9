"""What people do with runs as things: name them, tag them, put them away, delete them for now, and bring them back.

Rules of this file:
- What a person says is checked here, and a refusal says which part, what is wrong with it and what to do.
- A change, its line in the audit trail and the time of it are one transaction; then whoever looks is told.
- Deleting marks a run and hides it. Its rows stay until services/retention.py takes them.
- A run with a trainer that is connected, or connects just now, is not deleted; a trainer that connects later brings a
  deleted run back (store/runs.py).
"""

from collections.abc import Callable, Mapping
from typing import Any

from sqlmodel import Session

from ..errors import BadRunChange, RunConnected, UnknownRun
from ..store import audit, runs
from ..store.columns import Reading
from ..store.runs import StoredRun
from ..store.writer import Writer
from .clock import Clock
from .live import LiveRun
from .records import Records
from .registry import Registry

LABEL_MAX, NOTE_MAX, TAGS_MAX, TAG_MAX = 200, 4_000, 20, 50  # characters, and tags
BY_TRAINER = "Its trainer connected."


class Shelf:
    """Owned by the event loop's thread."""

    def __init__(
        self,
        writer: Writer,
        reading: Reading,
        registry: Registry,
        clock: Clock,
        tell: Callable[[LiveRun], None],
        hide: Callable[[str], None],
    ) -> None:
        """`tell` is given a run that changed or came back; `hide`, the id of one that nobody shall be shown."""
        self._records, self._registry, self._clock = Records(writer, reading), registry, clock
        self._tell, self._hide = tell, hide

    async def change(self, run_id: str, said: Mapping[str, Any], actor: str) -> LiveRun:
        """Set `label`, `note`, `tags` or `archived`; what is not in `said` stays. Raises BadRunChange, UnknownRun."""
        wall_s, wanted = self._clock.wall_s(), checked(said)
        run = await self._registry.find(run_id)
        run.said(await self._records.write(lambda session: _change(session, run_id, wanted, wall_s, actor)))
        self._tell(run)
        return run

    async def delete(self, run_id: str, actor: str) -> LiveRun:
        """Hide the run; deleted again, it stays as it is. Raises RunConnected, UnknownRun, StorageError."""
        run = await self._registry.find(run_id)
        # nothing comes between this look and the writer's queue: whoever connects later restores the run
        if self._registry.is_in_use(run_id):
            raise RunConnected(f"It is {run_id[:80]!r}.")
        wall_s = self._clock.wall_s()
        run.said(await self._records.write(lambda session: _delete(session, run_id, wall_s, actor)))
        self._hide(run_id)
        return run

    async def restore(self, run_id: str, actor: str) -> LiveRun:
        """Bring a run back; one that is not deleted stays as it is. Raises UnknownRun, StorageError."""
        wall_s = self._clock.wall_s()
        run = await self._registry.find(run_id)
        run.said(await self._records.write(lambda session: _restore(session, run_id, wall_s, actor)))
        self._tell(run)
        return run


def checked(said: Mapping[str, Any]) -> dict[str, Any]:
    """What a person said, as it is stored. Raises BadRunChange."""
    readers: dict[str, Callable[[Any], Any]] = {"label": _label, "note": _note, "tags": _tags, "archived": bool}
    return {name: read(said[name]) for name, read in readers.items() if name in said}


def came_back(session: Session, before: StoredRun | None, wall_s: float) -> None:
    """In the transaction in which a trainer opens its run: that this restored it is told, if it did."""
    if before is not None and before.deleted_s is not None:
        audit.add(session, wall_s, "trainer", "run restored", {"why": BY_TRAINER}, before.id)


def _label(label: str) -> str:
    _text("label", label.strip(), LABEL_MAX, "Shorten it; the note has room for more.")
    return _line("label", label.strip())


def _note(note: str) -> str:
    return _text("note", note.strip(), NOTE_MAX, "Shorten it, or keep it elsewhere and put a link here.")


def _tags(tags: list[str]) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(tag.strip() for tag in tags))
    if len(found) > TAGS_MAX:
        raise BadRunChange(f"`tags` has {len(found)} tags; a run has at most {TAGS_MAX}.", "Take some of them away.")
    for place, tag in enumerate(found):
        if not tag:
            raise BadRunChange(f"`tags` has an empty tag at place {place}.", "Leave it out, or give it characters.")
        _text(f"tags[{place}]", _line(f"tags[{place}]", tag), TAG_MAX, "Shorten it; the note has room for more.")
    return found


def _line(name: str, text: str) -> str:
    if any(not letter.isprintable() for letter in text):
        raise BadRunChange(f"`{name}` holds a line break or another character that cannot be seen.", "Leave it out.")
    return text


def _text(name: str, text: str, most: int, hint: str) -> str:
    if len(text) > most:
        raise BadRunChange(f"`{name}` has {len(text)} characters, at most {most} are kept.", hint)
    try:
        text.encode()  # JSON's escapes can spell half a character, which no database can carry
    except UnicodeEncodeError:
        raise BadRunChange(f"`{name}` is not valid Unicode.", "Send it as UTF-8.") from None
    if "\0" in text:
        raise BadRunChange(f"`{name}` holds a NUL character.", "Leave it out.")
    return text


def _change(session: Session, run_id: str, wanted: dict[str, Any], wall_s: float, actor: str) -> StoredRun:
    stored, _ = _say(session, run_id, {})
    detail = {name: [before, after] for name, after in wanted.items() if (before := getattr(stored, name)) != after}
    if not detail:
        return stored
    audit.add(session, wall_s, actor, "run changed", detail, run_id)
    new = {name: after for name, (_, after) in detail.items()}
    if "archived" in new:
        new["archived_s"] = wall_s if new.pop("archived") else None
    return _say(session, run_id, new)[1]


def _delete(session: Session, run_id: str, wall_s: float, actor: str) -> StoredRun:
    stored, _ = _say(session, run_id, {})
    if stored.deleted_s is not None:
        return stored
    audit.add(session, wall_s, actor, "run deleted for now", {}, run_id)
    return _say(session, run_id, {"deleted_s": wall_s})[1]


def _restore(session: Session, run_id: str, wall_s: float, actor: str) -> StoredRun:
    before, after = _say(session, run_id, {"deleted_s": None})
    if before.deleted_s is not None:
        audit.add(session, wall_s, actor, "run restored", {"deleted_s": before.deleted_s}, run_id)
    return after


def _say(session: Session, run_id: str, said: dict[str, Any]) -> tuple[StoredRun, StoredRun]:
    if (found := runs.say(session, run_id, **said)) is None:
        raise UnknownRun(f"It was asked for as {run_id[:80]!r}.")
    return found
