"""The report's failures as incidents: the cause on top, with what was off first, however the rows are cut."""

import json
from typing import Any

import numpy as np
import pytest

from lossguard.protocol.messages import ContractSpec, Declaration
from lossguard.protocol.numbers import dumps
from unit.rules.rule_world import (
    UNDECLARED,
    Trace,
    declared,
    new_engine,
    noisy,
    report,
    report_declaration,
    rows_of,
    summed,
)


def told(trace: Trace, declaration: Declaration, cut: int = 100, until: int | None = None) -> list[dict[str, Any]]:
    """Every news of the run's incidents."""
    engine = new_engine()
    engine.declare("run", declaration)
    many = until or len(next(iter(trace.values())))
    for first in range(0, many, cut):
        engine.observe("run", [rows_of(trace, first, min(first + cut, many))])
    engine.flush("run")
    # as text, since a NaN in a blame is not equal to itself
    return [json.loads(dumps({"news": each.news, **each.incident.to_dict()})) for each in engine.news("run")]


def blow_up(n: int = 400) -> Trace:
    """Gradients grow from step 250 on, losses from step 300 on, and one component ends as NaN."""
    rises = np.where(np.arange(n) < 250, 0.0, 0.02 * (np.arange(n) - 249))
    grown = np.exp(np.maximum(rises - 1.0, 0.0))
    losses = {"ce": noisy(2.0, n, 0.02, 1) * grown, "aux": noisy(3.0, n, 0.02, 2) * grown}
    losses["aux"][380:] = np.nan
    return summed({"ce": 1.0, "aux": 0.1}, losses, **{"grad_norm/total": noisy(1.0, n, 0.05, 5) * np.exp(3 * rises)})


def test_the_report_is_one_incident_named_before_and_when_it_comes() -> None:
    found = told(report(), report_declaration())
    assert {each["id"] for each in found} == {found[0]["id"]}
    assert (found[0]["news"], found[0]["headline"]["rule"]) == ("opened", "look_ahead")
    assert all((each["cause"]["kind"], each["cause"]["component"]) == ("component", "precursor") for each in found)
    came = next(each for each in found if each["count"].get("contribution_dominates"))
    assert (came["news"], came["severity"]) == ("escalated", "critical")
    assert came["first_bad"][0]["series"] == "weight/precursor"
    assert came["first_bad"][0]["step"] == 300


def test_a_blow_up_is_one_incident_led_by_its_gradients() -> None:
    found = told(blow_up(), UNDECLARED)
    assert {each["id"] for each in found} == {found[0]["id"]}
    assert found[-1]["first_bad"][0]["series"] == "grad_norm/total"
    assert 250 <= found[-1]["first_bad"][0]["step"] <= 255
    assert found[-1]["cause"]["kind"] == "lr"
    assert [each["news"] for each in found].count("opened") == 1
    worst = next(each for each in found if "nonfinite" in each["count"])
    assert (worst["news"], worst["headline"]["rule"] == "nonfinite") == ("escalated", False)


def test_a_matrix_out_of_its_range_is_the_cause_of_what_follows() -> None:
    trace = summed({"ce": 1.0}, {"ce": noisy(2.0, 60)}, **{"matrix/R_samp/fro": np.full(60, 2.85e-4)})
    trace["loss/ce"][20:] = trace["loss/total"][20:] = np.inf
    (opened, *others) = told(trace, declared(ContractSpec("matrix/R_samp/fro", 30.0, 60.0), ce=1.0))
    assert (opened["first_step"], opened["news"]) == (0, "opened")
    for each in (opened, *others):
        assert (each["cause"]["kind"], each["cause"]["name"]) == ("matrix", "R_samp")
    assert others[-1]["first_bad"][0] == {"series": "matrix/R_samp/fro", "step": 0, "lead_steps": 20, "deviation": None}


@pytest.mark.parametrize("cut", [1, 7, 256])
def test_nothing_depends_on_where_rows_are_cut(cut: int) -> None:
    for trace, declaration in ((blow_up(), UNDECLARED), (report(), report_declaration())):
        assert told(trace, declaration, cut) == told(trace, declaration)


def test_what_is_told_at_a_row_is_what_was_known_by_then() -> None:
    every = told(blow_up(), UNDECLARED)
    assert told(blow_up(), UNDECLARED, until=310) == [each for each in every if each["last_step"] < 310]
