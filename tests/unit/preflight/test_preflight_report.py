"""The report as text and as JSON."""

import json
from math import nan

from lossguard import Curriculum, Stage
from lossguard.preflight.judging import judged
from lossguard.preflight.report import Component, Report


def a_report(name: str) -> Report:
    curriculum = Curriculum(Stage("one", 0, {"ce": 1.0}), Stage("s" * 120, 10, {"ce": 1.0, name: 0.01}))
    components = [
        Component("ce", 2.2, 2.1, 2.3, 4, grad_norm=1.0, groups={"head": nan}),
        Component(name, -1.234567e-300, nan, nan, 4, nonfinite=3, grad_norm=-1.234567e-300),
    ]
    return judged(components, curriculum, 4, ["a note " * 30])


def test_no_line_is_wider_than_100_columns_whatever_the_names() -> None:
    for name in ("precursor", "a component with a name " * 5):
        lines = str(a_report(name)).splitlines()
        assert max(map(len, lines)) <= 100
        assert any("critical: " in line for line in lines)


def test_the_table_says_raw_weight_contribution_share_and_gradient() -> None:
    curriculum = Curriculum(Stage("one", 0, {"ce": 1.0}), Stage("two", 10, {"ce": 1.0, "precursor": 0.01}))
    components = [Component("ce", 2.2, 2.1, 2.3, 4), Component("precursor", 700.0, 690.0, 710.0, 4, grad_norm=50.0)]
    rows = [line.split() for line in str(judged(components, curriculum, 4)).splitlines()]
    assert ["precursor", "700", "690", "710", "0", "50"] in rows
    assert ["precursor", "700", "0.01", "7", "76.1", "%", "0.5"] in rows
    assert ["ce", "2.2", "1", "2.2", "23.9", "%", "-"] in rows


def test_json_has_words_for_what_is_not_finite() -> None:
    found = json.loads(json.dumps(a_report("aux").to_dict(), allow_nan=False))
    assert found["components"][1]["low"] == "NaN"
    assert found["components"][0]["groups"] == {"head": "NaN"}
    assert (found["ok"], found["stages"][1]["verdict"], found["batches"]) == (False, "critical", 4)
    assert list(found["stages"][0]["rows"][0]) == ["component", "weight", "raw", "contribution", "share", "grad_norm"]
