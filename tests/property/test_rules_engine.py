"""However rows are cut, and whatever they hold and is declared: the same alerts, and never an exception."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lossguard.protocol.messages import ContractSpec, Declaration, RampSpec, StageSpec
from lossguard_server.rules.alert import Alert, AlertChange
from lossguard_server.services.engine import RULE_HEALTH
from lossguard_server.store.rows import Rows
from unit.rules.rule_world import ANYTHING, Trace, new_engine, noisy, report, report_declaration, rows_of

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


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, N - 1), max_size=40))
def test_any_batching_gives_the_same_alerts(cuts: list[int]) -> None:
    whole = judged_in([(0, N)], incident())
    rules = {change.alert.rule for change in whole}
    assert {"contribution_dominates", "grad_norm_high", "nonfinite"} <= rules
    assert repr(judged_in(cut_at(cuts), incident())) == repr(whole)


@settings(max_examples=15, deadline=None)
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


@settings(max_examples=35, deadline=None)
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


HOSTILE = [0.0, -0.0, 1.0, -1.0, 2.0, 50.0, 1e5, 1e17, 5e-324, -5e-324, 1e-300, 1e308, -1e308, 1.7e308]
NOT_FINITE = [float("nan"), float("inf"), float("-inf")]
KINDS = ["", "range", "bound", "count", "ratio", "psd", "blend", "unheard of"]
EVERY_KIND = [
    "loss/total", "loss/a", "loss/b", "weight/a", "weight/b", "contribution/a", "share/a", "grad_norm/total",
    "grad_norm/layer", "grad_share/a", "grad_share/b", "grad_cos/a|b", "update_ratio/layer", "activation/block/rms",
    "matrix/R/fro", "matrix/R/spec", "matrix/R/trace", "matrix/R/trace_min", "matrix/R/defect", "matrix/R/diag_min",
    "matrix/P/fro", "matrix/Q/fro", "count/m", "eval/loss/a", "eval/matrix/R/fro", "eval/matrix/R/trace",
    "eval/activation/block/rms", "loss_scale", "skipped", "lr", "step_time_s", "data_wait_s",
    "memory/cuda:0/total_gib", "memory/cuda:0/peak_gib", "system/rss_gib", "system/host_free_gib", "x",
]  # fmt: skip
bounds = st.none() | st.sampled_from([*HOSTILE, *NOT_FINITE, 30.0, 60.0])
contracts = st.builds(
    ContractSpec,
    st.sampled_from([*EVERY_KIND, "matrix/R", "matrix/P", "not logged"]),
    bounds,
    bounds,
    st.sampled_from(KINDS),
    st.sampled_from([[], ["loss/b"], ["matrix/P", "matrix/Q"], ["count/m"], ["not logged"]]),
    bounds,
)
likely = st.one_of(
    st.builds(ContractSpec, st.just("count/m"), bounds, bounds, st.just("count"), st.just([]), bounds),
    st.builds(ContractSpec, st.just("matrix/R"), st.none(), st.none(), st.just("psd"), st.just([]), bounds),
    st.builds(ContractSpec, st.just("loss/a"), bounds, bounds, st.sampled_from(["", "bound"])),
)
weights = st.sampled_from([0.0, 1.0, 0.01, -1.0, 1e308, 5e-324, RampSpec(0.0, 1.0, 10), RampSpec(1e308, 1e-300, 5)])


def hostile_trace(names: list[str], rows: int, part: float, seed: int) -> Trace:
    """Series at extreme levels, some growing, with values among them that are worse."""
    rng, at = np.random.default_rng(seed), np.arange(rows)
    trace = {}
    for name in names:
        grown = rng.choice([1.0, 1.0, 1.0, 1.05, 2.0, 0.9]) ** np.minimum(at, 300)
        with np.errstate(over="ignore", under="ignore"):
            usual = rng.choice([1.0, 700.0, 1e-3, 1e-300, 1e300, 1e-12]) * grown * np.exp(rng.normal(0.0, 0.05, rows))
        trace[name] = np.where(rng.random(rows) < part, rng.choice([*HOSTILE, *NOT_FINITE], rows), usual)
    return trace


@settings(max_examples=90, deadline=None)
@given(
    st.lists(st.sampled_from(EVERY_KIND), min_size=5, unique=True),
    st.lists(contracts | likely, max_size=6),
    st.lists(weights, min_size=5, max_size=5),
    st.sampled_from([5, 30, 80, 250]),
    st.sampled_from([0.01, 0.05, 0.3, 1.0]),
    st.integers(0, 10_000),
    st.sampled_from([1, 7, 1000]),
)
def test_no_value_of_any_series_under_any_contract_breaks_a_rule(
    names: list[str], declared: list[ContractSpec], w: list[float | RampSpec], n: int, part: float, seed: int, cut: int
) -> None:
    stages = [StageSpec("s", 0, {"a": w[0], "b": w[1]}), StageSpec("t", 40, {"a": w[2], "b": w[3], "c": w[4]})]
    declaration = Declaration(
        seq=1,
        components=["a", "b", "c"],
        stages=stages,
        controls=ANYTHING,
        contracts=declared,
        config={"batch_size": 64},
    )
    engine, trace = new_engine(), hostile_trace(names, n, part, seed)
    engine.declare("run", declaration)
    changes = list[AlertChange]()
    for first in range(0, n, cut):
        changes += engine.observe("run", [rows_of(trace, first, first + cut)])
    for change in changes + engine.flush("run"):
        assert change.alert.rule != RULE_HEALTH, change.alert.message + str(change.alert.evidence)
        assert repr(Alert.from_dict(change.alert.to_dict())) == repr(change.alert)
