"""Any frames, rollbacks, attempts and folds, in any order: every road shows what a plain list of points shows."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import Session, text

from helpers import examples
from lossguard.protocol.messages import Sequenced
from lossguard_server.store import journal
from lossguard_server.store.branches import shown_tails
from lossguard_server.store.journal import StreamHead
from lossguard_server.store.points import Points
from store_world import Store, entry, frame, opened_store, rollback, schema

ATTEMPTS = 3
# (what, attempt, first step, rows): frame: rows from a step on, a total among them or not; rollback: to that step;
# fold: up to a message; look: at the points in between
happenings = st.lists(
    st.tuples(
        st.sampled_from(["frame", "frame", "total", "rollback", "fold", "look"]),
        st.integers(0, ATTEMPTS - 1),
        st.integers(0, 12),
        st.integers(1, 4),
    ),
    max_size=25,
)
Arrived = tuple[str, int, int, float]  # frame, total or rollback; first step; rows; value


def plain(streams: list[list[Arrived]]) -> dict[int, float]:
    """By the words of the rule: a point is shown unless something after it, or a newer attempt, went back past it, or
    a newer attempt trains from before it on."""
    shown: dict[int, float] = {}
    for stream in streams:  # older attempts first
        begins = next((step for kind, step, _, _ in stream if kind == "total"), 1_000)
        shown = {at: each for at, each in shown.items() if at < begins}
        for kind, step, rows, value in stream:
            if kind == "rollback":
                shown = {at: each for at, each in shown.items() if at < step}
            else:
                shown |= dict.fromkeys(range(step, step + rows), value)
    return shown


def arrive(store: Store, head: StreamHead, model: list[Arrived], kind: str, step: int, rows: int, value: float) -> None:
    seq = len(model) + 2
    message: Sequenced = (
        rollback(seq, 13, step) if kind == "rollback" else frame(seq, range(step, step + rows), [value] * rows)
    )
    begins_step = step if kind == "total" else None
    store.write(lambda session: journal.append(session, head.id, [entry(message)], begins_step))
    model.append((kind, step, rows, value))


@given(happenings)
@examples(60)
def test_every_road_shows_the_same(found: list[tuple[str, int, int, int]]) -> None:
    with TemporaryDirectory() as folder, opened_store(Path(folder)) as store:
        heads = [store.stream(attempt=attempt) for attempt in range(ATTEMPTS)]
        looked, model = Points(store.reading), [list[Arrived]() for _ in heads]
        for head in heads:
            store.append(head, schema(1, "a"))
        for number, (what, attempt, step, rows) in enumerate(found):
            match what:
                case "fold":
                    store.fold(heads[attempt], up_to_seq=1 + step, page_bytes=1 if rows < 3 else 1_000)
                case "look":
                    looked.extents("r1")
                case _:
                    arrive(store, heads[attempt], model[attempt], what, step, rows, float(number))
        wanted = plain(model)
        assert merged(store) == wanted
        for points in (looked, Points(store.reading)):
            assert_shows(points, wanted)
        for head in heads:
            store.fold(head)
        assert_shows(looked, wanted)
        assert merged(store) == wanted
        assert store.read(frames_left) == 0


def assert_shows(points: Points, wanted: dict[int, float]) -> None:
    last_step = max(wanted, default=-1)
    answer = points.query("r1", ["a"], None, None, None)
    buckets = answer.series["a"]
    assert dict(zip(buckets.step.tolist(), buckets.first.tolist(), strict=True)) == wanted
    assert answer.last_step == last_step
    steps, values = points.raw("r1", ["a"], 3, 9)["a"]
    assert dict(zip(steps.tolist(), values.tolist(), strict=True)) == {
        at: value for at, value in wanted.items() if 3 <= at <= 9
    }
    extents = [(each.first_step, each.last_step, each.count) for each in points.extents("r1")]
    assert extents == ([(min(wanted), last_step, len(wanted))] if wanted else [])


def merged(store: Store) -> dict[int, float]:
    """What `shown_tails` shows, older attempts first."""
    with store.reading() as session:
        known = [(head, head.last_seq) for head in journal.streams(session, "r1")]
        tails = list(shown_tails(session, known, 1_000))
    found: dict[int, float] = {}
    for rows_of in (rows for each in reversed(tails) for rows in each):
        found |= dict(zip(rows_of.steps.tolist(), rows_of.columns[0].tolist(), strict=True))
    return found


def frames_left(session: Session) -> int:
    return int(session.connection().execute(text("SELECT count(*) FROM journal WHERE kind = 'frame'")).scalar_one())
