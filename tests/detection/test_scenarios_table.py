"""The table of benchmarks/scenarios.py says what is wrong with a run, and exits by it."""

from dataclasses import replace

import pytest
from incidents import table
from incidents.trials import Pressed, Seen

from lossguard.scenarios import find

TRUTH = find("ris").truth("unnormalised")
CONTRACT = {"rule": "contract", "step": 0, "severity": "critical"}
SEEN = Seen(
    fired={"contract": CONTRACT, "train_eval": CONTRACT | {"rule": "train_eval"}},
    first_bad="matrix/R_samp/fro",
    total=(1.9e23, 256.0),
    skipped=24,
    nan_loss=None,
    nan_weights=None,
    ran=130,
)
GATED = Pressed(
    "gate", {"component": "covariance", "open": False}, "applied", 8, (4e23, 190.0), True, 3, 1, "worked", "open"
)
TRIAL = table.Trial("ris", "unnormalised", TRUTH, 0, SEEN, SEEN, GATED)
CALM = table.Trial("ris", "fixed", find("ris").truth("fixed"), None, replace(SEEN, fired={}, first_bad=None))


def test_a_row_tells_the_incident_the_alert_the_remedy_and_what_came_of_it() -> None:
    row = table.line(TRIAL, None)
    assert row.count(" | ") == len(table.HEADS) - 1
    for words in (
        "contract at 0, train_eval at 0", "matrix/R_samp/fro (true)", "gate component='covariance', open=False at 8",
        "total 4e+23 -> 190, finite, 3 skipped, 1 of the last 100; worked; incident open", "24 of 130 skipped",
    ):  # fmt: skip
        assert words in row
    assert "as it must be" in row
    assert "| never | none |" in table.line(CALM, None)
    assert table.verdict([TRIAL, CALM]) == "All 2 as their truth says."


@pytest.mark.parametrize(
    ("trial", "fault"),
    [
        (replace(TRIAL, seen=replace(SEEN, fired={"contract": CONTRACT})), "train_eval did not fire"),
        (replace(TRIAL, seen=replace(SEEN, first_bad="lr")), "first bad is lr, not matrix/R_samp/fro"),
        (replace(TRIAL, pressed=replace(GATED, finite=False)), "after the remedy: not finite"),
        (replace(TRIAL, pressed=replace(GATED, late=100)), "after the remedy: still skipping"),
        (replace(TRIAL, pressed=Pressed(said="no alert offered gate")), "after the remedy: no alert offered gate"),
        (replace(CALM, seen=replace(SEEN, fired={"contract": CONTRACT})), "contract fired"),
        (replace(CALM, seen=replace(SEEN, fired={"drift": CONTRACT | {"rule": "drift"}})), "drift paged"),
    ],
)
def test_what_is_not_as_the_truth_has_it_is_a_fault(trial: table.Trial, fault: str) -> None:
    assert trial.faults == [fault]
    assert f"WRONG: {fault}" in table.line(trial, None)
    assert fault in table.verdict([trial])
