"""Three warnings of a blow-up's matter within 50 samples make an incident critical."""

import pytest

from lossguard_server.rules.incidents import Incidents, Taken
from lossguard_server.services.engine.state import from_bytes, to_bytes
from unit.rules.test_incidents import alert, news, say


def warned(*rules: tuple[str, str, int]) -> list[Taken]:
    """(rule, series, sample) of each warning, a kill between any two."""
    incidents, told = Incidents("r"), []
    for rule, series, sample in rules:
        kept = from_bytes(to_bytes(incidents.dump()))
        incidents = Incidents("r")
        incidents.load(kept)
        told.append(say(incidents, sample, alert(rule, sample, series, severity="warning")))
    return told


def test_three_warnings_within_50_samples_are_as_bad_as_a_page_and_it_is_said_why() -> None:
    told = warned(("drift", "loss/a", 100), ("grad_growth", "grad_norm/total", 120), ("drift", "loss/b", 149))
    assert [each.incidents[0].news for each in told] == ["opened", "joined", "escalated"]
    incident = told[-1].incidents[0].incident
    assert incident.severity == "critical"
    assert incident.cause["text"].endswith(
        "Three warnings within 50 samples made it critical: drift of loss/a at step 100, grad_growth of "
        "grad_norm/total at step 120, drift of loss/b at step 149."
    )
    assert all(each.alert.severity == "warning" for taken in told for each in taken.alerts)


@pytest.mark.parametrize(
    "rules",
    [
        (("drift", "loss/a", 100), ("grad_growth", "grad_norm/total", 120), ("drift", "loss/b", 150)),
        (("train_eval", "eval/loss/a", 100), ("train_eval", "eval/loss/b", 101), ("train_eval", "eval/loss/c", 102)),
        (("throughput", "step_time_s", 100), ("plateau", "loss/total", 101), ("memory_headroom", "memory/free", 102)),
        (("drift", "loss/a", 100), ("grad_growth", "grad_norm/total", 120), ("drift", "loss/a", 140)),
    ],
    ids=["too far apart", "of one rule", "no matter of a blow-up", "one of them twice"],
)
def test_other_warnings_stay_warnings(rules: tuple[tuple[str, str, int], ...]) -> None:
    assert {each.incidents[0].incident.severity for each in warned(*rules)} == {"warning"}


def test_a_page_behind_three_warnings_is_worse_still() -> None:
    incidents = Incidents("r")
    for rule in ("drift", "grad_growth", "contract"):
        say(incidents, 100, alert(rule, severity="warning"))
    assert [each for each, _ in news(say(incidents, 130, alert("grad_burst", 130, "grad_norm/total")))] == ["escalated"]
