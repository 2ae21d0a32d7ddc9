"""What holds of every PSD matrix and of every blend, whatever their values."""

import numpy as np
import pytest

from lossguard.protocol.messages import ContractSpec
from lossguard_server.rules import contract
from lossguard_server.rules.alert import AlertChange
from unit.rules.rule_world import Trace, declared, judged, summed

RULE = contract.rule()
NORMALISED = ContractSpec("matrix/R", kind="psd", expected=144.0)
ANY = ContractSpec("matrix/R", kind="psd")
BLEND = ContractSpec("matrix/R_blend", kind="blend", of=["matrix/R_samp", "matrix/R_pred"])


def norms(name: str = "R", n: int = 4, **values: float) -> Trace:
    """The norms of a random covariance of 144 variables, normalised to the trace 144, unless said otherwise."""
    usual = {"fro": 46.6, "spec": 30.0, "trace": 144.0, "defect": 0.0, "diag_min": 0.4}
    return {f"matrix/{name}/{norm}": np.full(n, value) for norm, value in (usual | values).items()}


def found(changes: list[AlertChange]) -> list[tuple[str, str, int]]:
    return [(change.alert.series, change.alert.severity, change.alert.last_step) for change in changes]


@pytest.mark.parametrize("declaration", [NORMALISED, ANY])
def test_a_real_covariance_is_silent(declaration: ContractSpec) -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(144, 60)) + 1j * rng.normal(size=(144, 60))
    r = (a @ a.conj().T / 60).astype(np.complex64)
    r *= 144 / np.trace(r).real
    values = {
        "fro": float(np.linalg.norm(r)),
        "trace": float(np.trace(r).real),
        "defect": float(np.abs(r - r.conj().T).max()),
        "diag_min": float(np.diag(r).real.min()),
    }
    assert judged(norms(**values), declared(declaration), RULE) == []


def test_a_missing_trace_normalisation_is_critical_at_the_first_step_and_named() -> None:
    (change,) = judged(norms(fro=2.85e-4, trace=8.8e-4, diag_min=1e-6), declared(NORMALISED), RULE)
    assert found([change]) == [("matrix/R/trace", "critical", 0)]
    assert "missing trace normalisation" in change.alert.message
    assert "1.6e5 times too small" in change.alert.message


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"trace": 145.0}, []),
        ({"trace": 146.0}, [("matrix/R/trace", "warning", 2)]),
        ({"trace": 0.0, "fro": 0.0, "diag_min": 0.0}, [("matrix/R/trace", "critical", 0)]),
        ({"trace": -144.0}, [("matrix/R/fro", "critical", 0), ("matrix/R/trace", "critical", 0)]),
        ({"fro": 144.5}, []),
        ({"fro": 150.0}, [("matrix/R/fro", "critical", 0)]),
        ({"diag_min": -0.1}, [("matrix/R/diag_min", "critical", 0)]),
        ({"diag_min": -1e-7}, []),
        ({"defect": 1e-5}, []),
        ({"defect": 0.01}, [("matrix/R/defect", "warning", 2)]),
        ({"defect": 2.0}, [("matrix/R/defect", "critical", 0)]),
    ],
)
def test_what_breaks_an_invariant(values: dict[str, float], expected: list[tuple[str, str, int]]) -> None:
    assert found(judged(norms(**values), declared(NORMALISED), RULE)) == expected


def test_without_a_declared_trace_it_is_positive_and_not_below_the_norm() -> None:
    assert judged(norms(trace=50.0), declared(ANY), RULE) == []
    assert found(judged(norms(trace=40.0), declared(ANY), RULE)) == [("matrix/R/fro", "critical", 0)]
    assert found(judged(norms(trace=0.0, fro=0.0), declared(ANY), RULE)) == [("matrix/R/trace", "critical", 0)]


def test_of_a_batch_the_largest_norm_is_not_compared_with_the_mean_trace() -> None:
    batch = norms(trace=40.0) | {"matrix/R/trace_min": np.full(4, 1.0)}
    assert judged(batch, declared(ANY), RULE) == []
    batch = norms(fro=150.0) | {"matrix/R/trace_min": np.full(4, 144.0)}
    assert found(judged(batch, declared(NORMALISED), RULE)) == [("matrix/R/fro", "critical", 0)]


def test_it_holds_in_evaluation_mode() -> None:
    trace = {f"eval/{name}": values for name, values in norms(trace=8.8e-4, fro=2.85e-4).items()}
    assert found(judged(trace, declared(NORMALISED), RULE)) == [("eval/matrix/R/trace", "critical", 0)]


def blended(blend: float, samp: float = 46.6, pred: float = 65.1) -> Trace:
    return {
        "matrix/R_blend/fro": np.full(4, blend),
        "matrix/R_samp/fro": np.full(4, samp),
        "matrix/R_pred/fro": np.full(4, pred),
    }


def test_a_blend_is_not_larger_than_its_parts() -> None:
    assert judged(blended(60.0), declared(BLEND), RULE) == []
    assert judged(blended(65.5), declared(BLEND), RULE) == [], "within 1 %"
    (change,) = judged(blended(3.46e12), declared(BLEND), RULE)
    assert found([change]) == [("matrix/R_blend/fro", "critical", 0)]
    assert "5.3e10 times the largest of its parts" in change.alert.message
    assert "not the data" in change.alert.message


def test_a_blend_just_above_its_parts_is_a_warning() -> None:
    (change,) = judged(blended(65.1 * 1.02), declared(BLEND), RULE)
    assert found([change]) == [("matrix/R_blend/fro", "warning", 2)], "after 3 rows"
    assert ", 2 % above the largest of its parts" in change.alert.message
    assert "not the data" not in change.alert.message
    (change,) = judged(blended(65.1 * 1.3), declared(BLEND), RULE)
    assert change.alert.severity == "critical"
    assert ", 30 % above the largest of its parts" in change.alert.message


@pytest.mark.parametrize("broken", [{"samp": np.nan}, {"blend": np.inf, "pred": np.inf}])
def test_norms_that_are_not_finite_are_left_to_nonfinite(broken: dict[str, float]) -> None:
    assert judged(blended(**({"blend": 60.0} | broken)), declared(BLEND), RULE) == []


def test_a_part_that_is_not_watched_leaves_nothing_to_compare() -> None:
    trace = blended(3.46e12)
    del trace["matrix/R_pred/fro"]
    assert judged(trace, declared(BLEND), RULE) == []


def test_the_incident_of_the_report_names_both_slips_before_the_first_update() -> None:
    """R_samp 2.85e-4 where 30 to 60 is due, R_blend 3.46e12 where 50 to 100 is."""
    ranges = ContractSpec("matrix/R_samp/fro", 30, 60, "range"), ContractSpec("matrix/R_blend/fro", 50, 100, "range")
    psd = ContractSpec("matrix/R_samp", kind="psd", expected=144.0)
    trace = blended(3.46e12, samp=2.85e-4) | {"matrix/R_samp/trace": np.full(4, 8.8e-4)}
    changes = judged(trace, declared(*ranges, psd, BLEND), RULE)
    text = {change.alert.series: change.alert.evidence["text"] for change in changes}
    assert {change.alert.step for change in changes} == {0}
    assert list(text) == ["matrix/R_blend/fro", "matrix/R_samp/fro", "matrix/R_samp/trace"]
    assert "1.6e5 times too small, 5.0 decades" in text["matrix/R_samp/fro"]
    assert "missing trace normalisation" in text["matrix/R_samp/fro"]
    assert "10.5 decades too large" in text["matrix/R_blend/fro"]
    assert "A blend cannot be larger than its parts" in text["matrix/R_blend/fro"]


@pytest.mark.parametrize("cut", [1, 7])
def test_it_does_not_matter_how_the_rows_are_cut(cut: int) -> None:
    trace = norms(n=100, trace=146.0, defect=0.01) | {"matrix/R_blend/fro": np.linspace(60, 70, 100)}
    trace |= {"matrix/R_samp/fro": np.full(100, 46.0), "matrix/R_pred/fro": np.full(100, 65.0)}
    changes = judged(trace, declared(NORMALISED, BLEND), RULE, cut=64)
    assert len(changes) == 3
    assert repr(judged(trace, declared(NORMALISED, BLEND), RULE, cut=cut)) == repr(changes)


def test_the_component_that_a_wrong_matrix_makes_absurd_is_the_remedy() -> None:
    trace = norms(fro=2.85e-4, trace=8.8e-4, diag_min=1e-6)
    due = declared(NORMALISED, ContractSpec("matrix/R/fro", 30, 60), covariance=1 / 144, angle=1.0)
    for covariance, kind in ((1e25, "gate"), (6_500.0, "pause")):
        losses = {"covariance": np.full(4, covariance), "angle": np.full(4, 300.0)}
        changes = judged(trace | summed({"covariance": 1 / 144, "angle": 1.0}, losses), due, RULE)
        assert {change.alert.series for change in changes} == {"matrix/R/fro", "matrix/R/trace"}
        assert [change.alert.remedy and change.alert.remedy["kind"] for change in changes] == [kind] * 2
