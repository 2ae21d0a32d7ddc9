"""Charts of a report: no extreme and no non-finite point is lost, axes fit, and what is left out is said."""

import base64
import json
from typing import Any

import numpy as np
import pytest

from lossguard_server.services.reporting.catalogue import LINES_MAX, plans_of
from lossguard_server.services.reporting.colours import DARK, LIGHT, as_css
from lossguard_server.services.reporting.drawing import line_of, sampling_text, shares, stacked
from lossguard_server.services.reporting.overlay import Band, Mark, Overlay
from lossguard_server.services.reporting.pages.charts import chart_figure
from lossguard_server.services.reporting.plots import can_stack, figure_of, has_floor, is_logarithmic
from lossguard_server.services.reporting.record import Contract, NotFinite
from lossguard_server.store.buckets import bucketise
from report_world import chart, line

NAN, INF = float("nan"), float("inf")
NOTHING = Overlay((), ())


def test_extremes_and_what_is_not_finite_outlive_any_decimation() -> None:
    values = np.sin(np.arange(40_000) / 50)
    values[12_345], values[23_456], values[34_567], values[39_999] = 99.0, -99.0, NAN, 0.5
    drawn = line_of("loss/a", "a", 0, bucketise(np.arange(40_000), values, 0, 39_999, 1_000), 39_999)
    assert (np.nanmax(drawn.values), np.nanmin(drawn.values)) == (99.0, -99.0)
    assert drawn.not_finite == (NotFinite(34_560, 34_599, 1, 0, 0),)
    assert (drawn.steps[-1], drawn.values[-1]) == (39_999, 0.5)
    assert (np.diff(drawn.steps) >= 0).all()
    assert len(drawn.steps) <= 2_001
    assert sampling_text(chart(drawn)) == "1 of 40 points, extremes kept"


def test_few_points_are_all_drawn() -> None:
    drawn = line_of("a", "a", 0, bucketise(np.arange(4), np.array([1.0, NAN, INF, 2.0]), 0, 3, 100), 3)
    np.testing.assert_array_equal(drawn.values, [1.0, NAN, NAN, 2.0])
    assert drawn.not_finite == (NotFinite(1, 1, 1, 0, 0), NotFinite(2, 2, 0, 1, 0))
    assert sampling_text(chart(drawn)) == "every point"
    assert line_of("a", "a", 0, bucketise(np.arange(0), np.empty(0), 0, 0, 9), -1).buckets == 0


def test_parts_stack_on_common_steps() -> None:
    steps, means = stacked([line("contribution/a", [1.0, NAN, 3.0]), line("contribution/b", [2.0])])
    assert steps.tolist() == [0, 1, 2]
    assert means.tolist() == [[1.0, 0.0, 3.0], [2.0, 2.0, 2.0]]
    assert shares(np.array([[1e308, 0.0], [-1e308, 0.0]])).tolist()[0][0] == 0.5
    assert stacked([])[0].tolist() == []


@pytest.mark.parametrize(
    ("values", "given", "is_log", "is_stack"),
    [
        ([1.0, 2.0], {"form": "areas"}, False, True),
        ([1.0, 1.0, 1.0, 1e25], {"form": "areas"}, True, False),
        ([1.0, -1.0], {"form": "areas"}, False, False),
        ([1.0, 0.0], {"is_log": True}, True, False),
        ([1.0, -1.0], {"is_log": True}, False, False),
        ([0.0, NAN, INF], {"is_log": True}, False, False),
        ([], {"is_log": True}, False, True),
    ],
)
def test_the_axis_fits_what_there_is(values: list[float], given: Any, is_log: bool, is_stack: bool) -> None:
    drawn = chart(line("contribution/a", values), **given)
    assert is_logarithmic(drawn) is is_log
    if given.get("form") == "areas":
        assert can_stack(drawn) is is_stack


def test_what_has_no_logarithm_lies_at_the_bottom_with_its_own_value() -> None:
    drawn = chart(line("loss/a", [0.0, 3.0, 30.0]), is_log=True)
    assert has_floor(drawn)
    trace = json.loads(figure_of(drawn, NOTHING, 0, 2))["data"][0]
    assert column(trace["y"])[:2] == [1.0, 3.0]
    assert column(trace["customdata"])[0] == 0.0
    assert "what is at or below 0 lies at the bottom" in chart_figure(drawn, "x")


def column(packed: dict[str, str]) -> list[float]:
    found: list[float] = np.frombuffer(base64.b64decode(packed["bdata"]), packed["dtype"]).tolist()
    return found


def test_marks_lie_in_a_strip_that_does_not_zoom() -> None:
    marks = tuple(Mark(at, kind, "critical", "x") for at, kind in ((1, "alert"), (2, "trip"), (900, "command")))
    lost = line("loss/a", [1.0, 2.0, 3.0], not_finite=(NotFinite(1, 2, 1, 2, 0), NotFinite(2, 2, 0, 0, 1)))
    figure = json.loads(figure_of(chart(lost), Overlay((Band(0, 1, "one"), Band(1, None, "two")), marks), 0, 2))
    strip, not_finite = figure["data"][1:]
    assert (strip["x"], strip["yaxis"], not_finite["yaxis"]) == ([1, 2], "y2", "y2")
    assert strip["marker"]["symbol"] == ["triangle-up", "square"]
    assert not_finite["marker"]["symbol"] == ["x", "triangle-down-open"]
    assert not_finite["text"] == ["a: 1 NaN, 2 +Inf in steps 1 to 2", "a: 1 −Inf at step 2"]
    assert figure["layout"]["yaxis2"]["fixedrange"] is True
    assert len([shape for shape in figure["layout"]["shapes"] if shape["type"] == "rect"]) == 1


def test_a_declared_range_is_a_band_and_several_are_bounds() -> None:
    one = chart(line("matrix/R/fro", [55.0]), contracts=(Contract("R/fro", 50.0, 100.0),))
    (shape,) = json.loads(figure_of(one, NOTHING, 0, 1))["layout"]["shapes"]
    assert (shape["type"], shape["y0"], shape["y1"]) == ("rect", 50.0, 100.0)
    two = chart(*one.lines, contracts=(*one.contracts, Contract("other", None, INF)))
    assert [each["y0"] for each in json.loads(figure_of(two, NOTHING, 0, 1))["layout"]["shapes"]] == [50.0, 100.0]
    assert "green ground: the declared range" in chart_figure(one, "x")


def test_a_component_keeps_its_colour_and_crowds_are_bounded() -> None:
    names = ["loss/total", *(f"{prefix}/{name}" for prefix in ("loss", "weight", "contribution") for name in "ba")]
    names += [f"grad_norm/g{at:03}" for at in range(500)] + ["grad_norm/total", "skipped", "matrix/R/worst", "val/acc"]
    plans = {plan.id: plan for plan in plans_of(names, ["b", "a"], ["grad_norm/g499"])}
    assert list(plans) == ["contributions", "shares", "losses", "gradients", "weights", "other-0"]
    looks = {(plan.id, each.label): each.look for plan in plans.values() for each in plan.wanted}
    assert {looks[chart_id, "b"] for chart_id in ("contributions", "shares", "losses", "weights")} == {0}
    assert looks["contributions", "total"] == -1
    gradients = plans["gradients"]
    assert (len(gradients.wanted), gradients.left_out) == (LINES_MAX, 500 - LINES_MAX + 1)
    assert "grad_norm/g499" in {each.series for each in gradients.wanted}


def test_light_and_dark_have_the_same_names() -> None:
    assert set(LIGHT) == set(DARK)
    assert all(f"--{name}:{value}" in as_css() for of in (LIGHT, DARK) for name, value in of.items())
