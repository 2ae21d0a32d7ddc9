"""However rows are cut into batches, and whatever they hold: the same alerts, and never an exception."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lossguard_server.rules.alert import Alert, AlertChange
from lossguard_server.services.engine import RULE_HEALTH
from lossguard_server.store.rows import Rows
from unit.rules.rule_world import Trace, new_engine, noisy, report, report_declaration, rows_of

N = 160


def incident() -> Trace:
    """A stage that dominates, a gradient that follows, a NaN near the end."""
    norm = noisy(0.5, N, 0.3, 3) * np.where(np.arange(N) < 100, 1.0, 20.0)
    trace = report(N, 100) | {"grad_norm/total": norm}
    trace["loss/ce"][150] = trace["loss/total"][150] = np.nan
    return trace


def cut_at(cuts: list[int]) -> list[tuple[int, int]]:
    edges = [0, *sorted(set(cuts)), N]
    return [(a, b) for a, b in pairwise(edges) if a < b]


def judged_in(batches: list[tuple[int, int]], trace: Trace) -> list[AlertChange]:
    engine = new_engine()
    engine.declare("run", report_declaration(100))
    changes = list[AlertChange]()
    for a, b in batches:
        changes += engine.observe("run", [rows_of(trace, a, b)])
    return changes + engine.flush("run")


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, N - 1), max_size=40))
def test_any_batching_gives_the_same_alerts(cuts: list[int]) -> None:
    whole = judged_in([(0, N)], incident())
    rules = {change.alert.rule for change in whole}
    assert {"contribution_dominates", "grad_norm_high", "nonfinite"} <= rules
    assert repr(judged_in(cut_at(cuts), incident())) == repr(whole)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_series_that_come_in_frames_of_their_own_before_the_total_change_nothing(data: st.DataObject) -> None:
    trace = incident()
    others = data.draw(st.permutations([name for name in trace if name != "loss/total"]))
    split = data.draw(st.integers(0, len(others)))
    engine, changes = new_engine(), list[AlertChange]()
    engine.declare("run", report_declaration(100))
    engine.observe("run", [rows_of(trace, 0, 0)])  # the same numbering
    for step in range(N):
        for names in (others[:split], [*others[split:], "loss/total"]):
            row = np.array([trace[name][step] for name in names]).reshape(len(names), 1)
            changes += engine.observe("run", [Rows(np.array([step]), tuple(names), row)])
    assert repr(changes + engine.flush("run")) == repr(judged_in([(0, N)], trace))


values = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, -0.0, 2.0, 1e300, 5e-324, float("nan")]),
)
series = st.sampled_from(
    [
        "loss/total",
        "loss/ce",
        "loss/precursor",
        "weight/ce",
        "weight/precursor",
        "grad_norm/total",
        "matrix/R/fro",
        "x/é",
    ]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 200), st.dictionaries(series, values, max_size=8)), max_size=60))
def test_no_numbers_break_a_rule_or_give_an_alert_that_cannot_be_written(
    rows: list[tuple[int, dict[str, float]]],
) -> None:
    engine, changes = new_engine(), list[AlertChange]()
    engine.declare("run", report_declaration(100))
    for step, row in rows:
        columns = np.array(list(row.values())).reshape(len(row), 1)
        changes += engine.observe("run", [Rows(np.array([step]), tuple(row), columns)])
    for change in changes + engine.flush("run"):
        assert change.alert.rule != RULE_HEALTH, change.alert.message
        assert repr(Alert.from_dict(change.alert.to_dict())) == repr(change.alert)
        blame = change.alert.blame
        assert blame is None or sum(part["percent"] for part in blame["parts"]) == 100
