"""Any frames, rollbacks and attempts, in any order of arrival: every road shows what a plain list of points shows."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from helpers import examples
from lossguard.protocol.messages import Sequenced
from lossguard_server.store import journal
from lossguard_server.store.branches import shown_tails
from lossguard_server.store.points import Points
from store_world import frame, opened_store, rollback, schema

ATTEMPTS = 3
# (attempt, first step, rows; rows 0: a rollback to that step, look at the points in between)
happenings = st.lists(
    st.tuples(st.integers(0, ATTEMPTS - 1), st.integers(0, 12), st.integers(0, 4), st.booleans()), max_size=25
)


def plain(streams: list[list[tuple[int, int, float]]]) -> dict[int, float]:
    """By the words of the rule: a point is shown unless something after it, or a newer attempt, went back past it."""
    shown: dict[int, float] = {}
    for stream in streams:  # older attempts first
        for step, rows, value in stream:
            if rows == 0:
                shown = {at: each for at, each in shown.items() if at < step}
            shown |= dict.fromkeys(range(step, step + rows), value)
    return shown


@given(happenings)
@examples(40)
def test_every_road_shows_the_same(found: list[tuple[int, int, int, bool]]) -> None:
    with TemporaryDirectory() as folder, opened_store(Path(folder)) as store:
        heads = [store.stream(attempt=attempt) for attempt in range(ATTEMPTS)]
        looked, model = Points(store.reading), [list[tuple[int, int, float]]() for _ in heads]
        for head in heads:
            store.append(head, schema(1, "a"))
        for number, (attempt, step, rows, is_looked_at) in enumerate(found):
            seq, value = len(model[attempt]) + 2, float(number)
            message: Sequenced = (
                frame(seq, range(step, step + rows), [value] * rows) if rows else rollback(seq, 13, step)
            )
            store.append(heads[attempt], message)
            model[attempt].append((step, rows, value))
            if is_looked_at:
                looked.extents("r1")
        wanted = plain(model)
        for points in (looked, Points(store.reading)):
            buckets = points.query("r1", ["a"], None, None, None)
            steps, values = buckets.series["a"].step.tolist(), buckets.series["a"].first.tolist()
            assert dict(zip(steps, values, strict=True)) == wanted
            assert buckets.last_step == max(wanted, default=-1)
        with store.reading() as session:
            known = [(head, head.last_seq) for head in journal.streams(session, "r1")]
            tails = list(shown_tails(session, known, 1_000))
        merged: dict[int, float] = {}
        for rows_of in (rows for each in reversed(tails) for rows in each):
            merged |= dict(zip(rows_of.steps.tolist(), rows_of.columns[0].tolist(), strict=True))
        assert merged == wanted
